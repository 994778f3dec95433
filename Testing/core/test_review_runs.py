"""Voxels as runs: exact there and back, and nothing else is taken for runs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.review.runs import LabelRuns, VoxelRuns, groups_of, position_in, union_of
from hypothesis import given
from hypothesis import strategies as st

COUNT = 400
voxel_sets = st.sets(st.integers(0, COUNT - 1), min_size=1).map(lambda s: np.array(sorted(s)))


@given(voxel_sets)
def test_voxels_come_back_from_a_line_of_text(indices: np.ndarray) -> None:
    runs = VoxelRuns.of(indices)
    again = VoxelRuns.from_list(json.loads(json.dumps(runs.to_list())), COUNT)
    assert np.array_equal(again.indices, indices) and again == runs and hash(again) == hash(runs)
    assert len(runs) == len(indices) and len(runs.start) == 1 + np.count_nonzero(np.diff(indices) != 1)


@given(voxel_sets, st.randoms(use_true_random=False))
def test_labels_come_back_from_a_line_of_text(indices: np.ndarray, dice: Any) -> None:
    labels = np.array([dice.randrange(4) for _ in indices], np.uint8)
    runs = LabelRuns.of(indices, labels)
    again = LabelRuns.from_list(json.loads(json.dumps(runs.to_list())), COUNT, 3)
    assert np.array_equal(again.indices, indices) and np.array_equal(again.labels, labels)
    assert again == runs and hash(again) == hash(runs) and len(runs) == len(indices)


@given(voxel_sets, voxel_sets)
def test_positions_are_those_of_a_plain_search(there: np.ndarray, wanted: np.ndarray) -> None:
    position, found = position_in(there, wanted)
    assert found.tolist() == [w in there for w in wanted]
    assert np.array_equal(there[position[found]], wanted[found])
    assert not position_in(there[:0], wanted)[1].any()


@pytest.mark.parametrize(
    "values",
    [None, {}, [], [1], [1, 2, 3], [-1, 2], [0, 0], [0, 401], [390, 11], [0, 1, 0, 1], [0.0, 1], [True, 1], ["0", "1"]],
)
def test_what_is_no_list_of_runs_is_refused(values: Any) -> None:
    with pytest.raises(BadInputError):
        VoxelRuns.from_list(values, COUNT)


@pytest.mark.parametrize("values", [[0, 1, 4], [0, 1, -1], [0, 1, 1, 0, 1, 1], [0, 1], [0, 1, 1.0]])
def test_what_is_no_list_of_labeled_runs_is_refused(values: Any) -> None:
    with pytest.raises(BadInputError):
        LabelRuns.from_list(values, COUNT, 3)


@pytest.mark.parametrize("indices", [[], [3, 2], [2, 2], [-1, 4]])
def test_indices_that_do_not_ascend_are_a_mistake_of_the_caller(indices: list[int]) -> None:
    with pytest.raises(ValueError, match=r"no voxels|ascend"):
        VoxelRuns.of(np.array(indices))


@given(st.lists(voxel_sets, max_size=4))
def test_a_union_is_that_of_sets(parts: list[np.ndarray]) -> None:
    assert union_of(parts).tolist() == sorted(set().union(*(part.tolist() for part in parts)))


@given(st.integers(1, 3).flatmap(lambda n: st.lists(st.tuples(*[st.integers(-1, 3)] * n), min_size=1, max_size=30)))
def test_rows_are_grouped_by_what_is_in_them(rows: list[tuple[int, ...]]) -> None:
    group, example = groups_of(list(np.array(rows).T))
    assert len(example) == len(set(rows)) and set(group.tolist()) == set(range(len(example)))
    assert all(rows[example[g]] == row for g, row in zip(group, rows, strict=True))
