"""Who reviews, and what stands in the way: looking only, damaged journals, a full disk, an edit that a crash left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ...presenters.wording import as_sentence, quoted, short
from ...text import _

if TYPE_CHECKING:
    from ....logic.review import ReaderChoice

NOBODY, OTHER = "", "\n"
"""Values of the chooser's first and last line; neither is an id that a reader can have."""


def reader_choices(readers: Iterable[ReaderChoice], reader: tuple[str, str] | None) -> list[tuple[str, str]]:
    """Value and caption of who one can be: nobody yet, the readers of the case, and another name.

    `reader` is id and name of who reviews now, perhaps somebody whose journal is still empty.
    """
    known = [(choice.id, _caption(choice)) for choice in readers]
    if reader is not None and reader[0] not in {value for value, _caption_text in known}:
        known.append(reader)
    nobody = [] if reader is not None else [(NOBODY, _("Choose who you are"))]
    return [*nobody, *known, (OTHER, _("Other name\u2026"))]


def _caption(choice: ReaderChoice) -> str:
    """Name and role; of a role that is explained ("radiologist: how far the lesion goes") the first part."""
    role = choice.role.split(":")[0].strip()
    return _("{name} ({role})").format(name=choice.name, role=role) if role else choice.name


def case_text(volume: str) -> str:
    """Whose regions are reviewed: the scan's name."""
    return _("Scan {volume}").format(volume=quoted(short(volume)))


def case_tip(folder: str) -> str:
    """Where the case is."""
    return _("Case folder: {folder}").format(folder=folder)


def nothing_open() -> str:
    """While there is no case."""
    return _("Segment a volume above, or open a case that was segmented before. A review needs no network.")


def why_a_name() -> str:
    """While nobody has said who reviews."""
    return _("Every reader writes an own journal, so that nobody overwrites another's decisions.")


def look_only(refusal: str) -> str:
    """A loud line if nothing can be decided, or an empty text."""
    return _("LOOKING ONLY: {reason}").format(reason=as_sentence(refusal)) if refusal else ""


def warnings_text(warnings: Sequence[str]) -> str:
    """What the reader should know of the journals, a line each."""
    return "\n".join(as_sentence(warning) for warning in warnings)


def unsaved_text(count: int) -> str:
    """A loud line if decisions could not be written, or an empty text."""
    if not count:
        return ""
    what = _("1 decision is NOT SAVED.") if count == 1 else _("{count} decisions are NOT SAVED.").format(count=count)
    return _("{what} Make room on the disk or make its folder writable, then retry; or undo.").format(what=what)


def draft_text(structure: str, voxels: int, seconds: float, saved: str) -> str:
    """An edit that a crash cut off; `saved` is UTC, ISO 8601."""
    return _(
        "An edit of {structure} was not finished: {voxels} voxels, {seconds:.0f} s of drawing, kept at {time}."
    ).format(structure=quoted(structure), voxels=voxels, seconds=seconds, time=clock_text(saved))


def clock_text(utc: str) -> str:
    """A time of the journals on this computer's clock: today's as "14:03", others with their date."""
    try:
        local = datetime.fromisoformat(utc).astimezone()
    except ValueError:
        return utc
    today = local.date() == datetime.now().astimezone().date()
    return local.strftime("%H:%M" if today else "%Y-%m-%d %H:%M")


def damaged_question(sentence: str) -> str:
    """Asked if a journal of the case is damaged."""
    return _(
        "{reason}\n\nGo on without the damaged journals of other readers? What they decided is not seen then; "
        "the files stay as they are."
    ).format(reason=as_sentence(sentence))
