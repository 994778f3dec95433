"""Which folder goes on from a case that a scene holds: no decision of the scene's copy may be left behind."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..core.case import open_case
from ..core.case_record import REVIEW_FOLDER, read_record
from ..core.errors import BadInputError, DamagedCaseError
from ..core.review.names import JOURNAL_SUFFIX, journals_in
from ..mrml.packing import unpack

_log = logging.getLogger(__name__)


def place_of(case_id: str, folder: Path, cases_folder: Path, text: str | None, digest: str | None) -> Path | None:
    """The folder to open for a scene; reads files, so it belongs on a thread.

    Parameters
    ----------
    folder : where the scene says that the case is. cases_folder : where copies were restored to before.
    text, digest : what the scene holds of the case (`mrml.packing`), or None.

    Returns
    -------
    `folder`, if it is that case; else the copy with the most decisions in `cases_folder`. In both cases only if every
    journal of the scene's copy is there, as it is or longer; else None: then the scene's copy has to be restored.
    """
    kept = _journals_of(text, digest)
    if holds_case(folder, case_id) and _goes_on_from(folder, kept):
        return folder
    found = [place for place in _whole_copies(case_id, cases_folder) if _goes_on_from(place, kept)]
    return max(found, key=lambda place: (sum(p.stat().st_size for p in journals_in(place)), place.name), default=None)


def holds_case(folder: Path, case_id: str) -> bool:
    """Whether a folder is there and holds this very case, as far as its record says."""
    try:
        return read_record(folder).id == case_id
    except (BadInputError, DamagedCaseError):
        return False


def _journals_of(text: str | None, digest: str | None) -> dict[str, bytes]:
    """File name to whole lines, of every journal in a scene's copy; none if the copy is damaged."""
    if text is None:
        return {}
    try:
        files = unpack(text, digest, f"{REVIEW_FOLDER}/")
    except DamagedCaseError as error:
        _log.warning("%s", error.sentence)
        return {}
    journals = {Path(file.name).name: file.data for file in files if file.name.endswith(JOURNAL_SUFFIX)}
    whole = {name: data[: data.rfind(b"\n") + 1] for name, data in journals.items()}
    return {name: data for name, data in whole.items() if data}


def _goes_on_from(folder: Path, kept: Mapping[str, bytes]) -> bool:
    try:
        for name, data in kept.items():
            with (folder / REVIEW_FOLDER / name).open("rb") as file:
                if file.read(len(data)) != data:
                    return False
    except OSError:
        return False
    return True


def _whole_copies(case_id: str, cases_folder: Path) -> Iterator[Path]:
    try:
        places = sorted(p for p in cases_folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError:
        return
    for place in places:
        if holds_case(place, case_id):
            try:
                open_case(place)
            except (BadInputError, DamagedCaseError):
                continue
            yield place
