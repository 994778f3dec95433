"""Steps are reported one by one, and none of them can hang the walk."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from selftest.stepper import PackagesMissing, Skipped, StepFailed, Stepper, require

HERE = Path(__file__).parent


def never(_milliseconds: int, _action: Callable[[], None]) -> Callable[[], None]:
    """A timer that never ticks."""
    return lambda: None


@pytest.fixture
def a_stepper(tmp_path: Path) -> Stepper:
    """A stepper whose dialogs never come up."""
    return Stepper(tmp_path / "report.txt", never, lambda: None)


def fails(error: Exception) -> Callable[[], str]:
    """A step that ends so."""

    def step() -> str:
        raise error

    return step


def test_every_step_gets_a_line_with_its_time_and_what_came_of_it(
    a_stepper: Stepper, capsys: pytest.CaptureFixture[str]
) -> None:
    assert a_stepper.take("walk", 5, lambda: "two legs")
    assert not a_stepper.take("jump", 5, fails(StepFailed("the bar\nfell")))
    assert not a_stepper.take("swim", 5, fails(Skipped("no water")))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["ok", "FAILED", "skipped"]
    assert lines[0].endswith("s  walk: two legs") and lines[1].endswith("s  jump: the bar fell")
    assert a_stepper.report.read_text(encoding="utf-8").splitlines() == lines
    assert [outcome.name for outcome in a_stepper.failures()] == ["jump"]


def test_an_error_of_any_kind_is_the_steps_result_with_its_traceback(
    a_stepper: Stepper, capsys: pytest.CaptureFixture[str]
) -> None:
    a_stepper.take("divide", 5, lambda: str(1 / 0))
    said = capsys.readouterr().out
    assert "Traceback" in said and "FAILED" in said and "ZeroDivisionError: division by zero" in said


def test_missing_packages_are_no_failure_but_are_remembered(a_stepper: Stepper) -> None:
    a_stepper.take("hello", 5, fails(PackagesMissing("lacks torch")))
    assert a_stepper.lacks_packages() and not a_stepper.failures()


def test_a_dialog_that_comes_up_fails_the_step_and_is_named(tmp_path: Path) -> None:
    dialogs = ["Error: the disk is full"]
    ticks: list[Callable[[], None]] = []

    def ticker(_milliseconds: int, action: Callable[[], None]) -> Callable[[], None]:
        ticks.append(action)
        return lambda: None

    stepper = Stepper(tmp_path / "report.txt", ticker, lambda: dialogs.pop() if dialogs else None)
    assert not stepper.take("save", 5, lambda: ticks[-1]())
    assert "the disk is full" in stepper.failures()[0].text


def test_a_requirement_that_holds_says_nothing() -> None:
    require(True, "never")
    with pytest.raises(StepFailed, match="too few"):
        require([], "too few")


def test_a_step_that_never_comes_back_ends_the_program_with_its_stack(tmp_path: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(HERE)!r})
from selftest import stepper
stepper.GRACE_SECONDS = 0.2
def hang():
    time.sleep(60)
report = Path({str(tmp_path / "report.txt")!r})
stepper.Stepper(report, lambda ms, action: lambda: None, lambda: None).take("x", 0.1, hang)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "Timeout" in done.stderr and "in hang" in done.stderr
