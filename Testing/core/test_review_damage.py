"""Journals that were changed, by hand, by accident or by broken software, are refused with the number of the line."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from DeferredSegSlicerLib.core.case import Case, check_case, open_case
from DeferredSegSlicerLib.core.errors import DamagedCaseError
from DeferredSegSlicerLib.core.review import (
    Journal,
    Reader,
    read_journal,
    read_review,
)
from DeferredSegSlicerLib.core.review.deciding import Deciding
from DeferredSegSlicerLib.core.review.names import bookmark_file
from DeferredSegSlicerLib.core.worklist import Worklist

EDGE = Reader("edge", "Dr. Edge", "radiologist")


def refused(path: Path, case: Case) -> str:
    """The one sentence with which a journal is refused by every way to it; nothing is written."""
    before = {p: p.read_bytes() for p in path.parent.iterdir() if p.is_file()}
    with pytest.raises(DamagedCaseError) as error:
        read_journal(path, case)
    for attempt in (lambda: Journal.open(case, EDGE), lambda: read_review(case)):
        with pytest.raises(DamagedCaseError) as again:
            attempt()
        assert again.value.sentence == error.value.sentence
    assert error.value.sentence in [f.sentence for f in check_case(case.folder) if f.is_damage]
    left = read_review(case, leave_out_damaged=True)
    assert left.left_out == {path.name: error.value.sentence} and left.readers == ()
    assert {p: p.read_bytes() for p in path.parent.iterdir() if p.is_file()} == before
    assert error.value.exit_code == 4 and str(path) in error.value.sentence
    return error.value.sentence


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def sealed(body: bytes) -> bytes:
    """A line whose checksum is right, whatever it says."""
    return body[:-1] + b',"sha":"' + hashlib.sha256(body).hexdigest().encode() + b'"}\n'


def rewritten(path: Path, number: int, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a line of a journal and give it, and those after it, checksums that are right again."""
    lines = []
    for n, raw in enumerate(lines_of(path), start=1):
        plain = json.loads(raw)
        sha = plain.pop("sha")
        if n == number:
            change(plain)
        if lines:
            plain["prev"] = json.loads(lines[-1])["sha"] if n != number else plain["prev"]
        lines.append(sealed(json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()))
        assert n != 1 or number == 1 or lines[0] == raw, sha
    path.write_bytes(b"".join(lines))
    bookmark_file(path).unlink(missing_ok=True)


@pytest.mark.parametrize("number", [1, 3, 6])
@pytest.mark.parametrize("where", [0.01, 0.4, 0.7, -1])
def test_a_changed_line_is_refused_with_its_number(
    a_review_case: Case, a_journal: Path, number: int, where: float
) -> None:
    lines = [bytearray(line) for line in lines_of(a_journal)]
    position = int(where * len(lines[number - 1])) if where > 0 else -3
    lines[number - 1][position] ^= 1
    a_journal.write_bytes(b"".join(lines))
    assert f"line {number} " in refused(a_journal, a_review_case)


def test_reordered_lines_are_refused(a_review_case: Case, a_journal: Path) -> None:
    lines = lines_of(a_journal)
    lines[2], lines[3] = lines[3], lines[2]
    a_journal.write_bytes(b"".join(lines))
    assert "line 3 has number 4: lines were taken out, put in or reordered" in refused(a_journal, a_review_case)


def test_a_line_that_was_taken_out_or_doubled_is_refused(a_review_case: Case, a_journal: Path) -> None:
    lines = lines_of(a_journal)
    a_journal.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert "line 3 has number 4" in refused(a_journal, a_review_case)
    a_journal.write_bytes(b"".join([*lines[:3], lines[2], *lines[3:]]))
    assert "line 4 has number 3" in refused(a_journal, a_review_case)


def test_lost_lines_at_the_end_are_missed(a_review_case: Case, a_journal: Path) -> None:
    lines = lines_of(a_journal)
    a_journal.write_bytes(b"".join(lines[:4]))
    assert 'has lost line 5 to 6, which "edge.json" knows' in refused(a_journal, a_review_case)
    a_journal.unlink()
    with pytest.raises(DamagedCaseError, match="has lost line 1 to 6"):
        Journal.open(a_review_case, EDGE)
    a_journal.write_bytes(b"".join(lines[:4]))
    bookmark_file(a_journal).unlink()
    assert len(read_journal(a_journal, a_review_case)) == 4


def test_a_line_forged_with_a_right_checksum_breaks_the_chain(a_review_case: Case, a_journal: Path) -> None:
    lines = lines_of(a_journal)
    plain = json.loads(lines[2])
    del plain["sha"]
    plain["note"] = "forged"
    lines[2] = sealed(json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode())
    a_journal.write_bytes(b"".join(lines))
    assert "line 4 does not follow the line before it" in refused(a_journal, a_review_case)


def test_another_readers_line_is_refused(a_review_case: Case, a_journal: Path, a_worklist: Worklist) -> None:
    with Journal.open(a_review_case, Reader("inside")) as other:
        region = a_worklist.regions(0.2)[5]
        other.append(Deciding(read_review(a_review_case), Reader("inside"), 0.2).accept(region))
    foreign = lines_of(other.path)[0]
    other.path.unlink()
    bookmark_file(other.path).unlink()
    a_journal.write_bytes(a_journal.read_bytes() + foreign)
    assert 'line 7 is of another reader, "inside"' in refused(a_journal, a_review_case)


