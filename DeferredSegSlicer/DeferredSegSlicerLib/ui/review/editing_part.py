"""The edit area: Slicer's segment editor on the corrected copy, where it may paint, and what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer
import slicer.util

from ..context import Context
from ..text import _
from ..widgets import Switch, quiet, set_text
from .asking import Asking
from .deciding_part import DecidingPart
from .facts import Facts
from .presenters import editing

if TYPE_CHECKING:
    from ...logic.review import Editing, ReviewLogic

EFFECTS_BY_NAME = (
    "Paint",
    "Draw",
    "Erase",
    "Level tracing",
    "Scissors",
    "Margin",
    "Smoothing",
    "Threshold",
    "Logical operators",
)
"""Effects that make sense inside a region, in the order of the editor's number keys; the others work on whole scans."""

UNDO_STATES = 10

_HIDDEN = (
    "segmentationNodeSelectorVisible",
    "sourceVolumeNodeSelectorVisible",
    "switchToSegmentationsButtonVisible",
    "specifyGeometryButtonVisible",
    "addRemoveSegmentButtonsVisible",
    "show3DButtonVisible",
    "maskingSectionVisible",
    "unorderedEffectsVisible",
    "autoShowSourceVolumeNode",
)
"""Properties of the editor that are off: the reader edits this region of this scan and nothing else."""


