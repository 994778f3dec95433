"""Slices as they are shown to a network, and the way back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.engine.views import Display, IndexBox, SliceView, choose_view, whole_slice

LETTERS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


def a_grid(slices_along: int, order: tuple[int, int, int], signs: tuple[int, int, int]) -> Geometry:
    """A grid whose index axes i, j, k run along the LPS axes `order` in the directions `signs`."""
    direction = np.zeros((3, 3))
    for index, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        direction[axis, index] = sign
    spacing = tuple(4.0 if axis == slices_along else 1.0 for axis in order)
    return Geometry((5, 6, 7), spacing, (10.0, -20.0, 30.0), tuple(direction.ravel()))


@pytest.mark.parametrize(
    ("slices_along", "first_slice", "top", "left"), [(2, "I", "A", "R"), (1, "A", "S", "R"), (0, "R", "S", "A")]
)
def test_slices_are_shown_in_the_radiological_orientation_whatever_the_storage(slices_along, first_slice, top, left):
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            geometry = a_grid(slices_along, order, signs)
            ijk = np.stack(np.meshgrid(*(np.arange(n) for n in geometry.size), indexing="ij"), axis=-1)
            ras = np.moveaxis(geometry.ras_of(ijk), (0, 1, 2), (2, 1, 0))  # (k, j, i, 3)
            shown = Display.of(geometry).show(np.moveaxis(ras, -1, 0))
            for axis, letter in ((1, first_slice), (2, top), (3, left)):
                body, sign = LETTERS[letter]
                along = np.diff(shown[body], axis=axis - 1)
                assert np.all(along * sign < 0), f"{order} {signs}: axis {axis} must start at {letter}"


def test_writing_to_what_is_shown_writes_to_the_stored_array():
    geometry = a_grid(1, (2, 0, 1), (1, -1, -1))
    stored = np.zeros((2, *geometry.shape), np.uint8)
    shown = Display.of(geometry).show(stored)
    shown[1, 3, 2, 1] = 9
    assert stored[1].max() == 9 and stored[0].max() == 0 and np.count_nonzero(stored) == 1


def test_a_box_covers_the_same_voxels_shown_and_stored():
    first, stop = (1, 2, 3), (4, 4, 6)
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            geometry = a_grid(2, order, signs)
            stored = np.zeros(geometry.shape, np.uint8)
            stored[first[2] : stop[2], first[1] : stop[1], first[0] : stop[0]] = 1
            display = Display.of(geometry)
            box = display.box_of(first, stop)
            inside = tuple(slice(a, b) for a, b in zip(box.first, box.stop, strict=True))
            assert display.show(stored)[inside].min() == 1
            assert display.show(stored)[inside].size == stored.sum()


def display_of(rows: int, columns: int, row_mm: float, column_mm: float) -> Display:
    return Display.of(Geometry((columns, rows, 4), (column_mm, row_mm, 20.0)))


def test_square_pixels_are_not_resampled():
    view = whole_slice(display_of(50, 40, 0.7, 0.7))
    gray = np.random.default_rng(0).random((50, 40), dtype=np.float32)
    maps = torch.rand(2, 50, 40)
    assert view.resampled(gray) is gray
    assert view.to_grid(maps) is maps
    np.testing.assert_array_equal(view.to_view(np.array([3, 4, 20, 30], np.float32)), [3, 4, 20, 30])


def test_pixels_that_are_not_square_are_made_square_and_come_back():
    view = whole_slice(display_of(30, 60, 2.0, 1.0))
    assert view.size == (60, 60)
    rows, columns = np.meshgrid(np.arange(30), np.arange(60), indexing="ij")
    circle = (((rows - 14.5) * 2) ** 2 + (columns - 29.5) ** 2 < 20**2).astype(np.float32)
    seen = view.resampled(circle) >= 0.5
    assert abs(np.ptp(np.flatnonzero(seen.any(1))) - np.ptp(np.flatnonzero(seen.any(0)))) <= 2
    back = view.to_grid(torch.from_numpy(seen.astype(np.float32))[None])[0].numpy() >= 0.5
    assert back.shape == (30, 60)
    assert np.mean(back != circle.astype(bool)) < 0.02


def test_a_box_lands_on_the_same_place_in_a_resampled_crop():
    view = SliceView((10, 30), (20, 60), (40, 40))  # rows twice as far apart as columns
    x0, y0, x1, y1 = view.to_view(np.array([25, 12, 39, 21], np.float32))
    assert (x0, x1) == (5, 19)
    # display row 12 spans view rows 4 and 5, whose middle is 4.5
    assert (y0, y1) == (4.5, 22.5)


def test_a_box_that_reaches_out_of_the_view_is_cut_to_it():
    view = SliceView((10, 30), (20, 60), (20, 40))
    np.testing.assert_array_equal(view.to_view(np.array([0, 0, 99, 99], np.float32)), [0, 0, 39, 19])


def test_a_crop_contains_its_box_and_stays_inside_the_slice():
    display = display_of(512, 400, 0.8, 0.8)
    for first, stop in (((1, 0, 0), (3, 20, 30)), ((1, 490, 380), (3, 512, 400)), ((0, 5, 5), (4, 500, 390))):
        view = choose_view(display, IndexBox(first, stop), "crop")
        assert 0 <= view.rows[0] <= first[1] and stop[1] <= view.rows[1] <= 512
        assert 0 <= view.columns[0] <= first[2] and stop[2] <= view.columns[1] <= 400
        assert view.size == view.grid


def test_auto_crops_tiny_boxes_of_large_slices_alone():
    display = display_of(512, 512, 0.7, 0.7)
    tiny, organ = IndexBox((1, 200, 210), (3, 236, 250)), IndexBox((1, 100, 100), (3, 260, 240))
    assert choose_view(display, tiny, "auto") == choose_view(display, tiny, "crop") != whole_slice(display)
    assert choose_view(display, organ, "auto") == whole_slice(display)
    coarse = display_of(128, 128, 2.8, 2.8)
    assert choose_view(coarse, IndexBox((1, 50, 52), (3, 58, 62)), "auto") == whole_slice(coarse)


def test_an_unknown_view_is_refused():
    with pytest.raises(BadInputError, match='"zoom"'):
        choose_view(display_of(9, 9, 1, 1), IndexBox((0, 0, 0), (1, 2, 2)), "zoom")
