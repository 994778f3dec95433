"""How far a run has come, and how long it will still take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

STAGES = ("load", "segment", "defer", "route")
"""In the order in which a run goes through them; "segment" and "defer" alternate if there are several slice views."""


@dataclass(frozen=True)
class Progress:
    """One report: what is being done, how much of the whole run is done, and an estimate of the seconds left.

    `done` never goes back and ends at `total`; `seconds_left` is None before anything could be timed.
    """

    stage: str
    done: int
    total: int
    seconds_left: float | None


class ProgressMeter:
    """Counts work of several kinds, each with its own duration, so that the estimate does not jump between kinds.

    callback : told after every piece of work; what it raises goes through and abandons the run.
    """

    def __init__(self, callback: Callable[[Progress], None] | None = None) -> None:
        self._callback = callback
        self._left: dict[str, int] = {}
        self._count: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        self._like: dict[str, tuple[str, float]] = {}
        self._done = 0
        self._total = 0
        self.stage = STAGES[0]

    def plan(self, kind: str, pieces: int, like: tuple[str, float] | None = None) -> None:
        """Announce work. `like`: another kind and how many times as long a piece takes, until one has been timed."""
        self._left[kind] = self._left.get(kind, 0) + pieces
        self._total += pieces
        if like is not None:
            self._like[kind] = like

    def did(self, kind: str, seconds: float, pieces: int = 1) -> None:
        """Some pieces are done."""
        self._count[kind] = self._count.get(kind, 0) + pieces
        self._seconds[kind] = self._seconds.get(kind, 0.0) + seconds
        self.skip(kind, pieces)

    def skip(self, kind: str, pieces: int) -> None:
        """Some pieces need not be done after all. More pieces than were announced do not count."""
        counted = min(pieces, self._left.get(kind, 0))
        self._left[kind] = self._left.get(kind, 0) - counted
        self._done += counted

    def report(self, stage: str | None = None) -> None:
        """Tell the callback."""
        if stage is not None:
            self.stage = stage
        if self._callback is not None:
            self._callback(Progress(self.stage, self._done, self._total, self._seconds_left()))

    def _seconds_left(self) -> float | None:
        if not self._total:
            return None
        total = 0.0
        for kind, left in self._left.items():
            if left:
                each = self._mean(kind)
                if each is None:
                    return None
                total += left * each
        return total

    def _mean(self, kind: str) -> float | None:
        if self._count.get(kind):
            return self._seconds[kind] / self._count[kind]
        if kind in self._like:
            other, times = self._like[kind]
            mean = self._seconds[other] / self._count[other] if self._count.get(other) else None
            return None if mean is None else mean * times
        return None


class StepClock:
    """Called after every piece of one kind of work: notes the time since the piece before, and tells the callback."""

    def __init__(self, meter: ProgressMeter, kind: str) -> None:
        self._meter = meter
        self._kind = kind
        self.start()

    def start(self) -> None:
        """The next piece begins now."""
        self._since = time.perf_counter()

    def __call__(self) -> None:
        """A piece is done."""
        now = time.perf_counter()
        self._meter.did(self._kind, now - self._since)
        self._since = now
        self._meter.report(self._kind)
