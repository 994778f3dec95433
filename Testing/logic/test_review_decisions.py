"""Decisions in the scene: what is recorded, what is shown, and where the reader is afterwards."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import slicer
from case_on_node import LABELMAP, places_of_segment
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.review import NotSavedError, Reader, ReviewSession
from DeferredSegSlicerLib.core.review import journal as journal_module
from DeferredSegSlicerLib.logic.review import ReviewLogic
from DeferredSegSlicerLib.mrml.grid import array_of, world_from_local
from DeferredSegSlicerLib.mrml.review.corrected import find_corrected
from DeferredSegSlicerLib.mrml.review.names import ROLE_REGION
from review_bench import BLOCKS, LEFT_HANDED, OBLIQUE, Bench, a_bench  # noqa: F401  a fixture

MakeBench = Callable[..., Bench]


def copy_in_scene(bench: Bench) -> np.ndarray:
    """The labels of the corrected copy as the scene has them, in the case's order."""
    node = find_corrected(bench.scene, bench.case.id, bench.volume)
    found = np.zeros(bench.case.geometry.shape, np.uint8)
    for number, structure in enumerate(bench.case.structures, 1):
        mask = slicer.util.arrayFromSegmentBinaryLabelmap(node, structure.id, bench.volume)
        found[bench.alignment.to_case(mask).astype(bool)] = number
    return found


def places_of(indices: np.ndarray, bench: Bench) -> np.ndarray:
    kji = np.stack(np.unravel_index(indices, bench.case.geometry.shape), axis=1)
    matrix = world_from_local(bench.volume)
    points = bench.case.geometry.ras_of(kji[:, ::-1]) @ matrix[:3, :3].T + matrix[:3, 3]
    return points[np.lexsort(np.round(points, 3).T)]


def highlighted(bench: Bench) -> np.ndarray:
    """World RAS mm of the voxels that are lifted out."""
    nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode", bench.scene)
    node = next(n for n in nodes if n.GetAttribute("DeferredSeg.Role") == ROLE_REGION)
    return places_of_segment(node, "region")


@pytest.mark.parametrize("grid", [OBLIQUE, LEFT_HANDED], ids=["oblique", "left-handed"])
def test_every_decision_is_shown_in_the_scene_at_once(a_bench: MakeBench, grid: Any) -> None:  # noqa: F811
    bench = a_bench(grid)
    review = bench.review
    assert review.begin("extent") and review.reader == Reader("extent", "Lesion extent", "radiologist")
    model = bench.case.label()
    assert len(review.rows) == len(BLOCKS) and np.array_equal(copy_in_scene(bench), model)
    for number in range(1, 5):
        region = review.region
        assert region is not None
        assert np.allclose(highlighted(bench), places_of(region.indices, bench), atol=1e-4)
        option = review.alternatives()[number - 1]
        change = review.take(number)
        assert change.entry.decision.name == option.name
        assert np.array_equal(copy_in_scene(bench), bench.labels)
        assert np.count_nonzero(bench.labels.reshape(-1)[region.indices] != model.reshape(-1)[region.indices]) > 0
        review.next_open()
    drawn = bench.labels.copy()
    while review.undo():
        assert np.array_equal(copy_in_scene(bench), bench.labels)
    assert np.array_equal(copy_in_scene(bench), model) and not np.array_equal(drawn, model)
    assert np.array_equal(array_of(bench.volume), bench.alignment.to_node(bench.case.image())), "the scan is untouched"


def test_the_options_say_what_they_would_change(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    options = review.alternatives()
    assert [o.name for o in options] == ["tighter", "wider", "fill", "drop"]
    assert [o.number for o in options] == [1, 2, 3, 4] and len({o.color for o in options}) == 4
    for option in options:
        before = bench.labels.copy()
        review.take(option.number)
        changed = before != bench.labels
        assert np.count_nonzero(changed) == option.changed_voxels > 0
        gained = np.count_nonzero(bench.labels == 1) - np.count_nonzero(before == 1)
        assert option.delta_ml == pytest.approx(gained * bench.case.geometry.voxel_ml)
        review.undo()
        assert [o.name for o in review.alternatives()] == ["tighter", "wider", "fill", "drop"]


def test_what_nobody_has_settled_is_counted_over_all_readers(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    block_ml = 6 * 8 * 3 * bench.case.geometry.voxel_ml
    assert review.unreviewed == (12, pytest.approx(12 * block_ml))
    review.accept()
    review.next_open()
    review.skip()
    review.next_open()
    review.alternatives()
    review.take(1, note="a clear case")
    assert review.unreviewed == (10, pytest.approx(10 * block_ml)), "a skipped region is not settled"
    review.undo()
    assert review.unreviewed.regions == 11
    with ReviewSession(bench.case, bench.module.shown.worklist, Reader("colleague"), 1.0) as other:
        other.accept(other.table.all_rows[5].region)
    bench.time += 5
    bench.wait(0.3)
    assert review.unreviewed.regions == 10
    bench.module.set_budget(0.01)
    total = len(review.rows)
    assert review.unreviewed.regions < total < 12
    session = review.session
    settled = [s.state in ("accepted", "edited") for s in session.state.statuses_of([r.region for r in review.rows])]
    assert review.unreviewed.regions == settled.count(False)


def test_notes_are_kept_with_every_kind_of_decision(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    decide: tuple[Callable[[], Any], ...] = (
        lambda: review.accept(note="a note"),
        lambda: review.reassign("boundary", note="a note"),
        lambda: review.skip("motion", note="a note"),
        lambda: review.take(1, note="a note"),
    )
    for act in decide:
        assert act().entry.decision.note == "a note"
        review.next_open()
    review.start_edit()
    bench.paint(np.ones(bench.case.geometry.shape, bool))
    assert review.finish_edit(note="a note").change.entry.decision.note == "a note"


def test_looking_around_and_deciding_take_time_that_is_kept(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    bench.time += 7
    review.next()
    bench.time += 2
    review.previous()
    bench.time += 3
    review.pause()
    bench.time += 1000  # the reader is in another module
    review.go_on()
    bench.time -= 50  # the clock goes backwards
    assert review.spent.looked == pytest.approx(10)
    bench.time += 1
    effort = review.accept().entry.decision.effort
    assert (effort.looked, effort.edited) == (pytest.approx(11), 0.0)
    assert review.spent.looked == 0.0
    review.next()
    assert review.accept().entry.decision.effort.looked == pytest.approx(2)


def test_undo_goes_back_to_the_region_whose_decision_it_takes(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    first = review.current
    review.accept()
    for _ in range(4):
        review.next()
    assert first is not None and review.current is not None and review.current.id != first.id
    assert review.undo()
    assert review.current.id == first.id and review.current.state == "open"
    assert not review.undo(), "there is nothing left to undo"


def test_reassigned_and_skipped_regions_are_no_truth_and_change_nothing(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    model = bench.case.label()
    review.reassign("boundary")
    assert review.current is not None and review.current.status.waiting_for == ("boundary",)
    review.next_open()
    review.skip("motion artifact")
    assert review.current.state == "skipped"
    assert np.array_equal(copy_in_scene(bench), model)
    session = review.session
    assert session is not None and not session.state.judged().any()
    with pytest.raises(BadInputError, match="boundry"):
        review.reassign("boundry")


def test_a_decision_sticks_to_its_voxels_when_budget_and_duty_change(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review, module = bench.review, bench.module
    review.begin("extent")
    review.alternatives()
    review.take(3)
    decided = review.region
    assert decided is not None
    labels = bench.labels.copy()
    for share in (0.01, 0.03, 0.2, 1.0):
        module.set_budget(share)
        assert review.session is not None and review.session.budget == share
        assert {row.id for row in review.rows} == {region.id for region in module.shown.regions}
        assert np.array_equal(bench.labels, labels) and np.array_equal(copy_in_scene(bench), labels)
    module.set_off_duty({"extent"})
    assert all(row.region.expert != "extent" for row in review.rows)
    assert np.array_equal(copy_in_scene(bench), labels)
    there = [row for row in review.rows if np.isin(row.region.indices, decided.indices).all()]
    assert there and all(row.state == "edited" for row in there), (
        "the voxels are decided, whoever is asked for them now"
    )
    module.set_off_duty(())
    assert next(row for row in review.rows if row.id == decided.id).state == "edited"


def test_with_nothing_deferred_there_is_nothing_to_decide(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    bench.module.set_budget(0.0)
    assert review.rows == () and review.region is None and review.current is None
    assert review.hindrance == "nothing is deferred at this budget"
    for act in (review.accept, review.start_edit, review.alternatives, lambda: review.take(1)):
        with pytest.raises(BadInputError, match="nothing is deferred"):
            act()
    assert review.next() is None
    bench.module.set_budget(1.0)
    assert review.hindrance == "" and review.accept()


def test_nothing_can_be_decided_before_somebody_says_who_they_are(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    assert not review.active and review.rows == () and review.hindrance == "choose who you are first"
    for act in (review.accept, review.next, review.save, review.finish_edit):
        with pytest.raises(BadInputError, match="choose who you are"):
            act()
    with pytest.raises(BadInputError, match="needs a name"):
        review.begin("  ")
    assert not review.active
    bench.module.close_case()
    with pytest.raises(BadInputError, match="no case is open"):
        review.begin("extent")


def test_two_readers_who_disagree_are_a_conflict_that_one_of_them_can_settle(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    for name, number in (("extent", 3), ("Dr. B", 4)):
        review.begin(name)
        review.go_to(review.session.table.all_rows[0].id)
        review.alternatives()
        review.take(number)
    assert len(review.conflicts) == 1
    conflict = review.conflicts[0]
    assert set(conflict.readers) == {"extent", "Dr. B"} and len(conflict.indices) == 6 * 8 * 3
    review.show_all_readers(True)
    model = bench.case.label()
    assert np.array_equal(copy_in_scene(bench), model), "where readers disagree it is the model's label"

    assert review.go_to_conflict(0) is conflict and review.conflict is conflict
    assert np.allclose(highlighted(bench), places_of(conflict.indices, bench), atol=1e-4)
    names = [option.name for option in review.alternatives()]
    assert names[:2] == ["Dr. B", "Lesion extent"], "what the readers drew is on offer first"
    review.accept()
    assert review.conflicts == () and np.array_equal(bench.labels, model), "the model was right after all"
    review.undo()
    assert len(review.conflicts) == 1
    review.go_to_conflict(0)
    review.start_edit()
    half = np.zeros(model.shape, bool)
    half.reshape(-1)[conflict.indices[::2]] = True
    bench.paint(half)
    review.finish_edit()
    assert review.conflicts == () and np.all(bench.labels.reshape(-1)[conflict.indices[::2]] == 1)
    review.undo()
    review.go_to_conflict(0)
    review.alternatives()
    review.take(2)
    assert review.conflicts == () and review.conflict is None
    assert np.all(bench.labels.reshape(-1)[conflict.indices] == 1)
    assert np.array_equal(copy_in_scene(bench), bench.labels)
    review.next()
    with pytest.raises(BadInputError, match="do not disagree"):
        review.go_to_conflict(0)


def test_what_others_decide_meanwhile_appears_by_itself(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    review.show_all_readers(True)
    news: list[int] = []
    review.changed.connect(lambda: news.append(1))
    with ReviewSession(bench.case, bench.module.shown.worklist, Reader("colleague"), 1.0) as other:
        other.take(other.alternatives()[2])
        region = other.current.region
    bench.wait(0.3)
    assert np.array_equal(bench.labels, bench.case.label()), "not yet: it is looked for every few seconds"
    bench.time += 5
    bench.wait(0.3)
    assert news and np.all(bench.labels.reshape(-1)[region.indices] == 1)
    assert np.array_equal(copy_in_scene(bench), bench.labels)
    assert {c.id for c in review.readers if c.has_journal} == {"colleague"}


def test_a_full_disk_loses_no_decision(a_bench: MakeBench, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    review.accept()
    review.next_open()
    row = review.current
    assert row is not None
    write = os.write

    def full(descriptor: int, data: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(journal_module.os, "write", full)
    with pytest.raises(NotSavedError, match="disk is full"):
        review.accept()
    assert len(review.unsaved) == 1 and "make room" in review.hindrance
    with pytest.raises(BadInputError, match="make room"):
        review.accept()
    with pytest.raises(NotSavedError):
        review.retry()
    monkeypatch.setattr(journal_module.os, "write", write)
    review.retry()
    assert review.unsaved == () and review.current is not None and review.current.id == row.id
    assert review.current.state == "accepted" and len(review.session.journal.entries) == 2

    review.next_open()
    monkeypatch.setattr(journal_module.os, "write", full)
    with pytest.raises(NotSavedError):
        review.skip()
    assert review.undo() and review.unsaved == (), "a decision that could not be written can be forgotten"
    assert len(review.session.journal.entries) == 2


def test_a_copy_that_was_deleted_comes_back_with_the_next_decision(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    bench.scene.RemoveNode(find_corrected(bench.scene, bench.case.id, bench.volume))
    review.alternatives()
    review.take(3)
    assert np.array_equal(copy_in_scene(bench), bench.labels)
    review.next()
    assert np.allclose(highlighted(bench), places_of(review.region.indices, bench), atol=1e-4)


def test_the_corrected_lines_hide_with_the_models(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    bench.review.begin("extent")
    copy = find_corrected(bench.scene, bench.case.id, bench.volume)
    leader = bench.module.shown.result_node.GetDisplayNode()
    leader.SetVisibility(False)
    assert not copy.GetDisplayNode().GetVisibility()
    leader.SetVisibility(True)
    leader.SetOpacity2DOutline(0.5)
    assert copy.GetDisplayNode().GetVisibility() and copy.GetDisplayNode().GetOpacity2DOutline() == 0.5


def test_segments_of_the_copy_say_whether_a_person_touched_them(a_bench: MakeBench) -> None:  # noqa: F811
    from DeferredSegSlicerLib.core.segmentation_file import ALGORITHM_TYPE_TAG
    from DeferredSegSlicerLib.mrml.segments import tag_of

    bench = a_bench()
    review = bench.review
    review.begin("extent")
    copy = find_corrected(bench.scene, bench.case.id, bench.volume)

    def kinds() -> list[str | None]:
        return [tag_of(copy.GetSegmentation().GetSegment(s.id), ALGORITHM_TYPE_TAG) for s in bench.case.structures]

    review.accept()
    assert kinds() == ["AUTOMATIC", "AUTOMATIC"]
    review.next_open()
    review.alternatives()
    review.take(1)
    assert kinds() == ["SEMIAUTOMATIC", "AUTOMATIC"]
    review.undo()
    assert kinds() == ["AUTOMATIC", "AUTOMATIC"]
    assert copy.GetSegmentation().GetNthSegment(0).GetRepresentation(LABELMAP) is not None


def test_views_follow_or_stay_as_the_reader_wishes(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review: ReviewLogic = bench.review
    node = slicer.vtkMRMLSliceNode()
    node.SetLayoutName("Red")
    node = bench.scene.AddNode(node)
    before = [node.GetSliceToRAS().GetElement(row, 3) for row in range(3)]

    def center() -> list[float]:
        return [node.GetSliceToRAS().GetElement(row, 3) for row in range(3)]

    review.begin("extent")
    first = center()
    assert first != before
    review.set_follow_views(False)
    review.next()
    assert center() == first
    review.look()
    assert center() != first
    review.set_follow_views(True)
    review.previous()
    assert center() == first
    review.restore_views()
    assert center() == before
    bench.scene.RemoveNode(node)
