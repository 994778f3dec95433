"""Runs steps one after the other, prints a line for each, and lets none of them hang.

Every wait in a step has a limit, a dialog that nobody expected is closed and named, and a main thread that no longer
moves at all is ended with the whole program, after its stack was written to stderr.
"""

from __future__ import annotations

import faulthandler
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GRACE_SECONDS = 60.0
"""What a blocked main thread gets beyond a step's limit before the program is ended."""

OK, FAILED, SKIPPED, MISSING = "ok", "FAILED", "skipped", "missing"


class StepFailed(Exception):
    """What broke, in a sentence."""


class Skipped(Exception):
    """A step that cannot be taken because of an earlier one, and why."""


class PackagesMissing(Exception):
    """The worker's interpreter lacks what it needs; the text names the interpreter, the packages and the remedies."""


@dataclass(frozen=True)
class Outcome:
    """One step: name, "ok", "FAILED", "skipped" or "missing", seconds it took, and what it said or what broke."""

    name: str
    state: str
    seconds: float
    text: str


@dataclass
class Stepper:
    """Takes steps and remembers how they went.

    Attributes
    ----------
    report : a file to which every line is added as it is printed, since a console may be lost.
    ticker : called as `ticker(milliseconds, action)`, calls the action on the main thread, also within dialogs, until
        the function that it returns is called.
    close_dialog : closes the topmost modal dialog and returns its title and text, or None if there is none.
    """

    report: Path
    ticker: Callable[[int, Callable[[], None]], Callable[[], None]]
    close_dialog: Callable[[], str | None]
    outcomes: list[Outcome] = field(default_factory=list)
    _dialogs: list[str] = field(default_factory=list)

    def take(self, name: str, seconds: float, action: Callable[[], str | None]) -> bool:
        """Take one step of at most so many seconds, and print how it went. True if it went well."""
        begun = time.monotonic()
        self._dialogs = []
        faulthandler.dump_traceback_later(seconds + GRACE_SECONDS, exit=True, file=2)
        stop = self.ticker(200, self._look_for_dialogs)
        state, text = FAILED, ""
        try:
            text = action() or ""
            state = OK
        except Skipped as why:
            state, text = SKIPPED, str(why)
        except PackagesMissing as why:
            state, text = MISSING, str(why)
        except StepFailed as why:
            text = str(why)
        except Exception as error:  # whatever breaks is this step's result
            text = f"{type(error).__name__}: {error}"
            self._say(traceback.format_exc())
        finally:
            stop()
            faulthandler.cancel_dump_traceback_later()
        if self._dialogs and state != FAILED:
            state, text = FAILED, f"a dialog came up: {'; '.join(self._dialogs)}"
        self._keep(Outcome(name, state, time.monotonic() - begun, text))
        return state == OK

    def say(self, text: str) -> None:
        """A line between the steps."""
        self._say(text)

    def failures(self) -> list[Outcome]:
        """Steps that broke."""
        return [outcome for outcome in self.outcomes if outcome.state == FAILED]

    def lacks_packages(self) -> bool:
        """Whether a step could not be taken because packages are missing."""
        return any(outcome.state == MISSING for outcome in self.outcomes)

    def _keep(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        text = " ".join(outcome.text.split())
        self._say(f"{outcome.state:8}{outcome.seconds:8.2f} s  {outcome.name}{': ' if text else ''}{text}")

    def _say(self, text: str) -> None:
        print(text, flush=True)
        with self.report.open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    def _look_for_dialogs(self) -> None:
        said = self.close_dialog()
        if said is not None:
            self._dialogs.append(said)


def require(condition: Any, sentence: str) -> None:
    """Fail the step with a sentence unless the condition holds."""
    if not condition:
        raise StepFailed(sentence)
