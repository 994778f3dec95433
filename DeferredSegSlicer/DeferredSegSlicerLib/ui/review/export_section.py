"""Save and export: what is not reviewed, the corrected labels in the case, and files in other formats."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt

from ...core.errors import DeferredSegError
from ..context import Context
from ..presenters.run import busy_reason
from ..sentences import sentence_of
from ..widgets import Switch, quiet, set_text
from .facts import Facts
from .presenters import export
from .presenters.export import SavedAt

if TYPE_CHECKING:
    from ...logic.review import ReviewLogic

FOLDER_KEY = "DeferredSegSlicer/Review/ExportFolder"
FORMATS_KEY = "DeferredSegSlicer/Review/ExportFormats"
"""Settings: where and in which formats was exported last."""

_NOTHING = ("", "", "")
"""No failures, no warnings, no files."""


class ExportSection:
    """*Save*, the formats, the folder, *Export*, and what was written.

    button : the panel's collapsible button around it; while it is closed nothing is found out. refresh : shows anew.
    """

    def __init__(
        self, ui: Any, button: Any, context: Context, review: ReviewLogic, refresh: Callable[[], None]
    ) -> None:
        self._ui, self._button, self._context = ui, button, context
        self._review, self._refresh = review, refresh
        self._saved_time = ""
        self._message = ""
        self._case_id = ""
        self._outcome = _NOTHING
        self._said_of: tuple[str, ...] = ()
        self._reasons: dict[str, str] = {}
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
        return tuple(name for name, box in self._boxes.items() if box.checked and not self._reasons.get(name))

    def save(self) -> None:
        """Write corrected.seg.nrrd."""
        try:
            path = self._review.save()
            self._saved_time = datetime.now().astimezone().strftime("%H:%M")
            self._message = "" if path is not None else export.nothing_decided()
        except DeferredSegError as error:
            self._message = sentence_of(error)
        self._said_of = self._heads()
        self._refresh()

    def export(self) -> None:
        """Write the ticked formats."""
        ui, folder = self._ui, Path(self._ui.exportFolderButton.directory)
        qt.QApplication.setOverrideCursor(qt.Qt.WaitCursor)
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
            qt.QApplication.restoreOverrideCursor()
        self._said_of = self._heads()
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
            self._case_id, self._saved_time, self._said_of = shown.case.id, "", ()
            self._set_folder(shown)
            self._reasons = {}
        if not self._reasons:
            self._reasons = {name: reason for name, _what, reason in review.export_formats()}
        if self._said_of != self._heads():  # something was decided since
            self._message, self._outcome = "", _NOTHING
        busy = busy_reason(self._context.logic.job.state)
        self._show_unreviewed(facts)
        self._save.set(busy or export.save_reason(review.active, review.read_only, facts.editing))
        saved = SavedAt(review.is_saved, self._saved_time) if review.active else None
        ui.savedLabel.setText(self._message or export.saved_text(saved))
        for name, reason in self._reasons.items():
            self._formats[name].set(export.reason_text(reason))
        self._export.set(export.export_reason(self.wanted, ui.exportFolderButton.directory, facts.editing, busy))
        for label, text in zip(
            (ui.exportFailuresLabel, ui.exportWarningsLabel, ui.exportResultLabel), self._outcome, strict=True
        ):
            set_text(label, text)

    def _show_unreviewed(self, facts: Facts) -> None:
        """Say what is not reviewed; the warnings of an export say it too."""
        loud, calm = "", ""
        if facts.reader:
            left = self._review.unreviewed
            loud = export.unreviewed_text(left.regions, facts.progress.total, left.ml)
            calm = "" if loud else export.reviewed_text(facts.progress.total)
        elif facts.has_journals:
            calm = export.not_known_text()
        else:
            regions = facts.shown.regions
            loud = export.unreviewed_text(len(regions), len(regions), sum(region.volume_ml for region in regions))
            calm = "" if loud else export.reviewed_text(0)
        set_text(self._ui.unreviewedLabel, "" if self._outcome[1] else loud)
        set_text(self._ui.reviewedLabel, calm)

    def _heads(self) -> tuple[str, ...]:
        """The last lines of all journals: what is said of a saving or an export holds as long as these do."""
        session = self._review.session
        layers = () if session is None else session.state.layers
        return (self._case_id, *(layer.entries[-1].sha for layer in layers))

    def _set_folder(self, shown: Any) -> None:
        """The folder of the last export, or one beside the case."""
        folder = self._context.services.setting(FOLDER_KEY) or str(shown.case.folder.with_name("exported"))
        with quiet(self._ui.exportFolderButton):
            self._ui.exportFolderButton.directory = folder

    def _on_opened(self, _collapsed: bool) -> None:
        self._reasons = {}  # a series may have been imported meanwhile
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
