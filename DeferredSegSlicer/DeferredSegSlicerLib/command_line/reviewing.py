"""`deferredseg regions`: the worklist of a case at a budget, from stored maps alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ..core.budgets import check_minutes, check_region_count
from ..core.case import Case, open_case
from ..core.errors import BadInputError
from ..core.regions import RegionList
from ..core.review.state import read_review
from ..core.review.status import RegionStatus
from ..core.worklist import DeferredSet, Worklist
from .console import output, remarks, swatch
from .folders import CasesArgument, Column, cases_in, exit_code_of, failures_of, for_each, print_summary
from .options import BudgetOption, WithoutOption, budget_of, prepared

_COLUMNS = (
    "#", "Structure", "Expert", "ml", "Slices", "Center R, A, S (mm)", "Expected error (ml)", "Review (s)",
)  # fmt: skip
_REVIEWED_COLUMNS = (*_COLUMNS[:-2], "Error (ml)", _COLUMNS[-1], "State")
"""With a state beside each row, one head is shorter: a table has 120 characters in a log."""


def regions(
    case: CasesArgument,
    budget: BudgetOption = None,
    minutes: Annotated[
        float | None, typer.Option(metavar="M", help="Minutes of review that there are, instead of a budget.")
    ] = None,
    max_regions: Annotated[
        int | None, typer.Option(metavar="N", help="Most regions to review, instead of a budget.")
    ] = None,
    without: WithoutOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON alone.")] = False,
) -> int:
    """List the deferral regions of a case, worst first."""
    if sum(value is not None for value in (budget, minutes, max_regions)) > 1:
        raise BadInputError("--budget, --minutes and --max-regions exclude each other; give one of them")
    if minutes is not None:
        check_minutes(minutes)
    if max_regions is not None:
        check_region_count(max_regions)

    def found_in(place: Path) -> _Found:
        opened = open_case(place)
        share = budget_of(opened, budget)
        work = prepared(opened, without)
        if minutes is not None:
            share = work.budget_for_minutes(minutes)
        elif max_regions is not None:
            share = work.budget_for_regions(max_regions)
        listed = work.regions(share)
        return _Found(opened, work, share, listed, work.deferred(share), read_review(opened).statuses_of(listed))

    cases = cases_in(case)
    if cases:
        return _list_folder(case, cases, found_in, as_json)
    found = found_in(case)
    if as_json:
        print(json.dumps(found.as_plain(), indent=2, allow_nan=False))
    else:
        _print_regions(found)
    return 0


@dataclass(frozen=True)
class _Found:
    """The regions of a case at a share of its decision zone, and what became of each in review."""

    case: Case
    work: Worklist
    share: float
    regions: RegionList
    deferred: DeferredSet
    statuses: tuple[RegionStatus, ...]

    def as_plain(self) -> dict[str, Any]:
        """The list as plain values: what `--json` prints."""
        shares = self.deferred.share_of_experts(len(self.work.experts))
        return {
            "budget": self.share,
            "zone_voxels": len(self.work.zone),
            "deferred_voxels": len(self.deferred),
            "deferred_share": self.deferred.share,
            "region_voxels": self.regions.voxels,
            "review_seconds": self.regions.seconds,
            "dropped_pieces": self.regions.dropped_pieces,
            "note": self.deferred.note,
            "experts": [
                {"id": expert.id, "name": expert.name, "available": expert.available, "deferred_share": float(part)}
                for expert, part in zip(self.work.experts, shares, strict=True)
            ],
            "regions": [
                region.to_json() | {"status": status.state}
                for region, status in zip(self.regions, self.statuses, strict=True)
            ],
        }


def _list_folder(folder: Path, cases: Sequence[Path], found_in: Callable[[Path], _Found], as_json: bool) -> int:
    """The regions of every case of a folder, each with its own budget: one row a case, or all of them as JSON."""
    if as_json:
        plain = for_each(folder, cases, "listing", lambda place: found_in(place).as_plain(), quiet=True)
        listed = [{"case": o.name, **o.value} for o in plain if o.value is not None]
        print(json.dumps({"cases": listed, "failed": list(failures_of(plain))}, indent=2, allow_nan=False))
        return exit_code_of(plain)
    outcomes = for_each(folder, cases, "listing", lambda place: _Row.of(found_in(place)))
    print_summary(f"{len(cases)} cases", outcomes, _FOLDER_COLUMNS)
    rows = [o.value for o in outcomes if o.value is not None]
    remarks().print(
        f"{sum(r.regions for r in rows)} regions, about {sum(r.seconds for r in rows) / 60:.1f} min of review",
        markup=False,
    )
    return exit_code_of(outcomes)


@dataclass(frozen=True)
class _Row:
    """What the summary says of a case; the maps themselves are let go."""

    share: float
    regions: int
    done: int
    ml: float
    error_ml: float
    seconds: float

    @classmethod
    def of(cls, found: _Found) -> _Row:
        return cls(
            found.share,
            len(found.regions),
            sum(status.is_done() for status in found.statuses),
            sum(r.volume_ml for r in found.regions),
            sum(r.expected_error_ml for r in found.regions),
            found.regions.seconds,
        )


_FOLDER_COLUMNS: tuple[Column[_Row], ...] = (
    Column("Budget", lambda r: f"{100 * r.share:.3g} %"),
    Column("Regions", lambda r: str(r.regions)),
    Column("Decided", lambda r: str(r.done)),
    Column("ml", lambda r: f"{r.ml:.2f}"),
    Column("Expected error (ml)", lambda r: f"{r.error_ml:.3f}"),
    Column("Review (min)", lambda r: f"{r.seconds / 60:.1f}"),
)


def _print_regions(found: _Found) -> None:
    names = {structure.id: structure.name for structure in found.case.structures}
    experts = {expert.id: expert for expert in found.work.experts}
    share = f"{100 * found.share:.3g} % of the decision zone"
    table = Table(title=f"{len(found.regions)} regions, worst first, at a budget of {share}")
    reviewed = any(status.readers for status in found.statuses)
    for head in _REVIEWED_COLUMNS if reviewed else _COLUMNS:
        table.add_column(head, justify="left" if head in ("Structure", "Expert", "State") else "right", no_wrap=True)
    for number, (region, status) in enumerate(zip(found.regions, found.statuses, strict=True), start=1):
        first, last = region.slice_range
        expert = experts[region.expert]
        table.add_row(
            str(number),
            names.get(region.structure, region.structure),
            swatch(expert.color, expert.name),
            f"{region.volume_ml:.2f}",
            f"{region.slice_count} ({first}-{last})",
            ", ".join(f"{v:.1f}" for v in region.centroid_ras),
            f"{region.expected_error_ml:.3f}",
            f"{region.seconds:.0f}",
            *([status.state] if reviewed else []),
        )
    output().print(table)
    remarks().print(
        f"{100 * found.deferred.share:.2f} % of {len(found.work.zone)} zone voxels deferred; "
        f"about {found.regions.seconds / 60:.1f} min of review; "
        f"{found.regions.dropped_pieces} pieces were too small for a region",
        markup=False,
    )
    if found.deferred.note:
        remarks().print(found.deferred.note, markup=False)
