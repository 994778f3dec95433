"""What a user of the client is told, what a worker can be at, and how long the client waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from .protocol import Error, Hello, Progress, Result
from .reprompt_messages import Alternatives


class State(Enum):
    """Where a worker stands: not running, loading its packages, waiting for a job, or at work."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    BUSY = "busy"


def _ignore(_: object) -> None:
    """The callback of a user who does not want to know."""


@dataclass(frozen=True)
class Callbacks:
    """What `poll` calls, on the thread that called it. Each may call the client again.

    A job ends in one call of `result`, `failed` or `cancelled`; a re-prompt that is not forgotten in one of
    `alternatives` or `no_alternatives`. A worker that cannot go on is told by `failed` in any case.
    """

    ready: Callable[[Hello], None] = _ignore
    progress: Callable[[Progress], None] = _ignore
    result: Callable[[Result], None] = _ignore
    failed: Callable[[Error], None] = _ignore
    cancelled: Callable[[str], None] = _ignore
    alternatives: Callable[[Alternatives], None] = _ignore
    no_alternatives: Callable[[Error], None] = _ignore


@dataclass(frozen=True)
class Patience:
    """How long the client waits, in seconds.

    startup : until the worker says hello. A first import of torch from a cold or watched disk takes a minute.
    silence : without any message, heartbeats included. Native code may hold the interpreter for some seconds.
    standstill : a job without progress while the heartbeat goes on (a deadlock). One slice of a big network on a
        slow CPU takes seconds, packing a large case a minute.
    leave : for a worker that is asked to leave, before it is ended.
    """

    startup: float = 240.0
    silence: float = 60.0
    standstill: float = 900.0
    leave: float = 1.0
