"""The button: when it can be clicked, what it says, and how far a job is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from DeferredSegSlicerLib.logic.job import IDLE, RUNNING, SHOWING, STAGE_TEXTS, STARTING
from DeferredSegSlicerLib.ui.presenters import run
from DeferredSegSlicerLib.ui.presenters.run import RunFacts, run_view

READY = RunFacts(structures=2, on_duty=3, worker="ready")


def test_everything_in_place_makes_it_a_button_to_segment() -> None:
    view = run_view(READY)
    assert (view.caption, view.enabled, view.cancels, view.status) == ("Segment with deferral", True, False, "Ready.")
    assert not view.bar_visible


@pytest.mark.parametrize("name", ["volume_problem", "question", "setup_problem", "structure_problem"])
def test_a_disabled_button_says_why_in_its_tool_tip_and_below_it(name: str) -> None:
    view = run_view(replace(READY, **{name: "The reason."}))
    assert (view.enabled, view.tool_tip, view.status) == (False, "The reason.", "The reason.")


def test_nobody_on_duty_disables_it_too() -> None:
    view = run_view(replace(READY, on_duty=0))
    assert not view.enabled and "expert" in view.tool_tip


def test_reasons_come_in_the_order_in_which_they_must_be_cleared() -> None:
    facts = replace(READY, volume_problem="volume", structure_problem="structure", setup_problem="set-up", on_duty=0)
    assert run_view(facts).tool_tip == "set-up"
    assert run_view(replace(facts, setup_problem="")).tool_tip == "volume"
    assert run_view(replace(facts, setup_problem="", volume_problem="")).tool_tip == "structure"


def test_without_a_structure_it_can_be_clicked_and_says_what_will_happen() -> None:
    view = run_view(replace(READY, structures=0))
    assert view.enabled and "box" in view.tool_tip and "box" in view.status


@pytest.mark.parametrize("state", [STARTING, RUNNING, SHOWING])
def test_a_job_turns_it_into_cancel(state: str) -> None:
    view = run_view(replace(READY, state=state, stage="segment", volume_problem="whatever"))
    assert (view.caption, view.enabled, view.cancels, view.bar_visible) == ("Cancel", True, True, True)


def test_the_bar_follows_the_job_and_is_busy_while_nothing_is_known() -> None:
    known = run_view(replace(READY, state=RUNNING, stage="segment", fraction=0.31, seconds_left=42.0))
    assert (known.bar_maximum, known.bar_value, known.time_left) == (run.STEPS, 310, "about 40 s left")
    assert known.status == "Segmenting"
    unknown = run_view(replace(READY, state=STARTING, stage="start"))
    assert (unknown.bar_maximum, unknown.bar_value, unknown.time_left) == (0, 0, "")


def test_a_fraction_out_of_range_stays_in_the_bar() -> None:
    assert run_view(replace(READY, state=RUNNING, fraction=1.7)).bar_value == run.STEPS


def test_every_stage_of_the_logic_has_a_text_of_its_own() -> None:
    for stage, text in STAGE_TEXTS.items():
        assert run.stage_text(stage) == (text or "Starting")
    assert run.stage_text("something new") == "something new"


def test_inputs_say_why_they_cannot_be_changed_while_a_job_runs() -> None:
    assert run.busy_reason(IDLE) == ""
    assert "cancel" in run.busy_reason(RUNNING)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "Done in 1 s."), (31.4, "Done in 31 s."), (130, "Done in 2 min 10 s.")]
)
def test_a_finished_job_says_how_long_it_took(seconds: float, text: str) -> None:
    assert run.finished_text(seconds) == text
