"""Closed surfaces of structures: modestly smoothed, and of the volume that the voxels have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..core.geometry import Geometry, transform_points
from .marching_cubes import extract

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMOOTHING_STEPS = 12
"""Pairs of a smoothing and an inflating step (Taubin 1995); more would round off what the voxels show."""

_SHRINK, _INFLATE = 0.5, -0.53
_REACH = 0.5
"""Farthest that a point may go from the voxels' border along each index axis, in voxels."""

_VOLUME_STEPS = 6


@dataclass(frozen=True, eq=False)
class Surface:
    """A closed triangle mesh.

    Attributes
    ----------
    points_lps : float64 (n, 3), LPS mm.
    triangles : int (m, 3), indices of points, counterclockwise seen from outside.
    """

    points_lps: NDArray[np.float64]
    triangles: NDArray[np.int64]

    @property
    def volume_ml(self) -> float:
        """Enclosed volume in ml (negative if the triangles were inside out)."""
        return enclosed(self.points_lps, self.triangles) / 1000

    @property
    def is_watertight(self) -> bool:
        """True if every edge belongs to exactly two triangles, which pass it in opposite directions."""
        edges = _directed_edges(self.triangles)
        codes = edges[:, 0] * np.int64(len(self.points_lps)) + edges[:, 1]
        back = edges[:, 1] * np.int64(len(self.points_lps)) + edges[:, 0]
        return len(np.unique(codes)) == len(codes) and bool(np.isin(back, codes).all())


def surface_of(mask: NDArray[np.bool_], geometry: Geometry, steps: int = SMOOTHING_STEPS) -> Surface:
    """The surface of a structure.

    No point lies more than half a voxel from the voxels' border along any index axis, and the enclosed volume is that
    of the voxels, as nearly as this allows.

    Parameters
    ----------
    mask : bool [k, j, i] on `geometry`, with at least one voxel.
    steps : of smoothing; 0 gives the plain marching-cubes surface.

    Raises
    ------
    ValueError : no voxel is True.
    """
    box = _bounding_box(mask)
    points, triangles = extract(mask[box])
    points += [part.start for part in reversed(box)]
    if geometry.is_left_handed:
        triangles = triangles[:, ::-1]
    matrix = geometry.ijk_to_lps
    if steps:
        border = points
        # Along the axes in mm, whichever way they point: straight index axes keep the clamp a clamp of boxes.
        scale = np.asarray(geometry.spacing)
        moved = _smoothed(border * scale, triangles, steps) / scale
        moved = np.clip(moved, border - _REACH, border + _REACH)
        points = _with_volume(moved, border, triangles, geometry, int(np.count_nonzero(mask)))
    return Surface(transform_points(matrix, points), np.ascontiguousarray(triangles))


def enclosed(points: NDArray[np.float64], triangles: NDArray[np.int64]) -> float:
    """Volume within a closed mesh, in the cube of the points' unit (divergence theorem)."""
    centered = points - points.mean(axis=0)
    a, b, c = (centered[triangles[:, n]] for n in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """The smallest part of the volume that holds the True voxels; raises ValueError if there is none."""
    planes = np.flatnonzero(mask.any(axis=(1, 2)))
    if not len(planes):
        raise ValueError("a surface needs at least one voxel")
    k = slice(int(planes[0]), int(planes[-1]) + 1)
    there: NDArray[np.bool_] = np.asarray(mask[k].any(axis=0))
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    return k, slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _directed_edges(triangles: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])


def _smoothed(points: NDArray[np.float64], triangles: NDArray[np.int64], steps: int) -> NDArray[np.float64]:
    """Taubin's smoothing: toward the neighbors' mean, then somewhat more away from it."""
    start, end = _directed_edges(triangles).T  # every edge once each way, since the mesh is closed
    neighbors = np.bincount(start, minlength=len(points))
    for factor in (_SHRINK, _INFLATE) * steps:
        mean = np.stack([np.bincount(start, points[end, n], len(points)) for n in range(3)], axis=1)
        points = points + factor * (mean / neighbors[:, None] - points)
    return points


def _with_volume(
    points: NDArray[np.float64],
    border: NDArray[np.float64],
    triangles: NDArray[np.int64],
    geometry: Geometry,
    voxels: int,
) -> NDArray[np.float64]:
    """The points moved along their normals until the mesh encloses as much as the voxels do; in index coordinates."""
    sign = -1 if geometry.is_left_handed else 1  # of the triangles' direction in index coordinates
    scale = np.asarray(geometry.spacing)
    wanted = voxels * float(np.prod(scale))
    for _ in range(_VOLUME_STEPS):
        in_mm = points * scale
        lacking = wanted - sign * enclosed(in_mm, triangles)
        if abs(lacking) < 1e-4 * wanted:
            break
        a, b, c = (in_mm[triangles[:, n]] for n in range(3))
        facing = sign * np.cross(b - a, c - a)
        normal = np.stack(
            [np.bincount(triangles.ravel(), np.repeat(facing[:, n], 3), len(points)) for n in range(3)], axis=1
        )
        normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        area = float(np.linalg.norm(facing, axis=1).sum()) / 2
        points = np.clip((in_mm + normal * lacking / area) / scale, border - _REACH, border + _REACH)
    return points
