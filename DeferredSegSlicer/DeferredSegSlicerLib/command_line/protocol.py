"""`deferredseg protocol`: the published 2D evaluation, seed by seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import BadInputError
from .console import output, progress_bar
from .segmenting import ImageKind

if TYPE_CHECKING:
    from ..engine.slice_protocol.figures import Row


PEOPLE = "Experts: human readings that come with the data."
SIMULATED = (
    "**The experts are simulated from the reference labels: no person's reading was used**, and what they are worth "
    "says nothing about real readers."
)


class Split(str, Enum):
    """Which images."""

    test = "test"
    validation = "validation"
    all = "all"


def protocol(
    bundle: Annotated[
        list[str],
        typer.Option(
            metavar="NAME|DIR", help="A bundle of task slices: one, or one for each seed.", show_default=False
        ),
    ],
    data: Annotated[
        list[str], typer.Option(metavar="KIND=FOLDER", help="A data set; may be repeated.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the tables.", show_default=False)
    ],
    seeds: Annotated[str, typer.Option(metavar="N,N,...", help="Of the simulated experts.")] = "2023,2025,2027",
    split: Annotated[Split, typer.Option(help="Which images to measure.")] = Split.test,
    experts: Annotated[
        str | None,
        typer.Option(
            metavar="SET",
            help="correlated, published-similar, published-complementary or readings, instead of those of training.",
        ),
    ] = None,
    modality: Annotated[list[ImageKind] | None, typer.Option(help="These images alone; may be repeated.")] = None,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where the network runs.")] = "auto",
) -> None:
    """Measure slice bundles as the paper does: System, Expert and Model rows, and the rows that it lacks."""
    numbers = parse_seeds(seeds)
    sources = [parse_data(text) for text in data]
    if out.exists() and not out.is_dir():
        raise BadInputError(f'output "{out}" is a file, expected a folder')
    wanted = Measured(tuple(sources), split.value, experts, tuple(kind.value for kind in modality or ()))
    rows, path = run(bundle, numbers, wanted, out, device)
    print_rows(rows)
    output().print(f'wrote "{path.parent}"', markup=False, soft_wrap=True)


@dataclass(frozen=True)
class Measured:
    """What to measure on.

    Attributes
    ----------
    sources : kind and folder of each data set. split : test, validation or all. experts : instead of those of training.
    modalities : these alone; all if empty.
    """

    sources: tuple[tuple[str, Path], ...]
    split: str = "test"
    experts: str | None = None
    modalities: tuple[str, ...] = ()


def run(
    bundles: Sequence[str], seeds: Sequence[int], what: Measured, out: Path, device: str = "auto"
) -> tuple[list[Row], Path]:
    """Measure, write the files, and return the table and where it lies."""
    from ..engine.bundles import load_bundle
    from ..engine.devices import memory_errors_as_advice, resolve_device
    from ..engine.progress import Progress
    from ..engine.slice_protocol.figures import over_runs
    from ..engine.slice_protocol.report import write_report
    from ..engine.slice_protocol.run import choose_experts, pair_runs, run_protocol
    from ..engine.slice_router import SliceRouter, slice_head_of

    described = [load_bundle(which) for which in bundles]
    for one in described:
        slice_head_of(one)
    place = resolve_device(device)
    runs = pair_runs([SliceRouter(one, place) for one in described], seeds)
    people = choose_experts(runs[0].router, what.experts).are_people
    for kind, folder in what.sources:
        runs[0].router.open_data(kind, folder)
    split = None if what.split == "all" else what.split
    with progress_bar() as show, memory_errors_as_advice(place, "measuring a slice"):

        def report(stage: str, done: int, total: int) -> None:
            show(Progress(stage, done, total, None))

        found = list(run_protocol(runs, what.sources, what.experts, split, what.modalities, report))
    rows = over_runs(found)
    kinds = ", ".join(f"`{kind}`" for kind, _ in what.sources)
    scans = f", {' and '.join(what.modalities)} alone" if what.modalities else ""
    remarks = [
        "Bundles and seeds: " + ", ".join(f"`{run.name}` with {run.seed}" for run in runs) + ".",
        f"Data: {kinds}, split {what.split}{scans}.",
        f"{len({one.slice for one in found})} slices with a label, {runs[0].router.settings.size} pixels a side, "
        "ground-truth box without jitter (networks with prompts), batch 1.",
        PEOPLE if people else SIMULATED,
    ]
    if len(runs) > len(described):
        remarks.append("One bundle: the seeds vary the simulated experts alone, not the training.")
    if what.split != "test":
        remarks.append("**Not only test patients**: these had a part in training or in the choice of the epoch.")
    return rows, write_report(out, found, rows, remarks)


def parse_seeds(text: str) -> list[int]:
    """The seeds of `--seeds`; BadInputError unless they are whole numbers from 0."""
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise BadInputError(f'--seeds "{text}" is no list of whole numbers such as 2023,2025,2027') from error
    if min(seeds) < 0:
        raise BadInputError(f'--seeds "{text}" has a negative number')
    return seeds


def parse_data(text: str) -> tuple[str, Path]:
    """Kind and folder of `--data KIND=FOLDER`; BadInputError if it is not so or the folder does not exist."""
    kind, equals, folder = text.partition("=")
    if not (kind and equals and folder):
        raise BadInputError(f'--data "{text}" is not KIND=FOLDER, such as promise12=/data/PROMISE12')
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise BadInputError(f'--data "{text}": folder "{path}" does not exist')
    return kind, path


def print_rows(rows: Sequence[Row]) -> None:
    """The table on the terminal: means over seeds and the half-widths of their 95 % intervals."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("row")
    for name in ("Dice", "IoU", "sensitivity", "deferred"):
        table.add_column(name, justify="right")
    for row in rows:
        cells = []
        for spread in row.figures.values():
            interval = "" if math.isnan(spread.interval) else f" ± {spread.interval:.3f}"
            cells.append("none" if math.isnan(spread.mean) else f"{spread.mean:.3f}{interval}")
        table.add_row(row.name, *cells)
    output().print(table)
