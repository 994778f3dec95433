"""The table of regions: what its cells say, how it is sorted and filtered, and how far the reader is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ....core.review import Progress, Row, RowFilter
from ....core.review.status import REGION_STATES
from ...presenters.wording import duration_text, ml_text
from ...text import _
from .names import Color, Names

SORT_KEYS = ("worst", "structure", "expert", "ml", "slices", "error", "state")
"""By what each column sorts, as `core.review.table` names it; the columns are in this order."""

NUMBER, STRUCTURE, EXPERT, ML, SLICES, ERROR, STATE = range(len(SORT_KEYS))
FIGURES = frozenset({NUMBER, ML, SLICES, ERROR})
"""Columns of figures, which are set to the right."""

_WORST_FIRST = frozenset({ML, SLICES, ERROR})
"""Columns of which a first click shows the largest first."""


@dataclass(frozen=True)
class Cells:
    """A row of the table.

    Attributes
    ----------
    texts : one for each column. color : of the expert who should look, or None.
    settled : nothing is left to do, so that the row may step back. loud : somebody has to look again.
    tool_tip : on the whole row.
    """

    texts: tuple[str, ...]
    color: Color | None
    settled: bool
    loud: bool
    tool_tip: str


def cells_of(row: Row, names: Names, reader: str) -> Cells:
    """What a row of the worklist looks like to a reader, by id."""
    region = row.region
    texts = (
        str(row.rank + 1),
        names.structure(region.structure),
        names.expert(row.expert),
        figure(region.volume_ml),
        str(region.slice_count),
        figure(region.expected_error_ml),
        state_text(row.state),
    )
    settled = row.status.is_done(reader)
    return Cells(texts, names.colors.get(row.expert), settled, row.state == "conflict", _tool_tip(row, names))


def figure(ml: float) -> str:
    """A volume in ml as the table has it, without its unit."""
    return ml_text(ml).split(" ")[0]


def state_text(state: str) -> str:
    """A state of a region in one word."""
    return {
        "open": _("open"),
        "skipped": _("skipped"),
        "reassigned": _("reassigned"),
        "accepted": _("accepted"),
        "edited": _("edited"),
        "conflict": _("conflict"),
        "partly": _("partly"),
    }.get(state, state)


def state_sentence(row: Row, names: Names) -> str:
    """What has become of a region, in a sentence."""
    who = _listed([names.reader(reader) for reader in row.status.readers])
    waiting = _listed([names.expert(expert) for expert in row.status.waiting_for])
    return {
        "open": _("Nobody has decided yet."),
        "skipped": _("Skipped by {who}."),
        "reassigned": _("Waits for {waiting}."),
        "accepted": _("The model's label was accepted by {who}."),
        "edited": _("Corrected by {who}."),
        "conflict": _("Readers disagree: {who}."),
        "partly": _("Decided in part by {who}."),
    }[row.state].format(who=who, waiting=waiting)


def _tool_tip(row: Row, names: Names) -> str:
    return _("{structure}, for {expert}. {state}\nAbout {seconds:.0f} s to review.").format(
        structure=names.structure(row.region.structure),
        expert=names.expert(row.expert),
        state=state_sentence(row, names),
        seconds=row.region.seconds,
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def headers() -> tuple[tuple[str, str], ...]:
    """Caption and tool tip of each column."""
    return (
        ("#", _("Place in the worklist, 1 for the worst: most expected error for each second of review.")),
        (_("Structure"), _("The structure of which the model is in doubt.")),
        (_("Expert"), _("Who should look: chosen by the model, or by a reader who reassigned the region.")),
        (_("ml"), _("Volume of the region in ml.")),
        (_("Slices"), _("Number of slices that the region touches.")),
        (_("Error"), _("Expected error: ml of the region that the model probably has wrong.")),
        (_("State"), _("What has become of the region.")),
    )


def clicked(column: int, order: tuple[str, bool]) -> tuple[str, bool]:
    """How the table is sorted, (key, descending), after a click on a column's header."""
    key = SORT_KEYS[column]
    return (key, not order[1]) if order[0] == key else (key, column in _WORST_FIRST)


def progress_text(progress: Progress) -> str:
    """How far a reader is: "7 of 23 regions, about 4 min left"."""
    done, total, seconds = progress
    if not total:
        return _("Nothing is deferred at this budget.")
    if done >= total:
        return _("All {total} regions are done.").format(total=total) if total > 1 else _("The region is done.")
    return _("{done} of {total} regions, {time} left").format(
        done=done, total=total, time=duration_text(max(seconds, 1.0))
    )


def caption(progress: Progress) -> str:
    """Caption of the section while somebody reviews."""
    return _("Review ({done} of {total})").format(done=progress.done, total=progress.total)


def nothing_shown(rows: int, total: int, shown: RowFilter) -> str:
    """Why the table is empty, or an empty text."""
    if rows:
        return ""
    if total and shown != RowFilter():
        return _("No region passes the filter.")
    return _("Nothing is deferred at this budget: raise it above, or put an expert on duty.")


def expert_choices(names: Names) -> list[tuple[str, str]]:
    """Value and caption of the filter by expert; an empty value shows all."""
    return [("", _("All experts")), *names.experts.items()]


def state_choices() -> list[tuple[str, str]]:
    """Value and caption of the filter by state."""
    return [("", _("All states")), *((state, state_text(state)) for state in REGION_STATES)]


def structure_choices(names: Names) -> list[tuple[str, str]]:
    """Value and caption of the filter by structure."""
    return [("", _("All structures")), *names.structures.items()]


def walk_reason(rows: int) -> str:
    """Why one cannot go to the next or the previous region, or an empty text."""
    if rows == 0:
        return _("There is no region in the table.")
    return _("There is no other region in the table.") if rows == 1 else ""
