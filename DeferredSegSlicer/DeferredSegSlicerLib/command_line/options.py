"""Options that several commands share, and how their texts are read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from ..core.budgets import DEFAULT_BUDGET, check_share
from ..core.case import Case
from ..core.errors import BadInputError
from ..core.experts import without
from ..core.worklist import Worklist
from ..render.scene import worklist_of

CaseArgument = Annotated[Path, typer.Argument(metavar="CASE", help="A case folder.", show_default=False)]
BudgetOption = Annotated[
    float | None,
    typer.Option("--budget", metavar="SHARE", help="Share of the decision zone to defer, 0 to 1; else the case's."),
]
WithoutOption = Annotated[
    list[str] | None,
    typer.Option("--without", metavar="EXPERT", help="An expert (id or name) who is not available; may be repeated."),
]


def parse_window(text: str | None) -> tuple[float, float] | None:
    """Level and width of `--window LEVEL,WIDTH`; BadInputError unless it is two numbers, the width above 0."""
    if text is None:
        return None
    try:
        level, width = (float(part) for part in text.split(","))
    except ValueError as error:
        raise BadInputError(f'--window "{text}" is not LEVEL,WIDTH, two numbers such as 40,400') from error
    if not (math.isfinite(level) and math.isfinite(width) and width > 0):
        raise BadInputError(f'--window "{text}" has a level or width that cannot be; the width must be above 0')
    return level, width


def budget_of(case: Case, asked: float | None) -> float:
    """The budget asked for, else the one that the case was made with."""
    return check_share(case.settings.get("budget", DEFAULT_BUDGET) if asked is None else asked)


def prepared(case: Case, absent: list[str] | None) -> Worklist:
    """The case's worklist with the named experts off duty."""
    work = worklist_of(case)
    return work.with_experts(without(work.experts, absent)) if absent else work


def check_suffix(path: Path, *suffixes: str) -> Path:
    """Raise BadInputError unless a file to be written ends as it should: no scan is overwritten by a slip."""
    if path.suffix.lower() not in suffixes:
        raise BadInputError(f'output "{path}" should end in {" or ".join(suffixes)}')
    if not path.parent.is_dir():
        raise BadInputError(f'output "{path}" is in a folder that does not exist')
    return path
