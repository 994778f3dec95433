"""Plausible labelings of a region, from the stored maps alone: most regions should need no brush.

Offered are, for the structure of the region and in this order:

tighter  only its more probable voxels: p of at least 0.7; else its rim of one voxel goes; else its less probable half
wider    less probable voxels too: p of at least 0.3; else it grows by one voxel; else the more probable half
fill     all of the region
drop     nothing of the region

"Else": where the first rule gives nothing new. None changes a voxel outside the region or takes one from another
structure (but `fill`, which is meant to). What equals the model's label, or another, is left out, so a region that is
all alike may have a single one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
    """The four labelings of a region of structure `number` (from 0) by the rules above, also those that are not new."""
    where = region.indices
    before = label.reshape(-1)[where]
    p = probability.reshape(len(probability), -1)[:, where]
    mine = np.uint8(number + 1)
    others = p.copy()
    others[number] = 0
    without = label_of(others[:, None, None, :])[0, 0]
    own, free = before == mine, before == 0

    at_other, at_mine = _beside(label, mine, where, geometry)
    leaving = (p[number] < TIGHT, at_other, p[number] < _middle(p[number], own))
    joining = (p[number] >= WIDE, at_mine, p[number] >= _middle(p[number], free))
    fill, drop = np.full_like(before, mine), np.where(own, without, before)
    known = [before, fill, drop]
    tighter = (np.where(own & out, without, before) for out in leaving)
    wider = (np.where(free & more, mine, before) for more in joining)
    return [
        Candidate("tighter", _first_new(tighter, known)),
        Candidate("wider", _first_new(wider, known)),
        Candidate("fill", fill),
        Candidate("drop", drop),
    ]


def _first_new(labelings: Iterable[NDArray[np.uint8]], known: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The first labeling that is not known yet; else the first that is known."""
    return next((one for one in labelings if not any(np.array_equal(one, k) for k in known)), known[0])


def _middle(p: NDArray[np.uint8], among: NDArray[np.bool_]) -> float:
    """The probability that parts some voxels into halves, as far as it can; infinite if they are all alike."""
    values = np.unique(p[among])
    if len(values) < 2:
        return math.inf
    return float(values[max(1, int(np.searchsorted(values, np.median(p[among]))))])


def _beside(
    label: NDArray[np.uint8], mine: np.uint8, where: NDArray[Any], geometry: Geometry
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(n,) each: whether voxels (flat indices) touch, face to face in their slice, another label, and the label."""
    kji = np.unravel_index(where, geometry.shape)
    at_other, at_mine = np.zeros(len(where), dtype=bool), np.zeros(len(where), dtype=bool)
    for axis, count in enumerate(geometry.shape):
        if axis == 2 - geometry.slicing_axis:
            continue
        for step in (-1, 1):
            there = kji[axis] + step
            inside = (there >= 0) & (there < count)
            next_to = list(kji)
            next_to[axis] = np.clip(there, 0, count - 1)
            is_mine = label[next_to[0], next_to[1], next_to[2]] == mine
            at_mine |= inside & is_mine
            at_other |= inside & ~is_mine
    return at_other, at_mine


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
