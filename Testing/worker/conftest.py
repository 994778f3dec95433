"""Fixtures of the worker tests: recorders, real children, and ways to see that a process is gone."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from DeferredSegSlicerLib.worker.client import Callbacks, Patience, WorkerClient
from DeferredSegSlicerLib.worker.protocol import Error, Hello, Progress, Result

TALKER = Path(__file__).with_name("talker.py")


@dataclass
class Record:
    """Everything that a client's callbacks were told."""

    ready: list[Hello] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    failures: list[Error] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    def callbacks(self) -> Callbacks:
        """Callbacks that fill this record."""
        return Callbacks(
            self.ready.append, self.progress.append, self.results.append, self.failures.append, self.cancelled.append
        )

    @property
    def ended(self) -> bool:
        """Whether a job has ended one way or another."""
        return bool(self.results or self.failures or self.cancelled)


def poll_until(client: WorkerClient, condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Poll as Slicer's timer does until the condition holds; fail the test when the time is up."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        client.poll()
        time.sleep(0.005)


def is_running(pid: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


@pytest.fixture
def a_record() -> Record:
    """An empty record."""
    return Record()


@pytest.fixture
def a_client(tmp_path: Path, a_record: Record) -> Iterator[Callable[..., WorkerClient]]:
    """Makes clients of a talker that behaves as told; all are closed at the end."""
    made: list[WorkerClient] = []

    def make(*behavior: str, record: Record = a_record, **patience: float) -> WorkerClient:
        command = [sys.executable, str(TALKER), *behavior]
        limits = Patience(**({"startup": 30.0, "silence": 20.0, "leave": 1.0} | patience))
        made.append(WorkerClient(tmp_path / "logs", record.callbacks(), command=command, patience=limits))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def a_job(tmp_path: Path) -> dict[str, Any]:
    """Arguments of `WorkerClient.segment` for a talker, which reads none of the files."""
    names = {"image": "image.nrrd", "prompts": "prompts.json", "experts": "experts.json", "case": "case"}
    return {key: tmp_path / name for key, name in names.items()}
