"""The current region lifted out of the others: in its expert's full color with a bright edge, the rest dimmed.

The deferred node has one segment for each expert, so a single region cannot be made brighter in it. A node of its own
covers the region's box alone, which makes going from region to region a matter of milliseconds on any volume.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk

from ...core.geometry import Geometry
from ..compat import binary_labelmap, closed_surface
from ..deferred import FILL_OPACITY
from ..display import DEFERRED_SMOOTHING, draw_in_front
from ..grid import Alignment, grid_copy
from ..names import EXPERT_TAG, STRUCTURE_TAG
from ..shared_layer import layer_modified, one_event
from .dimming import Dimming, Faintness
from .helper_nodes import follow, new_helper, remove_node
from .names import ROLE_REGION
from .patches import Box, box_around, mask_in, new_patch, set_patch

if TYPE_CHECKING:
    from numpy.typing import NDArray

REGION, EDGE, LIMIT = "region", "edge", "limit"
"""Ids of the segments of the node."""

EDGE_COLOR = (1.0, 1.0, 1.0)
LIMIT_COLOR = (0.0, 1.0, 1.0)
"""Apart from the pale colors of structures. One labeling on offer is like it, but none is drawn during an edit."""
LIMIT_OPACITY = 0.75
LINE_PIXELS = 2

OTHERS = Faintness(0.3, 0.4, 0.3)
"""The regions that are not the current one."""
MODEL = Faintness(1.0, 0.35, 0.6)
"""The model's lines, under those of the corrected labels."""


class RegionFocus:
    """Lifts one region at a time; nothing is shown before `show`.

    Parameters
    ----------
    geometry, volume_node, alignment : the case's grid, the volume, and how they lie on each other.
    deferred_node, result_node : what is dimmed while a region is shown.
    lines : nodes, the lowest first, whose lines are drawn over the region's color.
    """

    def __init__(
        self,
        scene: Any,
        geometry: Geometry,
        volume_node: Any,
        alignment: Alignment,
        deferred_node: Any,
        result_node: Any,
        lines: Sequence[Any] = (),
    ) -> None:
        self._scene, self._geometry, self._volume, self._alignment = scene, geometry, volume_node, alignment
        self._grid = grid_copy(volume_node)
        self._deferred, self._lines = deferred_node, tuple(lines)
        self._dimmed = [
            Dimming(deferred_node, EXPERT_TAG, OTHERS),
            Dimming(result_node, STRUCTURE_TAG, MODEL),
        ]
        self._node: Any = None
        self._patches: dict[str, Any] = {}
        self._observed: tuple[Any, int] | None = None

    @property
    def node(self) -> Any:
        """The segmentation node, or None while nothing is shown."""
        return self._node if self._node is not None and self._node.GetScene() is self._scene else None

    def show(self, indices: NDArray[Any], color: tuple[float, float, float]) -> None:
        """Lift a region out: flat indices into the case's [k, j, i] volume, and the color of its expert."""
        if self.node is None:
            self._make_node()
        follow(self._node, self._volume)
        for dimming in self._dimmed:
            dimming.apply()
        box = box_around(indices, self._geometry.shape)
        mask = mask_in(indices, self._geometry.shape, box)
        is_limit_drawn = self._node.GetDisplayNode().GetSegmentVisibility(LIMIT)
        with one_event(self._node):
            self._node.GetSegmentation().GetSegment(REGION).SetColor(*color)
            for segment_id in (REGION, EDGE) if is_limit_drawn else self._patches:  # Slicer makes no surface of nothing
                set_patch(self._patches[segment_id], self._grid, self._alignment, box, mask)
                layer_modified(self._node, self._patches[segment_id])
        self._follow_deferred()

    def show_limit(self, box: Box, mask: NDArray[np.bool_]) -> None:
        """Draw a line around the voxels that may be edited: slices (k, j, i) and a mask of that shape."""
        if self.node is None:
            self._make_node()
        with one_event(self._node):
            set_patch(self._patches[LIMIT], self._grid, self._alignment, box, mask)
            layer_modified(self._node, self._patches[LIMIT])
            self._node.GetDisplayNode().SetSegmentVisibility(LIMIT, True)

    def hide_limit(self) -> None:
        """Draw no such line."""
        if self.node is not None:
            self._node.GetDisplayNode().SetSegmentVisibility(LIMIT, False)

    def clear(self) -> None:
        """Show everything as it was before, and leave nothing in the scene."""
        if self._observed is not None:
            display, tag = self._observed
            display.RemoveObserver(tag)
            self._observed = None
        for dimming in self._dimmed:
            dimming.undo()
        remove_node(self._scene, self._node)
        self._node, self._patches = None, {}

    def _make_node(self) -> None:
        lines = [node for node in self._lines if node.GetScene() is self._scene]
        under = lines[0] if lines else None
        self._node = new_helper(self._scene, self._volume, ROLE_REGION, "Region under review", under)
        nothing = slice(0, 1), slice(0, 1), slice(0, 1)
        empty = np.zeros((1, 1, 1), dtype=bool)
        # A labelmap for each: of segments that share one, Slicer draws a label value in one way alone.
        self._patches = {
            segment_id: new_patch(self._grid, self._alignment, nothing, empty) for segment_id in (REGION, EDGE, LIMIT)
        }
        segmentation, display = self._node.GetSegmentation(), self._node.GetDisplayNode()
        colors = {REGION: EDGE_COLOR, EDGE: EDGE_COLOR, LIMIT: LIMIT_COLOR}
        for segment_id, patch in self._patches.items():
            segment = slicer.vtkSegment()
            segment.SetName(segment_id)
            segment.SetColor(*colors[segment_id])
            segment.SetLabelValue(1)
            segment.AddRepresentation(binary_labelmap(), patch)
            segmentation.AddSegment(segment, segment_id)
        segmentation.SetConversionParameter("Smoothing factor", str(DEFERRED_SMOOTHING))
        with one_event(display):
            display.SetOpacity2DFill(FILL_OPACITY)
            display.SetOpacity2DOutline(1.0)
            display.SetSliceIntersectionThickness(LINE_PIXELS)
            display.SetSegmentVisibility2DOutline(REGION, False)
            for line in (EDGE, LIMIT):
                display.SetSegmentVisibility2DFill(line, False)
                display.SetSegmentVisibility3D(line, False)
            display.SetSegmentOpacity2DOutline(LIMIT, LIMIT_OPACITY)
            display.SetSegmentVisibility(LIMIT, False)
        for node in lines:
            draw_in_front(node)
        shown = self._deferred.GetDisplayNode()
        self._observed = shown, shown.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._follow_deferred())

    def _follow_deferred(self) -> None:
        """Hide and show with the deferred regions, in slices and in 3D."""
        leader = self._deferred.GetDisplayNode()
        if self.node is None or leader is None:
            return
        display = self._node.GetDisplayNode()
        surfaces = self._deferred.GetSegmentation().ContainsRepresentation(closed_surface())
        in_3d = bool(leader.GetVisibility3D()) and surfaces
        with one_event(display):
            display.SetVisibility(leader.GetVisibility())
            display.SetVisibility3D(in_3d)
        if in_3d and not self._node.GetSegmentation().ContainsRepresentation(closed_surface()):
            self._node.CreateClosedSurfaceRepresentation()
