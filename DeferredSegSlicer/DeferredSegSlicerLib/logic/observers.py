"""VTK observers that are counted and can all be taken back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Callback = Callable[[], None]


class Observers:
    """Observers on VTK objects. Objects stay referenced until their observers are removed."""

    def __init__(self) -> None:
        self._tags: list[tuple[Any, int]] = []

    def add(self, subject: Any, event: int | str, callback: Callback) -> None:
        """Call `callback` without arguments at every such event of a VTK object."""

        def call(_subject: Any, _event: str) -> None:
            callback()

        self._tags.append((subject, subject.AddObserver(event, call)))

    def remove(self, subject: Any) -> None:
        """Take back all observers on one object."""
        kept = []
        for entry in self._tags:
            if entry[0] is subject:
                subject.RemoveObserver(entry[1])
            else:
                kept.append(entry)
        self._tags = kept

    def remove_all(self) -> None:
        """Take back everything."""
        tags, self._tags = self._tags, []
        for subject, tag in tags:
            subject.RemoveObserver(tag)

    def __len__(self) -> int:
        return len(self._tags)
