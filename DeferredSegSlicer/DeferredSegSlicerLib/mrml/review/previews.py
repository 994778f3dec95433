"""Labelings that are offered, as lines over the slices: one color each, and no trace when they are gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import slicer

from ..compat import binary_labelmap
from ..grid import Alignment
from ..shared_layer import one_event
from .helper_nodes import new_helper, remove_node
from .names import ROLE_PREVIEW
from .patches import Box, new_patch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLORS: tuple[tuple[float, float, float], ...] = (
    (1.0, 0.85, 0.0),
    (0.0, 0.9, 1.0),
    (1.0, 0.25, 1.0),
    (0.45, 1.0, 0.0),
)
"""Of the first to the fourth labeling; apart from the structures' pale colors and from white."""

LINE_PIXELS = 2


@dataclass(frozen=True, eq=False)
class Preview:
    """A labeling to be drawn: its name, slices (k, j, i) of the case, and where the structure would be in them."""

    name: str
    box: Box
    mask: NDArray[np.bool_]


class Previews:
    """Draws up to four labelings of a region on a volume."""

    def __init__(self, scene: Any, volume_node: Any, alignment: Alignment) -> None:
        self._scene, self._volume, self._alignment = scene, volume_node, alignment
        self._node: Any = None

    @property
    def node(self) -> Any:
        """The segmentation node, or None while nothing is drawn."""
        return self._node if self._node is not None and self._node.GetScene() is self._scene else None

    def show(self, previews: Sequence[Preview]) -> None:
        """Draw these and nothing else, in the order of `COLORS`."""
        if len(previews) > len(COLORS):
            raise ValueError(f"{len(previews)} labelings given, at most {len(COLORS)} can be told apart")
        self.clear()
        if not previews:
            return
        self._node = new_helper(self._scene, self._volume, ROLE_PREVIEW, "Labelings on offer")
        display = self._node.GetDisplayNode()
        with one_event(self._node), one_event(display):
            display.SetVisibility2DFill(False)
            display.SetVisibility3D(False)
            display.SetOpacity2DOutline(1.0)
            display.SetSliceIntersectionThickness(LINE_PIXELS)
            for number, (preview, color) in enumerate(zip(previews, COLORS, strict=False), 1):
                segment = slicer.vtkSegment()
                segment.SetName(f"{number}: {preview.name}")
                segment.SetColor(*color)
                segment.SetLabelValue(1)
                patch = new_patch(self._volume, self._alignment, preview.box, preview.mask)
                segment.AddRepresentation(binary_labelmap(), patch)
                self._node.GetSegmentation().AddSegment(segment, str(number))

    def clear(self) -> None:
        """Draw nothing, and leave nothing in the scene."""
        remove_node(self._scene, self._node)
        self._node = None
