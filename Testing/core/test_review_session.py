"""A reader at work: decisions and the labels they make, saving, other readers, and a disk that is full."""

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
from DeferredSegSlicerLib.core.review import (
    Candidate,
    Effort,
    NotSavedError,
    ReviewSession,
    journal,
    read_corrected,
    read_journal,
    read_review,
)
from DeferredSegSlicerLib.core.segmentation_file import read_segmentation

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
