"""Every window that waits for the user: consent, failures, choices. Sections are given one object for all of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Protocol

import qt
import slicer

from ..core.errors import BadInputError
from ..core.structures import Terminology
from .segment_dialog import SegmentDialog
from .text import _

Color = tuple[float, float, float]

_log = logging.getLogger(__name__)


class Dialogs(Protocol):
    """What the sections ask the user; tests have one that answers by a script."""

    def consent(self, title: str, question: str) -> bool:
        """Whether the user says yes."""
        ...

    def failure(self, title: str, message: str, advice: str = "", log: str = "") -> None:
        """Tell of a failure: what happened, what to do, and a button for the log file if there is one."""
        ...

    def color(self, title: str, color: Color) -> Color | None:
        """Another color, or None if the user keeps the old one."""
        ...

    def terminology(self, title: str, terminology: Terminology) -> Terminology | None:
        """Another code, or None."""
        ...

    def segments(self, scene: Any) -> tuple[Any, tuple[str, ...]] | None:
        """A segmentation node and ids of its segments, or None."""
        ...

    def file(self, title: str, kinds: str, start: str = "") -> str:
        """Path of an existing file, or an empty text; `kinds` as in "Profiles (*.json)"."""
        ...

    def folder(self, title: str, start: str = "") -> str:
        """Path of an existing folder, or an empty text."""
        ...

    def open_file(self, path: str) -> None:
        """Show a file in the program that the system has for it."""
        ...

    def copy(self, text: str) -> None:
        """Put a text on the clipboard."""
        ...


class SlicerDialogs:
    """The dialogs on Slicer's screen.

    parent : widget over which they come up.
    """

    def __init__(self, parent: Any = None) -> None:
        self._parent = parent

    def consent(self, title: str, question: str) -> bool:
        """A question with Yes and No; in Slicer's testing mode it is answered Yes and logged."""
        return bool(slicer.util.confirmYesNoDisplay(question, windowTitle=title, parent=self._parent))

    def failure(self, title: str, message: str, advice: str = "", log: str = "") -> None:
        """A message box; in Slicer's testing mode the failure is logged alone."""
        _log.error("%s: %s %s", title, message, advice)
        if slicer.app.testingEnabled():
            return
        box = qt.QMessageBox(self._parent)
        box.setIcon(qt.QMessageBox.Critical)
        box.setTextFormat(qt.Qt.PlainText)
        box.setWindowTitle(title)
        box.setText(message)
        box.setInformativeText(advice)
        box.addButton(qt.QMessageBox.Ok)
        show_log = box.addButton(_("Show log"), qt.QMessageBox.ActionRole) if log else None
        box.exec_()
        wants_log = show_log is not None and box.clickedButton() == show_log
        box.deleteLater()
        if wants_log:
            self.open_file(log)

    def color(self, title: str, color: Color) -> Color | None:
        """Qt's color dialog."""
        chosen = qt.QColorDialog.getColor(qt.QColor.fromRgbF(*color), self._parent, title)
        return (chosen.redF(), chosen.greenF(), chosen.blueF()) if chosen.isValid() else None

    def terminology(self, title: str, terminology: Terminology) -> Terminology | None:
        """Slicer's terminology navigator with OK and Cancel."""
        logic = slicer.modules.terminologies.logic()
        entry = slicer.vtkSlicerTerminologyEntry()
        logic.DeserializeTerminologyEntry(terminology.to_slicer(), entry)
        dialog = qt.QDialog(self._parent)
        dialog.setWindowTitle(title)
        navigator = slicer.qSlicerTerminologyNavigatorWidget()
        navigator.setTerminologyEntry(entry)
        buttons = _Buttons(dialog)
        navigator.connect("selectionValidityChanged(bool)", buttons.ok.setEnabled)
        navigator.connect("typeDoubleClicked()", dialog.accept)
        column = qt.QVBoxLayout(dialog)
        column.addWidget(navigator)
        column.addLayout(buttons.row)
        accepted = dialog.exec_()
        found = navigator.terminologyEntry(entry) if accepted else False
        dialog.deleteLater()
        if not found:
            return None
        try:
            return Terminology.from_slicer(logic.SerializeTerminologyEntry(entry))
        except BadInputError:  # nothing was chosen
            return None

    def segments(self, scene: Any) -> tuple[Any, tuple[str, ...]] | None:
        """The dialog of `segment_dialog`."""
        dialog = SegmentDialog(self._parent, scene)
        return dialog.ask()

    def file(self, title: str, kinds: str, start: str = "") -> str:
        """The system's file dialog."""
        return str(_first(qt.QFileDialog.getOpenFileName(self._parent, title, start, kinds)) or "")

    def folder(self, title: str, start: str = "") -> str:
        """The system's folder dialog."""
        return str(qt.QFileDialog.getExistingDirectory(self._parent, title, start) or "")

    def open_file(self, path: str) -> None:
        """By the system."""
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(path))

    def copy(self, text: str) -> None:
        """Slicer's clipboard."""
        slicer.app.clipboard().setText(text)


class _Buttons:
    """OK and Cancel of a dialog, in a row."""

    def __init__(self, dialog: Any) -> None:
        self.ok = qt.QPushButton(_("OK"))
        self.ok.setDefault(True)
        self.ok.connect("clicked()", dialog.accept)
        self.cancel = qt.QPushButton(_("Cancel"))
        self.cancel.connect("clicked()", dialog.reject)
        self.row = qt.QHBoxLayout()
        self.row.addStretch(1)
        self.row.addWidget(self.ok)
        self.row.addWidget(self.cancel)


def _first(answer: str | Sequence[str]) -> str:
    """PythonQt gives the path alone, PySide the path and the filter."""
    return answer if isinstance(answer, str) else answer[0]
