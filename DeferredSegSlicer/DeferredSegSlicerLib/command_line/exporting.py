"""`deferredseg export`: a case's labels as they stand after review, its regions and decisions, in other formats."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.atomic import write_text
from ..core.case import open_case
from ..core.errors import BadInputError, DeferredSegError
from ..export.tables import csv_text
from .console import output, remarks
from .folders import CasesArgument, Column, cases_in, exit_code_of, for_each, print_summary
from .options import BudgetOption, WithoutOption, budget_of, prepared

if TYPE_CHECKING:
    from ..export.content import Content
    from ..export.formats import Exported
    from ..export.source_series import SourceFolder

CASES_FILE = "cases.csv"
CASES_COLUMNS = ("case", "image", "mask", "case_id", "regions", "unreviewed_regions", "conflicts", "readers", "summary")


@dataclass(frozen=True)
class _Done:
    """A case that was exported, perhaps not in all formats."""

    content: Content
    exported: Exported


def export(
    case: CasesArgument,
    out: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The folder to write to.", show_default=False)
    ],
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="seg.nrrd, nifti, dicom-seg, csv, json, stl; several with commas, or repeated. "
            "Without it: seg.nrrd, nifti and csv.",
        ),
    ] = None,
    source: Annotated[
        Path | None, typer.Option(metavar="DICOM", help="Folder of the scan's DICOM series, for dicom-seg.")
    ] = None,
    series: Annotated[
        str | None, typer.Option(metavar="NUMBER|UID", help="Which series, if the scan is there several times.")
    ] = None,
    budget: BudgetOption = None,
    without: WithoutOption = None,
    require_reviewed: Annotated[
        bool, typer.Option("--require-reviewed", help="Refuse a case with regions that nobody has settled.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files of an earlier export.")] = False,
) -> int:
    """Export the corrected segmentation, regions and decisions; says loudly what is not reviewed."""
    from ..export.formats import parse_formats
    from ..export.source_series import SourceFolder

    wanted = parse_formats(formats or ())
    if "dicom-seg" in wanted and source is None:
        raise BadInputError("a DICOM SEG needs the series of the scan; give its folder with --source")
    if "dicom-seg" not in wanted and (source is not None or series is not None):
        raise BadInputError("--source and --series are for DICOM SEG; add --format dicom-seg")
    if out.exists() and not out.is_dir():
        raise BadInputError(f'output "{out}" is a file, expected a folder')
    origin = SourceFolder(source) if source is not None else None

    def one(place: Path, folder: Path) -> _Done:
        return _export(place, folder, wanted, origin, series, budget, without, require_reviewed, overwrite)

    cases = cases_in(case)
    if cases:
        if os.path.lexists(out / CASES_FILE) and not overwrite:
            raise BadInputError(
                f'"{out / CASES_FILE}" is there already; give another folder, or --overwrite to replace it'
            )
        return _export_folder(case, cases, out, one)
    done = one(case, out)
    for path in done.exported.files:
        output().print(str(path), markup=False, soft_wrap=True)
    _say_loudly(done)
    for failure in done.exported.failures:
        remarks().print(f"error: {failure.format}: {failure.error.sentence}", markup=False, soft_wrap=True)
    return max((failure.error.exit_code for failure in done.exported.failures), default=0)


def _export(
    place: Path,
    folder: Path,
    formats: tuple[str, ...],
    origin: SourceFolder | None,
    series: str | None,
    budget: float | None,
    without: list[str] | None,
    require_reviewed: bool,
    overwrite: bool,
) -> _Done:
    from ..export.case_content import content_of
    from ..export.formats import Target, export_case, stem_of

    opened = open_case(place)
    share = budget_of(opened, budget)
    content = content_of(opened, share, prepared(opened, without))
    if require_reviewed and (content.unreviewed or not content.has_review):
        raise BadInputError(f'case "{place}" is not exported, as --require-reviewed asks: {content.warnings[0]}')
    target = Target(folder, stem_of(place), None if origin is None else lambda: origin.series_of(opened, series))
    return _Done(content, export_case(content, target, formats, overwrite))


def _say_loudly(done: _Done, name: str = "") -> None:
    """What must not be overlooked, on stderr, after everything else."""
    for sentence in done.content.warnings:
        remarks().print(
            f"WARNING: {name + ': ' if name else ''}{sentence}", style="bold red", markup=False, soft_wrap=True
        )


def _export_folder(folder: Path, cases: Sequence[Path], out: Path, one: Callable[[Path, Path], _Done]) -> int:
    """Every case of a folder into a folder of its own, and one table of all."""
    outcomes = for_each(
        folder, cases, "exporting", lambda place: one(place, out / place.relative_to(folder)), _failure_of
    )
    print_summary(f"{len(cases)} cases, exported to {out}", outcomes, _COLUMNS)
    done = [(o.name, o.value) for o in outcomes if o.value is not None]
    if done:
        write_text(out / CASES_FILE, csv_text(CASES_COLUMNS, [_row(name, folder, out, value) for name, value in done]))
    for name, value in done:
        _say_loudly(value, name)
    return exit_code_of(outcomes)


def _failure_of(done: _Done) -> DeferredSegError | None:
    """The formats that failed, as one sentence."""
    failures = done.exported.failures
    if not failures:
        return None
    gravest = max((failure.error for failure in failures), key=lambda error: error.exit_code)
    return type(gravest)("; ".join(f"{failure.format}: {failure.error.sentence}" for failure in failures))


_COLUMNS: tuple[Column[_Done], ...] = (
    Column("Files", lambda d: str(len(d.exported.files))),
    Column("Failed", lambda d: ", ".join(failure.format for failure in d.exported.failures), numbers=False),
    Column("Regions", lambda d: str(len(d.content.regions))),
    Column("NOT reviewed", lambda d: str(len(d.content.unreviewed))),
    Column("Disagreed", lambda d: str(len(d.content.conflicts))),
    Column("Readers", lambda d: ", ".join(d.content.readers) or "nobody", numbers=False),
)


def _row(name: str, folder: Path, out: Path, done: _Done) -> dict[str, Any]:
    """A case by the names of `CASES_COLUMNS`; paths are relative to the table's folder."""
    content, image = done.content, done.content.case.record.image
    masks = [path for path in done.exported.files if path.name.endswith((".seg.nrrd", ".nii.gz", "_seg.dcm"))]
    scan = folder / name / image.file if image.file is not None else Path(image.path or "")
    return {
        "case": name,
        "image": os.path.relpath(scan, out),
        "mask": os.path.relpath(masks[0], out) if masks else "",
        "case_id": content.case.id,
        "regions": len(content.regions),
        "unreviewed_regions": len(content.unreviewed),
        "conflicts": len(content.conflicts),
        "readers": list(content.readers),
        "summary": content.summary,
    }
