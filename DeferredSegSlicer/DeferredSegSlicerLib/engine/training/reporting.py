"""Telling whoever watches a training how far it is, how long it takes, and what looks wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from .task import SHARE_TERM

Watcher = Callable[[str, int, int, float | None], None]
"""Called with stage, pieces done, pieces in all, and the seconds left or None."""
COLLAPSED = 0.98
"""Mean share of one agent from which the routing is said to have collapsed."""


class PreparationClock:
    """A task's `report(stage, done, total)` with an estimate of the time left in the stage."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._stage, self._start, self._first = "", 0.0, 0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._start, self._first = stage, now, done
        did = done - self._first
        self._watcher(stage, done, total, (now - self._start) / did * (total - done) if did > 0 else None)


class LoopClock:
    """Seconds left of a training, from the optimizer steps and validations that this session has timed."""

    def __init__(self) -> None:
        self._seconds = {"step": 0.0, "validation": 0.0}
        self._count = {"step": 0, "validation": 0}

    def did(self, kind: str, seconds: float) -> None:
        """One "step" or "validation" took so long."""
        self._seconds[kind] += seconds
        self._count[kind] += 1

    def left(self, steps: int, validations: int) -> float | None:
        """Seconds for what is left; validations count as nothing until one was timed."""
        if not self._count["step"]:
            return None
        each = {kind: self._seconds[kind] / max(1, count) for kind, count in self._count.items()}
        return steps * each["step"] + validations * each["validation"]


def collapse_warning(terms: Mapping[str, float]) -> str | None:
    """A sentence if one agent gets nearly every voxel, by the mean terms "share/<agent>" of an epoch; else None."""
    shares = {name.removeprefix(SHARE_TERM): value for name, value in terms.items() if name.startswith(SHARE_TERM)}
    if len(shares) < 2:
        return None
    agent = max(shares, key=lambda name: shares[name])
    if shares[agent] < COLLAPSED:
        return None
    cure = "lower loss.budget_weight or raise loss.budget" if agent == "model" else "raise loss.load_balance"
    return f"warning: {shares[agent]:.1%} of the voxels are routed to {agent}; the routing may have collapsed, {cure}"
