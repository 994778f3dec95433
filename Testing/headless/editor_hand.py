"""A reader's hand on Slicer's segment editor: strokes by the editor's own logic, without its effects and widgets."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk.util.numpy_support
from boot import HeadlessSlicer


class Hand:
    """Paints in whatever an editor node is set up for, one undo state a stroke, as Slicer's effects do."""

    def __init__(self, app: HeadlessSlicer, editor_node: Any) -> None:
        self._editor = editor_node
        self.logic = slicer.vtkSlicerSegmentEditorLogic()
        self.logic.SetMRMLApplicationLogic(app.applicationLogic())
        self.logic.SetMRMLScene(app.mrmlScene())
        self.logic.SetSegmentEditorNode(editor_node)
        self.history = slicer.vtkSegmentationHistory()
        self.history.SetMaximumNumberOfStates(10)
        self.history.SetSegmentation(editor_node.GetSegmentationNode().GetSegmentation())
        self.logic.SetSegmentationHistory(self.history)

    def paint(self, where: np.ndarray, segment_id: str | None = None) -> None:
        """Add voxels, bool [k, j, i] in the order of the volume node, to the selected segment (or another)."""
        self._stroke(where, self.logic.ModificationModeAdd, segment_id)

    def erase(self, where: np.ndarray, segment_id: str | None = None) -> None:
        """Take voxels from the selected segment (or another)."""
        self._stroke(where, self.logic.ModificationModeRemove, segment_id)

    def erase_all(self, where: np.ndarray) -> None:
        """Take voxels from all segments, masks too."""
        self._stroke(where, self.logic.ModificationModeRemoveAll, None)

    def undo(self) -> None:
        """Take the last stroke back."""
        self.logic.Undo()

    def _stroke(self, where: np.ndarray, mode: int, segment_id: str | None) -> None:
        self.logic.ResetModifierLabelmapToDefault()
        modifier = self.logic.GetModifierLabelmap()
        voxels = vtk.util.numpy_support.vtk_to_numpy(modifier.GetPointData().GetScalars())
        assert where.shape == modifier.GetDimensions()[::-1], "the editor has another grid than the volume"
        voxels.reshape(where.shape)[:] = where
        modifier.GetPointData().GetScalars().Modified()
        modifier.Modified()
        self.logic.SaveStateForUndo()
        node = self._editor.GetSegmentationNode()
        target = segment_id or self._editor.GetSelectedSegmentID()
        self.logic.ModifySegmentByLabelmap(node, target, modifier, mode, False, False)
