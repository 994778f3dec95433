"""Save and export: what is not reviewed, the corrected labels in the case, and files in other formats."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer

from ...core.errors import DeferredSegError
from ..context import Context
from ..presenters.run import busy_reason
from ..sentences import sentence_of
from ..widgets import Switch, quiet, set_text
from .facts import Facts
from .presenters import export
from .presenters.export import SavedAt
from .unreviewed import Left, Unreviewed

if TYPE_CHECKING:
    from ...logic.review import ReviewLogic

FOLDER_KEY = "DeferredSegSlicer/Review/ExportFolder"
FORMATS_KEY = "DeferredSegSlicer/Review/ExportFormats"
"""Settings: where and in which formats was exported last."""


class ExportSection:
    """*Save*, the formats, the folder, *Export*, and what was written.

    button : the panel's collapsible button around it; while it is closed nothing is found out. refresh : shows anew.
    """

    def __init__(
        self, ui: Any, button: Any, context: Context, review: ReviewLogic, refresh: Callable[[], None]
    ) -> None:
        self._ui, self._button, self._context = ui, button, context
        self._review, self._refresh = review, refresh
        self._unreviewed = Unreviewed()
        self._left: Left | None = None
        self._saved_time = ""
        self._message = ""
        self._case_id = ""
        self._outcome: tuple[str, str, str] = ("", "", "")
        self._outcome_of: Any = None
        boxes = (ui.segNrrdBox, ui.niftiBox, ui.dicomSegBox, ui.csvBox, ui.jsonBox, ui.stlBox)
        self._boxes = dict(zip(export.FORMATS, boxes, strict=True))
        for name, (caption, tool_tip) in export.captions().items():
            self._boxes[name].setText(caption)
            self._boxes[name].setToolTip(tool_tip)
        self._formats = {name: Switch(box) for name, box in self._boxes.items()}
        wanted = context.services.setting(FORMATS_KEY, ",".join(export.USUAL)).split(",")
        for name, box in self._boxes.items():
            box.setChecked(name in wanted)
            box.connect("toggled(bool)", self._on_format)
        button.connect("contentsCollapsed(bool)", self._on_opened)
        ui.saveButton.connect("clicked()", self.save)
        ui.exportButton.connect("clicked()", self.export)
        ui.exportFolderButton.connect("directorySelected(QString)", self._on_folder)
        ui.exportResultLabel.connect("linkActivated(QString)", self._on_link)
        self._save, self._export = Switch(ui.saveButton), Switch(ui.exportButton)

    @property
    def wanted(self) -> tuple[str, ...]:
        """Formats that are ticked and can be written."""
        able = {name for name, _what, reason in self._review.export_formats() if not reason}
        return tuple(name for name, box in self._boxes.items() if box.checked and name in able)

    def save(self) -> None:
        """Write corrected.seg.nrrd."""
        self._message = ""
        try:
            path = self._review.save()
            self._saved_time = datetime.now().astimezone().strftime("%H:%M")
            self._message = "" if path is not None else export.nothing_decided()
        except DeferredSegError as error:
            self._message = sentence_of(error)
        self._refresh()

    def export(self) -> None:
        """Write the ticked formats."""
        ui, folder = self._ui, Path(self._ui.exportFolderButton.directory)
        self._outcome = ("", "", "")
        ui.exportResultLabel.setText(export.exporting_text())
        ui.exportResultLabel.setVisible(True)
        slicer.app.setOverrideCursor(qt.QCursor(qt.Qt.WaitCursor))
        try:
            done = self._review.export(folder, self.wanted, ui.replaceBox.checked)
            failures = [(failure.format, failure.error.sentence) for failure in done.failures]
            self._outcome = (
                export.failures_text(failures),
                export.warnings_text(done.warnings),
                export.exported_text(done.files, folder),
            )
        except DeferredSegError as error:
            self._outcome = (export.nothing_written(sentence_of(error)), "", "")
        finally:
            slicer.app.restoreOverrideCursor()
        self._outcome_of = self._left
        self._refresh()

    def update(self, facts: Facts) -> None:
        """Show the state."""
        if self._button.collapsed:
            return
        ui, review, shown = self._ui, self._review, facts.shown
        ui.emptyExportLabel.setVisible(shown is None)
        ui.exportWidget.setVisible(shown is not None)
        if shown is None:
            self._case_id = ""
            return
        if shown.case.id != self._case_id:
            self._case_id, self._saved_time, self._message, self._outcome = shown.case.id, "", "", ("", "", "")
            self._set_folder(shown)
        busy = busy_reason(self._context.logic.job.state)
        self._left = self._unreviewed.of(review.session, shown, facts.has_journals)
        if self._left is not self._outcome_of:  # something was decided since
            self._outcome = ("", "", "")
        self._show_unreviewed(self._left)
        self._save.set(busy or export.save_reason(review.active, review.read_only, facts.editing))
        saved = SavedAt(review.is_saved, self._saved_time) if review.active else None
        ui.savedLabel.setText(self._message or export.saved_text(saved))
        for name, _what, reason in review.export_formats():
            self._formats[name].set(export.reason_text(reason))
        self._export.set(export.export_reason(self.wanted, ui.exportFolderButton.directory, facts.editing, busy))
        for label, text in zip(
            (ui.exportFailuresLabel, ui.exportWarningsLabel, ui.exportResultLabel), self._outcome, strict=True
        ):
            set_text(label, text)

    def _show_unreviewed(self, left: Left | None) -> None:
        """Say what is not reviewed; the warnings of an export say it too."""
        loud, calm = "", export.not_known_text()
        if left is not None:
            loud = export.unreviewed_text(left.regions, left.total, left.ml)
            calm = "" if loud else export.reviewed_text(left.total)
        set_text(self._ui.unreviewedLabel, "" if self._outcome[1] else loud)
        set_text(self._ui.reviewedLabel, calm)

    def _set_folder(self, shown: Any) -> None:
        """The folder of the last export, or one beside the case."""
        folder = self._context.services.setting(FOLDER_KEY) or str(shown.case.folder.with_name("exported"))
        with quiet(self._ui.exportFolderButton):
            self._ui.exportFolderButton.directory = folder

    def _on_opened(self, _collapsed: bool) -> None:
        self._refresh()

    def _on_folder(self, folder: str) -> None:
        self._context.services.set_setting(FOLDER_KEY, folder)
        self._refresh()

    def _on_format(self) -> None:
        chosen = [name for name, box in self._boxes.items() if box.checked]
        self._context.services.set_setting(FORMATS_KEY, ",".join(chosen))
        self._refresh()

    def _on_link(self, link: str) -> None:
        self._context.dialogs.open_file(qt.QUrl(link).toLocalFile())
