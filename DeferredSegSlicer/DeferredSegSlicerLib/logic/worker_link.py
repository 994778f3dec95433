"""The worker as the logic sees it: one client, made for the interpreter of the day, and at most one promised case."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..core.errors import BadInputError, DeferredSegError
from ..worker.client import Callbacks, State
from ..worker.environment import is_own_interpreter, worker_interpreter
from ..worker.protocol import Error, Hello, Options, Progress, Result
from . import packages
from .services import Services
from .steps import Promise


class Client(Protocol):
    """What is needed of `worker.client.WorkerClient`."""

    @property
    def python(self) -> str: ...
    @property
    def state(self) -> State: ...
    @property
    def hello(self) -> Hello | None: ...
    @property
    def job(self) -> str | None: ...
    @property
    def log_path(self) -> str | None: ...
    def start(self) -> None: ...
    def segment(
        self, image: Path, prompts: Path, experts: Path, case: Path, bundle: str = ..., options: Options | None = ...
    ) -> str: ...
    def cancel(self, restart: bool = True) -> None: ...
    def poll(self) -> None: ...
    def close(self) -> None: ...


MakeClient = Callable[..., Any]
"""Called as `WorkerClient` is: log folder, callbacks, and by keyword `python` and `warm`."""


class WorkerFailure(DeferredSegError):
    """A job ended in an error message of the worker or its client."""

    def __init__(self, error: Error) -> None:
        super().__init__(f"{error.message} {error.advice}".strip())
        self.error = error


@dataclass(frozen=True)
class Heard:
    """Whom to tell of what a worker says outside a job's result: it is ready, a job has moved on, it failed idle."""

    ready: Callable[[Hello], None]
    progress: Callable[[Progress], None]
    failed: Callable[[Error], None]


class WorkerLink:
    """Owns the client. Nothing here waits, except `close`, which gives the worker a second to leave."""

    def __init__(self, services: Services, make_client: MakeClient, heard: Heard, warm: Callable[[], str]) -> None:
        self._services = services
        self._make_client = make_client
        self._heard = heard
        self._warm = warm
        self._client: Client | None = None
        self._promise: Promise[Result] | None = None
        self.missing: tuple[str, ...] = ()
        """Packages that the interpreter lacks, as far as it was looked at or a worker has told."""

    @property
    def python(self) -> str:
        """The interpreter that the next worker runs in."""
        return worker_interpreter(self._services.python(), os.environ)

    @property
    def state(self) -> State:
        """Where the worker stands."""
        return State.STOPPED if self._client is None else self._client.state

    @property
    def hello(self) -> Hello | None:
        """What the running worker said of itself."""
        return None if self._client is None else self._client.hello

    @property
    def log_path(self) -> str | None:
        """The running worker's log file."""
        return None if self._client is None else self._client.log_path

    def check_packages(self) -> None:
        """Raise BadInputError, naming them, if Slicer's own Python lacks packages that the worker cannot do without.

        Another interpreter is not looked into: its worker says itself what it lacks.
        """
        if is_own_interpreter(self.python, os.environ):
            self.missing = packages.missing_to_start()
            if self.missing:
                raise BadInputError(
                    f"Slicer's Python lacks {', '.join(self.missing)}; install {_them(self.missing)} in Set-up"
                )

    def start(self) -> bool:
        """Start the worker unless it runs; False, and nothing is started, if packages are known to be missing."""
        try:
            self.check_packages()
        except BadInputError:
            return False
        self._current().start()
        return True

    def segment(
        self, image: Path, prompts: Path, experts: Path, case: Path, bundle: str, options: Options
    ) -> Promise[Result]:
        """Send a job; the promise is kept with its result or fails with WorkerFailure."""
        self._promise = promise = Promise[Result]()
        self._current().segment(image, prompts, experts, case, bundle, options)
        return promise

    def cancel(self) -> None:
        """Throw the running job away, and start a fresh worker for the next one."""
        self._promise = None
        if self._client is not None:
            self._client.cancel()

    def poll(self) -> None:
        """Hand on what has happened."""
        if self._client is not None:
            self._client.poll()

    def close(self) -> None:
        """End the worker."""
        self._promise = None
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _current(self) -> Client:
        """The client; a new one if there is none, or if another interpreter was chosen and no job is running."""
        if self._client is not None and self._client.python != self.python and self._client.job is None:
            self.close_client()
        if self._client is None:
            callbacks = Callbacks(self._ready, self._heard.progress, self._result, self._failed)
            self._client = self._make_client(
                self._services.log_folder(), callbacks, python=self._services.python(), warm=self._warm()
            )
        return self._client

    def close_client(self) -> None:
        """End the worker that runs in the interpreter of before."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _ready(self, hello: Hello) -> None:
        self.missing = ()
        self._heard.ready(hello)

    def _result(self, result: Result) -> None:
        promise, self._promise = self._promise, None
        if promise is not None:
            promise.keep(result)

    def _failed(self, error: Error) -> None:
        if error.packages:
            self.missing = error.packages
        promise, self._promise = self._promise, None
        if promise is not None:
            promise.fail(WorkerFailure(error))
        else:
            self._heard.failed(error)


def _them(names: tuple[str, ...]) -> str:
    return "it" if len(names) == 1 else "them"
