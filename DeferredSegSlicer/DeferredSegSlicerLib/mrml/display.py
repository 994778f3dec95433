"""How the result and the deferred regions look: opacities, what is visible, and surfaces in 3D when asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .compat import closed_surface
from .names import ROLE_ATTRIBUTE, ROLE_RESULT

MODEL_3D_OPACITY = 0.35
"""Of the model's surfaces in 3D, so that deferred regions on their far side and inside them are seen."""

DEFERRED_SMOOTHING = 0.1
"""Slicer's smoothing of surfaces, 0..1: more than this makes small regions vanish in 3D."""
_SMOOTHING = "Smoothing factor"


def set_opacity(node: Any, fill: float | None = None, outline: float | None = None) -> None:
    """Set the opacity, 0..1, of a segmentation node's fill and outline in slice views; None leaves one as it is."""
    display = node.GetDisplayNode()
    if fill is not None:
        display.SetVisibility2DFill(fill > 0)
        display.SetOpacity2DFill(fill)
    if outline is not None:
        display.SetVisibility2DOutline(outline > 0)
        display.SetOpacity2DOutline(outline)


def set_visible(node: Any, visible: bool) -> None:
    """Show or hide a node in all views."""
    node.GetDisplayNode().SetVisibility(visible)


def set_segment_visible(node: Any, segment_id: str, visible: bool) -> None:
    """Show or hide one segment in all views."""
    node.GetDisplayNode().SetSegmentVisibility(segment_id, visible)


def visible_segments(node: Any) -> tuple[str, ...]:
    """Ids of the segments that are shown while the node is, in the node's order."""
    display, segmentation = node.GetDisplayNode(), node.GetSegmentation()
    ids = (segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments()))
    return tuple(segment_id for segment_id in ids if display.GetSegmentVisibility(segment_id))


def draw_in_front(node: Any) -> None:
    """Draw a segmentation node over the others in the slice views that are open; its look stays as it is.

    Views draw nodes in the order in which their display nodes came. New views, and those of a scene that was read, take
    the order of the nodes in the scene instead.
    """
    scene, display = node.GetScene(), node.GetDisplayNode()
    if display is not None:
        scene.RemoveNode(display)
        node.SetAndObserveDisplayNodeID(scene.AddNode(display).GetID())


def show_3d(nodes: Iterable[Any], shown: bool) -> None:
    """Show or hide nodes in 3D views. Surfaces are computed now if they are not there (seconds for a large scan)."""
    for node in nodes:
        if node is None or node.GetDisplayNode() is None:
            continue
        node.GetDisplayNode().SetVisibility3D(shown)
        node.GetDisplayNode().SetOpacity3D(MODEL_3D_OPACITY if _is_result(node) else 1.0)
        if shown:
            refresh_3d(node)


def refresh_3d(node: Any) -> bool:
    """Compute the surfaces of a node that is to be seen in 3D and has none, or lost them when its voxels changed.

    Returns
    -------
    Whether anything had to be computed.
    """
    segmentation = node.GetSegmentation()
    if not node.GetDisplayNode().GetVisibility3D() or segmentation.ContainsRepresentation(closed_surface()):
        return False
    if not _is_result(node):
        segmentation.SetConversionParameter(_SMOOTHING, str(DEFERRED_SMOOTHING))
    node.CreateClosedSurfaceRepresentation()
    return True


def _is_result(node: Any) -> bool:
    return bool(node.GetAttribute(ROLE_ATTRIBUTE) == ROLE_RESULT)
