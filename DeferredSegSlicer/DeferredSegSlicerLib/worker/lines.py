"""From a stream of bytes to lines, without ever holding an endless one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

MAX_LINE_BYTES = 1 << 20
"""Longest line, line end included, in bytes. A longer one is dropped as it arrives, never held in memory."""


@dataclass(frozen=True)
class OverlongLine:
    """Stands for a line over the limit that was dropped; `size` is its length in bytes."""

    size: int


class LineSplitter:
    """Cuts a byte stream into lines without ever holding more than MAX_LINE_BYTES of one."""

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._held = bytearray()
        self._dropped = 0

    def feed(self, chunk: bytes) -> Iterator[bytes | OverlongLine]:
        """The lines that the chunk completes, without line ends; blank ones are left out."""
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            self._hold(end)
            yield from self.finish()
        self._hold(rest)

    def finish(self) -> Iterator[bytes | OverlongLine]:
        """What is held, as a line: after a line end, or at the end of the stream (a line that was cut off)."""
        line, dropped = bytes(self._held), self._dropped
        self._held.clear()
        self._dropped = 0
        if dropped:
            yield OverlongLine(dropped)
        elif line.strip():
            yield line.rstrip(b"\r")

    def _hold(self, piece: bytes) -> None:
        if self._dropped or len(self._held) + len(piece) > self._limit - 1:
            self._dropped += len(self._held) + len(piece)
            self._held.clear()
        else:
            self._held += piece
