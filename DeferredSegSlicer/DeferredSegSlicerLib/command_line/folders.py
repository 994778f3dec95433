"""Commands on a folder of cases: find them, do one after the other, and say at the end what became of each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import typer
from rich.table import Table
from rich.text import Text

from ..core.case_record import RECORD_FILE, ROUTING_FILE
from ..core.errors import DeferredSegError
from .console import output, progress_bar, remarks

CasesArgument = Annotated[
    Path, typer.Argument(metavar="CASE", help="A case folder, or a folder of case folders.", show_default=False)
]

Value = TypeVar("Value")

_BUG_EXIT = 1
_MEMORY_EXIT = 3


@dataclass(frozen=True)
class Outcome(Generic[Value]):
    """What became of one case.

    Attributes
    ----------
    name : its path within the folder of cases.
    value : what the command made of it, or None if it could make nothing of it.
    error : what is wrong, if it failed. exit_code : the command's, had the case been alone; 0 if it went well.
    """

    name: str
    value: Value | None = None
    error: str = ""
    exit_code: int = 0


@dataclass(frozen=True)
class Column(Generic[Value]):
    """A column of the summary: its head, and its text for a case that went well."""

    head: str
    text: Callable[[Value], str]
    numbers: bool = True


def cases_in(path: Path) -> list[Path]:
    """The case folders in a folder and its subfolders, by name; empty if the path is itself a case, or has none.

    Hidden folders, unfinished and replaced cases among them, are passed over; so is what lies inside a case. A folder
    with the maps of a case but no record counts as one, so that its loss is noticed.
    """
    if not path.is_dir() or _is_case(path):
        return []
    found: list[Path] = []
    for root, folders, _ in os.walk(path):
        here = [Path(root) / name for name in sorted(folders) if not name.startswith(".")]
        cases = [folder for folder in here if _is_case(folder)]
        found += cases
        folders[:] = [folder.name for folder in here if folder not in cases]
    return sorted(found)


def _is_case(folder: Path) -> bool:
    return any(os.path.lexists(folder / name) for name in (RECORD_FILE, ROUTING_FILE))


def for_each(
    folder: Path,
    cases: Sequence[Path],
    verb: str,
    action: Callable[[Path], Value],
    complaint: Callable[[Value], DeferredSegError | None] = lambda value: None,
    quiet: bool = False,
) -> list[Outcome[Value]]:
    """Do something with every case; one that fails is told on stderr at the end, and does not stop the others.

    Parameters
    ----------
    folder : where the cases are, for their names. verb : of the progress bar, "checking".
    complaint : what is wrong with a result, if that makes its case a failed one.
    quiet : no progress bar.
    """
    outcomes = []
    begun = time.perf_counter()
    with progress_bar() as show:
        for number, case in enumerate(cases):
            name = case.relative_to(folder).as_posix()
            left = (time.perf_counter() - begun) / number * (len(cases) - number) if number else None
            if not quiet:
                show(_Step(f"{verb} {name}", number, len(cases), left))
            outcomes.append(_outcome(name, case, action, complaint))
    for outcome in outcomes:
        if outcome.exit_code:
            remarks().print(f"{outcome.name}: {outcome.error}", markup=False, soft_wrap=True)
    return outcomes


def _outcome(
    name: str, case: Path, action: Callable[[Path], Value], complaint: Callable[[Value], DeferredSegError | None]
) -> Outcome[Value]:
    try:
        value = action(case)
        wrong = complaint(value)
        return Outcome(name, value, wrong.sentence, wrong.exit_code) if wrong else Outcome(name, value)
    except DeferredSegError as error:
        return Outcome(name, error=error.sentence, exit_code=error.exit_code)
    except MemoryError:
        return Outcome(name, error="the computer's memory is full", exit_code=_MEMORY_EXIT)
    except Exception as error:  # a bug met in one case is reported with it, and does not cost the others
        words = " ".join(str(error).split()) or "no message"
        return Outcome(name, error=f"unexpected {type(error).__name__}: {words}", exit_code=_BUG_EXIT)


@dataclass(frozen=True)
class _Step:
    stage: str
    done: int
    total: int
    seconds_left: float | None


def print_summary(title: str, outcomes: Sequence[Outcome[Value]], columns: Sequence[Column[Value]]) -> None:
    """One row a case on stdout; those of which nothing could be made say so."""
    output().print(title, markup=False, soft_wrap=True)
    table = Table()
    table.add_column("Case", overflow="fold")
    for column in columns:
        table.add_column(column.head, justify="right" if column.numbers else "left")
    for outcome in outcomes:
        cells: list[str | Text] = [Text(outcome.name)]
        if outcome.value is None:
            cells += [Text("failed", style="red"), *[""] * (len(columns) - 1)]
        else:
            cells += [Text(column.text(outcome.value)) for column in columns]
        table.add_row(*cells)
    output().print(table)


def exit_code_of(outcomes: Sequence[Outcome[Any]]) -> int:
    """0 if every case went well; else the failures are counted on stderr, and the gravest one's exit code is given.

    A bug (1) is graver than anything; otherwise the highest code counts: damage (4), memory (3), bad input (2).
    """
    codes = [outcome.exit_code for outcome in outcomes if outcome.exit_code]
    if not codes:
        return 0
    remarks().print(f"error: {len(codes)} of {len(outcomes)} cases failed", markup=False, soft_wrap=True)
    return _BUG_EXIT if _BUG_EXIT in codes else max(codes)


def failures_of(outcomes: Sequence[Outcome[Any]]) -> Iterator[dict[str, Any]]:
    """The cases of which nothing could be made, as plain values for JSON."""
    return ({"case": o.name, "error": o.error} for o in outcomes if o.value is None)