class EditingPart:
    """*Margin*, *Lift the limit*, the editor, *Done* and *Discard*.

    deciding : has the reader's note, and goes on when an edit was recorded.
    """

    def __init__(self, ui: Any, context: Context, review: ReviewLogic, asking: Asking, deciding: DecidingPart) -> None:
        self._ui, self._context, self._review, self._asking = ui, context, review, asking
        self._deciding = deciding
        self._editor: Any = None
        self._entered = False
        self._at_work: Editing | None = None
        ui.marginSpinBox.connect("valueChanged(double)", self._on_margin)
        ui.liftLimitBox.connect("toggled(bool)", self._on_lift)
        ui.doneEditButton.connect("clicked()", self.done)
        ui.discardEditButton.connect("clicked()", self.discard)
        self._margin = Switch(ui.marginSpinBox)

    @property
    def editor(self) -> Any:
        """Slicer's editor, or None before the first edit."""
        return self._editor

    def enter(self) -> None:
        """The module is in front: the editor's keys work, if it is open."""
        self._entered = True
        self._let_keys_work()

    def exit(self) -> None:
        """Another module is in front: no brush, no keys; the edit stays open."""
        self._entered = False
        self._put_brush_down()

    def start(self) -> None:
        """Open an edit of the region that is looked at."""
        with self._asking.asked():
            self._review.start_edit()

    def done(self) -> None:
        """Record the edit and go on; if it cannot be recorded, it stays open."""
        if self._review.editing is None:
            return
        with self._asking.asked():
            text, recorded = self._finish()
            if recorded:
                self._deciding.went(text)
            else:
                self._asking.say(text)
        self._let_keys_work()

    def leave(self) -> None:
        """Record an open edit, since the reader goes elsewhere; raises a DeferredSegError if it cannot be."""
        if self._review.editing is None:
            return
        try:
            text, recorded = self._finish()
            if recorded:
                self._deciding.recorded(text)
        finally:
            self._let_keys_work()

    def discard(self) -> None:
        """Throw away what was drawn, if the reader means it."""
        review = self._review
        if review.editing is None:
            return
        self._put_brush_down()
        question = editing.discard_question(review.edited_voxels)
        if review.has_unsaved_edit and not self._context.dialogs.consent(_("Review"), question):
            self._let_keys_work()
            return
        with self._asking.asked():
            review.cancel_edit()
            self._asking.say(editing.discarded_text())

    def let_go_if_over(self) -> None:
        """Take the editor off an edit that is over, at once: its nodes may leave the scene in a moment."""
        if self._at_work is not None and self._review.editing is not self._at_work:
            self._take_up(None)

    def close(self) -> None:
        """The panel goes for good."""
        editor, self._editor = self._editor, None
        self._at_work = None
        if editor is not None:
            editor.setActiveEffect(None)
            editor.uninstallKeyboardShortcuts()
            editor.removeViewObservations()
            editor.setMRMLSegmentEditorNode(None)
            editor.setParent(None)
            editor.deleteLater()

    def update(self, facts: Facts) -> None:
        """Show the state."""
        ui, review, handles = self._ui, self._review, self._review.editing
        ui.editFrame.setVisible(handles is not None)
        if handles is not self._at_work:
            self._take_up(handles)
        if handles is None:
            return
        lifted = review.limit_lifted
        ui.editTitleLabel.setText(editing.title(self._structure()))
        with quiet(ui.marginSpinBox, ui.liftLimitBox):
            ui.marginSpinBox.setValue(review.margin_mm)
            ui.liftLimitBox.setChecked(lifted)
        self._margin.set(editing.lifted_reason() if lifted else "")
        ui.limitLabel.setText(editing.limit_text(review.margin_mm, lifted))
        ui.limitLabel.setStyleSheet("background-color: #f5d06f; color: #201600; font-weight: bold;" if lifted else "")
        set_text(ui.editCountLabel, editing.count_text(review.edited_voxels, review.put_back_voxels))

    def _finish(self) -> tuple[str, bool]:
        """End the edit; what came of it, and whether anything was recorded."""
        structure = self._structure()
        self._put_brush_down()
        outcome = self._review.finish_edit(note=self._deciding.note())
        if outcome.change is None:
            return editing.outcome_text(structure, None, outcome.put_back), False
        changed = outcome.change.entry.decision.statistics.changed  # type: ignore[union-attr]
        return editing.outcome_text(structure, changed, outcome.put_back), True

    def _structure(self) -> str:
        """Name of what is edited, as the segment has it."""
        handles = self._review.editing
        if handles is None:
            return ""
        return str(handles.segmentation_node.GetSegmentation().GetSegment(handles.segment_id).GetName())

    # The editor

    def _take_up(self, handles: Editing | None) -> None:
        """Begin to work on other handles, or end."""
        if self._editor is not None:
            self._put_brush_down()
            self._editor.setMRMLSegmentEditorNode(None)
        self._at_work = handles
        if handles is None:
            return
        if self._editor is None:
            self._editor = self._new_editor()
        editor = self._editor
        editor.setMRMLSegmentEditorNode(handles.editor_node)
        # The editor takes the first segment of another segmentation.
        editor.setCurrentSegmentID(handles.segment_id)
        for table in slicer.util.findChildren(editor, className="qMRMLSegmentsTableView"):
            table.setHideSegments([handles.mask_segment_id])
        editor.turnOffLightboxes()
        if self._entered:
            self._let_keys_work()
            editor.setActiveEffectByName(EFFECTS_BY_NAME[0])

    def _new_editor(self) -> Any:
        """Made when it is first needed: its effects take a moment, and other extensions add theirs at the start."""
        editor = slicer.qMRMLSegmentEditorWidget()
        editor.setMRMLScene(self._context.scene)
        editor.setMaximumNumberOfUndoStates(UNDO_STATES)
        for name in _HIDDEN:
            setattr(editor, name, False)
        editor.setEffectNameOrder(list(EFFECTS_BY_NAME))
        self._ui.editorLayout.addWidget(editor)
        return editor

    def _let_keys_work(self) -> None:
        """While an edit is open in front of the reader, the editor's keys work."""
        if self._entered and self._at_work is not None and self._review.editing is self._at_work:
            self._editor.installKeyboardShortcuts()
            self._editor.updateWidgetFromMRML()

    def _put_brush_down(self) -> None:
        if self._editor is not None and self._at_work is not None:
            self._editor.setActiveEffect(None)
            self._editor.uninstallKeyboardShortcuts()
            self._editor.removeViewObservations()

    # Limit

    def _on_margin(self, millimeters: float) -> None:
        with self._asking.asked():
            self._review.set_margin(millimeters)

    def _on_lift(self, lifted: bool) -> None:
        with self._asking.asked():
            self._review.lift_limit(lifted)
