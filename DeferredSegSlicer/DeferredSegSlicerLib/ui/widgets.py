"""Showing a state in widgets: without echo, without empty labels, and with the reason on every disabled one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


@contextmanager
def quiet(*widgets: Any) -> Iterator[None]:
    """The widgets send no signals meanwhile: what is shown in them is no wish of the user's."""
    before = [widget.blockSignals(True) for widget in widgets]
    try:
        yield
    finally:
        for widget, blocked in zip(widgets, before, strict=True):
            widget.blockSignals(blocked)


def set_text(label: Any, text: str) -> None:
    """Set a label's text and hide the label while there is none, so that it takes no room."""
    label.setText(text)
    label.setVisible(bool(text))


class Switch:
    """Enables a widget, or disables it and says why in its tool tip; the widget's own tool tip comes back with it."""

    def __init__(self, widget: Any) -> None:
        self._widget, self._tool_tip = widget, widget.toolTip

    def set(self, reason: str = "") -> None:
        """Disable for a reason, or enable without one."""
        self._widget.setEnabled(not reason)
        self._widget.setToolTip(reason or self._tool_tip)


def fill_box(box: Any, choices: Sequence[tuple[str, str]], chosen: str) -> None:
    """Give a combo box its captions, and select the one of a value; choices are (value, caption).

    Values are kept by the caller, by index: what Qt keeps as item data is not the same in every version.
    """
    with quiet(box):
        captions = [caption for _, caption in choices]
        if [box.itemText(n) for n in range(box.count)] != captions:
            box.clear()
            box.addItems(captions)
        box.setCurrentIndex(next((n for n, (value, _) in enumerate(choices) if value == chosen), 0))
