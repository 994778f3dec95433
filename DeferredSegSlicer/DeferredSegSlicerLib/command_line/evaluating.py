"""`deferredseg evaluate`: figures, tables and plots of a bundle's deferral on data with known labels."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.atomic import write_json, write_text
from ..core.errors import BadInputError
from ..resources import DEFAULT_BUNDLE
from .console import output, progress_bar, remarks

if TYPE_CHECKING:
    from ..engine.evaluation.cases import Make
    from ..engine.evaluation.run import Evaluation, Failure, Source
    from ..engine.evaluation.settings import EvaluationSettings
    from ..engine.evaluation.summary import GroupSummary

KIND = "deferredseg evaluation"
"""What config.json says it belongs to: a folder without it is never written into."""


class Part(str, Enum):
    """Which images are evaluated."""

    test = "test"
    validation = "validation"
    train = "train"
    all = "all"


class Experts(str, Enum):
    """Who the experts are."""

    simulated = "simulated"
    simulated_specialists = "simulated-specialists"
    simulated_published = "simulated-published"
    readings = "readings"


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What a run made. folder : where it lies. groups : summaries, all cases first."""

    folder: Path
    evaluation: Evaluation
    groups: tuple[GroupSummary, ...]
    settings: EvaluationSettings


def evaluate(
    data: Annotated[
        list[str],
        typer.Option(
            metavar="KIND=FOLDER", help="A data set, such as sts=data/sts; may be repeated.", show_default=False
        ),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The folder to write.", show_default=False)
    ],
    bundle: Annotated[str, typer.Option(metavar="NAME|DIR", help="The network.")] = DEFAULT_BUNDLE,
    split: Annotated[Part, typer.Option(help="Which images.")] = Part.test,
    methods: Annotated[
        str, typer.Option(metavar="A,B,...", help="Methods to compare.")
    ] = "learned,margin,entropy,tta,tta-confidence,random,oracle",
    experts: Annotated[Experts, typer.Option(help="Whose answers deferred voxels get.")] = Experts.simulated,
    margin: Annotated[float, typer.Option(metavar="MM", help="What the box around the truth is grown by.")] = 5.0,
    budgets: Annotated[
        str, typer.Option(metavar="A,B,...", help="Shares of the decision zone to defer.")
    ] = "0.01,0.02,0.05,0.1,0.2",
    seed: Annotated[int, typer.Option(help="Of simulated experts, random deferral and resampling.")] = 2027,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="ID", help="This patient or image alone; may be repeated.")
    ] = None,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where the network runs.")] = "auto",
    resume: Annotated[bool, typer.Option(help="Keep finished images of an earlier run with the same settings.")] = True,
) -> int:
    """Compare methods of deferral on labeled data: errors caught, the system's Dice, calibration, experts' load."""
    done = run(
        data,
        out,
        bundle=bundle,
        split=split.value,
        methods=methods,
        experts=experts.value,
        margin=margin,
        budgets=budgets,
        seed=seed,
        only=tuple(only or ()),
        device=device,
        resume=resume,
    )
    print_evaluated(done)
    return exit_code(done.evaluation.failures)


def run(
    data: list[str],
    out: Path,
    *,
    bundle: str = DEFAULT_BUNDLE,
    split: str = "test",
    methods: str = "learned,margin,entropy,tta,tta-confidence,random,oracle",
    experts: str = "simulated",
    margin: float = 5.0,
    budgets: str = "0.01,0.02,0.05,0.1,0.2",
    seed: int = 2027,
    only: tuple[str, ...] = (),
    device: str = "auto",
    resume: bool = True,
    make: Make | None = None,
) -> Evaluated:
    """Evaluate with a progress bar and write everything.

    Parameters
    ----------
    make : makes the bundle's segmentor; None for the bundle's own.

    Raises
    ------
    BadInputError : an option that cannot be, a data set without images, a folder that is something else, or no image
        that could be evaluated. Images that were finished by then stay in the folder.
    DeviceError : the device is missing or does not compute.
    """
    from ..engine.bundles import Bundle, load_bundle
    from ..engine.devices import resolve_device
    from ..engine.evaluation import EvaluationSettings
    from ..engine.evaluation import evaluate as evaluate_images
    from ..engine.evaluation.cases import usable_methods
    from ..engine.evaluation.report import markdown
    from ..engine.evaluation.summary import summarize
    from ..engine.evaluation.writing import write_cases, write_summary

    names = tuple(part.strip() for part in methods.split(",") if part.strip())
    settings = EvaluationSettings(names, experts, margin, _shares(budgets), seed, device)
    model = load_bundle(bundle)
    sources = _sources(data, split, only)
    usable_methods(names, model)
    resolve_device(device)
    _check_folder(out)
    (out / "cases").mkdir(parents=True, exist_ok=True)
    write_json(out / "config.json", _config(settings, model.to_json(), sources, split, only))
    try:
        with progress_bar() as show:
            found = evaluate_images(model, sources, settings, out, resume, show, make or Bundle.make_segmentor)
    except KeyboardInterrupt:
        remarks().print(f'finished images are kept in "{out}"; the same command goes on from there', markup=False)
        raise
    if not found.records:
        reasons = "; ".join(f"{one.id}: {one.sentence}" for one in found.failures)
        raise BadInputError(f"no image could be evaluated ({reasons})")
    groups = summarize(found.records, settings)
    write_cases(out / "cases.csv", found.records, settings)
    write_summary(out / "summary.csv", groups, settings)
    described = [_described(source, split) for source in sources]
    write_text(out / "summary.md", markdown(groups, found, settings, model.to_json(), described))
    from .evaluation_graphs import draw_all

    draw_all(out, found, groups, settings, model.name)
    return Evaluated(out, found, groups, settings)


