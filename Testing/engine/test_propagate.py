"""Which slices are segmented, in which order, with which box."""

from __future__ import annotations

import numpy as np
import pytest
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.engine.propagate import Propagation, extent_of, propagate, without_crumbs

PROMPT = np.array([10, 10, 50, 50], np.float32)


def run(found, first=0, stop=9, how=None, pixel=1.0):
    """Propagate over an imaginary structure: `found(index, rectangle)` gives its extent on a slice."""
    looks = []

    def look(index, rectangle, direction):
        looks.append((index, direction))
        return found(index, rectangle)

    steps = list(propagate(first, stop, PROMPT, pixel, look, lambda answer: answer, how or Propagation()))
    return steps, looks


def small(index, rectangle):
    return np.array([25, 26, 30, 31], np.float32)


def test_the_middle_slice_comes_first_and_every_slice_once():
    steps, looks = run(small)
    assert [step.index for step in steps] == [4, 5, 6, 7, 8, 3, 2, 1, 0]
    assert looks == [(step.index, -1 if step.index < 4 else 1) for step in steps]
    np.testing.assert_array_equal(steps[0].rectangle, PROMPT)


def test_the_next_box_is_around_the_previous_mask_and_inside_the_prompt():
    steps, _ = run(small, how=Propagation(trust=1.0, reach=3.0), pixel=2.0)
    for step in steps[1:]:
        np.testing.assert_array_equal(step.rectangle, [19, 20, 36, 37])
    near_edge, _ = run(lambda n, r: np.array([5, 11, 30, 60], np.float32), how=Propagation(trust=1.0, reach=3.0))
    for step in near_edge[1:]:
        np.testing.assert_array_equal(step.rectangle, [10, 10, 33, 50])


def test_trust_mixes_the_previous_box_with_the_prompt():
    steps, _ = run(small, how=Propagation(trust=0.25, reach=0.0))
    np.testing.assert_allclose(steps[1].rectangle, 0.25 * np.array([25, 26, 30, 31]) + 0.75 * PROMPT)
    all_prompt, _ = run(small, how=Propagation(trust=0.0))
    assert all(np.array_equal(step.rectangle, PROMPT) for step in all_prompt)


def test_a_structure_that_ends_before_its_box_is_not_looked_for_beyond_its_end():
    steps, looks = run(lambda index, r: small(index, r) if 2 <= index <= 5 else None)
    assert [step.index for step in steps] == [4, 5, 6, 3, 2, 1]
    assert {index for index, _ in looks} == {1, 2, 3, 4, 5, 6}
    assert steps[2].answer is None


def test_a_slice_that_is_empty_with_the_propagated_box_gets_a_second_look_with_the_prompt():
    def loses_sight(index, rectangle):
        return None if index == 5 and not np.array_equal(rectangle, PROMPT) else small(index, rectangle)

    steps, looks = run(loses_sight)
    assert [index for index, _ in looks].count(5) == 2
    assert sorted(step.index for step in steps) == list(range(9))
    again = next(step for step in steps if step.index == 5)
    np.testing.assert_array_equal(again.rectangle, PROMPT)


def test_an_empty_middle_slice_moves_the_start_to_the_nearest_slice_that_is_not():
    steps, _ = run(lambda index, r: small(index, r) if index >= 6 else None)
    assert [step.index for step in steps] == [4, 5, 3, 6, 7, 8]
    assert [step.index for step in steps if step.answer is not None] == [6, 7, 8]


def test_a_structure_that_is_nowhere_is_looked_for_on_every_slice_once():
    steps, looks = run(lambda index, r: None)
    assert sorted(step.index for step in steps) == list(range(9))
    assert len(looks) == 9


def test_a_mask_outside_the_prompt_leaves_the_prompt_as_the_box():
    steps, _ = run(lambda n, r: np.array([70, 70, 80, 80], np.float32), how=Propagation(trust=1.0, reach=2.0))
    assert all(np.array_equal(step.rectangle, PROMPT) for step in steps)


def test_a_single_slice_is_segmented_once():
    steps, _ = run(small, first=3, stop=4)
    assert [step.index for step in steps] == [3]


def test_the_extent_of_a_mask_is_its_outermost_pixels():
    mask = np.zeros((8, 9), bool)
    mask[2, 3] = mask[5, 7] = True
    np.testing.assert_array_equal(extent_of(mask), [3, 2, 7, 5])
    assert extent_of(np.zeros((3, 3), bool)) is None


@pytest.mark.parametrize("values", [{"trust": 1.5}, {"trust": -0.1}, {"reach": -1.0}, {"reach": float("nan")}])
def test_settings_out_of_range_are_refused(values):
    with pytest.raises(BadInputError, match="propagation"):
        Propagation(**values)


def test_stray_pixels_do_not_widen_the_box_but_a_second_lobe_does():
    mask = np.zeros((40, 40), bool)
    mask[10:20, 10:20] = True
    mask[12:16, 25:30] = True
    mask[38, 38] = mask[0, 5] = True
    np.testing.assert_array_equal(extent_of(without_crumbs(mask, 0.1)), [10, 10, 29, 19])
    np.testing.assert_array_equal(extent_of(without_crumbs(mask, 0.5)), [10, 10, 19, 19])
    np.testing.assert_array_equal(extent_of(without_crumbs(mask, 0.0)), [5, 0, 38, 38])


def test_a_label_of_crumbs_alone_keeps_its_largest_and_an_empty_one_stays_empty():
    mask = np.zeros((5, 5), bool)
    assert not without_crumbs(mask, 0.1).any()
    mask[2, 2] = True
    np.testing.assert_array_equal(without_crumbs(mask, 1.0), mask)


def test_a_share_of_crumbs_out_of_range_is_refused():
    with pytest.raises(BadInputError, match="crumbs"):
        Propagation(crumb=1.5)
