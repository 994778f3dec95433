"""Which case is reviewed, by whom, and what the reader must know before: looking only, damage, what is not saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer.util

from ...core.case_record import read_record
from ...core.errors import BadInputError, DamagedCaseError, DeferredSegError
from ...mrml.grid import align
from ..context import Context
from ..presenters.run import busy_reason
from ..sentences import sentence_of
from ..text import _
from ..widgets import Switch, fill_box, quiet, set_text
from .asking import Asking
from .facts import Facts
from .presenters import reading

if TYPE_CHECKING:
    from ...logic.review import ReviewLogic


class ReadingPart:
    """*Open a case*, *I am*, and the banners.

    on_start : called when somebody has chosen to review.
    """

    def __init__(
        self, ui: Any, context: Context, review: ReviewLogic, asking: Asking, on_start: Callable[[], None]
    ) -> None:
        self._ui, self._context, self._review, self._asking = ui, context, review, asking
        self._on_start = on_start
        self._choices: list[tuple[str, str]] = []
        self._other = False
        self._opening = False
        ui.openCaseButton.connect("clicked()", self._on_open)
        ui.readerBox.connect("activated(int)", self._on_reader)
        ui.newReaderButton.connect("clicked()", self._on_new_reader)
        ui.newReaderEdit.connect("returnPressed()", self._on_new_reader)
        ui.newReaderEdit.connect("textChanged(QString)", self._on_typed)
        ui.retryButton.connect("clicked()", self._on_retry)
        ui.restoreDraftButton.connect("clicked()", self._on_restore)
        ui.discardDraftButton.connect("clicked()", self._on_discard)
        self._switches = [Switch(ui.openCaseButton), Switch(ui.readerBox)]
        self._new_reader, self._restore = Switch(ui.newReaderButton), Switch(ui.restoreDraftButton)

    def case_shown(self) -> None:
        """A case has come: go on where the reader of the last time on this computer was, if that one has a journal."""
        opened, self._opening = self._opening, False
        last = self._review.remembered
        if any(choice.id == last and choice.has_journal for choice in self._review.readers):
            with self._asking.asked():
                self._review.resume()
                if opened:
                    self._on_start()

    def case_failed(self) -> bool:
        """A job failed; returns whether that was the opening of a case from here."""
        opening, self._opening = self._opening, False
        return opening

    def update(self, facts: Facts) -> None:
        """Show the state."""
        ui, review, shown = self._ui, self._review, facts.shown
        set_text(ui.emptyReviewLabel, "" if shown is not None else reading.nothing_open())
        ui.caseLabel.setText("" if shown is None else reading.case_text(shown.volume_node.GetName()))
        ui.caseLabel.setToolTip("" if shown is None else reading.case_tip(str(shown.case.folder)))
        busy = busy_reason(self._context.logic.job.state)
        for switch in self._switches:
            switch.set(busy)
        ui.readerWidget.setVisible(shown is not None)
        ui.newReaderWidget.setVisible(shown is not None and self._other)
        self._new_reader.set("" if ui.newReaderEdit.text.strip() else _("Type your name first."))
        if shown is not None:
            reader = review.reader
            self._choices = reading.reader_choices(facts.readers, None if reader is None else (reader.id, reader.name))
            fill_box(ui.readerBox, self._choices, reading.OTHER if self._other else facts.reader)
        set_text(ui.readerHintLabel, reading.why_a_name() if shown is not None and not review.active else "")
        self._show_banners(facts)

    def _show_banners(self, facts: Facts) -> None:
        ui, review = self._ui, self._review
        unsaved = reading.unsaved_text(len(review.unsaved))
        ui.unsavedLabel.setText(unsaved)
        ui.unsavedFrame.setVisible(bool(unsaved))
        set_text(ui.refusalLabel, reading.look_only(review.refusal))
        set_text(ui.journalWarningsLabel, reading.warnings_text(review.warnings))
        draft = review.draft
        ui.draftFrame.setVisible(draft is not None)
        if draft is not None:
            structure = facts.names.structure(draft.region.structure)
            voxels = len(draft.drawn)
            ui.draftLabel.setText(reading.draft_text(structure, voxels, draft.effort.edited, draft.saved))
            self._restore.set(_("Finish or discard the edit first.") if facts.editing else "")

    # Who reads

    def _on_reader(self, index: int) -> None:
        value = self._choices[index][0] if 0 <= index < len(self._choices) else reading.NOBODY
        self._other = value == reading.OTHER
        if self._other:
            self._asking.say("")
            self._context.refresh()
            self._ui.newReaderWidget.setVisible(True)
            self._ui.newReaderEdit.setFocus()
        elif value != reading.NOBODY:
            self.begin(value)

    def _on_new_reader(self) -> None:
        name = self._ui.newReaderEdit.text.strip()
        if name:
            self.begin(name)

    def _on_typed(self, text: str) -> None:
        self._new_reader.set("" if text.strip() else _("Type your name first."))

    def begin(self, reader: str) -> None:
        """Review as somebody; if a journal of somebody else is damaged, ask whether to go on without it."""
        with self._asking.asked():
            try:
                self._review.begin(reader)
            except DamagedCaseError as error:
                if not self._context.dialogs.consent(_("Review"), reading.damaged_question(error.sentence)):
                    raise
                self._review.begin(reader, leave_out_damaged=True)
            self._other = False
            with quiet(self._ui.newReaderEdit):
                self._ui.newReaderEdit.setText("")
            self._on_start()

    # Banners

    def _on_retry(self) -> None:
        with self._asking.asked():
            self._review.retry()
            self._asking.say(_("Saved."))

    def _on_restore(self) -> None:
        with self._asking.asked():
            self._review.restore_draft()

    def _on_discard(self) -> None:
        if self._context.dialogs.consent(_("Review"), _("Forget the unfinished edit? What was drawn is lost.")):
            with self._asking.asked():
                self._review.discard_draft()

    # Cases

    def _on_open(self) -> None:
        start = str(self._context.services.cases_folder())
        folder = self._context.dialogs.folder(_("Case to review"), start)
        if not folder:
            return
        with self._asking.asked():
            self._opening = True
            try:
                self._context.logic.open_case(folder, self._volume_of(Path(folder)), wait=False)
            except DeferredSegError as error:
                self._opening = False
                self._asking.say(sentence_of(error), refused=True)
        self._context.refresh()

    def _volume_of(self, folder: Path) -> Any:
        """The volume of the scene that has the case's grid, or None to take the case's own scan.

        The chosen one goes first. The logic compares the voxels.
        """
        grid = read_record(folder).geometry
        chosen = self._context.logic.state.volume
        nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode", self._context.scene)
        for node in sorted(nodes, key=lambda node: node is not chosen):
            try:
                align(grid, node)
            except BadInputError:
                continue
            return node
        return None
