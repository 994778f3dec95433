"""The decision zone: the voxels on which a deferral can matter, computed from the stored probability alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import BadInputError
from .geometry import Geometry

if TYPE_CHECKING:
    from numpy.typing import NDArray

ZONE_FLOOR = 0.02
"""Foreground probability from which a voxel may be foreground."""

ZONE_BAND_MM = 10.0
"""How far around such voxels the zone reaches, in mm along every index axis."""

MAX_STRUCTURES = 250

_NONE = 255


@dataclass(frozen=True)
class Zone:
    """The decision zone of a volume.

    Attributes
    ----------
    shape : (k, j, i) of the volume.
    indices : (N,) flat indices into the [k, j, i] volume, ascending; int32 where they fit.
    structure : (N,) uint8, index of the structure that each zone voxel belongs to.
    """

    shape: tuple[int, int, int]
    indices: NDArray[Any]
    structure: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.indices)

    def mask(self) -> NDArray[np.bool_]:
        """The zone as a boolean volume [k, j, i]."""
        mask = np.zeros(self.shape, dtype=bool)
        mask.reshape(-1)[self.indices] = True
        return mask


def decision_zone(
    probability: NDArray[np.uint8], geometry: Geometry, floor: float = ZONE_FLOOR, band_mm: float = ZONE_BAND_MM
) -> Zone:
    """Where a deferral can matter.

    A structure's zone is {p >= floor} grown by `band_mm` along each index axis (a box, so Chebyshev distance in mm);
    the zone is the union. A zone voxel belongs to the structure of the largest probability among those whose zone
    reaches it; the first of them if they tie.

    Parameters
    ----------
    probability : uint8 [s, k, j, i], foreground probability times 255.
    floor : 0..1, rounded to the nearest stored step (0.02 is 5 of 255), at least 1 of 255.

    Raises
    ------
    BadInputError : arrays that do not fit the grid, or settings out of range.
    """
    check_maps(probability, geometry, "probability")
    if len(probability) > MAX_STRUCTURES:
        raise BadInputError(f"{len(probability)} structures given, at most {MAX_STRUCTURES} are accepted")
    if not 0.0 < floor <= 1.0:
        raise BadInputError(f"zone floor is {floor}, expected above 0 and at most 1")
    if not (math.isfinite(band_mm) and band_mm >= 0):
        raise BadInputError(f"zone band is {band_mm} mm, expected 0 or more")
    threshold = max(1, round(floor * 255))
    radius = [math.floor(band_mm / spacing + 1e-9) for spacing in reversed(geometry.spacing)]
    boxes = [_box_of(p, threshold, radius) for p in probability]
    found = [box for box in boxes if box is not None]
    if not found:
        return Zone(geometry.shape, np.empty(0, index_type(geometry)), np.empty(0, np.uint8))
    union = tuple(slice(min(b[a].start for b in found), max(b[a].stop for b in found)) for a in range(3))
    owner = np.full([s.stop - s.start for s in union], _NONE, dtype=np.uint8)
    best = np.zeros_like(owner)
    for number, (p, box) in enumerate(zip(probability, boxes, strict=True)):
        if box is not None:
            inner = tuple(slice(b.start - u.start, b.stop - u.start) for b, u in zip(box, union, strict=True))
            crop, crop_owner, crop_best = p[box], owner[inner], best[inner]
            taken = dilated(crop >= threshold, radius)
            taken &= (crop > crop_best) | (crop_owner == _NONE)
            np.copyto(crop_owner, np.uint8(number), where=taken)
            np.copyto(crop_best, crop, where=taken)
    return _zone_of(owner, union, geometry)


def dilated(mask: NDArray[np.bool_], radius: list[int]) -> NDArray[np.bool_]:
    """A boolean [k, j, i] array grown by a box of `radius` voxels (k, j, i); nothing comes in from outside."""
    for axis, wanted in enumerate(radius):
        done = 0
        while done < min(wanted, mask.shape[axis] - 1):
            # A seed at the border has grown to one side alone, so a longer step would leave a gap there.
            step = min(done + 1, wanted - done)
            ahead, behind = [slice(None)] * 3, [slice(None)] * 3
            ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
            grown = mask.copy()
            grown[tuple(ahead)] |= mask[tuple(behind)]
            grown[tuple(behind)] |= mask[tuple(ahead)]
            mask = grown
            done += step
    return mask


def index_type(geometry: Geometry) -> type[np.signedinteger[Any]]:
    """The smallest of int32 and int64 that holds every flat index of the volume."""
    return np.int32 if geometry.voxel_count < 2**31 else np.int64


def check_maps(maps: NDArray[np.uint8], geometry: Geometry, name: str) -> None:
    """Raise BadInputError unless `maps` is uint8 [c, k, j, i] on the grid."""
    if maps.dtype != np.uint8:
        raise BadInputError(f"{name} map has values of type {maps.dtype}, expected uint8")
    if maps.ndim != 4 or maps.shape[1:] != geometry.shape:
        raise BadInputError(f"{name} map has shape {maps.shape}, expected (components, *{geometry.shape})")


def _box_of(p: NDArray[np.uint8], threshold: int, radius: list[int]) -> tuple[slice, slice, slice] | None:
    """Index box (k, j, i) of {p >= threshold}, grown by the radius and cut to the volume; None if there is none."""
    planes = np.flatnonzero(p.max(axis=(1, 2)) >= threshold)
    if not len(planes):
        return None
    shadow = p[planes[0] : planes[-1] + 1].max(axis=0) >= threshold
    found = (planes, np.flatnonzero(shadow.any(axis=1)), np.flatnonzero(shadow.any(axis=0)))
    k, j, i = (
        slice(max(0, int(f[0]) - r), min(size, int(f[-1]) + r + 1))
        for f, r, size in zip(found, radius, p.shape, strict=True)
    )
    return k, j, i


def _zone_of(owner: NDArray[np.uint8], box: tuple[slice, ...], geometry: Geometry) -> Zone:
    """Flat indices and structures of the owned voxels of a crop, a slice at a time to keep memory low."""
    _, rows, columns = geometry.shape
    width = owner.shape[2]
    indices = np.empty(int(np.count_nonzero(owner != _NONE)), dtype=index_type(geometry))
    structure = np.empty(len(indices), dtype=np.uint8)
    end = 0
    for number, plane in enumerate(owner):
        local = np.flatnonzero(plane != _NONE)
        start, end = end, end + len(local)
        first = ((box[0].start + number) * rows + box[1].start) * columns + box[2].start
        indices[start:end] = first + local + (local // width) * (columns - width)
        structure[start:end] = plane.reshape(-1)[local]
    return Zone(geometry.shape, indices, structure)
