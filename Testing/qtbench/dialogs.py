"""Dialogs that never wait: a test says beforehand what the user will answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6 import QtWidgets

from .manners import BenchMeta, Manners, adopt


@dataclass(frozen=True)
class Shown:
    """One dialog that came up: its kind (`QMessageBox.question`, `QDialog.exec`), its texts and the dialog itself."""

    kind: str
    title: str
    text: str
    dialog: Any = None


class UnansweredDialog(AssertionError):
    """A dialog came up although the test did not say what to answer: in Slicer it would wait for the user."""


class User:
    """The user's answers, in the order in which dialogs will come up, and what was shown."""

    def __init__(self) -> None:
        self._answers: deque[Any] = deque()
        self.shown: list[Shown] = []

    def answer(self, *answers: Any) -> None:
        """Queue answers. A function is called with the dialog (or the static call's arguments); its result counts."""
        self._answers.extend(answers)

    def pending(self) -> int:
        """Answers that no dialog asked for."""
        return len(self._answers)

    @staticmethod
    def press(caption: str) -> Callable[[Any], None]:
        """An answer: the user presses the button with this caption in the dialog."""

        def click(dialog: Any) -> None:
            buttons = [b for b in dialog.findChildren(QtWidgets.QAbstractButton) if b.text.replace("&", "") == caption]
            if not buttons:
                raise LookupError(f"the dialog has no button {caption!r}")
            buttons[0].click()

        return click

    def clear(self) -> None:
        """Forget everything."""
        self._answers.clear()
        self.shown.clear()

    def ask(self, kind: str, title: str, text: str, dialog: Any, arguments: tuple[Any, ...] = ()) -> Any:
        """Record a dialog and take the next answer."""
        self.shown.append(Shown(kind, title, text, dialog))
        if not self._answers:
            raise UnansweredDialog(f"{kind} {title!r}: {text!r} would wait for the user")
        answer = self._answers.popleft()
        if not callable(answer) or isinstance(answer, type):
            return answer
        return answer(dialog) if dialog is not None else answer(*arguments)


user = User()
_STATIC = {
    "QMessageBox": ("information", "question", "warning", "critical", "about"),
    "QFileDialog": ("getOpenFileName", "getOpenFileNames", "getSaveFileName", "getExistingDirectory"),
    "QInputDialog": ("getText", "getItem", "getInt", "getDouble", "getMultiLineText"),
    "QColorDialog": ("getColor",),
}
MODAL = ("QDialog", "QMessageBox", "QFileDialog", "QInputDialog", "QColorDialog", "QProgressDialog", "QMenu")


def _static(class_name: str, name: str) -> staticmethod[..., Any]:
    def ask(parent: Any = None, title: Any = "", text: Any = "", *rest: Any) -> Any:
        return user.ask(f"{class_name}.{name}", str(title), str(text), None, (parent, title, text, *rest))

    return staticmethod(ask)


def run(dialog: Any, *_: Any) -> Any:
    """What `exec` does here: the scripted answer, which also closes the dialog with that result."""
    kind = f"{type(dialog).__name__}.exec"
    is_menu = isinstance(dialog, QtWidgets.QMenu)
    text = QtWidgets.QMessageBox.text(dialog) if isinstance(dialog, QtWidgets.QMessageBox) else ""
    answer = user.ask(kind, QtWidgets.QWidget.windowTitle(dialog), text, dialog)
    if is_menu:
        if answer is not None:
            answer.trigger()
        return adopt(answer)
    if isinstance(dialog, QtWidgets.QMessageBox):
        pressed = QtWidgets.QMessageBox.clickedButton(dialog)
        return answer if pressed is None else QtWidgets.QMessageBox.standardButton(dialog, pressed)
    if answer is not None:
        QtWidgets.QDialog.done(dialog, int(answer))
    return QtWidgets.QDialog.result(dialog)


def click(button: Any) -> None:
    """A click; on a button that opens a menu, the scripted answer is the action to take (or None)."""
    menu = type(button).bench_native.menu(button)
    instant = QtWidgets.QToolButton.InstantPopup
    if menu is not None and (isinstance(button, QtWidgets.QPushButton) or button.popupMode == instant):
        run(menu)
    else:
        QtWidgets.QAbstractButton.click(button)


def members(class_name: str) -> dict[str, Any]:
    """What a dialog class gets instead of Qt's waiting calls."""
    made: dict[str, Any] = {name: _static(class_name, name) for name in _STATIC.get(class_name, ())}
    made |= {"exec": run} if class_name in MODAL else {}
    return made | ({"click": click} if class_name in ("QToolButton", "QPushButton") else {})


def playing(bench: type, class_name: str) -> type:
    """Give a bench class the answers of `user`."""
    for name, value in members(class_name).items():
        type.__setattr__(bench, name, value)
    return bench


__all__ = ["BenchMeta", "Manners", "Shown", "UnansweredDialog", "User", "playing", "run", "user"]