def test_a_journal_under_another_readers_name_is_refused(a_review_case: Case, a_journal: Path) -> None:
    renamed = a_journal.rename(a_journal.with_name("outside.jsonl"))
    with pytest.raises(DamagedCaseError, match='line 1 is of another reader, "edge"'):
        read_journal(renamed, a_review_case)
    with pytest.raises(DamagedCaseError, match='line 1 is of another reader, "edge"'):
        Journal.open(a_review_case, Reader("outside"))


def test_another_cases_journal_is_refused(
    tmp_path: Path, write_review_case: Callable[..., Case], a_review_case: Case, a_journal: Path
) -> None:
    """The same size, another patient."""
    other = write_review_case(tmp_path / "other", seed=1)
    assert other.geometry == a_review_case.geometry
    shutil.copytree(a_journal.parent, other.folder / "review")
    assert "line 1 is of another case" in refused(other.folder / "review" / "edge.jsonl", other)


def test_a_journal_of_another_scan_or_other_labels_is_refused_under_the_same_case_id(
    tmp_path: Path, write_review_case: Callable[..., Case], a_review_case: Case, a_journal: Path
) -> None:
    other = write_review_case(tmp_path / "other", seed=1)
    shutil.copytree(a_journal.parent, other.folder / "review")
    record = json.loads((other.folder / "case.json").read_text(encoding="utf-8"))
    record["id"] = a_review_case.id
    (other.folder / "case.json").write_text(json.dumps(record), encoding="utf-8")
    sentence = refused(other.folder / "review" / "edge.jsonl", open_case(other.folder))
    assert "line 1 does not follow this case's scan and labels" in sentence


def test_a_newer_schema_is_refused(a_review_case: Case, a_journal: Path) -> None:
    rewritten(a_journal, 2, lambda plain: plain.update(schema=2))
    assert "line 2 has schema 2, this software reads 1" in refused(a_journal, a_review_case)


@pytest.mark.parametrize(
    ("number", "change", "reason"),
    [
        (1, {"voxels": []}, "runs are not"),
        (1, {"voxels": [0, 6000]}, "0 to 5760"),
        (1, {"voxels": [5000, 5000]}, "reach beyond"),
        (1, {"voxels": [3, 0]}, "no voxels"),
        (1, {"voxels": [3, 1, 0, 4]}, "touch"),
        (1, {"voxels": [3, 1, True, 4]}, "whole numbers"),
        (1, {"voxels": [3.0, 1]}, "whole numbers"),
        (1, {"voxels": [10**30, 1]}, "whole numbers"),
        (1, {"voxels": "all"}, "runs are not"),
        (2, {"after": [5, 10, 3]}, "label 3 is of no structure"),
        (2, {"after": [5, 10]}, "list of 3"),
        (2, {"limit": {"margin_mm": -1, "lifted": False}}, "margin"),
        (2, {"limit": {"margin_mm": 1, "lifted": 1}}, "lifted"),
        (2, {"limit": {}, "extra": 1}, '"extra" is not known'),
        (1, {"decision": "erase"}, "not known"),
        (1, {"region": {"structure": "spleen", "expert": "edge", "budget": 0.2, "id": "x"}}, "spleen"),
        (1, {"region": {"structure": "liver", "expert": "edge", "budget": 7, "id": "x"}}, "budget"),
        (1, {"changed": -1}, "whole number"),
        (1, {"before_ml": {"liver": 1}}, "ml"),
        (1, {"time": "2024-05-01T10:00:00"}, "offset"),
        (1, {"time": "yesterday"}, "yesterday"),
        (1, {"seconds": {"looked": -1, "edited": 0}}, "seconds"),
        (1, {"answers": [{"reader": "inside", "n": 1, "sha": "x"}]}, "sha256"),
        (1, {"note": None}, "note"),
        (1, {"software": {"python": 3}}, "versions"),
        (6, {"undo": {"n": 9, "sha": "0" * 64}}, "undoes line 9"),
    ],
)
def test_a_line_that_cannot_be_is_refused_even_if_it_is_sealed(
    a_review_case: Case, a_journal: Path, number: int, change: dict[str, Any], reason: str
) -> None:
    rewritten(a_journal, number, lambda plain: plain.update(change))
    sentence = refused(a_journal, a_review_case)
    assert f"line {number} " in sentence and reason in sentence


def test_garbage_with_a_line_end_is_no_crash_but_a_change(a_review_case: Case, a_journal: Path) -> None:
    a_journal.write_bytes(a_journal.read_bytes() + b'{"schema":1}\n')
    assert "line 7 was changed" in refused(a_journal, a_review_case)


def test_links_in_place_of_review_or_journal_are_refused(tmp_path: Path, a_review_case: Case, a_journal: Path) -> None:
    elsewhere = shutil.copytree(a_journal.parent, tmp_path / "elsewhere")
    shutil.rmtree(a_journal.parent)
    a_journal.parent.symlink_to(elsewhere)
    with pytest.raises(DamagedCaseError, match="is a link"):
        Journal.open(a_review_case, EDGE)
    assert any("review is a link" in f.sentence for f in check_case(a_review_case.folder) if f.is_damage)
    a_journal.parent.unlink()
    a_journal.parent.mkdir()
    a_journal.symlink_to(elsewhere / "edge.jsonl")
    assert "is a link, expected a file inside the case" in refused(a_journal, a_review_case)
