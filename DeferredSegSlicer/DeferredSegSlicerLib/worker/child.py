"""The worker seen from the outside: its process, the threads that read and write its pipes, and its log."""

from __future__ import annotations

import os
import queue
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

from . import process_tree
from .checks import ProtocolError
from .lines import LineSplitter, OverlongLine
from .log_file import LogFile
from .protocol import Message, NotAMessageError, decode, encode

_QUEUE_SIZE = 10_000
"""So many messages may wait for the main thread; then the worker has to wait for it too."""

_MOST_AT_ONCE = 500
"""So many messages are handed out at one call, so that a window stays alive under a flood."""

_CHUNK_BYTES = 1 << 16
_LAST_WORDS_SECONDS = 1.0
_NOTED_LINE_BYTES = 200


class Child(Protocol):
    """What the client needs of a worker process. None of the calls but the two that end it may wait."""

    log_path: str

    def send(self, message: Message) -> None:
        """Pass a message on; it is lost without a word if the process has ended."""
        ...

    def receive(self) -> list[Message | ProtocolError]:
        """What has arrived, in order; an error stands for a message that is not of this protocol's version."""
        ...

    def last_heard(self) -> float:
        """`time.monotonic()` of the last message, or of the start."""
        ...

    def exit_code(self) -> int | None:
        """Exit code once the process has ended and all it said has been received; negative for a signal."""
        ...

    def leave(self, seconds: float) -> None:
        """Ask the process to leave, and end it and all it started if it has not within so many seconds."""
        ...

    def kill(self) -> bool:
        """End the process and all it started within a second; False if something could not be ended."""
        ...


class ChildProcess:
    """A real worker process; see `Child`.

    Parameters
    ----------
    command : program and arguments, passed without a shell.
    environment : the process's environment variables.
    folder : working folder.
    log : where its stderr goes, and lines on its stdout that are no messages.

    Raises OSError if the program cannot be started.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path, log: LogFile) -> None:
        self.log_path = str(log.path)
        self._log = log
        self._marker = process_tree.new_marker()
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=dict(environment) | {process_tree.MARKER: self._marker},
            bufsize=0,
            **process_tree.start_options(),
        )
        self._inbox: queue.Queue[Message | ProtocolError] = queue.Queue(_QUEUE_SIZE)
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._heard = time.monotonic()
        self._ended_at: float | None = None
        self._reader = self._thread("reader", self._read_messages)
        self._thread("log", self._read_log)
        self._thread("writer", self._write_messages)

    @property
    def pid(self) -> int:
        """Process id of what was started (under Slicer a launcher, not the worker itself)."""
        return self._process.pid

    def send(self, message: Message) -> None:
        self._outbox.put(encode(message))

    def receive(self) -> list[Message | ProtocolError]:
        found: list[Message | ProtocolError] = []
        while len(found) < _MOST_AT_ONCE:
            try:
                found.append(self._inbox.get_nowait())
            except queue.Empty:
                break
        return found

    def last_heard(self) -> float:
        return self._heard

    def exit_code(self) -> int | None:
        code = self._process.poll()
        if code is None or not self._inbox.empty():
            return None
        if self._ended_at is None:
            self._ended_at = time.monotonic()
        # a process that it started may hold the pipe open, so the end of the stream is not waited for without limit
        if self._reader.is_alive() and time.monotonic() - self._ended_at < _LAST_WORDS_SECONDS:
            return None
        return code if self._inbox.empty() else None

    def leave(self, seconds: float) -> None:
        self._outbox.put(None)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._log.note(f"the worker did not leave within {seconds:g} s and is ended")
        self.kill()

    def kill(self) -> bool:
        self._stopped.set()
        self._outbox.put(None)
        complete = process_tree.kill_tree(self._process, self._marker)
        if not complete:
            self._log.note("a process of the worker could not be ended within a second")
        self._log.close()
        return complete

    def _thread(self, name: str, work: object) -> threading.Thread:
        thread = threading.Thread(target=work, name=f"worker {name}", daemon=True)  # type: ignore[arg-type]
        thread.start()
        return thread

    def _read_messages(self) -> None:
        splitter = LineSplitter()
        with _pipe(self._process.stdout) as stream:
            while chunk := _read(stream):
                for line in splitter.feed(chunk):
                    self._take(line)
            for line in splitter.finish():
                self._log.note(f"the worker ended within a line: {_shown(line)}")

    def _take(self, line: bytes | OverlongLine) -> None:
        if isinstance(line, OverlongLine):
            self._log.note(f"a line of {line.size} bytes on the worker's stdout was dropped")
            return
        entry: Message | ProtocolError
        try:
            entry = decode(line)
        except NotAMessageError:
            self._log.note(f"not a message on the worker's stdout: {_shown(line)}")
            return
        except ProtocolError as error:
            entry = error
        self._heard = time.monotonic()
        while not self._stopped.is_set():
            try:
                self._inbox.put(entry, timeout=0.1)
                return
            except queue.Full:
                continue

    def _read_log(self) -> None:
        with _pipe(self._process.stderr) as stream:
            while chunk := _read(stream):
                self._log.write(chunk)

    def _write_messages(self) -> None:
        with _pipe(self._process.stdin) as stream:
            while (line := self._outbox.get()) is not None:
                try:
                    while line:
                        line = line[stream.write(line) :]
                except OSError:  # the process has ended; its exit code tells the rest
                    return


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise AssertionError("the process was started without this pipe")
    return stream


def _read(stream: IO[bytes]) -> bytes:
    try:
        return os.read(stream.fileno(), _CHUNK_BYTES)
    except OSError:  # Windows reports the end of a pipe so
        return b""


def _shown(line: bytes | OverlongLine) -> str:
    return f"{line.size} bytes" if isinstance(line, OverlongLine) else repr(line[:_NOTED_LINE_BYTES])
