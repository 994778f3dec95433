"""A whole workplace for the tests of the review: the panel over the real logic, and a real case; see `Workplace`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "logic"))
from DeferredSegSlicerLib.core.case import Case
from fakes import MemoryServices, QuietSetUp, ScriptedUser
from panel_fixtures import a_host, services, set_up, user
from review_bench import LEFT_HANDED, write_blocks_case
from review_fixtures import draw, fire, shown_rows
from test_review_speed import many_regions

__all__ = ["Workplace", "a_host", "at_work", "case", "many_regions", "services", "set_up", "user"]


class Workplace:
    """The panel over the real logic, and a user at it; keys are Slicer's main window's."""

    def __init__(self, host: Any, scene: Any, services: MemoryServices, user: ScriptedUser, set_up: QuietSetUp) -> None:
        import slicer.util
        from DeferredSegSlicerLib.logic.module_logic import ModuleLogic
        from DeferredSegSlicerLib.logic.review import ReviewLogic
        from DeferredSegSlicerLib.ui.panel import Panel

        self.services, self.user = services, user
        self.logic = ModuleLogic(scene, services)
        self.logic.state.budget = 1.0
        self.review = ReviewLogic(self.logic, services, software={"slicer": "5.13"})
        self.panel = Panel(host, self.logic, services, user, set_up, self.review)  # type: ignore[arg-type]
        (self.sections,) = self.panel.further
        self.ui, self.out = self.sections.review._ui, self.sections.export._ui
        self.panel.enter()
        self.window = slicer.util.mainWindow()
        self.window.show()
        self.window.activateWindow()
        draw()

    def close(self) -> None:
        """The module goes."""
        self.panel.cleanup()
        self.review.close()
        self.logic.close()
        self.panel.widget.setParent(None)
        self.window.hide()

    def wait(self, condition: Callable[[], Any], seconds: float = 20.0) -> None:
        """Let timers fire until something is so."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "nothing happened in time"
            self.services.fire()
            draw()
            time.sleep(0.005)

    def open(self, case: Case) -> None:
        """Open a case by the button."""
        self.user.answers["folder"] = str(case.folder)
        self.ui.openCaseButton.click()
        self.wait(lambda: self.logic.shown is not None and not self.logic.job.busy)
        draw()

    def be(self, caption: str) -> None:
        """Choose a reader."""
        box = self.ui.readerBox
        at = next(n for n in range(box.count) if box.itemText(n).startswith(caption))
        box.setCurrentIndex(at)
        fire(box, "activated(int)", at)

    def rows(self) -> list[list[str]]:
        """What the table shows."""
        return shown_rows(self.ui.worklistTable)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """Twelve regions of two experts, on a grid that Slicer turns around."""
    return write_blocks_case(tmp_path / "cases" / "case \u00fc", LEFT_HANDED)


@pytest.fixture
def at_work(
    a_host: Any,
    scene: Any,
    services: MemoryServices,
    user: ScriptedUser,
    set_up: QuietSetUp,
) -> Iterator[Callable[[], Workplace]]:
    """A function that opens the module; what was open before is closed."""
    made: list[Workplace] = []

    def open_module() -> Workplace:
        for before in made:
            before.close()
        made[:] = [Workplace(a_host, scene, services, user, set_up)]
        return made[0]

    yield open_module
    for workplace in made:
        workplace.close()
