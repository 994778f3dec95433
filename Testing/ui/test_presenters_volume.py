"""The watch over the chosen volume, what is said of a volume, and where a new box goes."""

from __future__ import annotations

import math

import pytest
from DeferredSegSlicerLib.ui.presenters import volume
from DeferredSegSlicerLib.ui.presenters.placement import SMALLEST_MM, first_box
from DeferredSegSlicerLib.ui.presenters.volume import VolumeWatch


def test_what_was_there_at_the_choice_is_no_news() -> None:
    watch = VolumeWatch()
    assert watch.look("a", ["a", "b"]) == ()
    assert watch.look("a", ["a", "b"]) == ()


def test_a_volume_that_comes_after_the_choice_is_reported_until_it_is_answered() -> None:
    watch = VolumeWatch()
    watch.look("a", ["a"])
    assert watch.look("a", ["a", "b"]) == ("b",)
    assert watch.look("a", ["a", "b", "c"]) == ("b", "c")
    watch.confirm(["a", "b", "c"])
    assert watch.look("a", ["a", "b", "c"]) == ()
    assert watch.look("a", ["a", "b", "c", "d"]) == ("d",)


def test_another_choice_answers_the_question() -> None:
    watch = VolumeWatch()
    watch.look("a", ["a"])
    assert watch.look("b", ["a", "b"]) == ()
    assert watch.look("b", ["a", "b", "c"]) == ("c",)


def test_without_a_choice_nothing_is_asked() -> None:
    watch = VolumeWatch()
    assert watch.look("", ["a"]) == ()
    assert watch.look("", ["a", "b"]) == ()


@pytest.mark.parametrize(("present", "chosen"), [([], ""), (["a"], "a"), (["a", "b"], "")])
def test_only_a_single_volume_is_chosen_by_itself(present: list[str], chosen: str) -> None:
    assert volume.only_one(present) == chosen


def test_a_volume_is_described_with_units() -> None:
    text = volume.description((512, 512, 320), (0.703125, 0.703125, 1.5), "CT")
    assert text == "CT, 512 \u00d7 512 \u00d7 320 voxels of 0.703 \u00d7 0.703 \u00d7 1.5 mm"
    assert volume.description((1, 1, 1), (1, 1, 1), "other").startswith("unknown modality")


def test_the_question_names_both_volumes() -> None:
    text = volume.newcomers_text("CT Smith", ["CT Jones", "MR Jones"])
    assert "CT Smith" in text and "CT Jones" in text and "MR Jones" in text and text.endswith("?")


BOUNDS = (-200.0, 200.0, -150.0, 150.0, 0.0, 300.0)


def test_a_new_box_is_a_quarter_of_what_is_seen_around_the_views_center() -> None:
    center, size = first_box((10, 20, 100), (400, 300, 320), BOUNDS)
    assert center == (10, 20, 100)
    assert size == (100, 75, 80)


def test_a_box_at_the_rim_is_cut_to_the_volume() -> None:
    center, size = first_box((190, 0, 150), (400, 400, 400), BOUNDS)
    assert (center[0] - size[0] / 2, center[0] + size[0] / 2) == (140, 200)


def test_views_outside_the_volume_give_a_box_in_its_middle() -> None:
    center, _ = first_box((900, 900, -900), (400, 400, 400), BOUNDS)
    assert center == (0, 0, 150)


@pytest.mark.parametrize("at", [-200.0, -199.0, 0.0, 199.5, 200.0])
def test_a_box_is_never_too_thin_to_be_caught_nor_outside(at: float) -> None:
    center, size = first_box((at, 0, 150), (1.0, 1.0, 1.0), BOUNDS)
    assert math.isclose(size[0], SMALLEST_MM)
    assert center[0] - size[0] / 2 >= -200 and center[0] + size[0] / 2 <= 200


def test_a_volume_thinner_than_the_smallest_box_gets_one_as_thick_as_it_is() -> None:
    center, size = first_box((0, 0, 1), (400, 400, 400), (-200, 200, -150, 150, 0, 2))
    assert (center[2], size[2]) == (1, 2)
