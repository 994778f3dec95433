"""The protocol's files: every slice as CSV, the table over seeds as CSV and as Markdown."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...core.atomic import clear_write_errors, write_text
from .figures import FIGURES, Row, SliceFigures, Spread
from .rows import CONFIDENCE, PUBLISHED_ROWS, RANDOM

SLICES_FILE, TABLE_FILE, REPORT_FILE = "slices.csv", "protocol.csv", "protocol.md"
SPREAD = ("mean", "variance", "deviation", "interval", "runs", "slices")


def write_report(folder: Path, found: Sequence[SliceFigures], rows: Sequence[Row], remarks: Sequence[str]) -> Path:
    """Write the three files, each whole or not at all, and return the Markdown's path.

    Parameters
    ----------
    remarks : sentences above the table: which bundles, which data, who the experts are.

    Raises
    ------
    BadInputError : the folder cannot be written.
    """
    with clear_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / SLICES_FILE, slices_csv(found))
    write_text(folder / TABLE_FILE, table_csv(rows))
    write_text(folder / REPORT_FILE, markdown(rows, remarks))
    return folder / REPORT_FILE


def slices_csv(found: Iterable[SliceFigures]) -> str:
    """One line a slice, run and row; a figure that is not defined is empty."""
    lines: list[Sequence[object]] = [("bundle", "seed", "slice", "row", *FIGURES)]
    for one in found:
        values = [_number(getattr(one.scored, figure)) for figure in FIGURES]
        lines.append((one.run, one.seed, one.slice, one.scored.row, *values))
    return _csv(lines)


def table_csv(rows: Iterable[Row]) -> str:
    """One line a row and figure."""
    lines: list[Sequence[object]] = [("row", "figure", *SPREAD)]
    for row in rows:
        for figure, spread in row.figures.items():
            values = [getattr(spread, name) for name in SPREAD]
            lines.append((row.name, figure, *(_number(v) if isinstance(v, float) else v for v in values)))
    return _csv(lines)


def markdown(rows: Sequence[Row], remarks: Sequence[str]) -> str:
    """The table for people: the published rows first, then those that the paper lacks."""
    published = [row for row in rows if row.name in PUBLISHED_ROWS]
    others = [row for row in rows if row.name not in PUBLISHED_ROWS]
    parts = [
        "# 2D protocol of DeferredSeg",
        "Research use only; not a medical device.",
        "\n".join(f"- {sentence}" for sentence in remarks),
        "## As published",
        _table(published),
        "## What to compare them with",
        _table(others),
        "## Reading the tables",
        "Each figure is the mean over the seeds of the mean over slices ± the half-width of the 95 % interval "
        "(1.96 sd / √n over seeds), with the standard deviation in brackets; variances are in `protocol.csv`. Slices "
        "are not independent of each other: the interval says how much training and experts vary, not how much "
        "patients do. *Expert* and *Model* score prediction and truth within the deferred and within the kept pixels; "
        "slices that have neither foreground there are left out, so their number differs. "
        f"*{RANDOM}* and *{CONFIDENCE}* defer as many pixels of each slice as the system does, evenly over the slice "
        "or where the model doubts most, each to an expert drawn evenly. *Oracle routing* has the right label wherever "
        "any agent has it; *deferred* is then the share of pixels where an expert mends the model.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(rows: Sequence[Row]) -> str:
    lines = ["| row | Dice | IoU | sensitivity | deferred | slices, all seeds |", "|" + " --- |" * 6]
    for row in rows:
        cells = [_cell(row.figures[figure]) for figure in FIGURES]
        lines.append(f"| {row.name} | {' | '.join(cells)} | {row.figures['dice'].slices} |")
    return "\n".join(lines)


def _cell(spread: Spread) -> str:
    if math.isnan(spread.mean):
        return "none"
    if math.isnan(spread.deviation):
        return f"{spread.mean:.4f}"
    return f"{spread.mean:.4f} ± {spread.interval:.4f} ({spread.deviation:.4f})"


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def _csv(lines: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()
