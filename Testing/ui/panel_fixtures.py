"""Fixtures of the tests of sections and panel: `from panel_fixtures import ...` in a test file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import MemoryServices, QuietLogic, QuietSetUp, ScriptedUser, shown_on

__all__ = [
    "a_host",
    "a_panel",
    "a_patient",
    "a_shown_case",
    "click_cell",
    "ct",
    "logic",
    "services",
    "set_up",
    "settle",
    "user",
    "watched",
]


@pytest.fixture
def services(tmp_path: Path) -> MemoryServices:
    """Settings in memory, folders in the test's own."""
    return MemoryServices(tmp_path)


@pytest.fixture
def logic(bench: Any, scene: Any) -> QuietLogic:
    """A logic that only remembers."""
    return QuietLogic(scene)


@pytest.fixture
def user() -> ScriptedUser:
    """Answers every dialog as the test says."""
    return ScriptedUser()


@pytest.fixture
def set_up() -> QuietSetUp:
    """Everything is installed."""
    return QuietSetUp()


@pytest.fixture
def a_host(bench: Any) -> Iterator[Any]:
    """The widget that Slicer gives a module."""
    import qt
    import slicer

    host = slicer.qMRMLWidget()
    host.setLayout(qt.QVBoxLayout())
    host.resize(430, 1400)
    host.show()
    yield host
    host.hide()
    host.deleteLater()


@pytest.fixture
def a_panel(
    a_host: Any, logic: QuietLogic, services: MemoryServices, user: ScriptedUser, set_up: QuietSetUp
) -> Iterator[Any]:
    """The panel, entered, over the quiet logic."""
    from DeferredSegSlicerLib.ui.panel import Panel

    panel = watched(Panel(a_host, logic, services, user, set_up))  # type: ignore[arg-type]
    panel.enter()
    yield panel
    panel.cleanup()
    _watched.clear()


@pytest.fixture
def a_patient(a_volume_node: Callable[..., Any]) -> Callable[[str], Any]:
    """A function that loads another patient's CT under a name."""

    def load(name: str) -> Any:
        return a_volume_node(name=name)

    return load


@pytest.fixture
def ct(a_panel: Any, a_patient: Callable[[str], Any]) -> Any:
    """A CT that the panel has as its input."""
    node = a_patient("CT Smith")
    a_panel.volume.choose(node)
    a_panel.refresh()
    return node


@pytest.fixture
def a_shown_case(
    a_panel: Any,
    scene: Any,
    logic: QuietLogic,
    services: MemoryServices,
    write_a_case: Callable[..., Any],
    a_volume_node: Callable[..., Any],
    an_oblique_volume: Any,
    tmp_path: Path,
) -> Any:
    """A result of two structures and three experts (the last off duty) on the volume "CT Smith", shown by the panel."""
    node = a_volume_node(an_oblique_volume, name="CT Smith")
    a_panel.volume.choose(node)
    settings = {"zone_floor": 0.02, "zone_band_mm": 10, "min_region_ml": 0.0, "min_region_voxels": 2}
    case = write_a_case(tmp_path / "case", volume=an_oblique_volume, settings=settings)
    logic.show(shown_on(scene, case.folder, node, services, 0.2))
    a_panel.refresh()
    return logic.shown


_watched: list[Any] = []


def watched(panel: Any) -> Any:
    """The panel; `settle` waits for its timers."""
    _watched.append(panel)
    return panel


def settle() -> None:
    """Let timers of the panel fire that are due soon, however busy the computer is."""
    import time

    import slicer

    deadline = time.monotonic() + 5.0
    for _ in range(3):
        time.sleep(0.02)
        slicer.app.processEvents()
    while any(_waits(panel) for panel in _watched) and time.monotonic() < deadline:
        time.sleep(0.005)
        slicer.app.processEvents()


def _waits(panel: Any) -> bool:
    """Whether something is still to be shown or told. (Surfaces are not waited for: they are slow on purpose.)"""
    timers = (panel._refresh_timer, panel._failure_timer, panel.experts._timer)
    return not panel._closed and any(timer.active for timer in timers)


def click_cell(table: Any, row: int, column: int) -> None:
    """As the user clicks into a cell of a table that is shown."""
    from PySide6 import QtCore
    from PySide6.QtTest import QTest
    from qtbench.signals import unwrapped

    at = table.visualItemRect(table.item(row, column)).center()
    QTest.mouseClick(unwrapped(table.viewport()), QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, at)
    settle()


def fire(sender: Any, signature: str, *arguments: Any) -> None:
    """Call what is connected to a signal, as the signal would."""
    connected = [target for made, target, _ in sender.bench_connections._made if made == signature]
    assert connected, f"nothing is connected to {signature}"
    for target in connected:
        target(*arguments)
