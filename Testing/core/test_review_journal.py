"""Journals: decisions come back as they were made, in the order in which they were made."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from DeferredSegSlicerLib.core.case import Case, check_case
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.review import (
    Accept,
    Alternative,
    AnyDecision,
    Edit,
    Journal,
    Limit,
    Reader,
    Reassign,
    RegionRef,
    Skip,
    Undo,
    journal,
    read_journal,
    read_review,
)
from DeferredSegSlicerLib.core.review.names import bookmark_file, journal_file
from DeferredSegSlicerLib.core.review.runs import LabelRuns

EDGE = Reader("edge", "Dr. Edge", "radiologist")


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_every_decision_comes_back_as_it_was_made(
    a_review_case: Case, a_journal: Path, decisions: list[AnyDecision]
) -> None:
    entries = read_journal(a_journal, a_review_case)
    assert [e.decision for e in entries[:5]] == decisions
    assert [type(e.decision) for e in entries] == [Accept, Edit, Alternative, Reassign, Skip, Undo]
    assert entries[5].decision == Undo(line=entries[1].ref)
    assert [e.n for e in entries] == [1, 2, 3, 4, 5, 6]
    assert all(e.reader == EDGE and e.software["deferredseg"] and e.bundle["id"] == "test-net" for e in entries)
    assert check_case(a_review_case.folder) == []


def test_a_line_can_be_checked_with_nothing_but_a_sha256(a_review_case: Case, a_journal: Path) -> None:
    record = json.loads((a_review_case.folder / "case.json").read_text(encoding="utf-8"))
    root = ["deferredseg review 1", record["id"], record["image"]["sha256"]]
    root += [record["files"]["segmentation.seg.nrrd"]["sha256"], "edge"]
    previous = hashlib.sha256("\n".join(root).encode()).hexdigest()
    for raw in lines_of(a_journal):
        plain = json.loads(raw)
        body = raw.removesuffix(f',"sha":"{plain["sha"]}"}}\n'.encode()) + b"}"
        assert hashlib.sha256(body).hexdigest() == plain["sha"] and plain["prev"] == previous
        previous = plain["sha"]


def test_a_line_stands_alone_with_voxels_labels_and_statistics(a_review_case: Case, a_journal: Path) -> None:
    plain = json.loads(lines_of(a_journal)[1])
    voxels, end = [], 0
    for gap, length in zip(plain["voxels"][::2], plain["voxels"][1::2], strict=True):
        voxels += range(end + gap, end + gap + length)
        end += gap + length
    model = a_review_case.label().reshape(-1)[voxels]
    assert plain["region"]["id"].startswith(f"{plain['region']['structure']}:{plain['region']['expert']}:")
    assert plain["after"][2::3] == [2] * (len(plain["after"]) // 3)
    ml = a_review_case.geometry.voxel_ml
    assert plain["changed"] == np.count_nonzero(model != 2)
    assert plain["before_ml"] == pytest.approx({"liver": (model == 1).sum() * ml, "tumor": (model == 2).sum() * ml})
    assert plain["after_ml"] == pytest.approx({"liver": 0, "tumor": len(voxels) * ml})
    assert plain["seconds"] == {"looked": 12.5, "edited": 3.0} and plain["note"] == "größer als gedacht"
    assert plain["limit"] == {"margin_mm": 5.0, "lifted": False} and plain["case"] == a_review_case.id


def test_the_order_is_that_of_the_lines_when_the_clock_goes_backwards(
    a_review_case: Case, decisions: list[AnyDecision], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter(["2024-10-27T02:59:59+00:00", "1970-01-01T00:00:00+00:00", "2024-10-27T02:00:00+00:00"])

    class Clock:
        @staticmethod
        def now(_: object) -> Any:
            return type("Now", (), {"isoformat": staticmethod(lambda timespec: next(times))})

    monkeypatch.setattr(journal, "datetime", Clock)
    region = decisions[1].region
    with Journal.open(a_review_case, EDGE) as book:
        book.append(decisions[1])
        book.append(Accept(region=region, voxels=decisions[1].voxels, statistics=decisions[1].statistics))
        with pytest.raises(StopIteration):
            [book.append(decisions[2]) for _ in range(2)]
    entries = read_journal(book.path, a_review_case)
    assert [e.time[:4] for e in entries] == ["2024", "1970", "2024"]
    state = read_review(a_review_case)
    indices = decisions[1].voxels.indices
    assert np.array_equal(state.corrected().reshape(-1)[indices], a_review_case.label().reshape(-1)[indices])


def test_a_review_in_which_nothing_is_decided_leaves_no_trace(a_review_case: Case) -> None:
    with Journal.open(a_review_case, EDGE) as book:
        book.keep_place({"region": "x"})
        assert journal_file(a_review_case.folder, EDGE).parent.is_dir()
    assert not (a_review_case.folder / "review").exists()


def test_a_closed_journal_takes_nothing(a_review_case: Case, decisions: list[AnyDecision]) -> None:
    book = Journal.open(a_review_case, EDGE)
    book.close()
    book.close()
    with pytest.raises(BadInputError, match="the journal is closed"):
        book.append(decisions[0])


def test_a_damaged_bookmark_costs_no_decision(a_review_case: Case, a_journal: Path) -> None:
    for content in (b"", b"[", b"[]", b'{"lines": -1, "head": "", "place": {}}', b"\xff\xfe", b'{"lines": 1}'):
        bookmark_file(a_journal).write_bytes(content)
        with Journal.open(a_review_case, EDGE) as book:
            assert len(book.entries) == 6 and book.place == {}


def test_only_own_decisions_that_hold_can_be_undone(
    a_review_case: Case, a_journal: Path, decisions: list[AnyDecision]
) -> None:
    with Journal.open(a_review_case, EDGE) as book:
        first, second, undone = book.entries[0], book.entries[1], book.entries[5]
        for line in (second.ref, undone.ref, type(first.ref)("inside", 1, "0" * 64), type(first.ref)("edge", 99, "")):
            with pytest.raises(BadInputError, match="no decision that holds"):
                book.append(Undo(line=line))
        book.append(Undo(line=first.ref))
    assert len(read_review(a_review_case).active) == 3


def test_decisions_of_another_case_are_not_written(a_review_case: Case, decisions: list[AnyDecision]) -> None:
    accept, edit, _, reassign, _ = decisions
    with Journal.open(a_review_case, EDGE) as book:
        for wrong, reason in (
            (replace(accept, region=RegionRef("spleen", "edge", 0.2, "x")), "spleen"),
            (replace(accept, region=replace(accept.region, budget=2.0)), "budget"),
            (replace(reassign, to="somebody"), "no expert has the id"),
            (replace(edit, after=LabelRuns.of(np.array([6000]), np.array([1], np.uint8))), "outside the volume"),
            (replace(edit, after=LabelRuns.of(edit.voxels.indices[1:], edit.after.labels[1:])), "without a label"),
            (replace(edit, after=LabelRuns.of(edit.after.indices, edit.after.labels + np.uint8(9))), "no structure"),
        ):
            with pytest.raises(BadInputError, match=reason):
                book.append(wrong)
        assert not book.path.exists()
        book.append(replace(edit, limit=Limit(lifted=True)))
