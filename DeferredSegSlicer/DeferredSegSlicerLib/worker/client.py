"""Drives one worker from a program that must never wait: Slicer's main thread, with a timer that calls `poll`.

Neither torch nor Qt is imported here. A job that fails, dies or hangs ends in exactly one call of
`Callbacks.failed`; a cancelled one in `Callbacks.cancelled`; a good one in `Callbacks.result`. Re-prompts go aside of
jobs, see `aside`.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from ..resources import DEFAULT_BUNDLE
from . import endings, staging
from .aside import Aside, offers_reprompt
from .callbacks import Callbacks as Callbacks
from .callbacks import Patience as Patience
from .callbacks import State as State
from .checks import ProtocolError
from .child import Child, ChildProcess
from .environment import worker_environment, worker_interpreter
from .log_file import LogFile
from .protocol import Error, Heartbeat, Hello, Message, Options, Progress, Result, Segment, Shutdown
from .reprompt_messages import Reprompt, RepromptOptions

LIBRARY_FOLDER = Path(__file__).resolve().parents[2]
"""Folder of the package, from which `python -m DeferredSegSlicerLib.worker.server` finds it."""


Launch = Callable[[Sequence[str], Mapping[str, str], Path, LogFile], Child]


class WorkerClient:
    """One worker and at most one job at a time.

    Parameters
    ----------
    log_folder : where the worker's log files go; made if needed.
    callbacks : whom to tell.
    python : the worker's interpreter; without it DEFERREDSEG_PYTHON, then the interpreter of this program.
    environment : the variables to start from, `os.environ` by default.
    warm : bundle that the worker loads as soon as it is ready, so that the first job need not wait for that.
    command : program and arguments to start instead of the server, for tests and other servers.
    patience : time limits.
    launch : starts a process from command, environment, working folder and log; `ChildProcess` by default.
    clock : seconds that only grow, the clock of `Child.last_heard`.
    """

    def __init__(
        self,
        log_folder: str | os.PathLike[str],
        callbacks: Callbacks,
        *,
        python: str | os.PathLike[str] | None = None,
        environment: Mapping[str, str] | None = None,
        warm: str | os.PathLike[str] | None = None,
        command: Sequence[str] | None = None,
        patience: Patience | None = None,
        launch: Launch = ChildProcess,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log_folder = Path(log_folder).absolute()
        self._callbacks = callbacks
        variables = dict(os.environ if environment is None else environment)
        self.python = worker_interpreter(python, variables)
        self._environment = worker_environment(self.python, variables)
        self._warm = _bundle_text(warm) if warm is not None else None
        self._command = command
        self._patience = patience or Patience()
        self._launch = launch
        self._clock = clock
        self._child: Child | None = None
        self._hello: Hello | None = None
        self._job: Segment | None = None
        self._aside = Aside(callbacks, lambda: self.log_path)
        self._stage = ""
        self._replaces = False
        self._waiting_failure: Error | None = None
        self._started_at = self._watched_from = self._last_poll = 0.0

    @property
    def state(self) -> State:
        """Where the worker stands."""
        if self._child is None:
            return State.STOPPED
        if self._hello is None:
            return State.STARTING
        return State.BUSY if self._job else State.READY

    @property
    def hello(self) -> Hello | None:
        """What the running worker said of itself, once it is ready."""
        return self._hello

    @property
    def job(self) -> str | None:
        """Id of the job that was sent and has not ended, also while the worker is still starting."""
        return self._job.job if self._job else None

    @property
    def reprompting(self) -> str | None:
        """Id of the re-prompt that was asked for and has no answer; the worker counts as ready meanwhile."""
        return self._aside.job

    @property
    def offers_reprompt(self) -> bool | None:
        """Whether the worker takes re-prompts; None while that is not known, since it has not said hello."""
        return None if self._hello is None else offers_reprompt(self._hello)

    @property
    def log_path(self) -> str | None:
        """The running worker's log file."""
        return self._child.log_path if self._child else None

    def start(self) -> None:
        """Start the worker if it is not running; `Callbacks.ready` or `Callbacks.failed` follows from `poll`."""
        if self._child is not None:
            return
        self._hello = self._waiting_failure = None
        self._started_at = self._watched_from = self._last_poll = self._clock()
        try:
            log = LogFile(self._log_folder)
        except OSError as error:
            self._waiting_failure = endings.no_start(error, self.python, self.job)
            return
        log.note(f"starting {self.python}")
        try:
            self._child = self._launch(self._command or self._server(log), self._environment, LIBRARY_FOLDER, log)
        except OSError as error:
            log.close()
            self._waiting_failure = endings.no_start(error, self.python, self.job)

    def segment(
        self,
        image: str | os.PathLike[str],
        prompts: str | os.PathLike[str],
        experts: str | os.PathLike[str],
        case: str | os.PathLike[str],
        bundle: str | os.PathLike[str] = DEFAULT_BUNDLE,
        options: Options | None = None,
    ) -> str:
        """Send a job, starting the worker if needed; returns the job's id.

        Parameters
        ----------
        image, prompts, experts : the volume, prompts.json and the expert profiles.
        case : the case folder to make.
        bundle : id of an installed bundle, or path of a bundle folder (with a separator in it).
        options : how to segment.

        Raises RuntimeError if a job is running: one at a time. A re-prompt gives way.
        """
        if self._job is not None:
            raise RuntimeError("the worker already has a job; wait for it or cancel it")
        self._aside.give_way(self._child, "the worker has something to segment")
        image, prompts, experts, case = (os.path.abspath(os.fspath(p)) for p in (image, prompts, experts, case))
        job = uuid.uuid4().hex
        message = Segment(job, image, prompts, experts, case, _bundle_text(bundle), options or Options())
        self._job, self._stage, self._replaces = message, "start", os.path.lexists(case)
        self.start()
        if self._child is not None:
            self._child.send(message)
        return message.job

    def reprompt(
        self,
        case: str | os.PathLike[str],
        bundle: str | os.PathLike[str],
        structure: str,
        region: str | os.PathLike[str],
        answer: str | os.PathLike[str],
        options: RepromptOptions | None = None,
    ) -> str:
        """Ask the network of a case again about one region, starting the worker if needed; returns the request's id.

        `Callbacks.alternatives` or `Callbacks.no_alternatives` follows from `poll`. An earlier re-prompt without an
        answer is forgotten.

        Parameters
        ----------
        case : the case folder. bundle : the one that it was made with, as for `segment`. structure : id.
        region, answer : files, see `reprompt_files`: the voxels, and where to write the labelings.

        Raises RuntimeError if a job is running.
        """
        if self._job is not None:
            raise RuntimeError("the worker has a job and cannot be asked about a region meanwhile")
        self.forget()
        case, region, answer = (os.path.abspath(os.fspath(p)) for p in (case, region, answer))
        job = uuid.uuid4().hex
        self._aside.ask(
            Reprompt(job, case, _bundle_text(bundle), structure, region, answer, options or RepromptOptions())
        )
        self.start()
        if self.offers_reprompt:
            self._aside.send(self._hello, self._child)
        return job

    def forget(self) -> None:
        """Nobody wants the answer to the re-prompt any more: no callback comes, and the worker soon leaves it."""
        self._aside.forget(self._child)

    def cancel(self, restart: bool = True) -> None:
        """Throw the running job away: end the worker's whole process tree and remove what the job has written.

        Takes under a second. `Callbacks.cancelled` is called before this returns; then a fresh worker is started
        unless `restart` is False. Nothing happens if no job is running.
        """
        if self._job is None:
            return
        job = self._job
        self._end_child()
        self._drop_job()
        if restart:
            self.start()
        self._callbacks.cancelled(job.job)

    def close(self) -> None:
        """End the worker, a running job included. The client can be started again afterwards."""
        child, busy = self._child, self._job is not None
        if child is not None and not busy:
            self._child = self._hello = None
            child.send(Shutdown())
            child.leave(self._patience.leave)
        self._end_child()
        self._drop_job()
        self._waiting_failure = None
        self._aside.give_way(None, "the worker was stopped")

    def __enter__(self) -> WorkerClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def poll(self) -> None:
        """Hand on what has happened since the last call, and look after the worker. Never waits."""
        if self._waiting_failure is not None:
            failure, self._waiting_failure = self._waiting_failure, None
            self._fail(failure)
            return
        child = self._child
        if child is None:
            return
        now = self._clock()
        if now - self._last_poll > self._patience.silence / 4:
            self._watched_from = now  # this program slept (a closed lid, a modal dialog): the worker gets a new chance
        self._last_poll = now
        for message in child.receive():
            self._take(message)
            if self._child is not child:  # a callback ended this worker: what else it said is void
                return
        self._aside.send(self._hello, child)
        if self._child is child:
            self._look_after(child, now)

    def _server(self, log: LogFile) -> list[str]:
        server = [self.python, "-X", "faulthandler", "-m", "DeferredSegSlicerLib.worker.server", "--log", str(log.path)]
        return server if self._warm is None else [*server, "--warm", self._warm]

    def _take(self, message: Message | ProtocolError) -> None:
        if isinstance(message, ProtocolError):
            advice = "Its interpreter seems to run another version of DeferredSeg; choose the interpreter again."
            log = self.log_path
            self._fail(Error(self.job, "protocol", f"The worker was not understood: {message}.", advice, log))
        elif isinstance(message, Hello):
            self._hello = message
            self._callbacks.ready(message)
        elif isinstance(message, Heartbeat):
            mine = message.job is not None and message.job in (self.job, self._aside.job)
            if mine and message.quiet_seconds > self._patience.standstill:
                stage = self._stage if self._job else "reprompt"
                self._fail(endings.standstill(message.quiet_seconds, stage, self.job, self.log_path or ""))
        elif self._aside.take(message):
            return
        elif isinstance(message, Error):
            self._take_error(message)
        elif self._job is None or not isinstance(message, Progress | Result) or message.job != self._job.job:
            return  # of a job that has ended
        elif isinstance(message, Progress):
            self._stage = message.stage
            self._callbacks.progress(message)
        elif os.path.normcase(message.case) != os.path.normcase(self._job.case):
            sentence = f'The worker answered with the case "{message.case}", expected "{self._job.case}".'
            self._fail(Error(self._job.job, "internal", sentence, "Report it with the log file.", self.log_path))
        else:
            self._job = None
            self._callbacks.result(message)

    def _take_error(self, error: Error) -> None:
        if error.job is None:  # the worker as a whole: it cannot go on
            self._fail(Error(self.job, error.code, error.message, error.advice, error.log, error.packages))
        elif self._job is not None and error.job == self._job.job:
            self._job = None
            self._callbacks.failed(error)

    def _look_after(self, child: Child, now: float) -> None:
        code = child.exit_code()
        if code is not None:
            doing = "while it was asked about a region" if self._aside.job else ""
            self._fail(endings.death(code, self.job, child.log_path, doing))
        elif self._hello is None and now - self._started_at > self._patience.startup:
            self._fail(endings.slow_start(now - self._started_at, self.python, self.job, child.log_path))
        else:
            silent = now - max(child.last_heard(), self._watched_from)
            if silent > self._patience.silence:
                self._fail(endings.silence(silent, self.job, child.log_path))

    def _fail(self, error: Error) -> None:
        """End the worker and tell why. The next job starts a fresh one."""
        self._end_child()
        self._drop_job()
        self._aside.drop(error)
        self._callbacks.failed(error)

    def _end_child(self) -> None:
        child, self._child, self._hello = self._child, None, None
        if child is not None:
            child.kill()

    def _drop_job(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            staging.discard(Path(job.case), job.job, self._replaces)


def _bundle_text(bundle: str | os.PathLike[str]) -> str:
    """The id as it is, or the absolute path: the worker has another working folder."""
    text = os.fspath(bundle)
    return os.path.abspath(text) if os.path.dirname(text) or not isinstance(bundle, str) else text
