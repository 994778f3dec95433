"""Long work in short steps: a generator on the main thread, which may wait for a thread or for somebody's answer.

A generator yields `None` where it may be interrupted, `NEXT_TURN` to give the window a turn in any case, or a `Promise`
to be continued with its result. Scene nodes are touched on the main thread alone; a thread (`Background`) gets numpy
arrays and files.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")

TURN_SECONDS = 0.012
"""Steps follow each other within a turn, and a turn waits for a thread, until so much time is used up.

The waiting matters: Slicer's event loop does not let go of the Python interpreter while it is idle, so that a thread
gets on only while Python code on the main thread waits for something.
"""


class Promise(Generic[T]):
    """A result that comes later, from the main thread or another."""

    def __init__(self) -> None:
        self._ended = False
        self._result: T | None = None
        self._error: BaseException | None = None

    @property
    def ended(self) -> bool:
        """Whether the result or an exception is there."""
        return self._ended

    def begin(self) -> None:
        """Called when somebody starts to wait."""

    def wait(self, seconds: float) -> None:
        """Give a thread that works on it so much time."""

    def keep(self, result: T) -> None:
        """Here is the result. Only the first answer counts."""
        if not self._ended:
            self._result, self._ended = result, True

    def fail(self, error: BaseException) -> None:
        """There will be none, and this is why. Only the first answer counts."""
        if not self._ended:
            self._error, self._ended = error, True

    def result(self) -> T:
        """The result, or raises what was the failure; call it once it has ended."""
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]

    def abandon(self) -> None:
        """Nobody waits for the result any more; returns at once."""


class Background(Promise[T]):
    """Work on a thread of its own; it begins when it is waited for.

    Parameters
    ----------
    work : called on the thread.
    abandoned : called once the work has ended or will never begin, if nobody wants its result any more. It may run on
        either thread: files only.
    """

    def __init__(self, work: Callable[[], T], abandoned: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._work = work
        self._abandoned = abandoned
        self._lock = threading.Lock()
        self._unwanted = False
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="DeferredSegSlicer work", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Let the thread have the interpreter for so long, or until it is done."""
        self._done.wait(seconds)

    def abandon(self) -> None:
        """Nobody waits any more. A thread cannot be stopped; what it leaves is cleaned up when it ends."""
        with self._lock:
            self._unwanted = True
            idle = self._ended or self._thread is None
        if idle and self._abandoned is not None:
            self._abandoned()

    def _run(self) -> None:
        try:
            result = self._work()
        except BaseException as error:  # raised on the main thread by `result`
            with self._lock:
                self.fail(error)
        else:
            with self._lock:
                self.keep(result)
        self._done.set()
        if self._unwanted and self._abandoned is not None:
            self._abandoned()


NEXT_TURN: Promise[None] = Promise()
"""Yielded to end the turn, so that listeners are told and the window is drawn before the next step."""

Steps = Generator["Promise[Any] | None", Any, T]


class Runner(Generic[T]):
    """Takes one generator through its steps, a few ms at a turn."""

    def __init__(self, steps: Steps[T], seconds: float = TURN_SECONDS) -> None:
        self._steps = steps
        self._seconds = seconds
        self._waiting: Promise[Any] | None = None
        self._within = False
        self._closing = False
        self.finished = False
        self.result: T | None = None

    def turn(self) -> None:
        """Go on for a while, if there is anything to do. What a step raises goes through and ends the work."""
        end = time.perf_counter() + self._seconds
        while not self.finished:
            if self._waiting is not None and not self._waiting.ended:
                self._waiting.wait(end - time.perf_counter())
                if not self._waiting.ended:
                    return
            self._within = True
            try:
                self._step()
            finally:
                self._within = False
            if self._closing:
                self.close()
            if self._waiting is NEXT_TURN:
                self._waiting = None
                return
            if time.perf_counter() > end:
                return

    def close(self) -> None:
        """Give up: the generator's `finally` runs and what it waits for is abandoned.

        Called by a step itself, it takes effect when that step is over.
        """
        if self._within:
            self._closing = True
            return
        self.finished = True
        waiting, self._waiting = self._waiting, None
        self._steps.close()
        if waiting is not None:
            waiting.abandon()

    def _step(self) -> None:
        waiting, self._waiting = self._waiting, None
        try:
            self._waiting = next(self._steps) if waiting is None else self._continued(waiting)
        except StopIteration as stop:
            self.finished, self.result = True, stop.value
        except BaseException:
            self.finished = True
            raise
        if self._waiting is not None:
            self._waiting.begin()

    def _continued(self, promise: Promise[Any]) -> Promise[Any] | None:
        try:
            result = promise.result()
        except BaseException as error:
            return self._steps.throw(error)
        return self._steps.send(result)
