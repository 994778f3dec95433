"""Read everything in a case folder and say what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .atomic import TEMPORARY_PREFIX
from .case_reader import Case, check_file, check_header, sha256_of_file
from .case_record import (
    IMAGE_FILE,
    PROBABILITY_FILE,
    REVIEW_FOLDER,
    ROUTING_FILE,
    SEGMENTATION_FILE,
    error_map_file,
    read_record,
)
from .case_writer import label_of, strangers
from .errors import BadInputError, DamagedCaseError
from .review.journal_check import check_review


@dataclass(frozen=True)
class Finding:
    """One thing found in a case folder: damage, or a note on something that is merely odd."""

    severity: Literal["damage", "note"]
    sentence: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.sentence}"

    @property
    def is_damage(self) -> bool:
        """True if the case cannot be trusted; a note alone leaves it whole."""
        return self.severity == "damage"


def check_case(path: str | Path) -> list[Finding]:
    """Every file read, compared with its checksum, and the maps with each other; an empty list if the case is whole.

    Readers' journals are checked line by line; see `core.review.journal_check`.

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
    whole: set[str] = set()
    for name, written in record.files.items():
        try:
            check_file(folder, name, written.bytes)
            if sha256_of_file(folder / name) != written.sha256:
                raise DamagedCaseError(f'case "{folder}": {name} was changed since it was written')
            check_header(case, name)
            whole.add(name)
        except DamagedCaseError as error:
            findings.append(Finding("damage", error.sentence))
        except OSError as error:
            findings.append(Finding("damage", f'case "{folder}": {name} cannot be read: {error.strerror}'))
    return findings + _findings_in_voxels(case, whole) + _findings_in_review(case, whole) + _notes(case)


def _findings_in_voxels(case: Case, whole: set[str]) -> list[Finding]:
    """What is wrong with the voxels of files that are as they were written."""
    steps: list[tuple[set[str], Callable[[], object]]] = [
        ({IMAGE_FILE} if case.record.image.file else set(), case.volume),
        ({ROUTING_FILE}, case.routing),
        ({SEGMENTATION_FILE, PROBABILITY_FILE}, lambda: _check_label(case)),
    ]
    steps += [({error_map_file(m)}, lambda m=m: case.error(m)) for m in case.error_maps]  # type: ignore[misc]
    findings: list[Finding] = []
    for needed, step in steps:
        if needed <= whole:
            try:
                step()
            except DamagedCaseError as error:
                findings.append(Finding("damage", error.sentence))
            except BadInputError as error:  # an image outside the case is not the case's fault
                findings.append(Finding("note", error.sentence))
    return findings


def _findings_in_review(case: Case, whole: set[str]) -> list[Finding]:
    """What is wrong with the readers' journals."""
    if not os.path.lexists(case.folder / REVIEW_FOLDER):
        return []
    try:
        label = case.label() if SEGMENTATION_FILE in whole else None
    except DamagedCaseError:  # it is among the findings already
        label = None
    return [Finding(severity, sentence) for severity, sentence in check_review(case, label)]


def _check_label(case: Case) -> None:
    """Raise DamagedCaseError unless the segmentation is what the probabilities say."""
    label, expected = case.label(), label_of(case.probability())
    wrong = int((label != expected).sum())
    if wrong:
        raise DamagedCaseError(
            f'case "{case.folder}": the segmentation disagrees with its probability in {wrong} voxels'
        )


def _notes(case: Case) -> list[Finding]:
    """Notes on files that do not belong to the case."""
    foreign = [(name, "is not part of the case") for name in strangers(case.folder, case.record)]
    remains = [
        (place.relative_to(case.folder).as_posix(), "is what a write left that was cut off; it may be deleted")
        for place in sorted(case.folder.rglob(f"*{TEMPORARY_PREFIX}*"))
    ]
    return [Finding("note", f'case "{case.folder}": {name} {what}') for name, what in foreign + remains]
