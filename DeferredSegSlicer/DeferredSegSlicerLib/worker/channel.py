"""The worker's end of the protocol: two pipes that nobody else in the process can read from or write to."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator

from .checks import ProtocolError
from .lines import LineSplitter, OverlongLine
from .protocol import Message, NotAMessageError, decode, encode

_CHUNK_BYTES = 1 << 16


class ClientGoneError(Exception):
    """The client does not read any more: it has ended."""


class Channel:
    """Messages over a pair of file descriptors; `send` may be called from any thread."""

    def __init__(self, input_descriptor: int, output_descriptor: int) -> None:
        self._input = input_descriptor
        self._output = output_descriptor
        self._lock = threading.Lock()

    @classmethod
    def claim(cls) -> Channel:
        """Take the process's stdin and stdout for the protocol alone.

        From then on whatever a library prints, also from C code or from a process that it starts, goes to stderr,
        and whoever reads stdin finds it empty. Call it before anything else is imported.
        """
        sys.stdout.flush()
        channel = cls(os.dup(0), os.dup(1))
        empty = os.open(os.devnull, os.O_RDONLY)
        os.dup2(empty, 0)
        os.close(empty)
        os.dup2(2, 1)
        for stream in (sys.stdout, sys.stderr):
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
        return channel

    def send(self, message: Message) -> None:
        """Write one line, whole; raises ClientGoneError if nobody reads any more."""
        line = memoryview(encode(message))
        with self._lock:
            while line:
                try:
                    line = line[os.write(self._output, line) :]
                except OSError as error:
                    raise ClientGoneError from error

    def receive(self) -> Iterator[Message | ProtocolError]:
        """What the client says, until it closes the pipe; an error stands for a line that was not understood."""
        splitter = LineSplitter()
        while chunk := self._read():
            for line in splitter.feed(chunk):
                yield _message(line)

    def _read(self) -> bytes:
        try:
            return os.read(self._input, _CHUNK_BYTES)
        except OSError:  # Windows reports the end of a pipe so
            return b""


def _message(line: bytes | OverlongLine) -> Message | ProtocolError:
    if isinstance(line, OverlongLine):
        return NotAMessageError(f"a line of {line.size} bytes is over the limit")
    try:
        return decode(line)
    except ProtocolError as error:
        return error
