"""`deferredseg render` and `deferredseg report`: a case as a picture, and as one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..core.atomic import clear_write_errors, write_bytes, write_text
from ..core.case import Case, open_case
from ..core.errors import BadInputError
from .console import remarks
from .folders import CasesArgument, Column, cases_in, exit_code_of, for_each, print_summary
from .options import BudgetOption, CaseArgument, WithoutOption, budget_of, check_suffix, prepared

MOST_SLICES = 60


def render(
    case: CaseArgument,
    out: Annotated[
        Path, typer.Option("-o", "--output", metavar="PNG", help="The picture to write.", show_default=False)
    ],
    budget: BudgetOption = None,
    without: WithoutOption = None,
    slices: Annotated[int, typer.Option(metavar="N", help="Most slices to show.")] = 10,
) -> None:
    """Draw a contact sheet: outlines, deferral regions, legend, scale and orientation."""
    check_suffix(out, ".png")
    if not 1 <= slices <= MOST_SLICES:
        raise BadInputError(f"--slices is {slices}, expected 1 to {MOST_SLICES}")
    write_picture(open_case(case), out, budget, without, slices)
    remarks().print(f"wrote {out}", markup=False)


def report(
    case: CasesArgument,
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="HTML", help="The report to write; a folder for many.", show_default=False
        ),
    ],
    budget: BudgetOption = None,
    without: WithoutOption = None,
) -> int:
    """Write a report: one HTML file with pictures, regions, settings, model and versions."""
    cases = cases_in(case)
    if cases:
        return _report_folder(case, cases, out, budget, without)
    check_suffix(out, ".html", ".htm")
    write_report(open_case(case), out, budget, without)
    remarks().print(f"wrote {out}", markup=False)
    return 0


def _report_folder(
    folder: Path, cases: Sequence[Path], out: Path, budget: float | None, absent: list[str] | None
) -> int:
    """A report of every case of a folder, by the cases' names within it."""
    if out.suffix.lower() in (".html", ".htm") or (out.exists() and not out.is_dir()):
        raise BadInputError(f'output "{out}" is one file, but "{folder}" has {len(cases)} cases; give a folder')

    def report_one(place: Path) -> Path:
        path = out / place.relative_to(folder).with_name(f"{place.name}.html")
        with clear_write_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_report(open_case(place), path, budget, absent)
        return path

    outcomes = for_each(folder, cases, "reporting on", report_one)
    column: Column[Path] = Column("Report", lambda path: path.relative_to(out).as_posix(), numbers=False)
    print_summary(f"{len(cases)} cases, reports in {out}", outcomes, [column])
    return exit_code_of(outcomes)


def write_picture(
    case: Case, out: Path, budget: float | None = None, absent: list[str] | None = None, slices: int = 10
) -> None:
    """The contact sheet of a case as a PNG file."""
    from ..render.contact_sheet import contact_sheet
    from ..render.scene import scene_of

    scene = scene_of(case, budget_of(case, budget), prepared(case, absent))
    write_bytes(out, contact_sheet(scene, slices).png)


def write_report(case: Case, out: Path, budget: float | None = None, absent: list[str] | None = None) -> None:
    """The report of a case as an HTML file."""
    from ..render.report import report_html
    from ..render.scene import scene_of

    scene = scene_of(case, budget_of(case, budget), prepared(case, absent))
    write_text(out, report_html(scene))
