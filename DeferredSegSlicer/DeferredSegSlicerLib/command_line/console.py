"""What the commands print with: results on stdout, progress and remarks on stderr."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable


class Step(Protocol):
    """One report of a long job; the pipeline's `Progress` is one."""

    @property
    def stage(self) -> str: ...
    @property
    def done(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def seconds_left(self) -> float | None: ...


_WIDTH_IN_A_LOG = 120


def output() -> Console:
    """For results: stdout. In a pipe or a file a table keeps a width of 120 and has no color."""
    return Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else _WIDTH_IN_A_LOG)


def remarks() -> Console:
    """For progress and remarks: stderr."""
    return Console(file=sys.stderr, highlight=False, width=None if sys.stderr.isatty() else _WIDTH_IN_A_LOG)


def swatch(color: tuple[float, float, float], text: str) -> Text:
    """A small square in a color, and a text."""
    red, green, blue = (round(255 * c) for c in color)
    return Text.assemble(("■ ", f"rgb({red},{green},{blue})"), text)


@contextmanager
def progress_bar() -> Iterator[Callable[[Step], None]]:
    """A bar with stage, share done and time left on a terminal; one line a stage in a log. Yields what to call."""
    console = remarks()
    if not console.is_terminal:
        yield _stage_lines(console)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}", style="dim"),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        task = bars.add_task("starting", total=None, left="")

        def show(step: Step) -> None:
            bars.update(
                task,
                description=f"{step.stage:<22}",
                completed=step.done,
                total=step.total or None,
                left=time_left(step.seconds_left),
            )

        yield show


def _stage_lines(console: Console) -> Callable[[Step], None]:
    seen: list[str] = []

    def show(step: Step) -> None:
        if step.stage not in seen:
            seen.append(step.stage)
            console.print(f"{step.stage} ...", markup=False)

    return show


def time_left(seconds: float | None) -> str:
    """Seconds as "12 s left" or "3 min left"; empty if not known."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    return f"{math.ceil(seconds)} s left" if seconds < 90 else f"{math.ceil(seconds / 60)} min left"
