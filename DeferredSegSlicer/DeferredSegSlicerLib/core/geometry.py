"""Where voxels are: IJK, RAS and LPS for any right- or left-handed, oblique or permuted direction matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .errors import BadInputError

if TYPE_CHECKING:
    import SimpleITK as sitk
    from numpy.typing import ArrayLike, NDArray

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""4x4 matrix from LPS mm to RAS mm; its own inverse."""

MAX_VOXELS = 2**33
"""No volume of more voxels is accepted (8.6 Gvoxel is past any clinical scan)."""

_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))


@dataclass(frozen=True)
class Geometry:
    """The grid of a volume: size, spacing, origin and direction, as SimpleITK has them (LPS).

    Attributes
    ----------
    size : (i, j, k) voxels. Arrays of this grid have shape (k, j, i) = `shape`.
    spacing : (i, j, k) mm, finite and positive.
    origin_lps : LPS mm of the center of voxel (0, 0, 0).
    direction_lps : nine numbers, row-major 3x3; column c is the LPS unit vector along which index c grows.
        It may be oblique and may be left-handed (determinant -1).

    Raises
    ------
    BadInputError : a size below 1, a spacing that is not finite and positive, a direction that is not
        orthonormal to 1e-3, or an origin that is not finite.
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin_lps: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction_lps: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        size = tuple(int(n) for n in self.size)
        spacing = tuple(float(s) for s in self.spacing)
        origin = tuple(float(o) for o in self.origin_lps)
        direction = tuple(float(d) for d in np.asarray(self.direction_lps, dtype=float).ravel())
        if len(size) != 3 or min(size) < 1:
            raise BadInputError(f"volume size is {size}, expected three numbers of at least 1")
        if math.prod(size) > MAX_VOXELS:
            raise BadInputError(f"volume size {size} is {math.prod(size)} voxels, at most {MAX_VOXELS} are accepted")
        if len(spacing) != 3 or not all(math.isfinite(s) and s > 0 for s in spacing):
            raise BadInputError(f"voxel spacing is {spacing} mm, expected three finite numbers above 0")
        if len(origin) != 3 or not all(math.isfinite(o) for o in origin):
            raise BadInputError(f"volume origin is {origin} mm, expected three finite numbers")
        matrix = np.asarray(direction).reshape(3, 3) if len(direction) == 9 else np.zeros((3, 3))
        if not np.allclose(matrix.T @ matrix, np.eye(3), atol=1e-3):
            raise BadInputError(f"volume direction {direction} is not orthonormal")
        for name, value in (("size", size), ("spacing", spacing), ("origin_lps", origin), ("direction_lps", direction)):
            object.__setattr__(self, name, value)

    @classmethod
    def of_image(cls, image: sitk.Image) -> Geometry:
        """Grid of a 3D SimpleITK image; raises BadInputError for another dimension."""
        if image.GetDimension() != 3:
            raise BadInputError(f"image has {image.GetDimension()} dimensions, expected 3")
        return cls(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    def apply_to(self, image: sitk.Image) -> sitk.Image:
        """Give this grid's spacing, origin and direction to an image of the same size; returns the image."""
        if tuple(image.GetSize()) != self.size:
            raise ValueError(f"image of size {image.GetSize()} does not fit the grid of size {self.size}")
        image.SetSpacing(self.spacing)
        image.SetOrigin(self.origin_lps)
        image.SetDirection(self.direction_lps)
        return image

    @property
    def shape(self) -> tuple[int, int, int]:
        """Array shape (k, j, i)."""
        return self.size[2], self.size[1], self.size[0]

    @property
    def voxel_count(self) -> int:
        """Number of voxels."""
        return math.prod(self.size)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in ml."""
        return math.prod(self.spacing) / 1000.0

    @property
    def is_left_handed(self) -> bool:
        """True if the index axes form a left-handed system in physical space (determinant below 0)."""
        return bool(np.linalg.det(np.asarray(self.direction_lps).reshape(3, 3)) < 0)

    @cached_property
    def ijk_to_lps(self) -> NDArray[np.float64]:
        """4x4 matrix from voxel index (i, j, k) to LPS mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.asarray(self.direction_lps).reshape(3, 3) * np.asarray(self.spacing)
        matrix[:3, 3] = self.origin_lps
        return matrix

    @cached_property
    def ijk_to_ras(self) -> NDArray[np.float64]:
        """4x4 matrix from voxel index (i, j, k) to RAS mm."""
        return LPS_TO_RAS @ self.ijk_to_lps

    @cached_property
    def ras_to_ijk(self) -> NDArray[np.float64]:
        """4x4 matrix from RAS mm to continuous voxel index (i, j, k)."""
        return np.asarray(np.linalg.inv(self.ijk_to_ras), dtype=np.float64)

    def ras_of(self, ijk: ArrayLike) -> NDArray[np.float64]:
        """RAS mm of continuous indices (..., 3) in (i, j, k) order."""
        return transform_points(self.ijk_to_ras, ijk)

    def ijk_of(self, ras: ArrayLike) -> NDArray[np.float64]:
        """Continuous indices (i, j, k) of RAS mm points (..., 3)."""
        return transform_points(self.ras_to_ijk, ras)

    @cached_property
    def bounds_ras(self) -> NDArray[np.float64]:
        """(2, 3) RAS mm: lowest and highest coordinate of the outer voxel faces' corners."""
        low, high = np.full(3, -0.5), np.asarray(self.size) - 0.5
        corners = np.array([[(low, high)[b][a] for a, b in enumerate(bits)] for bits in np.ndindex(2, 2, 2)])
        ras = self.ras_of(corners)
        return np.stack([ras.min(axis=0), ras.max(axis=0)])

    @cached_property
    def anatomical_axes(self) -> tuple[int, int, int]:
        """For index axes i, j, k: which of R-L (0), A-P (1), S-I (2) each runs along most; a permutation."""
        cosines = np.abs(self.ijk_to_ras[:3, :3] / np.asarray(self.spacing))
        axes = [-1, -1, -1]
        for _ in range(3):
            ras_axis, index_axis = np.unravel_index(int(np.argmax(cosines)), (3, 3))
            axes[index_axis] = int(ras_axis)
            cosines[ras_axis, :] = -1.0
            cosines[:, index_axis] = -1.0
        return axes[0], axes[1], axes[2]

    def letters_of_axis(self, axis: int) -> tuple[str, str]:
        """Orientation letters at the low and at the high end of index axis 0 (i), 1 (j) or 2 (k)."""
        ras_axis = self.anatomical_axes[axis]
        low, high = _LETTERS[ras_axis]
        return (low, high) if self.ijk_to_ras[ras_axis, axis] > 0 else (high, low)

    @cached_property
    def slicing_axis(self) -> int:
        """Index axis (0 i, 1 j, 2 k) along which the scanner stacked its slices.

        It is the axis of the largest spacing. If all are within 1 % of each other there is no such axis and the
        body's S-I axis is taken, on which networks for axial slices were trained.
        """
        spacing = np.asarray(self.spacing)
        if spacing.max() <= spacing.min() * 1.01 or np.sum(spacing >= spacing.max() * 0.99) > 1:
            return self.anatomical_axes.index(2)
        return int(np.argmax(spacing))

    def differences_from(self, other: Geometry, tolerance_mm: float = 1e-3) -> list[str]:
        """Sentences on what differs from another grid; empty if they agree.

        Every corner voxel's center must lie within `tolerance_mm` of the other's.
        """
        if self.size != other.size:
            return [f"size {self.size} against {other.size}"]
        corners = np.array(list(np.ndindex(2, 2, 2))) * (np.asarray(self.size) - 1)
        gap = float(np.abs(self.ras_of(corners) - other.ras_of(corners)).max())
        reach = float(np.abs(np.asarray(self.spacing) - other.spacing).max())
        if gap <= tolerance_mm and reach <= tolerance_mm:
            return []
        found = []
        if not np.allclose(self.spacing, other.spacing, atol=tolerance_mm):
            found.append(f"spacing {_short(self.spacing)} mm against {_short(other.spacing)} mm")
        if not np.allclose(self.origin_lps, other.origin_lps, atol=tolerance_mm):
            found.append(f"origin {_short(self.origin_lps)} mm against {_short(other.origin_lps)} mm (LPS)")
        if not np.allclose(self.direction_lps, other.direction_lps, atol=1e-4):
            found.append(f"direction {_short(self.direction_lps)} against {_short(other.direction_lps)}")
        return found or [f"voxels up to {gap:.3g} mm apart"]


def transform_points(matrix: NDArray[np.float64], points: ArrayLike) -> NDArray[np.float64]:
    """Apply a 4x4 matrix to points (..., 3)."""
    array = np.asarray(points, dtype=np.float64)
    return array @ matrix[:3, :3].T + matrix[:3, 3]


def _short(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{v:.4g}" for v in values) + ")"
