"""How far an evaluation has come: passes (image and method) done, and how long the rest will take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from ..progress import Progress


class PassMeter:
    """Tells how many passes (image and method) are done, and how long the rest will take at the pace so far."""

    def __init__(self, callback: Callable[[Progress], None] | None, total: int) -> None:
        self._callback = callback
        self._total = total
        self._done = 0
        self._fresh = 0
        self._open = 0
        self._stage = ""
        self._begun = time.perf_counter()

    def skip(self, passes: int) -> None:
        """Passes that need not be done."""
        self._done += passes

    def begin(self, stage: str, passes: int) -> None:
        """An image is taken up, for so many passes."""
        self._stage = stage
        self._open = passes
        self._report()

    def over(self, passes: Sequence[str]) -> Iterator[str]:
        """The passes one by one, each counted when the next is asked for."""
        for one in passes:
            yield one
            self._done, self._fresh, self._open = self._done + 1, self._fresh + 1, self._open - 1
            self._report()

    def slice_done(self, step: Progress) -> None:
        """Something happened within a pass."""
        self._report()

    def abandon(self) -> None:
        """The image failed: its other passes will not be done."""
        self._done += self._open
        self._fresh += self._open
        self._open = 0

    def _report(self) -> None:
        if self._callback is not None:
            pace = (time.perf_counter() - self._begun) / self._fresh if self._fresh else None
            left = None if pace is None else pace * (self._total - self._done)
            self._callback(Progress(self._stage, self._done, self._total, left))
