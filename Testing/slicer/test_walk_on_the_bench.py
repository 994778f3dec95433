"""The walk for a real Slicer, taken on the bench: its steps fit the panel and the logic as they are."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
CLERK = HERE.parent / "logic" / "clerk.py"
NEED_A_WORKER = (
    "the worker says hello",
    "a run, with the window alive",
    "the result is the worker's",
    "a second run is cancelled",
    "the scene is closed while it runs",
)

Take = Callable[..., tuple[int, dict[str, tuple[str, str]]]]


@pytest.fixture
def walk(the_module: Any, monkeypatch: pytest.MonkeyPatch) -> Take:
    """Takes all steps of run.py, or those that are named; returns the exit code, and each step's state and words."""

    def take(*names: str) -> tuple[int, dict[str, tuple[str, str]]]:
        from selftest import stepper, waiting

        monkeypatch.setattr(waiting, "close_dialog", lambda: None)
        steppers: list[Any] = []

        class Remembered(stepper.Stepper):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments)
                steppers.append(self)

        run = runpy.run_path(str(HERE / "run.py"), run_name="not_main")
        script = run["main"].__globals__
        script["Stepper"] = Remembered
        script["STEPS"] = [step for step in script["STEPS"] if not names or step[0] in names]
        code = run["main"]()
        return code, {outcome.name: (outcome.state, outcome.text) for outcome in steppers[0].outcomes}

    return take


def states(outcomes: dict[str, tuple[str, str]]) -> set[str]:
    """The states that occur."""
    return {state for state, _ in outcomes.values()}


def test_all_steps_pass_with_a_worker(
    walk: Take, an_interpreter: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFERREDSEG_PYTHON", str(an_interpreter(HERE / "slow_clerk.py", tmp_path)))
    code, outcomes = walk()
    assert states(outcomes) == {"ok"}, {name: said for name, said in outcomes.items() if said[0] != "ok"}
    assert code == 0 and len(outcomes) > 25
    assert (tmp_path / "jobs").stat().st_size == 3, "a run, a cancelled one, and one whose scene was closed"


def test_without_packages_it_says_which_and_takes_all_other_steps(
    walk: Take, an_interpreter: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import slicer

    monkeypatch.delenv("DEFERREDSEG_PYTHON", raising=False)
    slicer.app.userSettings().setValue("DeferredSegSlicer/Python", str(an_interpreter(CLERK, "lacking")))
    code, outcomes = walk()
    assert code == 3
    for name, (state, said) in outcomes.items():
        assert state == ("missing" if name in NEED_A_WORKER else "ok"), f"{name}: {said}"
    assert "lacks torch, timm" in outcomes["the worker says hello"][1]
    assert "DEFERREDSEG_PYTHON" in outcomes["the worker says hello"][1]
    assert "prepared" in outcomes["a case is open"][1]


def test_a_run_that_fails_is_told_and_the_other_steps_go_on(
    walk: Take, an_interpreter: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import slicer

    monkeypatch.setattr(type(slicer.app), "testingEnabled", lambda _: True)
    monkeypatch.setenv("DEFERREDSEG_PYTHON", str(an_interpreter(CLERK, "memory")))
    code, outcomes = walk(
        "the module is loaded and opens",
        "files are kept apart",
        "Try it makes it ready",
        "the worker says hello",
        "a run, with the window alive",
        "a case is open",
        "the result lies on the volume",
    )
    assert code == 1
    state, said = outcomes["a run, with the window alive"]
    assert state == "FAILED" and "memory ran out" in said and "Close other programs" in said
    assert outcomes["the result lies on the volume"][0] == "ok"
