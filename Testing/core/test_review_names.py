"""Whatever a reader or a folder is called, the journal has a plain name of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from DeferredSegSlicerLib.core.case import Case, check_case, open_case
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.review import (
    Journal,
    Reader,
    read_journal,
    read_review,
)
from DeferredSegSlicerLib.core.review.deciding import Deciding
from DeferredSegSlicerLib.core.review.names import bookmark_file, stem_of
from DeferredSegSlicerLib.core.worklist import Worklist

EDGE = Reader("edge", "Dr. Edge", "radiologist")


NAMES = [
    "../../etc/passwd",
    "/etc/x",
    "Dr. Müller-Lüdenscheidt",
    "放射線科医 山田",
    "con",
    "LPT1",
    "a" * 900,
    "..",
    ".",
    "x\0y",
    "C:\\Users\\x",
    "edge ",
    "Edge",
    "EDGE",
    "e\u0301dge",
    "line\nbreak",
    "review.jsonl",
    "edge-0123456789ab",
    "🩻",
    "<>|?*",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_becomes_a_plain_file_of_its_own_and_stays_in_the_lines(
    a_review_case: Case, a_worklist: Worklist, name: str
) -> None:
    reader = Reader(name, name)
    before = {p for p in a_review_case.folder.parent.rglob("*") if p.name != "review"}
    with Journal.open(a_review_case, reader) as book:
        book.append(Deciding(read_review(a_review_case), reader, 0.2).accept(a_worklist.regions(0.2)[0]))
    assert book.path.parent == a_review_case.folder / "review"
    stem = book.path.stem
    assert stem.isascii() and len(stem) <= 48 and stem == stem.lower() and stem.strip(".") == stem
    assert not set(stem) & set('/\\:<>|?*" \0\n') and stem.split(".")[0] not in ("con", "nul", "lpt1")
    made = {p for p in a_review_case.folder.parent.rglob("*")} - before - {book.path.parent}
    assert made == {book.path, bookmark_file(book.path), book.path.with_name(f".{stem}.lock")}
    (entry,) = read_journal(book.path, a_review_case)
    assert entry.reader.name == name and entry.reader.id == Reader(name).id
    assert read_review(a_review_case).readers == (reader,)
    assert check_case(a_review_case.folder) == []


def test_no_two_names_share_a_file() -> None:
    readers = {Reader(name).id for name in NAMES}
    stems = {stem_of(Reader(name)).casefold() for name in NAMES}
    assert len(stems) == len(readers) == len(NAMES) - 0
    assert stem_of(Reader("edge")) == "edge" == stem_of(Reader(" edge "))
    assert stem_of(Reader("\u00e9dge")) == stem_of(Reader("e\u0301dge"))  # one name, typed in two ways


@pytest.mark.parametrize("name", ["", "   ", "\ud800", "x" * 1001, None, 5])
def test_a_name_that_is_none_is_refused(name: Any) -> None:
    with pytest.raises(BadInputError, match="reader"):
        Reader(name)


def test_very_long_and_foreign_paths(
    tmp_path: Path, write_review_case: Callable[..., Case], a_worklist: Worklist
) -> None:
    folder = tmp_path
    while len(os.fsencode(folder)) < 3400:
        folder = folder / ("Ärztin 医師 " * 8)
    folder.mkdir(parents=True)
    case = write_review_case(folder / "Fall")
    with Journal.open(case, Reader("放射線科")) as book:
        book.append(Deciding(read_review(case), Reader("放射線科"), 0.1).accept(a_worklist.regions(0.1)[0]))
    assert len(read_journal(book.path, open_case(case.folder))) == 1 and check_case(case.folder) == []
