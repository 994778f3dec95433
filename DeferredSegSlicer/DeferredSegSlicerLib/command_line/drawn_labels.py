"""Labels that were drawn in another program, brought onto the voxels of a case."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.case import Case
from ..core.errors import BadInputError
from ..core.geometry import Geometry
from ..core.review.decisions import Limit
from ..core.review.limits import limit_mask
from ..core.segmentation_file import Segment, SegmentationFile, read_segmentation
from ..core.structures import Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

_VALUE_SEGMENT = re.compile(r"label_(\d+)")
_TOLERANCE_MM = 0.01


def read_drawn(path: Path, case: Case) -> NDArray[np.uint8]:
    """The labels of a segmentation of the case's structures, uint8 [k, j, i], s + 1 for structure s.

    Segments go by the names or ids of the structures, and all of them must be there; a label image without names goes
    by its values, 1 for the first structure. The voxels must be the case's: counted from the other end or cut off
    around the segments, as Slicer may save them, but neither turned nor resampled.

    Raises
    ------
    BadInputError : another grid, a segment that is no structure of the case, a structure without a segment, segments
        that overlap or reach beyond the volume, or no segmentation at all.
    """
    file = read_segmentation(path)
    who = f'labels "{path}"'
    labels = np.zeros(case.geometry.shape, np.uint8)
    inside, source = _overlap(file.geometry, case.geometry, who)
    for number, segment in _numbered(file, case.structures, who):
        mask = file.mask(segment)
        drawn = mask[source][_reversed(file.geometry, case.geometry)]
        if np.count_nonzero(drawn) != np.count_nonzero(mask):
            raise BadInputError(f'{who}: segment "{segment.name}" reaches beyond the volume of the case')
        part = labels[inside]
        if np.any(part[drawn]):
            raise BadInputError(f'{who}: segment "{segment.name}" overlaps another one; every voxel has one label')
        part[drawn] = number
    return labels


@dataclass(frozen=True, eq=False)
class Reach:
    """Where an edit may change something: a part of the volume, slices (k, j, i), and which of its voxels, bool."""

    part: tuple[slice, slice, slice]
    allowed: NDArray[np.bool_]


def reaches_of(
    changed: NDArray[np.bool_],
    regions: Sequence[NDArray[Any]],
    geometry: Geometry,
    limit: Limit,
    who: str,
) -> list[Reach]:
    """How far each of several regions' edits reaches; with the limit lifted there is one, and it reaches anywhere.

    Parameters
    ----------
    changed : bool [k, j, i], where something was drawn. regions : flat indices of each. who : the labels, for errors.

    Raises
    ------
    BadInputError : something was drawn beyond all of the regions and their margins, or nothing near one of them.
    """
    if limit.lifted and len(regions) != 1:
        raise BadInputError("with --lift-limit an edit belongs to one region; give one --region")
    found, beyond = [], changed.copy()
    for number, indices in enumerate(regions, 1):
        part, allowed = limit_mask(indices, geometry, limit.margin_mm)
        if limit.lifted:
            part, allowed = (slice(None), slice(None), slice(None)), np.ones_like(changed)
        if not np.any(changed[part] & allowed):
            which = f" near region {number} of those given" if len(regions) > 1 else " near the region"
            raise BadInputError(f"{who} change nothing{which}; if what is there already is right, use --accept")
        beyond[part] &= ~allowed
        found.append(Reach(part, allowed))
    if beyond.any():
        k, j, i = (int(c[0]) for c in np.nonzero(beyond))
        raise BadInputError(
            f"{who} change {int(np.count_nonzero(beyond))} voxels more than {limit.margin_mm:g} mm from the regions "
            f"given, the first at ({i}, {j}, {k}); name their regions too, or use --lift-limit"
        )
    return found


def _numbered(file: SegmentationFile, structures: Sequence[Structure], who: str) -> list[tuple[int, Segment]]:
    """Label of the case for each segment that counts."""
    if all(_VALUE_SEGMENT.fullmatch(segment.id) for segment in file.segments):
        beyond = [s.label for s in file.segments if s.label > len(structures)]
        if beyond:
            raise BadInputError(f"{who} have a label {beyond[0]}, but the case has {len(structures)} structures")
        return [(segment.label, segment) for segment in file.segments]
    found: list[tuple[int, Segment]] = []
    for number, structure in enumerate(structures, 1):
        same = [s for s in file.segments if structure.id == s.id] or [
            s for s in file.segments if s.name.casefold() == structure.name.casefold()
        ]
        if len(same) != 1:
            there = ", ".join(s.name for s in file.segments)
            raise BadInputError(
                f'{who} have {len(same) or "no"} segment{"s" if same else ""} "{structure.name}"; there are: {there}'
            )
        found.append((number, same[0]))
    known = [segment for _, segment in found]
    for segment in file.segments:
        if segment not in known and file.mask(segment).any():
            raise BadInputError(f'{who}: segment "{segment.name}" is no structure of the case')
    return found


def _turned(there: Geometry, here: Geometry) -> NDArray[np.float64]:
    """4x4 matrix from index (i, j, k) of one grid to that of another."""
    return np.asarray(here.ras_to_ijk @ there.ijk_to_ras, dtype=np.float64)


def _reversed(there: Geometry, here: Geometry) -> tuple[slice, slice, slice]:
    """Slices (k, j, i) that bring an array of one grid into the order of another."""
    signs = np.diag(_turned(there, here))[:3]
    i, j, k = (slice(None, None, -1 if sign < 0 else None) for sign in signs)
    return k, j, i


def _overlap(
    there: Geometry, here: Geometry, who: str
) -> tuple[tuple[slice, slice, slice], tuple[slice, slice, slice]]:
    """Where two grids have voxels in common: slices (k, j, i) into the array here, and into the one there."""
    matrix = _turned(there, here)
    whole = np.eye(4)
    whole[:3, :3] = np.diag(np.sign(np.diag(matrix)[:3]))
    whole[:3, 3] = np.rint(matrix[:3, 3])
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.asarray(there.size) - 1)
    ends = corners @ whole[:3, :3].T + whole[:3, 3]
    gap = np.abs(corners @ matrix[:3, :3].T + matrix[:3, 3] - ends) * here.spacing
    if not gap.max() <= _TOLERANCE_MM:
        raise BadInputError(f"{who} are not on the voxels of the case; save them on the grid of its scan")
    inside, source = [], []
    for axis in (2, 1, 0):
        low, high = int(ends[:, axis].min()), int(ends[:, axis].max()) + 1
        first, last = max(low, 0), min(high, here.size[axis])
        if first >= last:
            raise BadInputError(f"{who} have no voxel in common with the volume of the case")
        inside.append(slice(first, last))
        flip = whole[axis, axis] < 0
        source.append(slice(high - last, high - first) if flip else slice(first - low, last - low))
    return (inside[0], inside[1], inside[2]), (source[0], source[1], source[2])
