"""What the table of structures says of each prompt, read from the scene."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..core.errors import BadInputError
from ..core.structures import Box, Structure
from ..mrml.compat import binary_labelmap
from ..mrml.placement import volume_of_companion
from ..mrml.prompts import BOX, PromptEntry, structure_of
from .presenters.structures import MOVED, NEW, SEGMENTED, StructureFacts
from .sentences import sentence_of
from .text import _

_SAME_MM = 0.01


class FactsReader:
    """Reads facts, and remembers the boxes of segments: to find one, all voxels of a segmentation are looked at."""

    def __init__(self) -> None:
        self._boxes: dict[tuple[Any, ...], Box] = {}

    def facts_of(
        self, entries: Sequence[PromptEntry], scene: Any, volume_node: Any, segmented: Sequence[Structure]
    ) -> list[StructureFacts]:
        """Facts on each entry for a volume (or None), given the structures of the result shown on that volume."""
        return [self._facts(entry, scene, volume_node, segmented) for entry in entries]

    def _facts(
        self, entry: PromptEntry, scene: Any, volume_node: Any, segmented: Sequence[Structure]
    ) -> StructureFacts:
        node = scene.GetNodeByID(entry.node_id) if entry.node_id else None
        box, problem = None, ""
        if volume_node is not None:
            try:
                box = self._box(entry, scene, node, volume_node)
            except BadInputError as error:
                problem = sentence_of(error)
        elif node is None:
            problem = _("The prompt is no longer in the scene.")
        return StructureFacts(
            entry.key,
            entry.name,
            entry.color,
            entry.terminology,
            entry.kind,
            _size(box),
            _source(entry, node),
            _visible(entry, node),
            problem,
            _standing(entry, box, segmented),
            _other_volume(entry, node, volume_node),
        )

    def _box(self, entry: PromptEntry, scene: Any, node: Any, volume_node: Any) -> Box | None:
        segment = (
            node.GetSegmentation().GetSegment(entry.segment_id) if entry.kind != BOX and node is not None else None
        )
        if segment is None:
            return structure_of(entry, scene, volume_node).box
        key = (entry.key, volume_node.GetID(), *_times(volume_node), *_times(node), *_times_of_segment(segment))
        if key not in self._boxes:
            found = structure_of(entry, scene, volume_node).box
            if found is None:
                return None
            self._boxes = {k: box for k, box in self._boxes.items() if k[0] != entry.key}
            self._boxes[key] = found
        return self._boxes[key]


def _times(node: Any) -> tuple[int, ...]:
    """When a node and the transforms above it were last modified."""
    times = [node.GetMTime()]
    parent = node.GetParentTransformNode()
    while parent is not None:
        times.append(parent.GetTransformToWorldMTime())
        parent = parent.GetParentTransformNode()
    return tuple(times)


def _times_of_segment(segment: Any) -> tuple[int, ...]:
    """When a segment and its voxels, if it has any, were last modified."""
    labelmap = segment.GetRepresentation(binary_labelmap())
    scalars = labelmap.GetPointData().GetScalars() if labelmap is not None else None
    return (
        segment.GetMTime(),
        labelmap.GetMTime() if labelmap is not None else 0,
        scalars.GetMTime() if scalars is not None else 0,
    )


def center_of(entry: PromptEntry, scene: Any) -> tuple[float, float, float] | None:
    """Where a prompt is, world RAS mm, or None if it is gone."""
    node = scene.GetNodeByID(entry.node_id) if entry.node_id else None
    if node is None:
        return None
    if entry.kind != BOX:
        center = node.GetSegmentCenterRAS(entry.segment_id)
        return None if center is None else (center[0], center[1], center[2])
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    if bounds[0] > bounds[1]:
        return None
    return ((bounds[0] + bounds[1]) / 2, (bounds[2] + bounds[3]) / 2, (bounds[4] + bounds[5]) / 2)


def _size(box: Box | None) -> tuple[float, float, float] | None:
    if box is None:
        return None
    r, a, s = (high - low for low, high in zip(box.low, box.high, strict=True))
    return r, a, s


def _source(entry: PromptEntry, node: Any) -> tuple[str, str]:
    if entry.kind == BOX or node is None:
        return "", ""
    segment = node.GetSegmentation().GetSegment(entry.segment_id)
    return (segment.GetName() if segment is not None else ""), node.GetName()


def _visible(entry: PromptEntry, node: Any) -> bool | None:
    if entry.kind != BOX or node is None or node.GetDisplayNode() is None:
        return None
    return bool(node.GetDisplayNode().GetVisibility())


def _standing(entry: PromptEntry, box: Box | None, segmented: Sequence[Structure]) -> str:
    """Whether the result has this structure, from this very box."""
    for structure in segmented:
        if structure.name.strip().casefold() == entry.name.strip().casefold():
            return SEGMENTED if _same(box, structure.box) else MOVED
    return NEW


def _same(box: Box | None, other: Box | None) -> bool:
    if box is None or other is None:
        return box is other
    pairs = zip((*box.low, *box.high), (*other.low, *other.high), strict=True)
    return all(math.isclose(a, b, abs_tol=_SAME_MM) for a, b in pairs)


def _other_volume(entry: PromptEntry, node: Any, volume_node: Any) -> str:
    """Name of the volume in which a box was drawn, if it is another one than the chosen."""
    if entry.kind != BOX or node is None or volume_node is None:
        return ""
    drawn_on = volume_of_companion(node)
    if drawn_on is None or drawn_on.GetID() == volume_node.GetID():
        return ""
    return str(drawn_on.GetName())
