"""Distances between the surfaces of two masks, in mm.

The surface of a mask is its voxels that have a face neighbor outside the mask (outside the volume counts as outside the
mask); a distance runs from voxel center to voxel center. Every surface voxel counts once, whatever its area.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk

from ..errors import BadInputError
from .overlap import two_masks

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances in mm of each surface voxel to the other surface: of the mask to the truth, and back.

    If one mask is empty the other's distances are infinite; if both are, there are none.
    """

    to_truth: NDArray[np.float32]
    to_mask: NDArray[np.float32]

    @property
    def hausdorff_95(self) -> float:
        """The larger of the two directed 95th percentiles; NaN if both masks are empty, infinite if one is."""
        directed = [_percentile_95(d) for d in (self.to_truth, self.to_mask) if len(d)]
        return max(directed, default=math.nan)

    def surface_dice(self, tolerance_mm: float) -> float:
        """Share of both surfaces that lies within the tolerance of the other (Nikolov et al., arXiv 1809.04430).

        1 if both masks are empty, 0 if one is.
        """
        if not (math.isfinite(tolerance_mm) and tolerance_mm >= 0):
            raise BadInputError(f"surface tolerance is {tolerance_mm} mm, expected 0 or more")
        total = len(self.to_truth) + len(self.to_mask)
        near = sum(int(np.count_nonzero(d <= tolerance_mm + 1e-4)) for d in (self.to_truth, self.to_mask))
        return near / total if total else 1.0


def surface_distances(mask: ArrayLike, truth: ArrayLike, spacing: tuple[float, float, float]) -> SurfaceDistances:
    """Distances between the surfaces of two masks [k, j, i] with voxel spacing (i, j, k) in mm.

    Raises BadInputError for masks of different shapes or of other than three dimensions.
    """
    a, b = two_masks(mask, truth)
    if a.ndim != 3:
        raise BadInputError(f"masks have {a.ndim} dimensions, expected 3")
    box = _box_of(a | b)
    surface_a, surface_b = (_surface(np.pad(m[box], 1)) for m in (a, b))
    return SurfaceDistances(_distances(surface_a, surface_b, spacing), _distances(surface_b, surface_a, spacing))


def hausdorff_95(mask: ArrayLike, truth: ArrayLike, spacing: tuple[float, float, float]) -> float:
    """95th percentile Hausdorff distance in mm; see SurfaceDistances."""
    return surface_distances(mask, truth, spacing).hausdorff_95


def surface_dice(mask: ArrayLike, truth: ArrayLike, spacing: tuple[float, float, float], tolerance_mm: float) -> float:
    """Surface Dice at a tolerance in mm; see SurfaceDistances."""
    return surface_distances(mask, truth, spacing).surface_dice(tolerance_mm)


def _percentile_95(distances: NDArray[np.float32]) -> float:
    """95th percentile; infinite if the other surface is not there (interpolation would make NaN of it)."""
    return float(np.percentile(distances, 95)) if np.isfinite(distances).all() else math.inf


def _box_of(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Bounding box of a mask; the first voxel if it is empty."""
    box = []
    for axis in range(3):
        found = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 1))
    return tuple(box)


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels of a mask, which has a border of background, with a face neighbor outside it."""
    inner = mask.copy()
    for axis in range(3):
        for step in (1, -1):
            inner &= np.roll(mask, step, axis)
    return mask & ~inner


def _distances(
    surface: NDArray[np.bool_], other: NDArray[np.bool_], spacing: tuple[float, float, float]
) -> NDArray[Any]:
    """Distance in mm of each voxel of one surface to the nearest of another."""
    if not other.any():
        return np.full(int(np.count_nonzero(surface)), np.inf, dtype=np.float32)
    image = sitk.GetImageFromArray(other.astype(np.uint8))
    image.SetSpacing([float(s) for s in spacing])
    distance = sitk.SignedMaurerDistanceMap(image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
    # A surface is one voxel thick: each of its voxels touches its outside, so the distance on it is 0.
    return np.abs(sitk.GetArrayViewFromImage(distance)[surface])
