"""Segments of a node drawn fainter for a while, by their own factors: the node's opacities are left to the panel.

What they looked like before is kept with the node, so that a scene which was saved meanwhile finds back.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from typing import Any

from ..shared_layer import one_event
from .names import DIMMED_ATTRIBUTE


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

    def apply(self) -> None:
        """Dim every segment that is not dimmed yet."""
        display, segmentation = self._node.GetDisplayNode(), self._node.GetSegmentation()
        if display is None:
            return
        before = _before(self._node)
        ids = (segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments()))
        fresh = [i for i in ids if i not in before and segmentation.GetSegment(i).HasTag(self._tag)]
        if not fresh:
            return
        faint = self._faintness
        with one_event(display):
            for segment_id in fresh:
                look = before[segment_id] = Faintness(
                    display.GetSegmentOpacity2DFill(segment_id),
                    display.GetSegmentOpacity2DOutline(segment_id),
                    display.GetSegmentOpacity3D(segment_id),
                )
                dimmed = Faintness(look.fill * faint.fill, look.outline * faint.outline, look.surface * faint.surface)
                _give(display, segment_id, dimmed)
        plain = {segment_id: astuple(look) for segment_id, look in before.items()}
        self._node.SetAttribute(DIMMED_ATTRIBUTE, json.dumps(plain))

    def undo(self) -> None:
        """As it was before; nothing happens for what is gone."""
        undim(self._node)


def undim(node: Any) -> None:
    """Give the segments of a node the look that they had before they were dimmed, if they are."""
    before, display = _before(node), node.GetDisplayNode()
    node.RemoveAttribute(DIMMED_ATTRIBUTE)
    if display is None or not before:
        return
    with one_event(display):
        for segment_id, look in before.items():
            if node.GetSegmentation().GetSegment(segment_id) is not None:
                _give(display, segment_id, look)


def _before(node: Any) -> dict[str, Faintness]:
    """The looks that a node keeps; a damaged text counts as none."""
    try:
        kept = json.loads(node.GetAttribute(DIMMED_ATTRIBUTE) or "{}")
        return {str(segment_id): Faintness(*(float(v) for v in look)) for segment_id, look in kept.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _give(display: Any, segment_id: str, look: Faintness) -> None:
    display.SetSegmentOpacity2DFill(segment_id, look.fill)
    display.SetSegmentOpacity2DOutline(segment_id, look.outline)
    display.SetSegmentOpacity3D(segment_id, look.surface)
