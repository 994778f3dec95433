"""Edits by hand: what the segment editor draws is recorded exactly, inside the limit, and outlives a crash."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from case_on_node import node_ids
from DeferredSegSlicerLib.core import atomic
from DeferredSegSlicerLib.core.case_check import check_case
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.review import Edit, Limit, NotSavedError, read_review
from DeferredSegSlicerLib.core.review.limits import limit_mask
from DeferredSegSlicerLib.logic.review.drafts import draft_file, read_draft
from DeferredSegSlicerLib.mrml.review.corrected import find_corrected
from DeferredSegSlicerLib.mrml.review.names import LIMIT_TAG
from review_bench import LEFT_HANDED, OBLIQUE, Bench, a_bench  # noqa: F401  a fixture

MakeBench = Callable[..., Bench]
GRIDS = pytest.mark.parametrize("grid", [OBLIQUE, LEFT_HANDED], ids=["oblique", "left-handed"])


def allowed(bench: Bench, margin: float) -> np.ndarray:
    """Where an edit of the current region may paint."""
    mask = np.zeros(bench.case.geometry.shape, bool)
    box, inside = limit_mask(bench.review.region.indices, bench.case.geometry, margin)
    mask[box] = inside
    return mask


def everywhere(bench: Bench) -> np.ndarray:
    return np.ones(bench.case.geometry.shape, bool)


@GRIDS
def test_a_stroke_is_recorded_voxel_by_voxel_and_stays_inside_the_limit(a_bench: MakeBench, grid: Any) -> None:  # noqa: F811
    bench = a_bench(grid)
    review = bench.review
    review.begin("extent")
    before, inside = bench.labels.copy(), allowed(bench, review.margin_mm)
    nodes = node_ids(bench.scene)
    review.start_edit()
    bench.time += 4
    bench.paint(everywhere(bench))
    bench.wait(0.5)
    assert review.edited_voxels == np.count_nonzero(inside & (before != 1)) > 0
    outcome = review.finish_edit()

    assert outcome.put_back == 0 and outcome.change is not None
    decision = outcome.change.entry.decision
    assert isinstance(decision, Edit) and decision.limit == Limit(review.margin_mm)
    assert decision.effort.looked == pytest.approx(4.5) and decision.effort.edited == pytest.approx(4.5)
    assert np.array_equal(bench.labels, np.where(inside, 1, before))
    assert read_review(bench.case).corrected().tobytes() == bench.labels.tobytes()
    assert review.current is not None and review.current.state == "edited"
    assert node_ids(bench.scene) - nodes <= {review_editor(bench).GetID()}, "the editor's node alone stays"
    segmentation = find_corrected(bench.scene, bench.case.id, bench.volume).GetSegmentation()
    assert not any(segmentation.GetNthSegment(n).HasTag(LIMIT_TAG) for n in range(segmentation.GetNumberOfSegments()))
    assert [str(finding) for finding in check_case(bench.case.folder)] == []


def review_editor(bench: Bench) -> Any:
    return bench.scene.GetSingletonNode("DeferredSegSlicerReview", "vtkMRMLSegmentEditorNode")


@GRIDS
def test_erasing_beyond_the_limit_is_put_back_at_once_and_counted(a_bench: MakeBench, grid: Any) -> None:  # noqa: F811
    bench = a_bench(grid)
    review = bench.review
    review.begin("extent")
    before, inside = bench.labels.copy(), allowed(bench, review.margin_mm)
    review.start_edit()
    bench.paint(everywhere(bench), erase=True)  # Slicer lets the reader erase the segment everywhere
    bench.wait(0.5)
    beyond = np.count_nonzero((before == 1) & ~inside)
    assert review.put_back_voxels == beyond > 0
    node = find_corrected(bench.scene, bench.case.id, bench.volume)
    shown = bench.alignment.to_case(slicer.util.arrayFromSegmentBinaryLabelmap(node, "Liver", bench.volume))
    assert np.array_equal(shown.astype(bool), (before == 1) & ~inside), "the reader sees it before the end of the edit"
    hand = bench.hand()
    hand.paint(bench.alignment.to_node(everywhere(bench)))
    bench.wait(0.5)
    outcome = review.finish_edit()
    assert outcome.put_back == beyond
    assert np.array_equal(bench.labels, np.where(inside, 1, before)), "the mask had not grown by what was erased"


def test_strokes_that_the_program_had_no_time_to_look_at_are_put_back_at_the_end(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    before, inside = bench.labels.copy(), allowed(bench, review.margin_mm)
    review.start_edit()
    bench.paint(everywhere(bench), erase=True)
    outcome = review.finish_edit()
    assert outcome.put_back == np.count_nonzero((before == 1) & ~inside)
    assert np.array_equal(bench.labels, np.where(inside & (before == 1), 0, before))


def test_undo_in_the_editor_still_works_after_strokes_were_put_back(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    before, inside = bench.labels.copy(), allowed(bench, review.margin_mm)
    review.start_edit()
    hand = bench.hand()
    small = np.zeros_like(inside)
    small.reshape(-1)[review.region.indices[:10]] = True
    hand.paint(bench.alignment.to_node(small))
    bench.wait(0.5)
    hand.erase(bench.alignment.to_node(everywhere(bench)))
    bench.wait(0.5)
    assert review.put_back_voxels > 0
    hand.undo()
    bench.wait(0.5)
    review.finish_edit()
    assert np.array_equal(bench.labels, np.where(small, 1, before))


def test_the_limit_can_be_lifted_and_is_in_force_again_for_the_next_edit(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    before = bench.labels.copy()
    review.start_edit()
    review.lift_limit()
    assert review.limit_lifted
    far = np.zeros_like(before, bool)
    far[12, 38, 5:9] = True
    bench.paint(far)
    bench.wait(0.5)
    outcome = review.finish_edit()
    assert outcome.put_back == 0 and np.array_equal(bench.labels, np.where(far, 1, before))
    assert outcome.change.entry.decision.limit.lifted
    review.next()
    review.start_edit()
    assert not review.limit_lifted
    review.cancel_edit()


def test_a_limit_that_is_lowered_again_puts_back_what_was_drawn_beyond(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    before = bench.labels.copy()
    review.start_edit()
    review.lift_limit()
    far, near = np.zeros_like(before, bool), np.zeros_like(before, bool)
    far[12, 38, 5:9] = True
    near.reshape(-1)[review.region.indices] = True
    bench.paint(far)
    bench.paint(near)
    bench.wait(0.5)
    review.lift_limit(False)
    outcome = review.finish_edit()
    assert outcome.put_back == 4 and np.array_equal(bench.labels, np.where(near, 1, before))


def test_another_margin_holds_at_once_and_is_remembered(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    review.start_edit()
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(BadInputError, match="margin"):
            review.set_margin(wrong)
    review.set_margin(2.0)
    before, inside = bench.labels.copy(), allowed(bench, 2.0)
    assert inside.sum() < allowed(bench, 5.0).sum()
    bench.paint(everywhere(bench))
    bench.wait(0.5)
    review.finish_edit()
    assert np.array_equal(bench.labels, np.where(inside, 1, before))
    assert bench.a_review().margin_mm == 2.0
    bench.services.set_setting("DeferredSegSlicer/Review/MarginMm", "nonsense")
    assert review.margin_mm == 5.0


def test_an_edit_that_draws_nothing_decides_nothing(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    review.start_edit()
    bench.wait()
    assert not review.has_unsaved_edit
    outcome = review.finish_edit()
    assert outcome.change is None and review.current.state == "open" and review.session.journal.entries == ()
    review.start_edit()
    review.next()
    assert review.session.journal.entries == () and review.editing is None


@pytest.mark.parametrize("leave", ["next", "previous", "next_open", "go_to", "all readers", "end", "another reader"])
def test_leaving_a_region_records_its_edit(a_bench: MakeBench, leave: str) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    region = review.region
    review.start_edit()
    bench.paint(everywhere(bench))
    ways: dict[str, Callable[[], Any]] = {
        "go_to": lambda: review.go_to(review.rows[5].id),
        "all readers": lambda: review.show_all_readers(True),
        "end": review.end,
        "another reader": lambda: review.begin("Dr. B"),
    }
    ways.get(leave, getattr(review, leave, None))()
    entries = read_review(bench.case).entries
    assert [entry.decision.kind for entry in entries] == ["edit"] and review.editing is None
    assert entries[0].decision.region.id == region.id
    assert not draft_file(bench.case, entries[0].reader).exists()


def test_other_decisions_wait_until_the_edit_is_over(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    handles = review.start_edit()
    assert review.start_edit() is handles, "it is open already"
    for act in (review.accept, review.skip, review.alternatives, lambda: review.take(1), review.undo):
        with pytest.raises(BadInputError, match="an edit is open"):
            act()
    with pytest.raises(BadInputError, match="an edit is open"):
        review.export(bench.case.folder.parent / "out")
    review.cancel_edit()
    with pytest.raises(BadInputError, match="no edit is open"):
        review.finish_edit()
    assert review.accept()


def test_cancelling_leaves_everything_as_it_was(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    before = bench.labels.copy()
    review.start_edit()
    bench.paint(everywhere(bench))
    bench.wait(0.5)
    assert read_draft(bench.case, review.reader) is not None
    review.cancel_edit()
    node = find_corrected(bench.scene, bench.case.id, bench.volume)
    for number, structure in enumerate(bench.case.structures, 1):
        shown = slicer.util.arrayFromSegmentBinaryLabelmap(node, structure.id, bench.volume)
        assert np.array_equal(bench.alignment.to_case(shown).astype(bool), before == number)
    assert review.session.journal.entries == () and not draft_file(bench.case, review.reader).exists()


@GRIDS
def test_after_a_crash_every_finished_stroke_can_be_taken_up_again(a_bench: MakeBench, grid: Any) -> None:  # noqa: F811
    bench = a_bench(grid)
    review = bench.review
    review.begin("extent")
    for _ in range(3):
        review.next()
    region = review.region
    bench.time += 20
    review.start_edit()
    bench.paint(everywhere(bench))
    bench.wait(0.5)
    expected = np.where(allowed(bench, review.margin_mm), 1, bench.labels)
    crash(bench)

    again = bench.review
    assert again.begin("extent") and again.region.id == region.id, "the reader is where the reader was"
    draft = again.draft
    assert draft is not None and draft.region.id == region.id
    assert len(draft.drawn) == np.count_nonzero(expected != bench.labels)
    again.next()
    again.restore_draft()
    assert again.region.id == region.id and again.draft is None
    bench.wait(0.5)
    outcome = again.finish_edit()
    assert np.array_equal(bench.labels, expected) and outcome.put_back == 0
    assert outcome.change.entry.decision.effort.looked >= 20
    assert not draft_file(bench.case, again.reader).exists()


def crash(bench: Bench) -> None:
    """The program dies: nothing is told to anybody, and the system takes the locks back."""
    review = bench.review
    desk, review._desk = review._desk, None
    review.close()
    review._stop_timer()
    desk.session.journal._lock.release()
    bench.scene.RemoveNode(desk.copy.node)
    bench.module.close_case(keep_nodes=True)
    bench.open()
    bench.review = bench.a_review()


def test_a_draft_is_taken_up_where_its_region_is_at_another_budget_too(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    review.go_to(review.rows[-1].id)
    region = review.region
    review.start_edit()
    bench.paint(everywhere(bench))
    bench.wait(0.5)
    crash(bench)
    bench.review.begin("extent")
    bench.module.set_budget(0.01)
    assert region.id not in {row.id for row in bench.review.rows}
    bench.review.restore_draft()
    assert bench.review.region.id == region.id and bench.module.shown.budget == 1.0
    bench.review.finish_edit()


def test_an_unfinished_edit_is_not_replaced_by_another(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    bench.review.begin("extent")
    bench.review.start_edit()
    bench.paint(everywhere(bench))
    bench.wait(0.5)
    crash(bench)
    review = bench.review
    review.begin("extent")
    review.next()
    kept = draft_file(bench.case, review.reader).read_bytes()
    with pytest.raises(BadInputError, match="go on with it or discard it first"):
        review.start_edit()
    assert review.accept() and draft_file(bench.case, review.reader).read_bytes() == kept
    review.restore_draft()
    assert review.finish_edit().change is not None and review.start_edit()


def test_a_draft_can_be_discarded_and_a_broken_one_is_told(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    review.start_edit()
    bench.paint(everywhere(bench))
    bench.wait(0.5)
    crash(bench)
    bench.review.begin("extent")
    assert bench.review.draft is not None
    bench.review.discard_draft()
    assert bench.review.draft is None and not draft_file(bench.case, bench.review.reader).exists()
    with pytest.raises(BadInputError, match="no unfinished edit"):
        bench.review.restore_draft()
    path = draft_file(bench.case, bench.review.reader)
    for text in ("{", json.dumps({"schema": 1, "case": "another", "reader": "extent"}), json.dumps([1]), ""):
        bench.review.end()
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        assert bench.review.begin("extent") and bench.review.draft is None
        assert any("unfinished edit" in warning for warning in bench.review.warnings)


def test_a_draft_that_cannot_be_written_is_told_once_and_tried_again(
    a_bench: MakeBench,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    review.start_edit()
    write = atomic.os.replace

    def full(*paths: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "replace", full)
    one = np.zeros(bench.case.geometry.shape, bool)
    for index in review.region.indices[:3]:
        one.reshape(-1)[index] = True
        bench.paint(one, erase=bench.labels.reshape(-1)[index] == 1)
        bench.wait(0.4)
    assert len(bench.told) == 1 and "disk is full" in bench.told[0]
    monkeypatch.setattr(atomic.os, "replace", write)
    bench.paint(everywhere(bench))
    bench.wait(0.5)
    assert read_draft(bench.case, review.reader) is not None


def test_an_edit_that_cannot_be_written_stays_open_with_all_that_was_drawn(
    a_bench: MakeBench,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from DeferredSegSlicerLib.core.review import journal as journal_module

    bench = a_bench()
    review = bench.review
    review.begin("extent")
    region = review.region
    review.start_edit()
    bench.paint(everywhere(bench))
    expected = np.where(allowed(bench, review.margin_mm), 1, bench.labels)
    write = journal_module.os.write

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal_module.os, "write", full)
    for act in (review.finish_edit, review.next, review.end):
        with pytest.raises(NotSavedError, match="disk is full"):
            act()
        assert review.editing is not None and review.unsaved == () and review.region.id == region.id
    monkeypatch.setattr(journal_module.os, "write", write)
    review.next()
    assert np.array_equal(bench.labels, expected)
    assert [entry.decision.kind for entry in read_review(bench.case).entries] == ["edit"]


def test_the_copy_may_be_deleted_during_an_edit_and_the_strokes_are_kept(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    review.start_edit()
    bench.paint(everywhere(bench))
    bench.wait(0.5)
    expected = np.where(allowed(bench, review.margin_mm), 1, bench.labels)
    bench.scene.RemoveNode(find_corrected(bench.scene, bench.case.id, bench.volume))
    bench.wait(0.5)
    assert review.editing is None and len(bench.told) == 1 and "was deleted" in bench.told[0]
    assert review.draft is not None
    review.restore_draft()
    bench.wait(0.5)
    review.finish_edit()
    assert np.array_equal(bench.labels, expected)


def test_a_removed_segment_refuses_to_be_recorded_and_the_edit_stays_open(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    handles = review.start_edit()
    handles.segmentation_node.GetSegmentation().RemoveSegment("Liver")
    with pytest.raises(BadInputError, match="was removed"):
        review.finish_edit()
    assert review.editing is handles
    review.cancel_edit()
    assert review.alternatives() and find_corrected(
        bench.scene, bench.case.id, bench.volume
    ).GetSegmentation().GetSegment("Liver")


def test_the_editor_node_is_ready_for_the_widget_and_empty_afterwards(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    handles = review.start_edit()
    editor = handles.editor_node
    assert editor.GetSegmentationNode() is handles.segmentation_node
    assert editor.GetSourceVolumeNode() is bench.volume is handles.volume_node
    assert editor.GetSelectedSegmentID() == handles.segment_id == "Liver"
    assert editor.GetMaskMode() == slicer.vtkMRMLSegmentationNode.EditAllowedInsideSingleSegment
    assert editor.GetMaskSegmentID() == handles.mask_segment_id
    assert editor.GetOverwriteMode() == editor.OverwriteVisibleSegments
    review.lift_limit()
    assert editor.GetMaskMode() == slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere
    review.cancel_edit()
    assert editor.GetSegmentationNode() is None, "this makes the widget forget its undo states"
    assert editor.GetMaskMode() == slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere
