"""A list of listeners, in plain Python: custom Qt signals made from Python crash in some Slicer versions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

Listener = Callable[..., Any]

_log = logging.getLogger(__name__)


class Signal:
    """Tells whoever is connected; `emit` is safe while listeners come and go."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def connect(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` at every `emit` from now on, in the order of connecting; returns what disconnects it."""
        self._listeners.append(listener)

        def disconnect() -> None:
            self.disconnect(listener)

        return disconnect

    def disconnect(self, listener: Listener) -> None:
        """Never call `listener` again; nothing happens if it is not connected."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def disconnect_all(self) -> None:
        """Never call anybody again."""
        self._listeners.clear()

    def emit(self, *arguments: Any) -> None:
        """Tell every listener that is connected now and still is when its turn comes.

        A listener that raises does not keep the others from being told; the first exception is raised afterwards,
        further ones are logged.
        """
        first: Exception | None = None
        for listener in tuple(self._listeners):
            if listener not in self._listeners:
                continue
            try:
                listener(*arguments)
            except Exception as error:
                if first is None:
                    first = error
                else:
                    _log.exception("a listener failed")
        if first is not None:
            raise first

    def __len__(self) -> int:
        return len(self._listeners)
