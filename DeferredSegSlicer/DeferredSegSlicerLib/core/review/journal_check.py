"""Prove that a review is whole: every line of every journal, and the corrected segmentation against them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..atomic import TEMPORARY_PREFIX
from ..case_reader import Case
from ..case_record import REVIEW_FOLDER
from ..errors import BadInputError, DamagedCaseError
from .corrected_file import read_corrected
from .decisions import Decision, Entry
from .layers import ModelLabel
from .names import CORRECTED_FILE, bookmark_file, journals_in, lock_file
from .scanning import scan_journal
from .state import ReviewState
from .validity import check_decision, statistics_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

Found = tuple[Literal["damage", "note"], str]


def check_review(case: Case, label: NDArray[np.uint8] | None) -> Iterator[Found]:
    """What is wrong with a case's review, and what is merely odd; nothing for a case without one.

    Every line is compared with its checksum and with the line before; what it says of its voxels with the model's
    labels, and what it changed with its limit; corrected.seg.nrrd with what the lines make of the labels.

    Parameters
    ----------
    label : uint8 [k, j, i], the model's labels, or None if they are damaged; then only the lines are checked.
    """
    folder = case.folder / REVIEW_FOLDER
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        yield "damage", f'case "{case.folder}": {REVIEW_FOLDER} is a link or a file, expected a folder inside the case'
        return
    journals: list[tuple[Entry, ...]] = []
    damaged = False
    for path in journals_in(case.folder):
        try:
            scan = scan_journal(path, case)
        except (DamagedCaseError, BadInputError) as error:
            damaged = True
            yield "damage", error.sentence
            continue
        if scan.entries:
            journals.append(scan.entries)
        if scan.cut:
            cut = f"line {len(scan.entries) + 1} was cut off while it was written, by a crash"
            yield "note", f'journal "{path}" {cut}; it is put aside when the reader goes on'
        if label is not None:
            yield from _lines(path, scan.entries, case, label)
    yield from _answers(journals)
    if label is not None and not damaged and (case.folder / CORRECTED_FILE).exists():
        yield from _corrected(case, journals)
    yield from _other_files(folder)


def _lines(path: Path, entries: tuple[Entry, ...], case: Case, label: NDArray[np.uint8]) -> Iterator[Found]:
    """Lines that say something of their voxels that is not so; undoing was checked with the chain."""
    for entry in entries:
        decision = entry.decision
        if isinstance(decision, Decision):
            try:
                check_decision(decision, case, {})
            except BadInputError as error:
                yield "damage", f'journal "{path}" line {entry.n} cannot be: {error.sentence}'
                continue
            if not _alike(decision, case, label):
                yield "damage", f'journal "{path}" line {entry.n} has other statistics than its voxels'


def _alike(decision: Decision, case: Case, label: NDArray[np.uint8]) -> bool:
    said, true = decision.statistics, statistics_of(decision, case, label)
    return said.changed == true.changed and all(
        np.allclose([ours[s.id] for s in case.structures], [theirs[s.id] for s in case.structures])
        for ours, theirs in ((said.before_ml, true.before_ml), (said.after_ml, true.after_ml))
    )


def _answers(journals: list[tuple[Entry, ...]]) -> Iterator[Found]:
    """Notes on lines that answer a line which is not there, as when one reader's journal was not copied."""
    there = {entry.sha for entries in journals for entry in entries}
    for entries in journals:
        for entry in entries:
            for line in getattr(entry.decision, "answers", ()):
                if line.sha not in there:
                    who = f'line {entry.n} of reader "{entry.reader.id}"'
                    yield "note", f'{who} answers line {line.n} of reader "{line.reader}", which is not in the case'


def _corrected(case: Case, journals: list[tuple[Entry, ...]]) -> Iterator[Found]:
    again = "it can be made anew from the journals"
    try:
        corrected, lines = read_corrected(case)
    except BadInputError as error:
        yield "damage", f"{error.sentence}; {again}"
        return
    by_reader = {entries[0].reader.id: entries for entries in journals}
    for line in lines:
        entries = by_reader.get(line.reader, ())
        if len(entries) < line.n or entries[line.n - 1].sha != line.sha:
            yield "damage", f'{CORRECTED_FILE} has line {line.n} of reader "{line.reader}", which the journals lack'
            return
    if lines != tuple(by_reader[reader][-1].ref for reader in sorted(by_reader)):
        yield "note", f'case "{case.folder}": {CORRECTED_FILE} is older than the journals; {again}'
        return
    state = ReviewState(case, ModelLabel(case))
    for entries in journals:
        state = state.with_journal(entries)
    wrong = int(np.count_nonzero(state.corrected() != corrected))
    if wrong:
        yield "damage", f'case "{case.folder}": {CORRECTED_FILE} was changed in {wrong} voxels; {again}'


def _other_files(folder: Path) -> Iterator[Found]:
    """Notes on what was put aside, and on what is no part of a review."""
    if not folder.is_dir():
        return
    known = {folder.parent / CORRECTED_FILE}
    for journal in folder.glob("*.jsonl"):
        known |= {journal, bookmark_file(journal), lock_file(journal)}
    for place in sorted(folder.iterdir()):
        name = f"{REVIEW_FOLDER}/{place.name}"
        if place.suffix == ".cut":
            yield (
                "note",
                f'case "{folder.parent}": {name} is the beginning of a line that a crash cut off; keep or delete it',
            )
        elif place not in known and place.suffix != ".lock" and TEMPORARY_PREFIX not in place.name:
            yield "note", f'case "{folder.parent}": {name} is not part of a review'
