"""Why a training ends before its last epoch: no better score for a while, or a signal."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from ...core.errors import DeferredSegError


@dataclass
class BestScore:
    """The best validation so far. A score that is no number is never the best.

    patience : validations without a better score after which `exhausted` is true; None for never.
    """

    patience: int | None = None
    score: float = -math.inf
    worse: int = 0

    def better(self, score: float) -> bool:
        """Take in a score; whether it is the best so far."""
        if math.isfinite(score) and score > self.score:
            self.score, self.worse = score, 0
            return True
        self.worse += 1
        return False

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out."""
        return self.patience is not None and self.worse >= self.patience


class TrainingStopped(DeferredSegError):
    """A signal ended the training; a checkpoint was written. `exit_code` is 128 plus the signal's number."""

    def __init__(self, number: int, sentence: str) -> None:
        super().__init__(sentence)
        self.exit_code = 128 + number


class ValidationInterrupted(BaseException):
    """A signal came while validating; no `except Exception` of a task may swallow it."""


class SignalWatch:
    """Remembers SIGINT and SIGTERM instead of dying of them, so that the loop can finish its step.

    The first signal is remembered. A second one acts as it did before the watch, unless `stubborn`: under torchrun
    every process gets a Ctrl-C twice, from the terminal and from its parent.
    """

    def __init__(self, stubborn: bool = False) -> None:
        self.number = 0
        self._stubborn = stubborn
        self._interrupting = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> SignalWatch:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Within the block a signal raises ValidationInterrupted at once, also one that came before."""
        self._interrupting = True
        try:
            if self.number:
                raise ValidationInterrupted
            yield
        finally:
            self._interrupting = False

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self.number and not self._stubborn:
            self._restore()
            signal.raise_signal(number)
            return
        first, self.number = not self.number, self.number or number
        if self._interrupting and first:
            raise ValidationInterrupted

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
