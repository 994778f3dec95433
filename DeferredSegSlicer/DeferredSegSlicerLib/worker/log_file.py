"""The log of one worker: what it prints and what the client notes, limited in size, with a tail for messages."""

from __future__ import annotations

import os
import threading
import uuid
from collections import deque
from contextlib import suppress
from datetime import datetime
from pathlib import Path

MAX_BYTES = 1_000_000
"""A log of this size is moved to `<name>.1`, over the one before: at most twice this is kept of a worker."""

KEPT_FILES = 10
"""So many of the newest logs in the folder are kept; older ones are removed when a new one is made."""

_TAIL_LINES = 50


class LogFile:
    """An append-only text file in a folder that is made if needed; safe to use from several threads.

    Raises OSError if the folder or the file cannot be made. Later failures (a full disk) are kept to the tail in
    memory, since a log must not stop the work.
    """

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        _prune(folder)
        self.path = _new_name(folder)
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - held until close
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def note(self, sentence: str) -> None:
        """Add a line of the client's own, with the time of day."""
        self.write(f"[{datetime.now():%H:%M:%S} client] {sentence}\n".encode("utf-8", "backslashreplace"))

    def write(self, data: bytes) -> None:
        """Add bytes as they come from the worker; nothing happens after `close`."""
        with self._lock:
            if self._file.closed:
                return
            self._tail.extend(line[:2000] for line in data[-100_000:].decode("utf-8", "replace").splitlines())
            with suppress(OSError):
                if self._file.tell() + len(data) > self._max_bytes:
                    self._file.close()
                    os.replace(self.path, self.path.with_name(self.path.name + ".1"))
                    self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115
                self._file.write(data[-self._max_bytes :])

    def tail(self) -> list[str]:
        """The last lines, for a bug report."""
        with self._lock:
            return list(self._tail)

    def close(self) -> None:
        """Close the file; the tail stays readable."""
        with self._lock:
            self._file.close()


def _new_name(folder: Path) -> Path:
    return folder / f"worker-{datetime.now():%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:8]}.log"


def _prune(folder: Path) -> None:
    """Keep the newest; one that is in use on Windows cannot be removed and stays, as does one that just went."""
    found: list[tuple[float, Path]] = []
    for path in folder.glob("worker-*.log*"):
        with suppress(OSError):
            found.append((path.stat().st_mtime, path))
    for _, path in sorted(found, reverse=True)[KEPT_FILES - 1 :]:
        with suppress(OSError):
            path.unlink()
