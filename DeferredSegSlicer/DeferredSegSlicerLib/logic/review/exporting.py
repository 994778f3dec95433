"""Export of the shown case from the panel: files by the library, DICOM SEG by Slicer's own exporter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.budgets import check_share
from ...core.errors import BadInputError, DeferredSegError
from ...core.review import ReviewState
from ...export.case_content import content_of
from ...export.formats import FORMATS, Failure, Target, export_case, parse_formats, planned_files, stem_of
from ..shown_case import ShownCase
from . import slicer_dicom

DICOM_SEG = "dicom-seg"


@dataclass(frozen=True)
class ReviewExport:
    """What an export wrote.

    Attributes
    ----------
    files : in order. failures : formats that could not be written, and why.
    warnings : sentences that must not be overlooked, such as on regions that nobody has reviewed.
    summary : the state of the review in a few words, as the files have it.
    """

    files: tuple[Path, ...]
    failures: tuple[Failure, ...]
    warnings: tuple[str, ...]
    summary: str


def formats_of(shown: ShownCase | None) -> tuple[tuple[str, str, str], ...]:
    """Each format's name, what it is, and why it cannot be written now or an empty text."""
    nothing = "" if shown is not None else "no case is open"
    found = []
    for name, form in FORMATS.items():
        what, reason = form.what, nothing
        if name == DICOM_SEG:
            what = "DICOM SEG of the scan's series"
            reason = reason or slicer_dicom.hindrance(shown.volume_node if shown is not None else None)
        found.append((name, what, reason))
    return tuple(found)


def export_review(
    scene: Any,
    shown: ShownCase,
    state: ReviewState | None,
    folder: Path,
    formats: Sequence[str] = (),
    overwrite: bool = False,
    budget: float | None = None,
) -> ReviewExport:
    """Write the labels as all readers together have decided, the regions and the decisions.

    Parameters
    ----------
    state : the case's review, or None to read it. formats : names, or none for the usual ones.
    budget : share of the decision zone at which regions are listed; that of the panel by default.

    Raises
    ------
    BadInputError : an unknown format, a file is there already and `overwrite` is off, the folder cannot be made.
    DamagedCaseError : the case or its review was changed. Nothing was written.
    """
    wanted = parse_formats(formats)
    share = check_share(shown.budget if budget is None else budget)
    content = content_of(shown.case, share, shown.worklist, state)
    target = Target(folder, stem_of(shown.case.folder))
    there = [path for path in planned_files(content, target, wanted) if path.exists()]
    if there and not overwrite:
        raise BadInputError(f'"{there[0]}" is there already; choose another folder, or let it be replaced')
    done = export_case(content, target, [name for name in wanted if name != DICOM_SEG], overwrite)
    files, failures = list(done.files), list(done.failures)
    if DICOM_SEG in wanted:
        path = target.file("_seg.dcm")
        try:
            slicer_dicom.write_dicom_seg(scene, path, content, shown)
            files.append(path)
        except DeferredSegError as error:
            failures.append(Failure(DICOM_SEG, error))
    return ReviewExport(tuple(files), tuple(failures), content.warnings, content.summary)
