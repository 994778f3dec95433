"""Where an edit may paint: a hidden segment that masks Slicer's segment editor, and the editor's node set up for it.

What Slicer does with a mask that is a single segment (vtkSlicerSegmentEditorLogic, 5.13):
- In overwrite mode "all segments" painting erases the mask, which is one segment among others. The mode has to be
  "visible segments", and the mask hidden.
- Erasing is allowed outside of the mask too, and adds what was erased to the mask.
So after every stroke the mask has to be put right (`keep_whole`), and strokes beyond it be taken back by whoever knows
the labels of before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import slicer

from ..compat import binary_labelmap
from ..grid import Alignment, grid_copy
from ..names import ROLE_ATTRIBUTE
from ..shared_layer import layer_array, one_event
from .corrected import remove_limits
from .names import EDITOR_TAG, LIMIT_TAG
from .patches import Box, extent_of, new_patch

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIMIT_NAME = "Edit limit"
_LIMIT_ID = "DeferredSeg_edit_limit"
_EDITOR_CLASS = "vtkMRMLSegmentEditorNode"


class EditLimit:
    """The limit of one edit on a corrected copy."""

    def __init__(self, corrected_node: Any, volume_node: Any, alignment: Alignment, editor_node: Any) -> None:
        self._node, self._alignment, self._editor = corrected_node, alignment, editor_node
        self._grid = grid_copy(volume_node)
        self._box: Box | None = None
        self._mask: NDArray[np.bool_] | None = None

    @property
    def segment_id(self) -> str:
        """Id of the mask segment."""
        return _LIMIT_ID

    def set(self, box: Box, mask: NDArray[np.bool_], lifted: bool) -> None:
        """Let the editor paint inside a mask alone (slices k, j, i of the case, a mask of that shape), or anywhere."""
        self._box, self._mask = box, mask
        self._put_in_place()
        everywhere = slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere
        inside = slicer.vtkMRMLSegmentationNode.EditAllowedInsideSingleSegment
        with one_event(self._editor):
            self._editor.SetMaskSegmentID(_LIMIT_ID)
            self._editor.SetMaskMode(everywhere if lifted else inside)
            self._editor.SetOverwriteMode(self._editor.OverwriteVisibleSegments)

    def keep_whole(self) -> bool:
        """Put the mask right if the editor has changed it; returns whether it had: there may be strokes beyond then."""
        if self._box is None or self._is_whole():
            return False
        self._put_in_place()
        return True

    def remove(self) -> None:
        """Take the mask segment out of the copy, and let the editor node forget it."""
        self._box = self._mask = None
        remove_limits(self._node)
        with one_event(self._editor):
            self._editor.SetMaskSegmentID("")
            self._editor.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere)

    def _is_whole(self) -> bool:
        segment = self._node.GetSegmentation().GetSegment(_LIMIT_ID)
        patch = segment.GetRepresentation(binary_labelmap()) if segment is not None else None
        if patch is None or patch.GetPointData().GetScalars() is None:
            return False
        if patch.GetExtent() != extent_of(self._grid, self._alignment, self._box):  # type: ignore[arg-type]
            return False
        there = self._alignment.to_case(layer_array(patch)) == segment.GetLabelValue()
        return np.array_equal(there, self._mask)  # type: ignore[arg-type]

    def _put_in_place(self) -> None:
        assert self._box is not None and self._mask is not None
        segmentation = self._node.GetSegmentation()
        patch = new_patch(self._grid, self._alignment, self._box, self._mask)
        with one_event(self._node):
            segment = segmentation.GetSegment(_LIMIT_ID)
            if segment is None:
                segment = slicer.vtkSegment()
                segment.SetName(LIMIT_NAME)
                segment.SetTag(LIMIT_TAG, "1")
                segment.SetLabelValue(1)
                segment.AddRepresentation(binary_labelmap(), patch)
                segmentation.AddSegment(segment, _LIMIT_ID)
            else:
                segment.SetLabelValue(1)
                segment.AddRepresentation(binary_labelmap(), patch)
            self._node.GetDisplayNode().SetSegmentVisibility(_LIMIT_ID, False)


def editor_node(scene: Any) -> Any:
    """The review's own segment editor node, made if it is not there."""
    node = scene.GetSingletonNode(EDITOR_TAG, _EDITOR_CLASS)
    if node is None:
        node = scene.CreateNodeByClass(_EDITOR_CLASS)
        node.UnRegister(None)  # the variable holds it now
        node.SetSingletonTag(EDITOR_TAG)
        node.SetName("DeferredSegSlicer review")
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        node.SetAttribute(ROLE_ATTRIBUTE, "editor")
        node = scene.AddNode(node)
    return node


def aim_editor(editor: Any, corrected_node: Any, volume_node: Any, segment_id: str) -> None:
    """Let the segment editor edit a segment over a volume."""
    with one_event(editor):
        editor.SetAndObserveSegmentationNode(corrected_node)
        editor.SetAndObserveSourceVolumeNode(volume_node)
        editor.SetSelectedSegmentID(segment_id)


def release_editor(editor: Any) -> None:
    """Let the segment editor edit nothing, so that it forgets its undo states: they hold labels of before."""
    with one_event(editor):
        editor.SetActiveEffectName("")
        editor.SetSelectedSegmentID("")
        editor.SetAndObserveSegmentationNode(None)
