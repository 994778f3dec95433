"""Fixtures of the tests of the review's sections: `from review_fixtures import *` in a test file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import MemoryServices, QuietLogic, ScriptedUser
from panel_fixtures import a_host, logic, services, user
from review_fakes import FakeReview, FakeShown, many_regions

__all__ = [
    "a_host",
    "a_reader",
    "draw",
    "fire",
    "logic",
    "press",
    "review",
    "sections",
    "services",
    "shown_rows",
    "type_into",
    "ui",
    "user",
]


@pytest.fixture
def review(logic: QuietLogic, tmp_path: Path) -> FakeReview:
    """The review of a shown case of 23 regions; nobody reviews yet."""
    logic.shown = FakeShown(tmp_path / "case-0012", many_regions(23))
    return FakeReview(logic.shown)


@pytest.fixture
def sections(
    a_host: Any, logic: QuietLogic, services: MemoryServices, user: ScriptedUser, review: FakeReview
) -> Iterator[Any]:
    """Both sections in the places that the panel has for them, entered."""
    import slicer.util
    from DeferredSegSlicerLib.resources import find_resources
    from DeferredSegSlicerLib.ui.context import Context
    from DeferredSegSlicerLib.ui.review.sections import ReviewSections

    panel = slicer.util.loadUI(str(find_resources() / "UI" / "DeferredSegSlicer.ui"))
    a_host.layout().addWidget(panel)
    a_host.resize(480, 1400)
    context = Context(logic.scene, logic, services, user, lambda: None)  # type: ignore[arg-type]
    widgets = slicer.util.childWidgetVariables(panel)
    made = ReviewSections(panel, widgets, context, review, lambda: a_host)  # type: ignore[arg-type]
    made.test_widgets = widgets  # type: ignore[attr-defined]
    made.enter()
    a_host.activateWindow()
    draw()
    yield made
    made.close()


@pytest.fixture
def ui(sections: Any) -> Any:
    """The widgets of Review.ui."""
    return sections.review._ui


@pytest.fixture
def a_reader(sections: Any, review: FakeReview) -> FakeReview:
    """The expert Lesion extent reviews."""
    review.begin("extent")
    draw()
    review.calls.clear()
    return review


def draw() -> None:
    """Let what is due be shown."""
    import slicer

    for _ in range(4):
        slicer.app.processEvents()


def fire(sender: Any, signature: str, *arguments: Any) -> None:
    """Call what is connected to a signal as PythonQt does: with as many arguments as it takes."""
    from qtbench.signals import accepted

    connected = [target for made, target, _ in sender.bench_connections._made if made == signature]
    assert connected, f"nothing is connected to {signature}"
    for target in connected:
        target(*arguments[: accepted(target, len(arguments))])
    draw()


def press(widget: Any, keys: str) -> None:
    """Press keys one after the other while a widget has the focus; upper case letters stand for the key alone."""
    from PySide6 import QtCore
    from PySide6.QtTest import QTest

    for key in keys:
        QTest.keyClick(widget, getattr(QtCore.Qt, f"Key_{key}"))
        draw()


def type_into(edit: Any, text: str) -> None:
    """Type a text into a line edit that has the focus."""
    from PySide6.QtTest import QTest

    edit.setFocus()
    QTest.keyClicks(edit, text)
    draw()


def shown_rows(table: Any) -> list[list[str]]:
    """Texts of the rows of a table that have cells, by row."""
    found = []
    for row in range(table.rowCount):
        if table.item(row, 0) is not None:
            found.append([table.item(row, column).text() for column in range(table.columnCount)])
    return found
