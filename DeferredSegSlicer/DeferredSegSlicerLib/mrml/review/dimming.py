"""Segments of a node drawn fainter for a while, by their own factors: the node's opacities are left to the panel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..shared_layer import one_event


@dataclass(frozen=True)
class Faintness:
    """Factors, 0..1, on a segment's fill and outline in slices, and on its surface in 3D."""

    fill: float = 1.0
    outline: float = 1.0
    surface: float = 1.0


class Dimming:
    """Dims the segments of one node that have a tag; `undo` gives each back the look that it had."""

    def __init__(self, node: Any, tag: str, faintness: Faintness) -> None:
        self._node, self._tag, self._faintness = node, tag, faintness
        self._before: dict[str, Faintness] = {}

    def apply(self) -> None:
        """Dim every segment that is not dimmed yet."""
        display, segmentation = self._node.GetDisplayNode(), self._node.GetSegmentation()
        if display is None:
            return
        ids = (segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments()))
        fresh = [i for i in ids if i not in self._before and segmentation.GetSegment(i).HasTag(self._tag)]
        if not fresh:
            return
        with one_event(display):
            for segment_id in fresh:
                look = Faintness(
                    display.GetSegmentOpacity2DFill(segment_id),
                    display.GetSegmentOpacity2DOutline(segment_id),
                    display.GetSegmentOpacity3D(segment_id),
                )
                self._before[segment_id] = look
                faint = self._faintness
                _set(display, segment_id, look.fill * faint.fill, look.outline * faint.outline, faint.surface)

    def undo(self) -> None:
        """As it was before; nothing happens for what is gone."""
        before, self._before = self._before, {}
        display = self._node.GetDisplayNode()
        if display is None or not before:
            return
        with one_event(display):
            for segment_id, look in before.items():
                if self._node.GetSegmentation().GetSegment(segment_id) is not None:
                    _set(display, segment_id, look.fill, look.outline, look.surface)


def _set(display: Any, segment_id: str, fill: float, outline: float, surface: float) -> None:
    display.SetSegmentOpacity2DFill(segment_id, fill)
    display.SetSegmentOpacity2DOutline(segment_id, outline)
    display.SetSegmentOpacity3D(segment_id, surface)
