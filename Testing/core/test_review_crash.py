"""A saving process is killed at random moments: the case always opens, with every decision that was finished."""

from __future__ import annotations

import os
import random
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from DeferredSegSlicerLib.core.case import Case, check_case, open_case
from DeferredSegSlicerLib.core.review import Change, Reader, ReviewSession, journal, read_journal, read_review
from DeferredSegSlicerLib.core.worklist import Worklist

KILLS = 300
KILLS_A_CASE = 15
READER = Reader("edge")


def decide_something(session: ReviewSession, dice: random.Random) -> Change | None:
    """One random decision on the current region."""
    what = dice.randrange(7)
    if what == 0:
        return session.undo()
    if what == 1:
        return session.reassign(dice.choice(["inside", "outside"]))
    if what == 2:
        return session.skip(reason="unclear")
    if what == 3:
        return session.accept()
    if what == 4:
        return session.take(dice.choice(session.alternatives()))
    labels = session.labels.copy()
    labels.reshape(-1)[session.current.region.indices] = dice.randrange(3)
    return session.edit(labels)


def child(case: Case, work: Worklist, seed: int, slow_disk: bool, pipe: int) -> NoReturn:
    """Decide and save until killed; tell each decision that is finished through the pipe, and any error."""
    dice = random.Random(seed)
    write = os.write
    if slow_disk:  # short writes, as the system may make them: most kills then hit the middle of a line

        def a_little(descriptor: int, data: memoryview) -> int:
            time.sleep(0.0005)
            return write(descriptor, data[:150])

        journal.os = type("SlowDisk", (), {**vars(os), "write": staticmethod(a_little)})  # type: ignore[assignment]
    try:
        session = ReviewSession(case, work, READER)
        write(pipe, b"opened\n")
        while True:
            change = decide_something(session, dice)
            if change is not None:
                write(pipe, f"{change.entry.sha}\n".encode())
            if dice.random() < 0.2:
                session.save()
            if dice.random() < 0.2:
                session.set_budget(dice.choice([0.05, 0.1, 0.2, 0.4]))
            session.next()
    except BaseException:
        write(pipe, f"error {traceback.format_exc()!r}\n".encode())
    os._exit(1)


def killed(case: Case, work: Worklist, seed: int, slow: bool, after_lines: int | None, delay: float) -> list[str]:
    """Run a child, kill it so many seconds after it told a number of lines (or after its start); what it told."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        child(case, work, seed, slow, writing)
    os.close(writing)
    told = b""
    while after_lines is not None and told.count(b"\n") <= after_lines and (data := os.read(reading, 1 << 16)):
        told += data
    time.sleep(delay)
    os.kill(process, signal.SIGKILL)
    while data := os.read(reading, 1 << 20):
        told += data
    os.close(reading)
    assert os.waitpid(process, 0)[1] == signal.SIGKILL
    lines = told.decode().splitlines()
    assert not [line for line in lines if line.startswith("error")], lines
    return [line for line in lines if line != "opened"]


@pytest.mark.parametrize("slow_disk", [False, True], ids=["a fast disk", "a disk that takes a line piece by piece"])
def test_killed_at_any_moment_the_case_opens_with_the_last_finished_decision(
    tmp_path: Path, write_review_case: Callable[..., Case], a_worklist: Worklist, slow_disk: bool
) -> None:
    dice = random.Random(2024)
    cut: set[bytes] = set()
    lines = 0
    kills = KILLS // 2
    assert kills % KILLS_A_CASE == 0
    for number in range(kills):
        if number % KILLS_A_CASE == 0:
            case = write_review_case(tmp_path / f"case-{number}")
            finished: list[str] = []
        after_lines = dice.choice([None, 0, 1, 2, 3])  # the first line is of the opened case
        delay = dice.uniform(0, 0.05 if after_lines is None else 0.01)
        told = killed(case, a_worklist, number, slow_disk, after_lines, delay)
        finished += told

        opened = open_case(case.folder)
        path = case.folder / "review" / "edge.jsonl"
        entries = read_journal(path, opened) if path.exists() else ()
        kept = [entry.sha for entry in entries]
        assert kept[: len(finished)] == finished
        assert len(kept) <= len(finished) + 1  # one may be written whose end could not be told any more
        whole, _, rest = path.read_bytes().rpartition(b"\n") if path.exists() else (b"", b"", b"")
        if rest and len(kept) == len(whole.splitlines()):  # else the line lacks no more than its end
            cut.add(rest)
        state = read_review(opened)
        assert np.array_equal(state.corrected()[~state.judged()], opened.label()[~state.judged()])
        finished = kept
        lines += len(told)
        if number % KILLS_A_CASE == KILLS_A_CASE - 1:
            assert not [finding for finding in check_case(case.folder) if finding.is_damage]
            with ReviewSession(case, a_worklist, READER) as session:
                assert session.journal is not None
                assert [entry.sha for entry in session.journal.entries] == finished
    assert lines > kills  # the children did work
    assert {path.read_bytes() for path in tmp_path.glob("*/review/*.cut")} == cut
    assert len(cut) >= 5 or not slow_disk
