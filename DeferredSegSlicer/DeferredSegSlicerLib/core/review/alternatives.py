"""Plausible labelings of a region, from the stored maps alone: most regions should need no brush.

Offered are, for the structure of the region and in this order:

tighter  only the more probable of its voxels: p of at least 0.7; where that changes nothing, its rim of one voxel goes
wider    also less probable voxels: p of at least 0.3; where that changes nothing, it grows by one voxel
fill     all of the region
drop     nothing of the region

None changes a voxel outside the region or takes one from another structure (but `fill`, which is meant to). What equals
the model's label, or one before, is left out: a region that is all alike may have less than two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..case_reader import Case
from ..case_writer import label_of
from ..errors import BadInputError
from ..geometry import Geometry
from ..regions import Region
from .runs import LabelRuns

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 4
"""Alternatives that are offered: keys 1 to 4 take them."""

TIGHT, WIDE = round(0.7 * 255), round(0.3 * 255)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A labeling that somebody proposes for a region: a name, and a label for each voxel of `Region.indices`, (n,)."""

    name: str
    labels: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class LabelAlternative:
    """A labeling that is offered.

    Attributes
    ----------
    name : "tighter", "wider", "fill", "drop", or a candidate's.
    after : the label of every voxel of the region. changed : voxels that differ from the model's label.
    """

    name: str
    after: LabelRuns
    changed: int


def alternatives(
    region: Region,
    case: Case,
    label: NDArray[np.uint8],
    probability: NDArray[np.uint8],
    extra: Iterable[Candidate] = (),
) -> tuple[LabelAlternative, ...]:
    """Up to four labelings of a region, all different, none the model's; `extra` candidates are offered first.

    Parameters
    ----------
    label : uint8 [k, j, i], the model's labels. probability : uint8 [s, k, j, i], times 255.

    Raises
    ------
    BadInputError : a candidate does not fit the region or the structures.
    """
    number = next((n for n, s in enumerate(case.structures) if s.id == region.structure), None)
    if number is None:
        raise BadInputError(f'structure "{region.structure}" is not in the case')
    before = label.reshape(-1)[region.indices]
    candidates = [*extra, *from_maps(region, number, label, probability, case.geometry)]
    for candidate in candidates:
        if candidate.labels.shape != before.shape or candidate.labels.dtype != np.uint8:
            raise BadInputError(f'candidate "{candidate.name}" does not have one label for each voxel of the region')
        if candidate.labels.max() > len(case.structures):
            raise BadInputError(f'candidate "{candidate.name}" has a label of no structure')
    return _all_different(region, before, candidates)


def from_maps(
    region: Region,
    number: int,
    label: NDArray[np.uint8],
    probability: NDArray[np.uint8],
    geometry: Geometry,
) -> list[Candidate]:
    """The four labelings of a region of structure `number` (from 0) by the rules above, also those that are alike."""
    where = region.indices
    before = label.reshape(-1)[where]
    p = probability.reshape(len(probability), -1)[:, where]
    mine = np.uint8(number + 1)
    others = p.copy()
    others[number] = 0
    without = label_of(others[:, None, None, :])[0, 0]
    own, free = before == mine, before == 0

    tighter = np.where(own & (p[number] < TIGHT), without, before)
    if np.array_equal(tighter, before):
        tighter = np.where(own & _touches(label != mine, where, geometry), without, before)
    wider = np.where(free & (p[number] >= WIDE), mine, before)
    if np.array_equal(wider, before):
        wider = np.where(free & _touches(label == mine, where, geometry), mine, before)
    return [
        Candidate("tighter", tighter),
        Candidate("wider", wider),
        Candidate("fill", np.full_like(before, mine)),
        Candidate("drop", np.where(own, without, before)),
    ]


def _touches(mask: NDArray[np.bool_], where: NDArray[np.integer], geometry: Geometry) -> NDArray[np.bool_]:
    """(n,) whether voxels (flat indices) have a face in common with the mask [k, j, i] within their slice."""
    kji = np.unravel_index(where, geometry.shape)
    found = np.zeros(len(where), dtype=bool)
    for axis, count in enumerate(geometry.shape):
        if axis == 2 - geometry.slicing_axis:
            continue
        for step in (-1, 1):
            beside = [*kji]
            beside[axis] = np.clip(kji[axis] + step, 0, count - 1)
            found |= mask[tuple(beside)] & (beside[axis] != kji[axis])
    return found


def _all_different(
    region: Region, before: NDArray[np.uint8], candidates: Sequence[Candidate]
) -> tuple[LabelAlternative, ...]:
    found: list[LabelAlternative] = []
    seen = {before.tobytes()}
    for candidate in candidates:
        if candidate.labels.tobytes() not in seen and len(found) < MOST:
            seen.add(candidate.labels.tobytes())
            changed = int(np.count_nonzero(candidate.labels != before))
            found.append(LabelAlternative(candidate.name, LabelRuns.of(region.indices, candidate.labels), changed))
    return tuple(found)
