"""Waiting as a person does: the window goes on living, and its pulse is taken meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable

import qt
import slicer

from .stepper import StepFailed

PULSE_MS = 10
LOOK_MS = 20


def wait_for(condition: Callable[[], object], what: str, seconds: float) -> float:
    """Let Slicer live until the condition holds; returns the seconds it took. Raises StepFailed when time is up.

    Slicer's own event loop runs meanwhile, as under a person's hands, and not a loop of ours: Python's threads get no
    more time here than they would then.
    """
    begun = time.monotonic()
    loop = qt.QEventLoop()
    raised: list[BaseException] = []

    def look() -> None:
        try:
            if condition() or time.monotonic() - begun > seconds:
                loop.quit()
        except BaseException as error:  # it would be lost in the event loop
            raised.append(error)
            loop.quit()

    stop = every(LOOK_MS, look)
    try:
        (loop.exec_ if hasattr(loop, "exec_") else loop.exec)()
    finally:
        stop()
    if raised:
        raise raised[0]
    if not condition():
        raise StepFailed(f"waited {seconds:g} s for {what}")
    return time.monotonic() - begun


def live(seconds: float) -> None:
    """Let Slicer live for a while."""
    until = time.monotonic() + seconds
    wait_for(lambda: time.monotonic() >= until, "the time to pass", seconds + 5)


def every(milliseconds: int, action: Callable[[], None]) -> Callable[[], None]:
    """Call an action on the main thread every so many ms, also within dialogs; returns what stops it."""
    timer = qt.QTimer()
    timer.setInterval(milliseconds)
    timer.connect("timeout()", action)
    timer.start()

    def stop() -> None:
        timer.stop()
        timer.disconnect("timeout()", action)

    return stop


class Pulse:
    """A timer of the main thread: how often it ticked, and the longest time that it could not.

    Use as a context. `longest` counts up to the end of the context.
    """

    def __init__(self) -> None:
        self.ticks = 0
        self.longest = 0.0
        self._last = 0.0
        self._stop: Callable[[], None] = lambda: None

    def __enter__(self) -> Pulse:
        self._last = time.perf_counter()
        self._stop = every(PULSE_MS, self._tick)
        return self

    def __exit__(self, *_: object) -> None:
        self._tick()
        self._stop()

    def _tick(self) -> None:
        now = time.perf_counter()
        self.longest = max(self.longest, now - self._last)
        self._last = now
        self.ticks += 1


def close_dialog() -> str | None:
    """Close the modal dialog on top, if there is one; returns its title and text."""
    dialog = slicer.app.activeModalWidget()
    if not dialog:
        return None
    words = [str(getattr(dialog, name, "") or "") for name in ("windowTitle", "text", "labelText", "informativeText")]
    text = ": ".join(word for word in words if word) or dialog.className()
    if hasattr(dialog, "reject"):
        dialog.reject()
    else:
        dialog.close()
    return text
