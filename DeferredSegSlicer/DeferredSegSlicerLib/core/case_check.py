"""Read everything in a case folder and say what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .atomic import TEMPORARY_PREFIX
from .case_reader import Case, check_file, sha256_of_file
from .case_record import RECORD_FILE, REVIEW_FOLDER, read_record
from .case_writer import label_of
from .errors import BadInputError, DamagedCaseError


@dataclass(frozen=True)
class Finding:
    """One thing found in a case folder: damage, or a note on something that is merely odd."""

    severity: Literal["damage", "note"]
    sentence: str


def check_case(path: str | Path) -> list[Finding]:
    """Every file read, compared with its checksum, and the maps with each other; an empty list if the case is whole.

    Raises
    ------
    BadInputError : there is no such folder, or it is no case.
    """
    folder = Path(path)
    try:
        record = read_record(folder)
    except DamagedCaseError as error:
        return [Finding("damage", error.sentence)]
    findings: list[Finding] = []
    case = Case(folder, record)
    broken: set[str] = set()
    for name, written in record.files.items():
        try:
            check_file(folder, name, written.bytes)
            if sha256_of_file(folder / name) != written.sha256:
                raise DamagedCaseError(f'case "{folder}": {name} was changed since it was written')
        except (DamagedCaseError, OSError) as error:
            findings.append(Finding("damage", str(error)))
            broken.add(name)
    if not broken:
        findings += _findings_in_maps(case)
    return findings + _strangers(case)


def _findings_in_maps(case: Case) -> list[Finding]:
    findings: list[Finding] = []

    def attempt(step: Callable[[], None]) -> None:
        try:
            step()
        except DamagedCaseError as error:
            findings.append(Finding("damage", error.sentence))
        except BadInputError as error:
            findings.append(Finding("note", error.sentence))

    attempt(lambda: _drop(case.volume()))
    attempt(lambda: _drop(case.routing()))
    attempt(lambda: _drop(case.error()))
    attempt(lambda: _label_agrees(case))
    return findings


def _drop(_: object) -> None:
    """The value was read for its checks."""


def _label_agrees(case: Case) -> None:
    """Raise DamagedCaseError unless the segmentation is what the probabilities say."""
    label, expected = case.label(), label_of(case.probability())
    wrong = int((label != expected).sum())
    if wrong:
        raise DamagedCaseError(f'case "{case.folder}": segmentation and probability disagree in {wrong} voxels')


def _strangers(case: Case) -> list[Finding]:
    """Notes on files that do not belong to the case; what readers keep in review/ does."""
    known = {RECORD_FILE, *case.record.files}
    notes = []
    for place in sorted(case.folder.rglob("*")):
        name = place.relative_to(case.folder).as_posix()
        if place.is_dir() or name in known or name.startswith(f"{REVIEW_FOLDER}/"):
            continue
        kind = "the remains of a write that was cut off" if TEMPORARY_PREFIX in name else "not part of the case"
        notes.append(Finding("note", f'case "{case.folder}": {name} is {kind}'))
    return notes
