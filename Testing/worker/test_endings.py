"""Every end of a worker is a sentence that a radiologist can act on."""

from __future__ import annotations

import signal
import sys

import pytest
from DeferredSegSlicerLib.worker import endings


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [
        (-signal.SIGKILL, "memory ran out"),
        (128 + signal.SIGKILL, "memory ran out"),  # through a launcher
        (-signal.SIGSEGV, "crashed (SIGSEGV)"),
        (128 + signal.SIGABRT, "crashed (SIGABRT)"),
        (-signal.SIGILL, "instruction that this processor does not have"),
        (-signal.SIGTERM, "ended from outside"),
        (-63, "signal 63"),
        (0, "left by itself"),
        (1, "exit code 1"),
        (0xC0000005, "access violation"),
    ],
)
def test_an_exit_code_becomes_words(exit_code: int, words: str) -> None:
    told = endings.death(exit_code, "j", "/logs/worker.log")
    assert words in told.message and told.message.endswith("while segmenting.")
    assert told.advice and (told.code, told.job, told.log) == ("died", "j", "/logs/worker.log")


def test_windows_codes_are_not_taken_for_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert "exit code 137" in endings.death(137, None, "log").message
    assert "memory" in endings.death(0xC0000017, None, "log").message
    assert "library (DLL)" in endings.death(-1073741515, None, "log").message  # 0xC0000135 as a signed number


def test_silence_says_how_long() -> None:
    assert "61 s" in endings.silence(61.2, None, "log").message
    told = endings.standstill(900.0, "write", "j", "log")
    assert 'stage "write"' in told.message and "900 s" in told.message


def test_an_interpreter_that_cannot_be_run_is_named() -> None:
    error = PermissionError(13, "Permission denied", "/opt/python")
    told = endings.no_start(error, "/opt/python", "j")
    assert told.code == "not_started" and "/opt/python" in told.message and "Permission denied" in told.message
