"""How long a reader looks at each region and edits it, as far as the module is in front."""

from __future__ import annotations

from collections.abc import Callable

from ...core.review import Effort


class Stopwatch:
    """Seconds for each region, added up over all visits until they are taken for a decision.

    Parameters
    ----------
    clock : seconds; if it goes back, that time is not counted.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = clock()
        self._running = True
        self._brush = False
        self._key: str | None = None
        self._looked: dict[str, float] = {}
        self._edited: dict[str, float] = {}

    def look_at(self, key: str | None) -> None:
        """The reader looks at another region, or at none."""
        self._count()
        self._key = key

    def take_brush(self, in_hand: bool) -> None:
        """From now on the reader edits, or does no longer."""
        self._count()
        self._brush = in_hand

    def pause(self) -> None:
        """The module is out of sight."""
        self._count()
        self._running = False

    def go_on(self) -> None:
        """The module is in front again."""
        self._count()
        self._running = True

    def spent(self) -> Effort:
        """On the region that is looked at."""
        self._count()
        key = self._key or ""
        return Effort(round(self._looked.get(key, 0.0), 3), round(self._edited.get(key, 0.0), 3))

    def add(self, effort: Effort) -> None:
        """Seconds that were spent on the region before, such as those of an edit that a crash cut off."""
        if self._key is not None:
            self._looked[self._key] = self._looked.get(self._key, 0.0) + effort.looked
            self._edited[self._key] = self._edited.get(self._key, 0.0) + effort.edited

    def reset(self) -> None:
        """The region that is looked at was decided on: its seconds are kept with the decision."""
        self._count()
        self._looked.pop(self._key or "", None)
        self._edited.pop(self._key or "", None)

    def _count(self) -> None:
        now = self._clock()
        passed, self._last = max(0.0, now - self._last), now
        if not self._running or self._key is None:
            return
        self._looked[self._key] = self._looked.get(self._key, 0.0) + passed
        if self._brush:
            self._edited[self._key] = self._edited.get(self._key, 0.0) + passed
