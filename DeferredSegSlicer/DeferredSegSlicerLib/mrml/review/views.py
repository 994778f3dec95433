"""Slice views and 3D cameras on a region: centered, zoomed, and back to where they were."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import vtk

from ...core.geometry import Geometry, transform_points
from ..grid import array_of_matrix, world_from_local
from ..shared_layer import one_event
from .patches import box_around

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARGIN_MM = 20.0
"""What a slice view shows around a region on each side, at least."""
SMALLEST_VIEW_MM = 60.0
"""No slice view shows less than this along its shorter side."""
SMALLEST_RADIUS_MM = 60.0
"""No 3D view shows less than a ball of this radius."""

_SLICE_CLASS, _CAMERA_CLASS = "vtkMRMLSliceNode", "vtkMRMLCameraNode"


@dataclass(frozen=True, eq=False)
class Place:
    """Where a region is, in world RAS mm.

    Attributes
    ----------
    center : (3,), the center of a voxel of the region: the one nearest to its centroid.
    corners : (8, 3), of the region's bounding box on the outer voxel faces.
    """

    center: NDArray[np.float64]
    corners: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Viewpoint:
    """What the views of a scene showed: by node id, plain numbers."""

    slices: Mapping[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)
    cameras: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


def place_of(indices: NDArray[Any], geometry: Geometry, volume_node: Any) -> Place:
    """Where voxels are.

    Parameters
    ----------
    indices : flat indices into the case's [k, j, i] volume, at least one. geometry : of the case.
    volume_node : the volume that the case is shown on; its linear parent transforms count.

    Raises
    ------
    BadInputError : the volume is under a transform that is not linear.
    """
    to_world = world_from_local(volume_node)
    ijk = np.stack(np.unravel_index(indices, geometry.shape)[::-1], axis=1)
    apart = (ijk - ijk.mean(axis=0)) * geometry.spacing
    center = ijk[int(np.argmin(np.einsum("nc,nc->n", apart, apart)))]
    box = box_around(indices, geometry.shape)[::-1]
    ends = np.array([[part.start - 0.5, part.stop - 0.5] for part in box])
    corners = np.array([[ends[axis, bit] for axis, bit in enumerate(bits)] for bits in np.ndindex(2, 2, 2)])
    return Place(
        transform_points(to_world, geometry.ras_of(center)), transform_points(to_world, geometry.ras_of(corners))
    )


def go_to(scene: Any, place: Place, zoom: bool = True) -> None:
    """Center all slice views and 3D cameras of a scene on a place and zoom to it.

    Orientation of the slices and direction of the cameras stay. A slice goes through the center of a voxel.
    """
    for node in _nodes(scene, _SLICE_CLASS):
        with one_event(node):
            node.JumpSliceByCentering(*place.center.tolist())
            if zoom:
                _zoom_slice(node, place)
    for node in _nodes(scene, _CAMERA_CLASS):
        _aim(node, place, zoom)


def remember(scene: Any) -> Viewpoint:
    """What the views show now."""
    slices, cameras = {}, {}
    for node in _nodes(scene, _SLICE_CLASS):
        matrix = tuple(array_of_matrix(node.GetSliceToRAS()).ravel().tolist())
        slices[node.GetID()] = (matrix, node.GetFieldOfView(), node.GetXYZOrigin())
    for node in _nodes(scene, _CAMERA_CLASS):
        cameras[node.GetID()] = (node.GetPosition(), node.GetFocalPoint(), node.GetViewUp(), node.GetParallelScale())
    return Viewpoint(slices, cameras)


def restore(scene: Any, viewpoint: Viewpoint) -> None:
    """Show again what the views showed; views that are gone or new are left alone."""
    for node in _nodes(scene, _SLICE_CLASS):
        kept = viewpoint.slices.get(node.GetID())
        if kept is not None:
            matrix, (width, _, depth), origin = kept
            with one_event(node):
                to_ras = vtk.vtkMatrix4x4()
                to_ras.DeepCopy(matrix)
                node.GetSliceToRAS().DeepCopy(to_ras)
                node.SetXYZOrigin(*origin)
                node.SetFieldOfView(width, width * _aspect(node), depth)  # the window may have another shape by now
                node.UpdateMatrices()
    for node in _nodes(scene, _CAMERA_CLASS):
        seen = viewpoint.cameras.get(node.GetID())
        if seen is not None:
            position, focus, up, scale = seen
            _set_camera(node, position, focus, up, scale)


def _zoom_slice(node: Any, place: Place) -> None:
    axes = array_of_matrix(node.GetSliceToRAS())[:3, :2]
    reach = np.abs((place.corners - place.center) @ axes).max(axis=0)
    width, height = (max(SMALLEST_VIEW_MM, 2 * (float(r) + MARGIN_MM)) for r in reach)
    aspect = _aspect(node)
    width = max(width, height / aspect)
    node.SetFieldOfView(width, width * aspect, node.GetFieldOfView()[2])
    node.UpdateMatrices()


def _aspect(node: Any) -> float:
    """Height of a slice view over its width."""
    columns, rows = node.GetDimensions()[:2]
    return rows / columns if rows > 0 and columns > 0 else 1.0


def _aim(node: Any, place: Place, zoom: bool) -> None:
    focus, position = np.array(node.GetFocalPoint()), np.array(node.GetPosition())
    back = position - focus
    distance = float(np.linalg.norm(back))
    if not (math.isfinite(distance) and distance > 0):
        back, distance = np.array([0.0, 1.0, 0.0]), 1.0
    direction, scale = back / distance, node.GetParallelScale()
    if zoom:
        radius = max(SMALLEST_RADIUS_MM, float(np.linalg.norm(place.corners - place.center, axis=1).max()) + MARGIN_MM)
        angle = math.radians(min(max(node.GetViewAngle(), 1.0), 170.0))
        distance, scale = radius / math.sin(angle / 2), radius
    _set_camera(node, place.center + direction * distance, place.center, node.GetViewUp(), scale)


def _set_camera(node: Any, position: Any, focus: Any, up: Any, scale: float) -> None:
    with one_event(node):
        node.SetFocalPoint(*(float(c) for c in focus))
        node.SetPosition(*(float(c) for c in position))
        node.SetViewUp(*(float(c) for c in up))
        node.SetParallelScale(scale)
    node.ResetClippingRange()


def _nodes(scene: Any, node_class: str) -> Iterator[Any]:
    for number in range(scene.GetNumberOfNodesByClass(node_class)):
        yield scene.GetNthNodeByClass(number, node_class)
