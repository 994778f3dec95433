"""A reader at work: walking, filtering, saving, coming back, and what happens when the disk is full."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from DeferredSegSlicerLib.core.case import Case, check_case
from DeferredSegSlicerLib.core.errors import BadInputError, DamagedCaseError
from DeferredSegSlicerLib.core.experts import without
from DeferredSegSlicerLib.core.review import (
    Candidate,
    Effort,
    NotSavedError,
    Reader,
    ReviewSession,
    journal,
    read_corrected,
    read_journal,
    read_review,
)
from DeferredSegSlicerLib.core.segmentation_file import read_segmentation
from DeferredSegSlicerLib.core.worklist import Worklist

Opener = Callable[..., ReviewSession]


def painted(session: ReviewSession, label: int) -> np.ndarray:
    labels = session.labels.copy()
    labels.reshape(-1)[session.current.region.indices] = label
    return labels


@pytest.fixture
def a_full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """A function that fills the disk for journals, or frees it."""
    write = os.write

    def full(descriptor: int, data: memoryview) -> int:
        if len(data) > 50:
            return write(descriptor, data[:50])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return lambda is_full: monkeypatch.setattr(journal.os, "write", full if is_full else write)


def test_rows_come_worst_first_and_the_reader_is_at_the_worst(open_session: Opener, a_worklist: Worklist) -> None:
    session = open_session(budget=0.2)
    assert [row.id for row in session.rows] == [r.id for r in a_worklist.regions(0.2)]
    assert session.current == session.rows[0] and session.budget == 0.2
    assert session.progress.done == 0 and session.progress.total == 8


def test_next_and_previous_walk_around_the_list(open_session: Opener) -> None:
    session = open_session()
    ids = [row.id for row in session.rows]
    assert [session.next().id for _ in ids] == [*ids[1:], ids[0]]
    assert [session.previous().id for _ in ids] == [*ids[:0:-1], ids[0]]


def test_next_open_passes_over_what_is_done(open_session: Opener) -> None:
    session = open_session()
    ids = [row.id for row in session.rows]
    session.accept()
    session.skip(session.rows[1].region)
    assert session.next_open().id == ids[2]
    for row in session.rows[2:]:
        session.accept(row.region)
    assert session.next_open() is None and session.current.id == ids[2]
    assert session.progress == (8, 8, 0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("worst", lambda row: row.rank),
        ("ml", lambda row: row.region.volume_ml),
        ("slices", lambda row: row.region.slice_count),
        ("structure", lambda row: row.region.structure),
        ("expert", lambda row: row.region.expert),
        ("error", lambda row: row.region.expected_error_ml),
        ("seconds", lambda row: row.region.seconds),
        ("position", lambda row: row.region.slice_range),
    ],
)
def test_rows_sort_by_every_column(open_session: Opener, key: str, value: Callable) -> None:
    session = open_session()
    session.sort(key)
    found = [value(row) for row in session.rows]
    assert found == sorted(found) and len(found) == 8
    session.sort(key, descending=True)
    assert [value(row) for row in session.rows] == found[::-1]
    with pytest.raises(BadInputError, match='cannot be sorted by "color"'):
        session.sort("color")


def test_rows_sorted_by_state_stay_where_they_are_until_sorted_again(open_session: Opener) -> None:
    session = open_session()
    session.skip(session.rows[0].region)
    session.sort("state")
    order = [row.id for row in session.rows]
    assert session.rows[-1].state == "skipped" and session.rows[0].state == "open"
    session.go_to(order[2])
    session.accept()
    assert [row.id for row in session.rows] == order and session.next().id == order[3]
    session.sort("state")
    assert [row.state for row in session.rows][-2:] == ["skipped", "accepted"]


def test_filters_by_expert_state_and_structure(open_session: Opener) -> None:
    session = open_session()
    session.accept()
    everything = session.rows
    for how in ({"expert": "inside"}, {"state": "accepted"}, {"structure": "tumor"}):
        session.show(**how)
        ((name, wanted),) = how.items()
        expected = [
            row
            for row in everything
            if {"expert": row.expert, "state": row.state, "structure": row.region.structure}[name] == wanted
        ]
        assert list(session.rows) == expected and 0 < len(expected) < 8
    session.show(state="open")
    assert session.next() == session.rows[0]  # from the accepted row, which is hidden
    session.accept()
    assert session.next().state == "open" and len(session.rows) == 6
    session.show(expert="nobody")
    assert session.rows == () and session.next() is None


def test_a_row_of_another_budget_is_refused_by_name(open_session: Opener) -> None:
    session = open_session(budget=0.05)
    old = session.current
    session.set_budget(0.4)
    with pytest.raises(BadInputError, match="is not in the worklist at this budget"):
        session.go_to(old.id)
    session.accept(old.region)  # its voxels are still there to be decided on
    assert session.table.nearest_to(old.region.indices).state in ("partly", "accepted")


def test_the_reader_stays_at_the_same_place_when_the_budget_changes(open_session: Opener) -> None:
    session = open_session(budget=0.2)
    session.go_to(session.rows[3].id)
    here = session.current.region.indices
    session.sort("ml", descending=True)
    session.show(structure=session.current.region.structure)
    session.set_budget(0.4)
    assert np.isin(here, session.current.region.indices).mean() > 0.5
    assert [r.region.volume_ml for r in session.rows] == sorted(
        (r.region.volume_ml for r in session.rows), reverse=True
    )
    assert {r.region.structure for r in session.rows} == {session.current.region.structure}
    session.set_budget(0)
    assert session.rows == () and session.current is None
    with pytest.raises(BadInputError, match="the worklist is empty"):
        session.accept()


def test_an_expert_off_duty_changes_the_rows_and_no_decision(open_session: Opener, a_worklist: Worklist) -> None:
    session = open_session(budget=0.2)
    session.edit(painted(session, 2))
    labels = session.labels.copy()
    session.set_worklist(a_worklist.with_experts(without(a_worklist.experts, ["edge"])))
    assert "edge" not in {row.region.expert for row in session.rows} and len(session.rows) > 2
    assert np.array_equal(session.labels, labels)


def test_a_reader_comes_back_where_they_were(open_session: Opener, a_review_case: Case, a_worklist: Worklist) -> None:
    session = open_session("edge", budget=0.4)
    session.accept()
    session.sort("ml")
    session.show(state="open")
    session.show_all_readers(True)
    session.go_to(session.rows[4].id)
    where = session.current
    session.journal._lock.release()  # as if killed: nothing else is done
    again = ReviewSession(a_review_case, a_worklist, Reader("edge"))
    assert again.current == where and again.budget == 0.4 and again.all_readers_shown
    assert again.rows == session.rows and again.progress == session.progress
    again.close()
    with ReviewSession(a_review_case, a_worklist, Reader("edge"), budget=0.05) as other:
        assert other.budget == 0.05 and other.table.nearest_to(where.region.indices) == other.current


def test_a_reader_comes_back_to_the_same_voxels_if_the_region_is_gone(open_session: Opener) -> None:
    session = open_session("edge")
    session.accept()
    for row in session.rows:
        session.go_to(row.id)
        session.journal.keep_place(session.journal.place | {"region": "gone", "rank": 0})
        session.close()
        session = open_session("edge")
        assert session.current == row


@pytest.mark.parametrize(
    "place",
    [
        {"region": 5, "voxel": "x", "rank": -1, "budget": "all", "sort": 3, "show": []},
        {"region": "gone", "voxel": 10**12, "rank": 10**6, "budget": 9, "sort": ["color", 1], "show": {"state": "mad"}},
        {"region": None, "rank": True, "budget": None, "sort": ["ml"], "show": {"expert": 3}},
    ],
)
def test_a_place_that_makes_no_sense_is_passed_over(open_session: Opener, place: dict) -> None:
    session = open_session()
    session.accept()
    session.journal.keep_place(place)
    session.close()
    again = open_session()
    assert again.budget == 0.2 and len(again.rows) == 8 and again.current in again.rows


def test_all_readers_or_this_one_alone(open_session: Opener, a_review_case: Case) -> None:
    first, second = open_session("edge"), open_session("inside")
    first.edit(painted(first, 2))
    assert second.refresh() and not second.refresh()
    assert second.rows[0].state == "open" and np.array_equal(second.labels, a_review_case.label())
    second.show_all_readers(True)
    assert second.rows[0].state == "edited" and np.array_equal(second.labels, first.labels)
    second.edit(painted(second, 1))
    assert second.rows[0].state == "conflict" and np.array_equal(second.labels, a_review_case.label())
    second.show_all_readers(False)
    assert second.rows[0].state == "edited" and len(second.conflicts) == 1


def test_a_session_changes_its_labels_in_place_and_says_where(open_session: Opener, a_review_case: Case) -> None:
    session = open_session()
    labels = session.labels
    change = session.edit(painted(session, 2))
    assert session.labels is labels
    assert set(np.flatnonzero(labels != a_review_case.label())) <= set(change.voxels.tolist())
    undone = session.undo()
    assert np.array_equal(undone.voxels, change.voxels) and np.array_equal(labels, a_review_case.label())


def test_an_edit_of_a_part_of_the_volume_is_the_same_as_of_all(open_session: Opener) -> None:
    session = open_session()
    region = session.current.region
    labels = painted(session, 2)
    (i0, j0, k0), (i1, j1, k1) = region.box_ijk
    box = (slice(k0, k1), slice(j0, j1), slice(i0, i1))
    whole = session.edit(labels).entry.decision
    session.undo()
    part = session.edit(labels[box].copy(), box=box).entry.decision
    assert part.after == whole.after and part.statistics == whole.statistics
    with pytest.raises(BadInputError, match="do not cover the region"):
        session.edit(labels[k0 : k1 - 1], box=(slice(k0, k1 - 1), slice(None), slice(None)))
    with pytest.raises(BadInputError, match="expected uint8"):
        session.edit(labels.astype(np.int16))
    with pytest.raises(BadInputError, match="label 9 is of no structure"):
        session.edit(painted(session, 9))


def test_seconds_are_those_since_the_row_became_current(open_session: Opener) -> None:
    now = [100.0]
    session = open_session(clock=lambda: now[0])
    now[0] += 12.25
    assert session.accept().entry.decision.effort == Effort(12.25, 0)
    session.next()
    now[0] += 7
    assert session.edit(session.labels.copy(), edited=5.5).entry.decision.effort == Effort(7, 5.5)
    assert session.skip(effort=Effort(3, 1), note="x").entry.decision.effort == Effort(3, 1)
    now[0] -= 1000
    assert session.accept().entry.decision.effort == Effort(0, 0)


def test_a_decision_on_a_full_disk_is_kept_and_can_be_written_again(
    open_session: Opener, a_full_disk: Callable[[bool], None], a_review_case: Case
) -> None:
    session = open_session()
    session.accept()
    before = session.journal.path.read_bytes()
    a_full_disk(True)
    session.next()
    labels = painted(session, 2)
    with pytest.raises(NotSavedError, match="the disk is full"):
        session.edit(labels)
    assert session.journal.path.read_bytes() == before and len(session.unsaved) == 1
    assert session.current.state == "open"  # not shown as decided before it is
    with pytest.raises(NotSavedError, match="the disk is full"):
        session.skip(session.rows[2].region)
    assert len(session.unsaved) == 2
    a_full_disk(False)
    written = session.retry()
    assert [change.entry.decision.kind for change in written] == ["edit", "skip"] and session.unsaved == ()
    assert [row.state for row in session.rows[:3]] == ["accepted", "edited", "skipped"]
    assert np.array_equal(session.labels, labels)
    assert len(read_journal(session.journal.path, a_review_case)) == 3


def test_what_waits_for_the_disk_goes_before_what_is_decided_later(
    open_session: Opener, a_full_disk: Callable[[bool], None]
) -> None:
    session = open_session()
    a_full_disk(True)
    with pytest.raises(NotSavedError):
        session.skip()
    with pytest.raises(NotSavedError):
        session.accept()
    assert session.undo() is None and [d.kind for d in session.unsaved] == ["skip"]
    a_full_disk(False)
    session.accept(session.rows[1].region)
    assert [e.decision.kind for e in session.journal.entries] == ["skip", "accept"]


def test_corrected_labels_are_saved_for_other_programs(open_session: Opener, a_review_case: Case) -> None:
    session = open_session()
    assert (
        session.is_saved
        and session.save() is None
        and not (a_review_case.folder / "review/corrected.seg.nrrd").exists()
    )
    tumor = next(row for row in session.rows if row.region.structure == "tumor")
    session.go_to(tumor.id)
    session.accept()
    assert not session.is_saved
    path = session.save()
    found, result = read_segmentation(path), read_segmentation(a_review_case.folder / "segmentation.seg.nrrd")
    assert [replace(s, tags=()) for s in found.segments] == [replace(s, tags=()) for s in result.segments]
    assert [dict(s.tags) for s in found.segments] == [dict(s.tags) for s in result.segments]  # nobody touched anything
    session.edit(np.where(painted(session, 0) != session.labels, 0, session.labels).astype(np.uint8))
    assert session.save() == path and session.is_saved
    found = read_segmentation(path)
    assert np.array_equal(found.layers[0], session.labels) and found.geometry == a_review_case.geometry
    types = {s.id: dict(s.tags)["DICOM.SegmentAlgorithmType"] for s in found.segments}
    assert types == {"liver": "AUTOMATIC", "tumor": "SEMIAUTOMATIC"}
    tags = dict(found.segment("tumor").tags)
    assert tags["DICOM.SegmentAlgorithmName"] == "Test net" and "TerminologyEntry" in tags
    assert read_corrected(a_review_case)[1] == (session.journal.entries[-1].ref,)
    assert check_case(a_review_case.folder) == []


def test_saving_takes_in_what_others_decided_meanwhile(open_session: Opener, a_review_case: Case) -> None:
    first, second = open_session("edge"), open_session("inside")
    first.edit(painted(first, 2))
    second.next()
    second.edit(painted(second, 1))
    second.save()
    assert np.array_equal(read_corrected(a_review_case)[0], read_review(a_review_case).corrected())
    assert (read_corrected(a_review_case)[0].reshape(-1)[first.current.region.indices] == 2).all()


def test_saving_waits_until_it_is_due(open_session: Opener) -> None:
    now = [0.0]
    session = open_session(clock=lambda: now[0])
    now[0] = 100.0
    assert session.save_if_due(30) is None
    session.accept()
    assert session.save_if_due(30) is not None and session.save_if_due(0) is None
    session.undo()
    now[0] += 29
    assert session.save_if_due(30) is None
    now[0] += 1
    assert session.save_if_due(30) is not None


def test_a_full_disk_at_saving_leaves_the_old_file_and_the_journal(
    open_session: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_session()
    session.edit(painted(session, 2))
    path = session.save()
    old = path.read_bytes()
    session.undo()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", full)
        with pytest.raises(BadInputError, match=r'corrected\.seg\.nrrd" cannot be written: the disk is full'):
            session.save()
    assert path.read_bytes() == old and not session.is_saved
    assert session.save() == path and path.read_bytes() != old


def test_looking_only_needs_no_lock_and_writes_nothing(open_session: Opener, a_review_case: Case) -> None:
    session = open_session("edge")
    session.accept()
    before = sorted(a_review_case.folder.rglob("*"))
    with pytest.raises(BadInputError, match="opened elsewhere"):
        open_session("edge")
    looking = open_session("edge", read_only=True)
    assert looking.rows[0].state == "accepted" and looking.next() is not None
    for attempt in (looking.accept, looking.skip, looking.save):
        with pytest.raises(BadInputError, match="was opened to look only"):
            attempt()
    looking.set_budget(0.1)
    assert sorted(a_review_case.folder.rglob("*")) == before and looking.unsaved == ()


def test_somebody_elses_damaged_journal_is_refused_or_left_out_on_purpose(
    open_session: Opener, a_review_case: Case
) -> None:
    other = open_session("inside")
    other.accept()
    other.close()
    path = other.journal.path
    path.write_bytes(path.read_bytes().replace(b'"accept"', b'"acCept"'))
    with pytest.raises(DamagedCaseError, match=r'inside\.jsonl" line 1 was changed'):
        open_session("edge")
    session = open_session("edge", leave_out_damaged=True)
    session.accept()
    assert list(session.state.left_out) == ["inside.jsonl"] and session.progress.done == 1


def test_a_journal_written_to_elsewhere_is_opened_again_and_nothing_is_lost(
    open_session: Opener, a_review_case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(_: object) -> None:
        raise OSError(errno.ENOTSUP, "no locks here")

    monkeypatch.setattr("DeferredSegSlicerLib.core.review.locks._lock", no_locks)
    first, second = open_session("edge"), open_session("edge")
    first.accept()
    second.next()
    with pytest.raises(NotSavedError, match="opened elsewhere"):
        second.skip()
    second.reopen()
    second.retry()
    assert [row.state for row in second.rows[:2]] == ["accepted", "skipped"]
    assert len(read_journal(second.journal.path, a_review_case)) == 2


def test_a_taken_alternative_says_its_name(open_session: Opener) -> None:
    session = open_session()
    offered = session.alternatives()
    assert 2 <= len(offered) <= 4 and len({a.after for a in offered}) == len(offered)
    change = session.take(offered[1])
    assert change.entry.decision.name == offered[1].name
    assert change.entry.decision.statistics.changed == offered[1].changed > 0
    assert np.array_equal(session.labels.reshape(-1)[offered[1].after.indices], offered[1].after.labels)
    assert session.current.state == "edited"


def test_candidates_of_a_model_are_offered_first(open_session: Opener) -> None:
    session = open_session()
    region = session.current.region
    mask = np.arange(region.voxels) % 2
    offered = session.alternatives(extra=[Candidate("token 2", mask.astype(np.uint8))])
    assert offered[0].name == "token 2" and len(offered) <= 4
    assert np.array_equal(offered[0].after.labels, mask)
    same = session.alternatives(extra=[Candidate("again", offered[1].after.labels)])
    assert same[0].name == "again" and offered[1].name not in [a.name for a in same]
    assert len({a.after for a in same}) == len(same)
    for wrong in (np.zeros(3, np.uint8), mask, np.full(region.voxels, 7, np.uint8)):
        with pytest.raises(BadInputError, match='candidate "x"'):
            session.alternatives(extra=[Candidate("x", wrong)])


def test_a_case_on_another_volume_is_not_opened(
    tmp_path: Path, write_review_case: Callable[..., Case], a_review_case: Case
) -> None:
    """The same size, another patient: `check_opens_on` is what a program asks before it opens a session."""
    other = write_review_case(tmp_path / "other", seed=1)
    with pytest.raises(BadInputError, match="its voxels differ"):
        a_review_case.check_opens_on(other.geometry, other.record.image.sha256)
    a_review_case.check_opens_on(a_review_case.geometry, a_review_case.record.image.sha256)
