"""Saving and exporting: what is not reviewed, what was written where, and why a format cannot be."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...presenters.wording import as_sentence, ml_text
from ...text import _

FORMATS = ("seg.nrrd", "nifti", "dicom-seg", "csv", "json", "stl")
"""Formats in the order of their check boxes."""

USUAL = ("seg.nrrd", "nifti", "csv")
"""Formats that are ticked until the reader ticks others."""


@dataclass(frozen=True)
class SavedAt:
    """When corrected.seg.nrrd was written: local time as "12:03", empty if not known."""

    saved: bool
    time: str = ""


def captions() -> Mapping[str, tuple[str, str]]:
    """Caption and tool tip of each format's check box."""
    return {
        "seg.nrrd": (_("Segmentation (.seg.nrrd)"), _("The corrected labels in Slicer's own format.")),
        "nifti": (_("NIfTI (.nii.gz)"), _("The corrected labels, with their names and codes in a file beside it.")),
        "dicom-seg": (_("DICOM SEG"), _("The corrected labels as a DICOM object of the scan's study.")),
        "csv": (_("Tables (.csv)"), _("Regions and decisions as two tables.")),
        "json": (_("Review (.json)"), _("Regions, decisions and figures for programs.")),
        "stl": (_("Surfaces (.stl)"), _("A closed surface of each structure, in mm, LPS.")),
    }


def unreviewed_text(regions: int, total: int, ml: float) -> str:
    """Said loudly before an export; empty if everything is reviewed."""
    if not regions:
        return ""
    return _(
        "NOT REVIEWED: {regions} of {total} deferred regions, {ml}. There the export has the model's guess."
    ).format(regions=regions, total=total, ml=ml_text(ml))


def reviewed_text(total: int) -> str:
    """If nothing is left."""
    if not total:
        return _("Nothing is deferred at this budget.")
    return _("All {total} deferred regions are reviewed.").format(total=total)


def saved_text(at: SavedAt | None) -> str:
    """State of corrected.seg.nrrd; None while nobody reviews."""
    if at is None:
        return ""
    if not at.saved:
        return _("not written since the last decision")
    return _("saved {time}").format(time=at.time) if at.time else _("up to date")


def save_reason(active: bool, read_only: bool, editing: bool) -> str:
    """Why nothing can be saved, or an empty text."""
    if not active:
        return _("Choose who you are first, in Review.")
    if read_only:
        return _("The review was opened to look only.")
    return _("Finish or discard the edit first.") if editing else ""


def nothing_decided() -> str:
    """After saving a review that has no decision."""
    return _("Nobody has decided anything yet: there is nothing to write.")


def export_reason(wanted: Sequence[str], folder: str, editing: bool, busy: str) -> str:
    """Why nothing can be exported, or an empty text."""
    if busy:
        return busy
    if editing:
        return _("Finish or discard the edit first.")
    if not wanted:
        return _("Tick at least one format.")
    return "" if folder else _("Choose a folder first.")


def reason_text(reason: str) -> str:
    """Why a format cannot be written, as a sentence, or an empty text."""
    return as_sentence(reason)


def not_known_text() -> str:
    """While there are journals of a review that nobody has opened."""
    return _("Choose who you are, in Review, to see which regions are reviewed; an export says it in any case.")


def nothing_written(sentence: str) -> str:
    """An export that could not be made at all."""
    return _("NOTHING WRITTEN. {reason}").format(reason=sentence)


def exported_text(files: Sequence[Path], folder: Path) -> str:
    """What was written, as rich text with a link to the folder."""
    if not files:
        return ""
    count = _("1 file") if len(files) == 1 else _("{count} files").format(count=len(files))
    link = f'<a href="{html.escape(folder.as_uri(), quote=True)}">{html.escape(str(folder))}</a>'
    names = ", ".join(html.escape(path.name) for path in files)
    return _("{count} written to {folder}: {names}").format(count=count, folder=link, names=names)


def failures_text(failures: Iterable[tuple[str, str]]) -> str:
    """Formats that could not be written, a line each; pairs of format and sentence."""
    known = captions()
    return "\n".join(
        _("NOT WRITTEN: {format}. {reason}").format(format=known.get(name, (name,))[0], reason=as_sentence(reason))
        for name, reason in failures
    )


def warnings_text(warnings: Iterable[str]) -> str:
    """What must not be overlooked, a line each."""
    return "\n".join(as_sentence(warning) for warning in warnings)
