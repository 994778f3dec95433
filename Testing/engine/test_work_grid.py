"""The grid of a learned router lies exactly on the slices, whatever the network's resolution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from DeferredSegSlicerLib.engine.deferral.work_grid import LONGEST, WorkGrid, work_grid
from DeferredSegSlicerLib.engine.views import IndexBox, SliceView

VIEW = SliceView((10, 90), (20, 140), (80, 120))


def ramp(rows, columns, covered=(1.0, 1.0), view=VIEW):
    """A map of the view whose values are display rows (channel 0) and columns (channel 1) of pixel edges."""
    high, wide = view.grid
    y = view.rows[0] + (torch.arange(rows) + 0.5) / rows / covered[0] * high
    x = view.columns[0] + (torch.arange(columns) + 0.5) / columns / covered[1] * wide
    return torch.stack([y[:, None].expand(rows, columns), x[None].expand(rows, columns)])[None].float()


@pytest.mark.parametrize(("rows", "columns"), [(80, 120), (256, 256), (64, 64), (400, 700), (31, 57)])
@pytest.mark.parametrize("covered", [(1.0, 1.0), (2 / 3, 1.0)])
def test_every_map_is_sampled_at_the_same_places_of_the_patient(rows, columns, covered):
    grid = WorkGrid((30, 60), (50, 95), (30, 45))
    found = grid.sample(ramp(rows, columns, covered), VIEW, covered)[0]
    y, x = grid.centers()
    half_a_source_pixel = 0.5 * max(80 / rows / covered[0], 120 / columns / covered[1])
    tolerance = 1e-3 if min(rows * covered[0], columns) >= 60 else half_a_source_pixel
    np.testing.assert_allclose(found[0].numpy(), (y + 0.5)[:, None].expand(30, 45).numpy(), atol=tolerance)
    np.testing.assert_allclose(found[1].numpy(), (x + 0.5)[None].expand(30, 45).numpy(), atol=tolerance)


def test_padding_of_the_canvas_never_enters():
    maps = ramp(60, 90, (0.5, 0.75))
    maps[..., 30:, :] = 1e6
    maps[..., 68:, :] = 1e6
    whole = WorkGrid(VIEW.rows, VIEW.columns, (80, 120))
    inner = whole.sample(maps, VIEW, (0.5, 0.75))[0, :, :-3, :-3]
    assert inner.max() < 200


def test_a_small_box_keeps_the_display_pixels_and_a_large_one_is_bounded():
    small = work_grid(IndexBox((0, 40, 50), (5, 60, 80)), (3.0, 1.0, 1.0), VIEW)
    assert small.size == (small.rows[1] - small.rows[0], small.columns[1] - small.columns[0])
    assert small.rows == (28, 72)
    view = SliceView((0, 512), (0, 512), (512, 512))
    large = work_grid(IndexBox((0, 100, 100), (5, 400, 350)), (3.0, 0.8, 0.8), view)
    assert max(large.size) <= 1.5 * LONGEST
    assert large.rows == (100 - 60, 400 + 60)


def test_the_grid_stays_inside_the_view():
    grid = work_grid(IndexBox((0, 12, 22), (5, 88, 138)), (3.0, 1.0, 1.0), VIEW)
    assert (grid.rows, grid.columns) == (VIEW.rows, VIEW.columns)
    assert grid.window_in(VIEW) == (slice(0, 80), slice(0, 120))


def test_pixels_that_are_not_square_become_so():
    grid = work_grid(IndexBox((0, 40, 50), (5, 50, 90)), (3.0, 2.0, 0.5), VIEW)
    (first, last), (left, right) = grid.rows, grid.columns
    assert (last - first) * 2.0 / grid.size[0] == pytest.approx((right - left) * 0.5 / grid.size[1], rel=0.1)


def test_there_and_back_is_the_identity_where_the_pixels_agree():
    grid = WorkGrid((30, 60), (50, 95), (30, 45))
    slices = np.random.default_rng(0).random((3, 100, 150)).astype(np.float32)
    part = grid.gather(slices)
    np.testing.assert_array_equal(grid.spread(part[:, None])[:, 0].numpy(), slices[:, 30:60, 50:95])
