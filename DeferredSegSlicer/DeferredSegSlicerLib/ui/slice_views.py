"""Where the slice views stand, and moving them: through their nodes, so that it works without a window too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import slicer
import slicer.util
import vtk

from .presenters.placement import Point, first_box

_ALONG = 0.7
"""A view shows a world axis if the axis and a side of the view are closer than 45 degrees."""


def box_in_view(scene: Any, volume_node: Any) -> tuple[Point, Point]:
    """Center (world RAS mm) and size (mm) of a new box for a volume; see `presenters.placement.first_box`."""
    bounds = [0.0] * 6
    volume_node.GetRASBounds(bounds)
    center, field = _point_and_field(_slice_nodes(scene), bounds)
    return first_box(center, field, bounds)


def jump(scene: Any, position: Sequence[float]) -> None:
    """Let all slice views show a point, world RAS mm."""
    for node in _slice_nodes(scene):
        node.JumpSliceByCentering(*position)


def show_volume(volume_node: Any) -> None:
    """Make a volume the background of all slice views: what is chosen is what is seen."""
    scene = volume_node.GetScene()
    shown = [n.GetBackgroundVolumeID() for n in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode", scene)]
    if shown and any(i != volume_node.GetID() for i in shown):
        slicer.util.setSliceViewerLayers(background=volume_node, fit=True)


def _slice_nodes(scene: Any) -> list[Any]:
    """Slice nodes of the views on the screen, or all if none says that it is."""
    nodes = slicer.util.getNodesByClass("vtkMRMLSliceNode", scene)
    return [node for node in nodes if node.IsMappedInLayout()] or nodes


def _point_and_field(nodes: Sequence[Any], bounds: Sequence[float]) -> tuple[list[float], list[float]]:
    """The point on all slices (nearest to the first view's center), and how much is seen along R, A and S, mm."""
    extent = [bounds[2 * axis + 1] - bounds[2 * axis] for axis in range(3)]
    if not nodes:
        return [(bounds[2 * axis] + bounds[2 * axis + 1]) / 2 for axis in range(3)], extent
    matrices = np.array([_matrix(node.GetSliceToRAS()) for node in nodes])
    centers, normals = matrices[:, :3, 3], matrices[:, :3, 2]
    missing = np.einsum("na,na->n", normals, centers - centers[0])
    point = centers[0] + np.linalg.lstsq(normals, missing, rcond=None)[0]
    seen: list[list[float]] = [[], [], []]
    for node, matrix in zip(nodes, matrices, strict=True):
        field = node.GetFieldOfView()
        for side in range(2):
            direction = np.abs(matrix[:3, side])
            if direction.max() > _ALONG:
                seen[int(direction.argmax())].append(float(field[side]))
    return point.tolist(), [min(fields) if fields else whole for fields, whole in zip(seen, extent, strict=True)]


def _matrix(matrix: vtk.vtkMatrix4x4) -> list[list[float]]:
    return [[matrix.GetElement(row, column) for column in range(4)] for row in range(4)]
