"""From whatever went wrong to the one message that the user sees, and to the exception that a script gets."""

from __future__ import annotations

import logging
from dataclasses import replace

from ..core.errors import BadInputError, DamagedCaseError, DeferredSegError
from ..worker.protocol import Error
from .worker_link import WorkerFailure

_log = logging.getLogger(__name__)


class JobCancelledError(DeferredSegError):
    """The job that a script waits for was cancelled: by the user, or because its volume or scene went away."""


def error_of(problem: Exception, job: str | None) -> Error:
    """The message for the user; an exception that nobody expected is logged with its traceback."""
    if isinstance(problem, WorkerFailure):
        return replace(problem.error, job=job)
    if isinstance(problem, BadInputError):
        return Error(job, "bad_input", problem.sentence)
    if isinstance(problem, DamagedCaseError):
        return Error(job, "damaged_case", problem.sentence, "Check the case folder, or choose another one.")
    if isinstance(problem, DeferredSegError):
        return Error(job, "internal", problem.sentence)
    if isinstance(problem, MemoryError):
        advice = "Close other programs or other volumes, or segment a smaller part."
        return Error(job, "out_of_memory", "The computer's memory ran out.", advice)
    _log.error("a job failed unexpectedly", exc_info=problem)
    sentence = f"The job failed with an unexpected {type(problem).__name__}: {' '.join(str(problem).split())[:300]}"
    return Error(job, "internal", sentence, "Please report it with Slicer's log.")
