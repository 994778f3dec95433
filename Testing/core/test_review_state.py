"""The merged review: decisions stick to voxels, disagreement is listed, and only what people judged is truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from DeferredSegSlicerLib.core.case import Case
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.regions import Region
from DeferredSegSlicerLib.core.review import ReviewSession, ReviewState, read_review
from DeferredSegSlicerLib.core.review.status import ACCEPTED, CONFLICT, EDITED, OPEN, REASSIGNED, SKIPPED, state_of
from DeferredSegSlicerLib.core.worklist import Worklist

Opener = Callable[..., ReviewSession]


def painted(session: ReviewSession, region: Region, label: int) -> np.ndarray:
    """The labels that the reader sees, with the region painted in one label."""
    labels = session.labels.copy()
    labels.reshape(-1)[region.indices] = label
    return labels


def at(volume: np.ndarray, region: Region) -> np.ndarray:
    return volume.reshape(-1)[region.indices]


@pytest.fixture
def regions(a_worklist: Worklist) -> tuple[Region, ...]:
    return a_worklist.regions(0.2).regions


def test_a_case_without_review_is_as_the_model_left_it(a_review_case: Case, regions: tuple[Region, ...]) -> None:
    state = read_review(a_review_case)
    assert state.readers == state.entries == state.active == state.conflicts == ()
    assert np.array_equal(state.corrected(), a_review_case.label()) and not state.judged().any()
    assert {s.state for s in state.statuses_of(regions)} == {"open"}
    assert state.progress(regions) == (0, 8, pytest.approx(sum(r.seconds for r in regions)))
    assert state.judged_by()[0].max() == 0 and state.judged_by()[1] == ()


def test_each_decision_gives_its_state_and_only_judging_makes_truth(
    a_review_case: Case, open_session: Opener, regions: tuple[Region, ...]
) -> None:
    session = open_session("edge")
    session.accept(regions[0])
    session.edit(painted(session, regions[1], 2), regions[1])
    session.take(session.alternatives(regions[2])[0], regions[2])
    session.reassign("inside", regions[3])
    session.skip(regions[4])
    state = read_review(a_review_case)
    found = [s.state for s in state.statuses_of(regions)]
    assert found == ["accepted", "edited", "edited", "reassigned", "skipped", "open", "open", "open"]
    judged = np.zeros(a_review_case.geometry.shape, bool)
    for region in regions[:3]:
        judged.reshape(-1)[region.indices] = True
    assert np.array_equal(state.judged(), judged)
    corrected, model = state.corrected(), a_review_case.label()
    assert np.array_equal(at(corrected, regions[0]), at(model, regions[0])) and (at(corrected, regions[1]) == 2).all()
    assert np.array_equal(corrected[~judged], model[~judged])
    assert state.status_of(regions[1]).readers == ("edge",) and state.status_of(regions[1]).judged_share == 1
    who, groups = state.judged_by()
    assert np.array_equal(who > 0, judged) and [r.id for r in groups[0]] == ["edge"] and len(groups) == 1


def test_corrected_labels_follow_from_the_files_alone(
    a_review_case: Case, open_session: Opener, regions: tuple[Region, ...]
) -> None:
    session = open_session("edge")
    for region in regions[:4]:
        session.edit(painted(session, region, 1), region)
    session.undo()
    session.accept(regions[1])
    assert np.array_equal(read_review(a_review_case).corrected(), session.labels)
    assert np.array_equal(session.state.corrected(), session.labels)


def test_a_decision_outlives_its_region_when_the_budget_changes(
    a_review_case: Case, open_session: Opener, a_worklist: Worklist, regions: tuple[Region, ...]
) -> None:
    session = open_session("edge", budget=0.2)
    session.edit(painted(session, regions[0], 2), regions[0])
    larger = a_worklist.regions(0.4)
    assert regions[0].id not in {r.id for r in larger}
    heirs = [r for r in larger if np.isin(regions[0].indices, r.indices).any()]
    state = read_review(a_review_case)
    for heir in heirs:
        status, shared = state.status_of(heir), int(np.isin(heir.indices, regions[0].indices).sum())
        assert status.state == ("edited" if shared == heir.voxels else "partly")
        assert status.voxels[EDITED] == shared and status.voxels[OPEN] == heir.voxels - shared
    assert (at(state.corrected(), regions[0]) == 2).all()
    session.set_budget(0.05)
    assert (at(session.labels, regions[0]) == 2).all()


def test_accepting_a_larger_region_keeps_what_was_edited_in_it(
    a_review_case: Case, open_session: Opener, a_worklist: Worklist, regions: tuple[Region, ...]
) -> None:
    session = open_session("edge", budget=0.2)
    session.edit(painted(session, regions[0], 2), regions[0])
    session.set_budget(1.0)
    heir = max(session.rows, key=lambda row: np.isin(row.region.indices, regions[0].indices).sum()).region
    change = session.accept(heir)
    assert not np.isin(change.voxels, regions[0].indices).any()
    assert (at(session.labels, regions[0]) == 2).all()
    assert session.table.row(heir.id).state == "edited"
    session.accept(heir)  # all of it was judged: now the reader means all of it
    assert np.array_equal(at(session.labels, heir), at(a_review_case.label(), heir))
    session.undo()
    assert (at(session.labels, regions[0]) == 2).all()


def test_the_last_decision_on_a_voxel_holds_and_undoing_shows_the_one_before(
    open_session: Opener, a_review_case: Case, regions: tuple[Region, ...]
) -> None:
    session, region = open_session("edge"), regions[0]
    session.edit(painted(session, region, 1), region)
    session.edit(painted(session, region, 2), region)
    session.skip(region)
    assert session.table.row(region.id).state == "skipped"
    assert np.array_equal(session.labels, a_review_case.label())
    session.undo()
    assert (at(session.labels, region) == 2).all()
    session.undo(1)
    assert (at(session.labels, region) == 2).all() and session.table.row(region.id).state == "edited"
    session.undo()
    assert np.array_equal(session.labels, a_review_case.label()) and session.table.row(region.id).state == "open"
    assert session.undo() is None
    assert len(read_review(a_review_case).entries) == 6 and read_review(a_review_case).active == ()


def test_two_readers_who_disagree_are_listed_and_neither_is_overwritten(
    a_review_case: Case, open_session: Opener, regions: tuple[Region, ...]
) -> None:
    first, second = open_session("edge"), open_session("inside")
    region, model = regions[0], a_review_case.label()
    first.edit(painted(first, region, 1), region)
    second.edit(painted(second, region, 2), region)
    state = read_review(a_review_case)
    (conflict,) = state.conflicts
    assert conflict.readers == ("edge", "inside") and np.array_equal(conflict.indices, region.indices)
    assert conflict.structure == region.structure
    assert state.status_of(region).state == "conflict" and state.status_of(region).voxels[CONFLICT] == region.voxels
    assert np.array_equal(state.corrected(), model) and not state.judged().any()  # the model's label until they agree
    assert (at(state.of("edge").corrected(), region) == 1).all()
    assert (at(state.of("inside").corrected(), region) == 2).all()
    assert not state.status_of(region).is_done() and not state.status_of(region).is_done("edge")


def test_readers_disagree_voxel_by_voxel(
    a_review_case: Case, open_session: Opener, regions: tuple[Region, ...]
) -> None:
    first, second, region = open_session("edge"), open_session("inside"), regions[0]
    first.accept(region)
    labels = second.labels.copy()
    half = region.indices[: region.voxels // 2]
    labels.reshape(-1)[half] = 2 - labels.reshape(-1)[half] // 2 * 2
    apart = half[labels.reshape(-1)[half] != a_review_case.label().reshape(-1)[half]]
    second.edit(labels, region)
    state = read_review(a_review_case)
    assert np.array_equal(state.conflicts[0].indices, apart) and len(apart)
    assert state.judged().sum() == region.voxels - len(apart)
    who, groups = state.judged_by()
    assert [[r.id for r in group] for group in groups] == [["edge", "inside"]]
    assert (who > 0).sum() == region.voxels - len(apart)


def test_a_conflict_becomes_a_region_that_can_be_decided_on(
    a_review_case: Case, open_session: Opener, regions: tuple[Region, ...], a_worklist: Worklist
) -> None:
    first, second, region = open_session("edge"), open_session("inside"), regions[0]
    first.edit(painted(first, region, 1), region)
    second.edit(painted(second, region, 2), region)
    third = open_session("outside")
    found = third.conflicts[0].as_region(a_review_case.geometry, a_review_case.experts)
    assert (found.voxels, found.box_ijk, found.slice_range) == (region.voxels, region.box_ijk, region.slice_range)
    assert found.centroid_ras == pytest.approx(region.centroid_ras) and found.seconds == region.seconds
    third.edit(painted(third, found, 2), found, settle=True)
    state = read_review(a_review_case)
    assert state.conflicts == () and (at(state.corrected(), region) == 2).all()
    assert {r.id for r in state.judged_by()[1][0]} == {"inside", "outside"}
    assert len(state.of("edge").active) == 1  # it is still there


def test_settling_holds_until_somebody_decides_anew(
    a_review_case: Case, open_session: Opener, regions: tuple[Region, ...]
) -> None:
    first, second, region = open_session("edge"), open_session("inside"), regions[0]
    first.edit(painted(first, region, 1), region)
    second.edit(painted(second, region, 2), region)
    second.refresh()
    second.edit(painted(second, region, 2), region, settle=True)
    assert read_review(a_review_case).conflicts == ()
    first.edit(painted(first, region, 1), region)
    assert len(read_review(a_review_case).conflicts) == 1
    first.undo()
    assert read_review(a_review_case).conflicts == ()
    second.undo()
    assert len(read_review(a_review_case).conflicts) == 1


def test_readers_who_agree_are_no_conflict(
    a_review_case: Case, open_session: Opener, regions: tuple[Region, ...]
) -> None:
    first, second, region = open_session("edge"), open_session("inside"), regions[0]
    first.accept(region)
    second.edit(second.labels.copy(), region)
    second.skip(regions[1])
    first.accept(regions[1])
    state = read_review(a_review_case)
    assert state.conflicts == () and [s.state for s in state.statuses_of(regions[:2])] == ["edited", "accepted"]
    assert state.status_of(region).readers == ("edge", "inside")


def test_a_reassigned_region_waits_for_its_expert_and_for_nobody_else(
    a_review_case: Case, open_session: Opener, regions: tuple[Region, ...]
) -> None:
    first, region = open_session("edge"), regions[0]
    first.reassign("inside", region)
    status = read_review(a_review_case).status_of(region)
    assert (status.state, status.waiting_for, status.voxels[REASSIGNED]) == ("reassigned", ("inside",), region.voxels)
    assert status.is_done("edge") and not status.is_done("inside") and not status.is_done()
    second = open_session("inside")
    row = second.table.row(region.id)
    assert (row.state, row.expert) == ("reassigned", "inside") and not row.status.is_done("inside")
    second.reassign("edge", region)  # and back: now the first is waited for, who decided before
    assert read_review(a_review_case).status_of(region).waiting_for == ("edge",)
    first.refresh()
    assert not first.table.row(region.id).status.is_done("edge")
    first.skip(region)
    status = read_review(a_review_case).status_of(region)
    assert status.state == "skipped" and status.waiting_for == () and status.voxels[SKIPPED] == region.voxels


def test_judging_ends_the_waiting(a_review_case: Case, open_session: Opener, regions: tuple[Region, ...]) -> None:
    open_session("edge").reassign("inside", regions[0])
    open_session("inside").accept(regions[0])
    status = read_review(a_review_case).status_of(regions[0])
    assert status.state == "accepted" and status.waiting_for == () and status.is_done()


def test_progress_counts_what_is_left_for_whom(
    a_review_case: Case, open_session: Opener, regions: tuple[Region, ...]
) -> None:
    session = open_session("edge")
    session.accept(regions[0])
    session.reassign("inside", regions[1])
    state = read_review(a_review_case)
    left = sum(r.seconds for r in regions[2:])
    assert state.progress(regions, "edge") == (2, 8, pytest.approx(left))
    assert state.progress(regions) == (1, 8, pytest.approx(left + regions[1].seconds))
    assert session.progress == state.progress(regions, "edge")


@pytest.mark.parametrize(
    ("voxels", "state"),
    [
        ((9, 0, 0, 0, 0, 0), "open"),
        ((0, 9, 0, 0, 0, 0), "skipped"),
        ((0, 5, 4, 0, 0, 0), "reassigned"),
        ((0, 0, 0, 9, 0, 0), "accepted"),
        ((0, 0, 0, 8, 1, 0), "edited"),
        ((1, 0, 0, 8, 0, 0), "partly"),
        ((0, 1, 0, 8, 0, 0), "partly"),
        ((1, 8, 0, 0, 0, 0), "partly"),
        ((0, 0, 0, 0, 8, 1), "conflict"),
        ((8, 0, 0, 0, 0, 1), "conflict"),
    ],
)
def test_the_state_of_a_region_follows_from_its_voxels(voxels: tuple[int, ...], state: str) -> None:
    assert state_of(voxels) == state


def test_statuses_all_at_once_are_those_one_by_one(
    a_review_case: Case, open_session: Opener, a_worklist: Worklist
) -> None:
    session, other = open_session("edge"), open_session("inside")
    for number, row in enumerate(session.rows):
        (session.accept, session.skip, other.skip, other.accept)[number % 4](row.region)
    session.accept(session.rows[3].region)
    state = read_review(a_review_case)
    for budget in (0.05, 0.2, 1.0):
        regions = a_worklist.regions(budget)
        assert state.statuses_of(regions) == tuple(state.status_of(region) for region in regions)
        assert all(sum(state.status_of(region).voxels) == region.voxels for region in regions)
    assert state.statuses_of([]) == () and state.status_of(regions[0]).voxels[ACCEPTED] > 0


def test_lines_read_one_by_one_give_what_all_at_once_give(
    a_review_case: Case, open_session: Opener, regions: tuple[Region, ...]
) -> None:
    session = open_session("edge")
    for number, region in enumerate(regions[:4] * 2):
        session.edit(painted(session, region, number % 3), region)
    session.undo(2)
    session.undo(7)
    whole = read_review(a_review_case)
    slowly = ReviewState(whole.case, whole.model)
    for entry in whole.entries:
        slowly = slowly.with_entry(entry)
    for name in ("voxels", "top", "saying", "label"):
        assert np.array_equal(getattr(slowly.layers[0], name), getattr(whole.layers[0], name)), name


def test_an_edit_beyond_its_limit_is_refused_and_changes_nothing(
    a_review_case: Case, open_session: Opener, regions: tuple[Region, ...]
) -> None:
    session, region = open_session("edge"), regions[0]
    box, mask = session.limit(2.0, region)
    inside = np.zeros(a_review_case.geometry.shape, bool)
    inside[box] = mask
    assert inside.reshape(-1)[region.indices].all() and inside.sum() > region.voxels
    beyond = np.argwhere(~inside)[100]
    labels = painted(session, region, 2)
    labels[tuple(beyond)] = 1 if session.labels[tuple(beyond)] != 1 else 0
    from DeferredSegSlicerLib.core.review import Limit

    k, j, i = beyond.tolist()
    with pytest.raises(
        BadInputError, match=rf"1 voxels more than 2 mm from the region, the first at \({i}, {j}, {k}\)"
    ):
        session.edit(labels, region, limit=Limit(2.0))
    assert read_review(a_review_case).entries == () and session.unsaved == ()
    assert np.array_equal(session.labels, a_review_case.label())
    session.edit(labels, region, limit=Limit(2.0, lifted=True))
    state = read_review(a_review_case)
    assert state.corrected()[tuple(beyond)] == labels[tuple(beyond)] and state.judged()[tuple(beyond)]
    assert state.judged().sum() == region.voxels + 1


def test_an_edit_within_the_margin_judges_only_what_it_changed_there(
    a_review_case: Case, open_session: Opener, regions: tuple[Region, ...]
) -> None:
    session, region = open_session("edge"), regions[0]
    box, mask = session.limit(2.0, region)
    inside = np.zeros(a_review_case.geometry.shape, bool)
    inside[box] = mask
    inside.reshape(-1)[region.indices] = False
    labels = session.labels.copy()
    rim = tuple(np.argwhere(inside)[3])
    labels[rim] = (labels[rim] + 1) % 3
    session.edit(labels, region)
    state: Any = read_review(a_review_case)
    assert state.judged()[rim] and state.judged().sum() == region.voxels + 1
    assert np.array_equal(np.argwhere(state.corrected() != a_review_case.label()), [rim])
