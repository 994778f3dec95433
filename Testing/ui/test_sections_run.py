"""The button that segments and cancels, progress, and what becomes of failures."""

from __future__ import annotations

from typing import Any

import pytest
from DeferredSegSlicerLib.logic.job import JobStatus
from DeferredSegSlicerLib.worker.protocol import Error
from fakes import QuietLogic, QuietSetUp, ScriptedUser
from panel_fixtures import *  # noqa: F403
from panel_fixtures import fire, settle


@pytest.fixture
def ready(a_panel: Any, ct: Any) -> Any:
    """The panel with a volume and a box."""
    a_panel.structures.on_add_box()
    settle()
    return a_panel


def test_a_click_asks_the_logic_for_what_the_panel_shows(ready: Any, logic: QuietLogic, ct: Any) -> None:
    logic.state.budget = 0.1
    logic.state.off_duty = frozenset({"boundary"})
    logic.state.device = "cpu"
    ready.ui.segmentButton.click()
    ((_, arguments, options),) = [call for call in logic.calls if call[0] == "segment"]
    volume, prompts, experts, budget = arguments
    assert volume is ct and prompts == logic.state.prompts and budget == 0.1
    assert [(e.id, e.available) for e in experts][2] == ("boundary", False)
    assert options == {"bundle": None, "device": "cpu", "method": None, "wait": False}


def test_a_click_without_a_structure_adds_a_box_and_says_so(a_panel: Any, logic: QuietLogic, ct: Any) -> None:
    a_panel.ui.segmentButton.click()
    settle()
    assert logic.named("segment") == [] and len(logic.state.prompts) == 1
    assert "no structure yet" in a_panel.ui.statusLabel.text
    assert "no structure yet" in a_panel.ui.structuresHintLabel.text
    a_panel.ui.segmentButton.click()
    assert len(logic.named("segment")) == 1


def test_the_button_becomes_cancel_and_cancels(ready: Any, logic: QuietLogic) -> None:
    ready.ui.segmentButton.click()
    settle()
    assert ready.ui.segmentButton.text == "Cancel" and not ready.ui.progressBar.isHidden()
    ready.ui.segmentButton.click()
    settle()
    assert logic.named("cancel") == [("",)]
    assert ready.ui.segmentButton.text == "Segment with deferral" and ready.ui.progressBar.isHidden()
    assert "Cancelled" in ready.ui.statusLabel.text


def test_progress_moves_the_bar_at_once(ready: Any, logic: QuietLogic) -> None:
    ready.ui.segmentButton.click()
    settle()
    logic.at(JobStatus("running", "segment", fraction=0.5, seconds_left=20.0))
    assert (ready.ui.progressBar.maximum, ready.ui.progressBar.value) == (1000, 500)
    assert (ready.ui.statusLabel.text, ready.ui.timeLeftLabel.text) == ("Segmenting", "about 20 s left")


def test_progress_does_not_rebuild_the_rest_of_the_panel(
    ready: Any, logic: QuietLogic, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready.ui.segmentButton.click()
    settle()
    rebuilt: list[str] = []
    monkeypatch.setattr(ready.structures, "update", lambda: rebuilt.append("structures"))
    for done in range(20):
        logic.at(JobStatus("running", "segment", fraction=done / 20))
    settle()
    assert rebuilt == []
    logic.at(JobStatus())
    settle()
    assert rebuilt == ["structures"]


def test_a_refusal_is_shown_below_the_button_without_a_window(
    ready: Any, logic: QuietLogic, user: ScriptedUser
) -> None:
    logic.refuse = 'model "x" is not installed'
    ready.ui.segmentButton.click()
    settle()
    assert ready.ui.statusLabel.text == 'Model "x" is not installed.'
    assert user.asked == [] and ready.ui.segmentButton.text == "Segment with deferral"


def test_a_failed_job_is_one_window_with_advice_and_the_log(ready: Any, logic: QuietLogic, user: ScriptedUser) -> None:
    ready.ui.segmentButton.click()
    settle()
    logic.job = JobStatus()
    logic.failed.emit(
        Error("job", "out_of_memory", "The computer's memory ran out.", "Close other programs.", "/l.txt")
    )
    logic.changed.emit()
    assert user.asked == [], "a window must not open within the logic's own timer"
    settle()
    kind, (title, message, advice, log) = user.asked[0]
    assert (kind, message, advice, log) == (
        "failure",
        "The computer's memory ran out.",
        "Close other programs.",
        "/l.txt",
    )
    assert len(user.asked) == 1 and title
    assert "Close other programs." in ready.ui.statusLabel.text and not ready.ui.logLabel.isHidden()
    fire(ready.ui.logLabel, "linkActivated(QString)", "log")
    assert user.opened == ["/l.txt"]


def test_a_worker_that_dies_idle_opens_no_window(a_panel: Any, logic: QuietLogic, user: ScriptedUser) -> None:
    logic.failed.emit(Error(None, "died", "The worker crashed.", "Try again."))
    settle()
    assert user.asked == []


def test_packages_that_a_worker_lacks_open_the_set_up(a_panel: Any, logic: QuietLogic) -> None:
    a_panel.ui.setupCollapsibleButton.collapsed = True
    logic.failed.emit(Error(None, "missing_packages", "torch is missing.", "Install it.", packages=("torch",)))
    settle()
    assert not a_panel.ui.setupCollapsibleButton.collapsed


def test_without_packages_the_button_sends_to_the_set_up(
    a_panel: Any, logic: QuietLogic, set_up: QuietSetUp, ct: Any
) -> None:
    del set_up.installed["torch"]
    a_panel.setup.look()
    a_panel.refresh()
    assert not a_panel.ui.segmentButton.enabled
    assert "Set-up" in a_panel.ui.segmentButton.toolTip and "torch" in a_panel.ui.segmentButton.toolTip


def test_a_finished_job_says_how_long_it_took_and_opens_the_result(
    a_panel: Any, logic: QuietLogic, a_shown_case: Any
) -> None:
    a_panel.structures.on_add_box()
    a_panel.ui.resultCollapsibleButton.collapsed = True
    settle()
    a_panel.ui.segmentButton.click()
    settle()
    logic.show(a_shown_case)
    settle()
    assert a_panel.ui.statusLabel.text == "Done in 31 s."
    assert not a_panel.ui.resultCollapsibleButton.collapsed


def test_a_budget_that_was_just_set_counts_for_the_click(ready: Any, logic: QuietLogic) -> None:
    ready.ui.budgetSlider.setValue(33.0)
    ready.ui.segmentButton.click()
    assert logic.named("segment")[0][3] == pytest.approx(0.33)
