"""`deferredseg render` and `deferredseg report`: a case as a picture, and as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..core.atomic import write_bytes, write_text
from ..core.case import Case, open_case
from ..core.errors import BadInputError
from .console import remarks
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
    case: CaseArgument,
    out: Annotated[
        Path, typer.Option("-o", "--output", metavar="HTML", help="The report to write.", show_default=False)
    ],
    budget: BudgetOption = None,
    without: WithoutOption = None,
) -> None:
    """Write a report: one HTML file with pictures, regions, settings, model and versions."""
    check_suffix(out, ".html", ".htm")
    write_report(open_case(case), out, budget, without)
    remarks().print(f"wrote {out}", markup=False)


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
