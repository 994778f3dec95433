"""The model's segmentation in the scene: one node, one shared labelmap, beside its volume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.case import Case
from ..core.segmentation_file import ALGORITHM_NAME_TAG, ALGORITHM_TYPE_TAG, REVIEW_STATUS_TAG
from .grid import Alignment
from .names import CASE_ID_ATTRIBUTE, RESULT_SUFFIX, ROLE_ATTRIBUTE, ROLE_RESULT, STRUCTURE_TAG
from .placement import place_beside
from .shared_layer import SegmentSpec, fill_with_segments, new_layer, one_event

if TYPE_CHECKING:
    from numpy.typing import NDArray

OUTLINE_PIXELS = 2
"""Thickness of the model's outline in slice views."""


def show_result(
    scene: Any,
    case: Case,
    volume_node: Any,
    alignment: Alignment,
    update: Any = None,
    label: NDArray[np.uint8] | None = None,
) -> Any:
    """Show a case's segmentation on a volume node.

    The node is named after the volume node. It is read-only by convention: it has the attribute `DeferredSeg.Role`
    "result", and editing goes to a copy. Slicer has no lock for segmentations, and hiding the node from editors would
    hide it from the Data module and the segments table too. It is drawn as outlines, without fill.

    Parameters
    ----------
    alignment : of the case on the node, from `grid.align`.
    update : a result node that is filled anew; its display and segments that a user has added to it are kept.
        Without it a node is made.
    label : `case.label()`, if it was read already (in a thread, for one).

    Returns
    -------
    The segmentation node; a segment for every structure of the case, empty ones too.

    Raises
    ------
    DamagedCaseError : the case's segmentation was changed. The scene is as before.
    ValueError : `update` is not a result node of this module.
    """
    if update is not None and update.GetAttribute(ROLE_ATTRIBUTE) != ROLE_RESULT:
        raise ValueError(f'node "{update.GetName()}" is no result of this module and is not overwritten')
    labels = case.label() if label is None else label
    layer = new_layer(volume_node, alignment.to_node(labels))
    node = update
    if node is None:
        name = scene.GenerateUniqueName(f"{volume_node.GetName()}{RESULT_SUFFIX}")
        node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
        node.CreateDefaultDisplayNodes()
        draw_as_outline(node)
    with one_event(node):
        place_beside(scene, node, volume_node, ROLE_RESULT)
        node.SetAttribute(CASE_ID_ATTRIBUTE, case.id)
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
        fill_with_segments(node, layer, segments_of(case), STRUCTURE_TAG)
    return node


def segments_of(case: Case) -> list[SegmentSpec]:
    """The segments of a case's structures, with the tags that its own segmentation file has."""
    tags = {
        ALGORITHM_TYPE_TAG: "AUTOMATIC",
        ALGORITHM_NAME_TAG: str(case.model.get("name", "DeferredSegSlicer")),
        REVIEW_STATUS_TAG: "inprogress",
    }
    return [SegmentSpec(s.id, s.name, s.color, s.terminology, tags) for s in case.structures]


def draw_as_outline(segmentation_node: Any) -> None:
    """Outlines without fill in slice views."""
    display = segmentation_node.GetDisplayNode()
    with one_event(display):
        display.SetVisibility2DFill(False)
        display.SetVisibility2DOutline(True)
        display.SetOpacity2DOutline(1.0)
        display.SetSliceIntersectionThickness(OUTLINE_PIXELS)
