"""At most one job at a time, taken forward by a timer that also looks after the worker."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..core.errors import BadInputError
from ..worker.protocol import Progress
from .failures import JobCancelledError
from .job import IDLE, JobStatus
from .run import Run
from .services import Services
from .shown_case import ShownCase
from .steps import Steps

BUSY_MS, IDLE_MS = 20, 200
"""How often the worker is looked after while a job runs, and while it waits for one."""

_WAIT_SECONDS = 0.005

_BREATH_SECONDS = 0.001
"""At every tick the worker's reader, writer and log threads get the interpreter for a moment, see `steps`."""

_log = logging.getLogger(__name__)

OnProgress = Callable[[JobStatus], None]
MakeSteps = Callable[[Callable[[str], None]], Steps[ShownCase]]
"""Makes the steps of a job; gets what to call at the beginning of each stage."""


class Jobs:
    """Runs jobs and tells of them.

    Listeners are called when a turn is over, never within a step, so that they may begin or cancel a job themselves.
    What a listener raises is logged with its traceback and does no harm to the job.

    Parameters
    ----------
    look_after_worker : called at every tick before the job's turn; returns whether there is a worker to look after.
    changed : called at every step of a job.
    ended : called with a run that is over, `shown`, `error` or `cancelled` set.
    """

    def __init__(
        self,
        services: Services,
        look_after_worker: Callable[[], bool],
        changed: Callable[[], None],
        ended: Callable[[Run], None],
    ) -> None:
        self._services = services
        self._look_after_worker = look_after_worker
        self._changed = changed
        self._ended = ended
        self._last = JobStatus()
        self._news: list[Callable[[], None]] = []
        self._within_tick = self._telling = False
        self._interval = 0
        self._stop_timer: Callable[[], None] | None = None
        self.run: Run | None = None

    @property
    def status(self) -> JobStatus:
        """The running job, or an idle status with what is left to say of the last one."""
        return self.run.status if self.run is not None else self._last

    def check_free(self) -> None:
        """Raise BadInputError if a job is running."""
        if self.run is not None:
            raise BadInputError(f"{self.run.name} is still being {self.run.doing}; wait for it or cancel it")

    def begin(
        self, doing: str, volume_node: Any, steps: MakeSteps, progress: OnProgress | None, wait: bool
    ) -> ShownCase | str:
        """Begin a job; with `wait` go through it to its end, see `ModuleLogic.segment` for what that raises."""
        self.check_free()
        run = self.run = Run(uuid.uuid4().hex, volume_node, doing, progress)
        run.follow(steps(lambda stage: self._report(run, run.at(stage))))
        self.keep_time(True)
        self.tell(self._changed)
        if not wait:
            return run.job
        while not run.ended:
            self.tick()
            self._services.process_events()
            if not run.ended:
                time.sleep(_WAIT_SECONDS)
        if run.shown is not None:
            return run.shown
        if run.error is not None:
            raise run.error
        raise JobCancelledError(f"the job was cancelled{f': {run.reason}' if run.reason else ''}")

    def go_through(self, job: str) -> None:
        """Take a job to its end if it is the one that runs; what came of it is told as always."""
        while self.run is not None and self.run.job == job:
            self.tick()
            self._services.process_events()
            time.sleep(_WAIT_SECONDS)

    def cancel(self, reason: str = "", *, force: bool = False) -> None:
        """Give the running job up.

        One that has begun to show its result goes on to its end, which is near, unless `force`d: what it would be
        shown on is gone.
        """
        run = self.run
        if run is None or run.cancelled or (run.committed and not force):
            return
        run.cancelled, run.reason = True, reason
        run.runner.close()
        if run.runner.finished:  # else at the end of the step that asked for it
            self._end(run)

    def moved(self, progress: Progress) -> None:
        """The worker tells how far the job is."""
        if self.run is not None and not self.run.cancelled:
            self._report(self.run, self.run.take(progress))

    def tell(self, news: Callable[[], None]) -> None:
        """Call listeners, now or at the end of the tick; in the order of telling."""
        self._news.append(news)
        if not self._within_tick:
            self._tell()

    def keep_time(self, worker: bool) -> None:
        """Have the timer that is needed: a fast one for a job, a slow one for an idle worker, or none."""
        wanted = BUSY_MS if self.run is not None else IDLE_MS if worker else 0
        if wanted != self._interval:
            stop, self._stop_timer = self._stop_timer, None
            if stop is not None:
                stop()
            self._interval = wanted
            if wanted:
                self._stop_timer = self._services.every(wanted, self.tick)

    def tick(self) -> None:
        """Look after the worker and give the job a turn."""
        if self._within_tick:
            return
        self._within_tick = True
        try:
            time.sleep(_BREATH_SECONDS)
            worker = self._look_after_worker()
            if self.run is not None:
                self._turn(self.run)
        finally:
            self._within_tick = False
        self.keep_time(worker)
        self._tell()

    def _turn(self, run: Run) -> None:
        try:
            run.runner.turn()
        except Exception as error:  # the one place where every failure of a job arrives
            run.error = error
        if run.runner.finished:
            run.shown = run.runner.result
            self._end(run)

    def _end(self, run: Run) -> None:
        if run.ended:
            return
        run.ended = True
        self.run = None
        status = run.status
        self._last = replace(
            status, state=IDLE, stage="", stage_text="", fraction=None, seconds_left=None, reason=run.reason
        )
        self.keep_time(True)
        self.tell(lambda: self._ended(run))
        self.tell(self._changed)

    def _report(self, run: Run, status: JobStatus) -> None:
        if run.progress is not None:
            progress = run.progress
            self.tell(lambda: progress(status))
        self.tell(self._changed)

    def _tell(self) -> None:
        while self._news:
            news = self._news.pop(0)
            try:
                news()
            except Exception:
                _log.exception("a listener failed")
