"""Signals, steps, observers, folders and job statuses by themselves."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import vtk
from DeferredSegSlicerLib.core.errors import BadInputError, DamagedCaseError
from DeferredSegSlicerLib.logic.experts import check_on_duty, load_profiles, off_duty_of, with_duty
from DeferredSegSlicerLib.logic.failures import error_of
from DeferredSegSlicerLib.logic.folders import new_case_folder, new_request_folder
from DeferredSegSlicerLib.logic.observers import Observers
from DeferredSegSlicerLib.logic.run import Run
from DeferredSegSlicerLib.logic.signal import Signal
from DeferredSegSlicerLib.logic.steps import NEXT_TURN, Background, Promise, Runner, Steps
from DeferredSegSlicerLib.worker.protocol import Progress


def test_a_signal_tells_those_who_are_connected() -> None:
    signal, heard = Signal(), []
    off = signal.connect(lambda *a: heard.append(("one", *a)))
    signal.connect(lambda *a: heard.append(("two", *a)))
    signal.emit(1, 2)
    off()
    off()
    signal.emit(3)
    assert heard == [("one", 1, 2), ("two", 1, 2), ("two", 3)]


def test_listeners_may_come_and_go_while_they_are_told() -> None:
    signal, heard = Signal(), []

    def first() -> None:
        heard.append("first")
        signal.disconnect(second)
        signal.connect(third)

    def second() -> None:
        heard.append("second")

    def third() -> None:
        heard.append("third")

    signal.connect(first)
    signal.connect(second)
    signal.emit()
    assert heard == ["first"]
    signal.disconnect(first)
    signal.emit()
    assert heard == ["first", "third"]


def test_a_listener_that_raises_does_not_silence_the_others() -> None:
    signal, heard = Signal(), []
    signal.connect(lambda: 1 / 0)
    signal.connect(lambda: heard.append("told"))
    with pytest.raises(ZeroDivisionError):
        signal.emit()
    assert heard == ["told"]


def finish(runner: Runner[Any]) -> Any:
    """Turns until the end."""
    deadline = time.monotonic() + 10
    while not runner.finished:
        assert time.monotonic() < deadline
        runner.turn()
        time.sleep(0.001)
    return runner.result


def test_steps_get_what_a_thread_returns_or_raises() -> None:
    main = threading.get_ident()

    def steps() -> Steps[list[object]]:
        there = yield Background(threading.get_ident)
        try:
            yield Background(lambda: 1 / 0)
        except ZeroDivisionError:
            return [there != main, threading.get_ident() == main]
        return []

    assert finish(Runner(steps())) == [True, True]


def test_a_turn_ends_after_its_time_and_at_next_turn() -> None:
    counted: list[int] = []

    def steps() -> Steps[None]:
        for number in range(4):
            counted.append(number)
            yield NEXT_TURN
        for number in range(100):
            counted.append(number)
            time.sleep(0.004)
            yield None

    runner = Runner(steps(), seconds=0.02)
    for expected in (1, 2, 3, 4):
        runner.turn()
        assert len(counted) == expected
    began = time.perf_counter()
    runner.turn()
    assert time.perf_counter() - began < 0.05 and 5 < len(counted) < 15


def test_a_runner_waits_for_an_answer_without_turning() -> None:
    promise: Promise[str] = Promise()

    def steps() -> Steps[str]:
        return (yield promise)

    runner = Runner(steps())
    for _ in range(5):
        runner.turn()
    assert not runner.finished
    promise.keep("answer")
    promise.keep("another")
    runner.turn()
    assert runner.finished and runner.result == "answer"


@pytest.mark.parametrize("early", [True, False])
def test_an_abandoned_thread_cleans_up_after_itself(early: bool) -> None:
    go, cleaned = threading.Event(), threading.Event()

    def steps() -> Steps[None]:
        yield Background(lambda: go.wait(10), abandoned=cleaned.set)

    runner = Runner(steps())
    runner.turn()
    if not early:
        go.set()
        time.sleep(0.1)
    runner.close()
    assert runner.finished and cleaned.is_set() is not early
    go.set()
    assert cleaned.wait(5)


def test_steps_that_give_themselves_up_end_after_the_step() -> None:
    trace: list[str] = []

    def steps() -> Steps[None]:
        try:
            runner.close()
            trace.append("the step goes on")
            yield None
            trace.append("never")
        finally:
            trace.append("cleaned up")

    runner: Runner[None] = Runner(steps())
    runner.turn()
    assert runner.finished and trace == ["the step goes on", "cleaned up"]


def test_what_a_step_raises_ends_the_work() -> None:
    def steps() -> Steps[None]:
        yield None
        raise BadInputError("no")

    runner = Runner(steps())
    with pytest.raises(BadInputError):
        finish(runner)
    assert runner.finished


def test_observers_are_counted_and_taken_back() -> None:
    one, two, heard = vtk.vtkObject(), vtk.vtkObject(), []
    observers = Observers()
    observers.add(one, vtk.vtkCommand.ModifiedEvent, lambda: heard.append(1))
    observers.add(two, "ModifiedEvent", lambda: heard.append(2))
    one.Modified()
    two.Modified()
    assert heard == [1, 2] and len(observers) == 2
    references = one.GetReferenceCount()
    observers.remove(one)
    assert not one.HasObserver(vtk.vtkCommand.ModifiedEvent) and one.GetReferenceCount() <= references
    observers.remove_all()
    two.Modified()
    assert heard == [1, 2] and len(observers) == 0


def test_names_of_case_folders_say_when_and_nothing_else(tmp_path: Path) -> None:
    names = {new_case_folder(tmp_path).name for _ in range(20)}
    assert len(names) == 20 and all(len(name) == len("case-20261125-101500-abcd") for name in names)
    assert not any(tmp_path.iterdir())


def test_request_folders_are_private_and_old_ones_go(tmp_path: Path) -> None:
    old, young = new_request_folder(tmp_path), new_request_folder(tmp_path)
    (old / "image.nrrd").write_bytes(b"a scan")
    os.utime(old, (1e9, 1e9))
    new = new_request_folder(tmp_path)
    assert not old.exists() and young.exists() and new.stat().st_mode & 0o077 == 0


def test_profiles_and_duty() -> None:
    experts = load_profiles()
    assert [e.id for e in experts] == ["lesion-extent", "normal-tissue", "boundary"]
    off = with_duty(experts, {"boundary", "somebody-else"})
    assert off_duty_of(off) == {"boundary"} and off_duty_of(with_duty(off, ())) == frozenset()
    check_on_duty(off)
    with pytest.raises(BadInputError, match="no expert is on duty"):
        check_on_duty(with_duty(experts, {e.id for e in experts}))


def test_a_progress_bar_never_goes_back() -> None:
    run = Run("j", None, "segmented")
    assert run.status.state == "starting" and run.status.fraction is None
    run.at("export")
    seen = [run.take(Progress("j", stage, done, total, 3.0)) for stage, done, total in PROGRESS]
    assert [status.state for status in seen] == ["running"] * len(PROGRESS)
    seen += [run.at(stage) for stage in ("open", "show", "draw", "keep")]
    fractions = [status.fraction for status in seen if status.fraction is not None]
    assert fractions == sorted(fractions) and fractions[0] >= 0 and fractions[-1] == 1.0
    assert seen[0].fraction is None, "nothing is known yet"


PROGRESS = [("read", 0, 1), ("load", 0, 0), ("segment", 1, 10), ("segment", 9, 10), ("route", 10, 10), ("write", 0, 1)]


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (BadInputError("a sentence"), "bad_input"),
        (DamagedCaseError("a sentence"), "damaged_case"),
        (MemoryError(), "out_of_memory"),
        (ZeroDivisionError("division"), "internal"),
    ],
)
def test_every_failure_becomes_one_message(problem: Exception, code: str) -> None:
    error = error_of(problem, "job")
    assert error.code == code and error.message and "Traceback" not in error.message
