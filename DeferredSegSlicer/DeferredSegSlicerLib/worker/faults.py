"""From whatever a job raised to one error for the user's eyes: a code, a sentence and advice, never a traceback."""

from __future__ import annotations

import logging

from ..core.errors import BadInputError, DamagedCaseError, DeferredSegError, DeviceError
from ..engine.devices import is_out_of_memory
from .protocol import Error

_LONGEST = 2000

_log = logging.getLogger(__name__)


def explain(error: Exception, job: str, device: str, log_path: str | None) -> Error:
    """What to tell of an exception that ended a job on a device; the traceback goes to the log.

    Running out of memory is recognized before the rest, however it was wrapped. The engine has by then tried again
    with smaller batches, down to a single slice.
    """
    if ran_out_of_memory(error):
        _log.error("out of memory", exc_info=error)
        return _out_of_memory(error, job, device, log_path)
    if isinstance(error, DeferredSegError):
        _log.error("%s: %s", type(error).__name__, error.sentence)
        code, advice = _known(error)
        return Error(job, code, error.sentence[:_LONGEST], advice, log_path)
    _log.error("unexpected", exc_info=error)
    if isinstance(error, ModuleNotFoundError) and error.name:
        name = error.name.partition(".")[0]
        sentence = f'The package "{name}" that this job needs is not installed in the worker\'s interpreter.'
        return Error(job, "missing_packages", sentence, f"Install {name} in Set-up.", log_path, (name,))
    sentence = f"The job failed with an unexpected {type(error).__name__}; the log file has the details."
    return Error(job, "internal", sentence, "Please report it with the log file.", log_path)


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether the exception, or one that it was raised from, says that memory ran out."""
    link: BaseException | None = error
    while link is not None:
        if is_out_of_memory(link):
            return True
        link = link.__cause__
    return False


def _known(error: DeferredSegError) -> tuple[str, str]:
    if isinstance(error, DeviceError):
        return "device", "Choose the CPU as device, or test the device in Set-up."
    if isinstance(error, DamagedCaseError):
        return "damaged_case", "Check the case folder, or choose another one."
    if isinstance(error, BadInputError):
        return "bad_input", ""
    return "internal", "Please report it with the log file."


def _out_of_memory(error: Exception, job: str, device: str, log_path: str | None) -> Error:
    if device != "cpu" and not isinstance(error, MemoryError):
        sentence = f'The device "{device}" ran out of memory, also with a single slice at a time.'
        advice = "Choose the CPU as device, or close other programs that use the GPU."
    else:
        sentence = "The computer's memory ran out."
        advice = "Close other programs, or segment a smaller part of the volume."
    return Error(job, "out_of_memory", sentence, advice, log_path)
