"""All of a tree is ended, and nothing but the tree."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from DeferredSegSlicerLib.worker import process_tree

from .conftest import is_running

LIBRARY = Path(__file__).parents[2] / "DeferredSegSlicer"
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]

PARENT = """
import subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
print(subprocess.Popen(sleep).pid, subprocess.Popen(sleep, start_new_session=True).pid, flush=True)
"""


def _tree(marker: str, then: str) -> tuple[subprocess.Popen[bytes], list[int]]:
    environment = os.environ | {process_tree.MARKER: marker}
    command = [sys.executable, "-c", PARENT + then]
    options = process_tree.start_options()
    parent = subprocess.Popen(command, cwd=LIBRARY, env=environment, stdout=subprocess.PIPE, **options)
    assert parent.stdout is not None
    return parent, [int(pid) for pid in parent.stdout.readline().split()]


@pytest.fixture
def a_bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the same program that belongs to no tree."""
    process = subprocess.Popen(SLEEP)
    yield process
    process.kill()
    process.wait()


def test_a_tree_ends_and_its_neighbors_live(a_bystander: subprocess.Popen[bytes]) -> None:
    first, firsts = _tree(process_tree.new_marker(), "time.sleep(60)")
    marker = process_tree.new_marker()
    second, seconds = _tree(marker, "time.sleep(60)")
    started = time.monotonic()
    assert process_tree.kill_tree(second, marker)
    assert time.monotonic() - started < 1.0
    assert not any(map(is_running, [second.pid, *seconds]))
    assert all(map(is_running, [first.pid, *firsts, a_bystander.pid, os.getpid()]))
    assert process_tree.kill_tree(first, "no such marker")  # parent and group find it too
    assert not any(map(is_running, [first.pid, *firsts]))
    assert a_bystander.poll() is None


def test_what_a_dead_process_left_behind_ends_too() -> None:
    marker = process_tree.new_marker()
    parent, children = _tree(marker, "")
    parent.wait(10)
    assert all(map(is_running, children))
    assert process_tree.kill_tree(parent, marker)
    assert not any(map(is_running, children))
    assert process_tree.kill_tree(parent, marker)  # nothing left: nothing happens


def test_a_process_ends_what_it_started_and_lives_on(a_bystander: subprocess.Popen[bytes]) -> None:
    then = (
        "from DeferredSegSlicerLib.worker.process_tree import kill_descendants\n"
        "kill_descendants(); print('alive', flush=True); time.sleep(60)"
    )
    marker = process_tree.new_marker()
    parent, children = _tree(marker, then)
    assert parent.stdout is not None and parent.stdout.readline() == b"alive\n"
    deadline = time.monotonic() + 1
    while any(map(is_running, children)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(is_running, children))
    assert is_running(parent.pid) and is_running(a_bystander.pid)
    process_tree.kill_tree(parent, marker)
