"""One readable sentence, with advice, for a worker that ended, fell silent or never started."""

from __future__ import annotations

import signal
import sys

from .protocol import Error

_WINDOWS_CODES = {
    0xC0000005: "crashed (access violation)",
    0xC0000017: "ran out of memory",
    0xC000012D: "ran out of memory",
    0xC0000135: "could not start because a library (DLL) was not found",
    0xC000001D: "used an instruction that this processor does not have",
    0xC00000FD: "crashed (stack overflow)",
    0xC0000409: "crashed (aborted itself)",
}
"""NTSTATUS codes that Windows gives as exit code of a process that failed."""

_MEMORY_ADVICE = (
    "Close other programs, segment a smaller part of the volume, or let a computer with more memory do it; "
    "the next job starts a new worker."
)
_CRASH_ADVICE = "Try again with the CPU as device; if it happens again, report it with the log file."


def death(exit_code: int, job: str | None, log: str, doing: str = "") -> Error:
    """What to tell of a process that ended by itself; `exit_code` is negative for a signal, as `subprocess` has it.

    doing : "while ..."; without it, what can be told from the job.
    """
    doing = doing or ("while segmenting" if job else "while it had nothing to do")
    number = _signal_number(exit_code)
    if number is None:
        what, advice = _without_signal(exit_code)
    elif number == int(getattr(signal, "SIGKILL", 9)):
        what = "was ended by the system (SIGKILL), probably because memory ran out,"
        advice = _MEMORY_ADVICE
    elif number == int(signal.SIGILL):
        what = "used an instruction that this processor does not have (SIGILL)"
        advice = "Install a PyTorch that is made for this processor."
    elif number in (int(signal.SIGTERM), int(signal.SIGINT)):
        what = f"was ended from outside ({_name(number)})"
        advice = "Start the job again; the next job starts a new worker."
    else:
        what, advice = f"crashed ({_name(number)})", _CRASH_ADVICE
    return Error(job, "died", f"The worker {what} {doing}.", advice, log)


def silence(seconds: float, job: str | None, log: str) -> Error:
    """What to tell of a worker whose heartbeat stopped."""
    return Error(
        job,
        "hung",
        f"The worker gave no sign of life for {seconds:.0f} s and was ended.",
        "Start the job again; if it happens again, choose the CPU as device and report it with the log file.",
        log,
    )


def standstill(seconds: float, stage: str, job: str | None, log: str) -> Error:
    """What to tell of a job that makes no progress although the worker's heartbeat goes on."""
    return Error(
        job,
        "hung",
        f'The job made no progress in stage "{stage}" for {seconds:.0f} s and was ended.',
        "Start the job again; if it happens again, choose the CPU as device and report it with the log file.",
        log,
    )


def slow_start(seconds: float, python: str, job: str | None, log: str) -> Error:
    """What to tell of a worker that never said hello."""
    return Error(
        job,
        "not_started",
        f'The worker in "{python}" was not ready after {seconds:.0f} s and was ended.',
        "Restart the computer if its disk is very busy, or test the device in Set-up; the log file may say more.",
        log,
    )


def no_start(error: OSError, python: str, job: str | None) -> Error:
    """What to tell of an interpreter that the system could not run at all, or a log that could not be made."""
    name = error.filename if isinstance(error.filename, str) else python
    return Error(
        job,
        "not_started",
        f'The worker could not be started with "{python}": {error.strerror or type(error).__name__} ("{name}").',
        "Choose the interpreter again in Set-up, or unset DEFERREDSEG_PYTHON.",
    )


def _signal_number(exit_code: int) -> int | None:
    """The signal behind an exit code; a launcher such as PythonSlicer reports its child's as 128 + number."""
    if sys.platform == "win32":
        return None
    if exit_code < 0:
        return -exit_code
    launched = exit_code - 128
    return launched if launched in {int(s) for s in signal.Signals} else None


def _without_signal(exit_code: int) -> tuple[str, str]:
    known = _WINDOWS_CODES.get(exit_code & 0xFFFFFFFF)
    if known is not None:
        return known, _MEMORY_ADVICE if "memory" in known else _CRASH_ADVICE
    if exit_code == 0:
        return "left by itself", "Start the job again; the next job starts a new worker."
    return f"ended with exit code {exit_code}", "The log file says why; Set-up can test the interpreter and the device."


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