def print_evaluated(done: Evaluated) -> None:
    """The main table on stdout; what was left out, what failed, and where the rest is on stderr."""
    from rich.table import Table

    from ..engine.evaluation.panel import SENTENCES
    from ..engine.evaluation.report import NOTHING, counted, interval_text, main_budget, percent
    from ..engine.evaluation.settings import EVALUATED

    everyone, budget = done.groups[0], main_budget(done.settings)
    table = Table(
        title=f"{counted(everyone.cases, 'image')} of {counted(everyone.patients, 'patient')}, means",
        title_justify="left",
    )
    table.add_column("Method")
    for head in ("AUROC", "AUGRC", f"Errors caught at {percent(budget)}", f"Dice of the system at {percent(budget)}"):
        table.add_column(head, justify="right")
    for method in EVALUATED:
        to_whom = {"random": "random", "oracle": "oracle"}.get(method, "routing")
        rows = [
            everyone.get(method, "", None, "auroc"),
            everyone.get(method, "", None, "augrc"),
            everyone.get(method, "", budget, "errors_caught"),
            everyone.get(method, to_whom, budget, "dice"),
        ]
        if any(row is not None for row in rows):
            digits = (3, 4, 3, 3)
            cells = [NOTHING if r is None else interval_text(r.interval, d) for r, d in zip(rows, digits, strict=True)]
            table.add_row(method, *cells)
    output().print(table)
    output().print(SENTENCES[done.settings.experts], markup=False)
    say = remarks()
    for sentence in done.evaluation.left_out:
        say.print(f"note: {sentence}", markup=False, soft_wrap=True)
    if done.evaluation.reused:
        say.print(f"note: {done.evaluation.reused} finished images were kept from an earlier run", markup=False)
    for failure in done.evaluation.failures:
        say.print(f"failed: {failure.id}: {failure.sentence}", markup=False, soft_wrap=True)
    say.print(f'wrote "{done.folder}"', markup=False, soft_wrap=True)


def exit_code(failures: tuple[Failure, ...]) -> int:
    """0 if no image failed, else the code that the first failure stands for."""
    return failures[0].exit_code if failures else 0


def _shares(text: str) -> tuple[float, ...]:
    """Budgets of `--budgets A,B,...`; BadInputError unless they are numbers."""
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise BadInputError(f'--budgets "{text}" are not numbers with commas between them, such as 0.05,0.1') from error


def _sources(data: list[str], split: str, only: tuple[str, ...]) -> list[Source]:
    """The data sets and their images; BadInputError for a text that is not KIND=FOLDER or a set without images."""
    from ..engine.datasets import open_dataset
    from ..engine.evaluation.run import Source

    sources = []
    for text in data:
        kind, equals, folder = text.partition("=")
        if not (kind and equals and folder):
            raise BadInputError(f'--data "{text}" is not KIND=FOLDER, such as sts=data/sts')
        dataset = open_dataset(kind, Path(folder).expanduser())
        subjects = dataset.subjects(None if split == "all" else split)  # type: ignore[arg-type]
        wanted = [one for one in subjects if not only or one.id in only or one.patient in only]
        if not wanted:
            which = f" called {', '.join(only)}" if only else ""
            raise BadInputError(f'data set "{text}" has no image{which} in split "{split}"')
        sources.append(Source(dataset, folder, tuple(wanted)))
    return sources


def _check_folder(folder: Path) -> None:
    """Refuse to write into a folder that holds something else."""
    if folder.is_dir() and any(folder.iterdir()):
        try:
            kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("kind")
        except (OSError, ValueError, AttributeError):
            kind = None
        if kind != KIND:
            raise BadInputError(f'output "{folder}" is not empty and no evaluation; name a new folder')
    elif folder.exists() and not folder.is_dir():
        raise BadInputError(f'output "{folder}" is a file; name a folder')


def _config(
    settings: EvaluationSettings, model: dict[str, Any], sources: list[Source], split: str, only: tuple[str, ...]
) -> dict[str, Any]:
    """What was asked for, and with what software."""
    from ..engine.evaluation.settings import code_digest
    from ..engine.versions import software_versions

    sets = [
        {"kind": s.dataset.kind, "folder": s.folder, "images": [subject.id for subject in s.subjects]} for s in sources
    ]
    return {
        "kind": KIND,
        "schema": 1,
        "bundle": model,
        "data": sets,
        "split": split,
        "only": list(only),
        "settings": settings.to_json(),
        "versions": software_versions(),
        "code": code_digest(),
    }


def _described(source: Source, split: str) -> str:
    """A data set in a sentence."""
    from ..engine.evaluation.report import counted

    count, people = len(source.subjects), len({subject.patient for subject in source.subjects})
    dataset = source.dataset
    part = "all splits" if split == "all" else f"{split} split"
    size = f"{counted(count, 'image')} of {counted(people, 'patient')}"
    return f"Data `{dataset.kind}` ({dataset.name}), {part}: {size}. {dataset.citation}."
