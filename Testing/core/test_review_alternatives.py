"""One-click labelings of a region: plausible, all different, and never outside the region."""

from __future__ import annotations

import numpy as np
import pytest
from DeferredSegSlicerLib.core.case import Case
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.regions import Region
from DeferredSegSlicerLib.core.review.alternatives import TIGHT, WIDE, alternatives, from_maps
from DeferredSegSlicerLib.core.worklist import Worklist


def a_region(indices: list[int], structure: str = "liver") -> Region:
    """A region of just these voxels; nothing else of it matters here."""
    size = len(indices)
    box = ((0, 0, 0), (1, 1, 1))
    where = np.array(indices, np.int32)
    return Region("x", structure, "edge", size, 0.1, 1, (0, 0), box, (0, 0, 0), 1.0, 0.1, 1.0, 1.0, "open", where)


def offered(case: Case, region: Region, label: np.ndarray, probability: np.ndarray) -> dict[str, list[int]]:
    found = alternatives(region, case, label, probability)
    for one in found:
        assert np.array_equal(one.after.indices, region.indices)
        assert one.changed == np.count_nonzero(one.after.labels != label.reshape(-1)[region.indices]) > 0
    return {one.name: one.after.labels.tolist() for one in found}


def test_thresholds_rule_tighter_and_wider(a_review_case: Case) -> None:
    probability = np.zeros((2, *a_review_case.geometry.shape), np.uint8)
    probability[0].reshape(-1)[100:106] = [255, TIGHT, TIGHT - 1, 127, WIDE, WIDE - 1]
    label = (probability[0] >= 128).astype(np.uint8)
    found = offered(a_review_case, a_region([*range(100, 106)]), label, probability)
    assert found == {
        "tighter": [1, 1, 0, 0, 0, 0],
        "wider": [1, 1, 1, 1, 1, 0],
        "fill": [1, 1, 1, 1, 1, 1],
        "drop": [0, 0, 0, 0, 0, 0],
    }


def test_where_probabilities_say_nothing_the_rim_moves_by_a_voxel_in_its_slice(a_review_case: Case) -> None:
    grid = a_review_case.geometry
    assert grid.slicing_axis == 2
    label = np.zeros(grid.shape, np.uint8)
    label[4:8, 5:10, 5:10] = 1
    probability = np.stack([label * 255, label * 0]).astype(np.uint8)
    k, j, i = np.meshgrid([5, 6], np.arange(3, 12), np.arange(3, 12), indexing="ij")
    region = a_region(np.ravel_multi_index([k.ravel(), j.ravel(), i.ravel()], grid.shape).tolist())
    found = offered(a_review_case, region, label, probability)
    tighter, wider = (np.array(found[name]).reshape(2, 9, 9) for name in ("tighter", "wider"))
    expected = np.zeros((9, 9), int)
    expected[3:6, 3:6] = 1
    assert (tighter == expected).all()
    expected = np.zeros((9, 9), int)
    expected[1:8, 2:7] = expected[2:7, 1:8] = 1
    assert (wider == expected).all()


def test_where_neither_says_anything_new_the_halves_are_offered(a_review_case: Case) -> None:
    probability = np.zeros((2, *a_review_case.geometry.shape), np.uint8)
    probability[0].reshape(-1)[50:54] = [10, 30, 20, 40]  # all improbable, none beside the structure
    label = np.zeros(a_review_case.geometry.shape, np.uint8)
    found = offered(a_review_case, a_region([50, 51, 52, 53]), label, probability)
    assert found == {"wider": [0, 1, 0, 1], "fill": [1, 1, 1, 1]}
    found = offered(a_review_case, a_region([50, 51, 52, 53]), label + np.uint8(1), np.maximum(probability, 200))
    assert found == {"drop": [2, 2, 2, 2]}


def test_dropping_a_structure_shows_the_one_beneath(a_review_case: Case) -> None:
    probability = np.zeros((2, *a_review_case.geometry.shape), np.uint8)
    probability[0].reshape(-1)[50:54] = 200
    probability[1].reshape(-1)[50:54] = [0, 127, 128, 199]
    label = (probability[0] >= 128).astype(np.uint8)
    found = offered(a_review_case, a_region([50, 51, 52, 53]), label, probability)
    assert found["drop"] == [0, 0, 2, 2] and "fill" not in found  # it is what the model says


def test_another_structure_is_not_taken_but_by_fill(a_review_case: Case) -> None:
    probability = np.zeros((2, *a_review_case.geometry.shape), np.uint8)
    probability[1].reshape(-1)[50:54] = 250
    probability[0].reshape(-1)[50:56] = [100, 100, 100, 100, 100, 0]
    label = (probability[1] >= 128).astype(np.uint8) * np.uint8(2)
    found = offered(a_review_case, a_region([*range(50, 56)]), label, probability)
    assert found == {"wider": [2, 2, 2, 2, 1, 0], "fill": [1] * 6}


def test_regions_of_a_worklist_have_two_to_four(a_review_case: Case, a_worklist: Worklist) -> None:
    label, probability = a_review_case.label(), a_review_case.probability()
    for budget in (0.02, 0.1, 0.5, 1.0):
        for region in a_worklist.regions(budget):
            found = offered(a_review_case, region, label, probability)
            assert 2 <= len(found) <= 4
            assert len({tuple(labels) for labels in found.values()}) == len(found)


def test_candidates_are_the_same_on_every_call(a_review_case: Case, a_worklist: Worklist) -> None:
    region = a_worklist.regions(0.2)[0]
    maps = a_review_case.label(), a_review_case.probability(), a_review_case.geometry
    first, second = from_maps(region, 0, *maps), from_maps(region, 0, *maps)
    assert [c.name for c in first] == ["tighter", "wider", "fill", "drop"]
    assert all(np.array_equal(a.labels, b.labels) for a, b in zip(first, second, strict=True))


def test_a_region_of_no_structure_is_refused(a_review_case: Case) -> None:
    with pytest.raises(BadInputError, match='structure "spleen" is not in the case'):
        alternatives(a_region([1], "spleen"), a_review_case, a_review_case.label(), a_review_case.probability())
