"""One job under way: its steps, its volume, and what can be said of its progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ..worker.protocol import Progress
from .job import RUNNING, SHOWING, STARTING, JobStatus, share_done, text_of_stage
from .shown_case import ShownCase
from .steps import Runner, Steps

_NETWORK_SHARE = 0.95
"""Of the progress bar; the rest is for writing, opening and showing the case."""
_AFTER_NETWORK = {"write": 0.95, "open": 0.97, "show": 0.98, "draw": 0.99, "keep": 1.0}
_STATES = {"export": STARTING, "start": STARTING, "open": SHOWING, "show": SHOWING, "draw": SHOWING, "keep": SHOWING}
_SCENE_STAGES = ("draw", "keep")
"""From the first of these on the scene is changed, and the job cannot be cancelled any more."""


@dataclass
class Run:
    """A job from the click to its end.

    Attributes
    ----------
    job : id that nobody else has.
    volume_node : the volume that it is for, or None while a case brings its own.
    doing : what the job does, for a sentence such as "... is still being segmented".
    progress : whom to tell of every step besides the logic's own listeners.
    cancelled, reason : whether it was given up, and why if it was not the user's wish.
    committed : its result goes into the scene; too late to cancel.
    ended, shown, error : whether it is over, and what it came to.
    """

    job: str
    volume_node: Any
    doing: str
    progress: Callable[[JobStatus], None] | None = None
    cancelled: bool = False
    reason: str = ""
    committed: bool = False
    shown: ShownCase | None = None
    error: Exception | None = None
    ended: bool = False
    _runner: Runner[ShownCase] | None = None
    _began: float = field(default_factory=time.monotonic)
    _status: JobStatus = field(default_factory=lambda: JobStatus(STARTING))

    def follow(self, steps: Steps[ShownCase]) -> None:
        """These are its steps."""
        self._runner = Runner(steps)

    @property
    def runner(self) -> Runner[ShownCase]:
        """Goes through the steps."""
        if self._runner is None:
            raise AssertionError("a job without steps")
        return self._runner

    @property
    def name(self) -> str:
        """Name of the volume, for messages."""
        return "a case" if self.volume_node is None else f'"{self.volume_node.GetName()}"'

    @property
    def status(self) -> JobStatus:
        """Where the job stands now."""
        return replace(self._status, job=self.job, elapsed=time.monotonic() - self._began)

    def at(self, stage: str) -> JobStatus:
        """A stage of the logic's own begins."""
        self.committed = stage in _SCENE_STAGES
        self._status = JobStatus(
            _STATES.get(stage, RUNNING), stage, text_of_stage(stage), fraction=self._onward(_AFTER_NETWORK.get(stage))
        )
        return self.status

    def take(self, progress: Progress) -> JobStatus:
        """The worker tells how far it is."""
        counted = progress.stage not in ("read", "write")  # those two count themselves alone
        share = share_done(progress.done, progress.total) if counted else None
        fraction = _AFTER_NETWORK.get(progress.stage) if share is None else share * _NETWORK_SHARE
        self._status = JobStatus(
            RUNNING,
            progress.stage,
            text_of_stage(progress.stage),
            progress.done if counted else 0,
            progress.total if counted else 0,
            self._onward(fraction),
            progress.seconds_left,
        )
        return self.status

    def _onward(self, fraction: float | None) -> float | None:
        """A progress bar never goes back."""
        before = self._status.fraction
        return before if fraction is None else max(fraction, before or 0.0)
