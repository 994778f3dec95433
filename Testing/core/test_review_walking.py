"""A reader's way through the worklist: order, filter, next and previous, and back to where they were."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from DeferredSegSlicerLib.core.case import Case
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.experts import without
from DeferredSegSlicerLib.core.review import (
    Reader,
    ReviewSession,
)
from DeferredSegSlicerLib.core.worklist import Worklist

Opener = Callable[..., ReviewSession]


def painted(session: ReviewSession, label: int) -> np.ndarray:
    labels = session.labels.copy()
    labels.reshape(-1)[session.current.region.indices] = label
    return labels


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
