"""Opacities, what is visible, surfaces in 3D, and the legend's figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from case_on_node import case_of_scan, region_of, worklist_of
from DeferredSegSlicerLib.core.case import Case
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.mrml import display
from DeferredSegSlicerLib.mrml.compat import closed_surface
from DeferredSegSlicerLib.mrml.deferred import DeferredDisplay
from DeferredSegSlicerLib.mrml.grid import align
from DeferredSegSlicerLib.mrml.legend import legend_rows
from DeferredSegSlicerLib.mrml.result import show_result
from hard_volumes import node_from_array, scan_on

GRID = Geometry((40, 36, 24), (1.0, 1.0, 2.0), (-20.0, -18.0, 5.0))


class Shown:
    """A case with its model's segmentation and its deferred regions."""

    def __init__(self, scene: Any, case: Case) -> None:
        volume = node_from_array(scene, scan_on(GRID), GRID)
        alignment = align(case.geometry, volume)
        self.case = case
        self.result = show_result(scene, case, volume, alignment)
        self.regions = DeferredDisplay(scene, case, volume, alignment)
        self.deferred = self.regions.node

    def defer(self, *masks: np.ndarray) -> None:
        """Show one mask [k, j, i] for each expert in turn."""
        experts = self.case.experts
        self.regions.show([region_of(m, self.case, e.id) for m, e in zip(masks, experts, strict=False)], experts)


def ball(radius: float, k: int = 12, j: int = 18, i: int = 20) -> np.ndarray:
    at = np.indices(GRID.shape)
    return ((at[0] - k) * 2) ** 2 + (at[1] - j) ** 2 + (at[2] - i) ** 2 < radius**2


@pytest.fixture
def shown(scene: Any, tmp_path: Path, write_a_case: Callable[..., Case]) -> Shown:
    """A case of two balls, its model's segmentation and its deferred regions; none is deferred yet."""
    probability = np.stack([ball(8), ball(5, j=8)]).astype(np.uint8) * 255
    return Shown(scene, case_of_scan(write_a_case, tmp_path / "case", GRID, probability=probability))


def surface_points(node: Any) -> list[int]:
    """Points of every segment's surface; -1 for one without."""
    segmentation = node.GetSegmentation()
    surfaces = [
        segmentation.GetNthSegment(n).GetRepresentation(closed_surface())
        for n in range(segmentation.GetNumberOfSegments())
    ]
    return [surface.GetNumberOfPoints() if surface is not None else -1 for surface in surfaces]


def test_the_model_is_drawn_as_outlines_and_the_regions_are_filled_and_outlined(shown: Shown) -> None:
    model, deferred = shown.result.GetDisplayNode(), shown.deferred.GetDisplayNode()
    assert not model.GetVisibility2DFill() and model.GetVisibility2DOutline()
    assert deferred.GetVisibility2DFill() and deferred.GetVisibility2DOutline()
    assert deferred.GetOpacity2DFill() == 0.6 and deferred.GetOpacity2DOutline() == 1.0


def test_opacities_are_set_one_by_one_and_zero_hides(shown: Shown) -> None:
    look = shown.deferred.GetDisplayNode()
    display.set_opacity(shown.deferred, fill=0.25)
    assert (look.GetOpacity2DFill(), look.GetOpacity2DOutline()) == (0.25, 1.0)
    display.set_opacity(shown.deferred, outline=0.5)
    assert (look.GetOpacity2DFill(), look.GetOpacity2DOutline()) == (0.25, 0.5)
    display.set_opacity(shown.deferred, fill=0.0, outline=0.0)
    assert not look.GetVisibility2DFill() and not look.GetVisibility2DOutline()
    display.set_opacity(shown.deferred, fill=0.7, outline=1.0)
    assert look.GetVisibility2DFill() and look.GetVisibility2DOutline() and look.GetOpacity2DFill() == 0.7


def test_a_look_that_was_chosen_stays_when_the_budget_changes(shown: Shown) -> None:
    display.set_opacity(shown.deferred, fill=0.3)
    display.set_segment_visible(shown.deferred, "expert.normal", False)
    display.set_visible(shown.result, False)
    shown.defer(ball(4), ball(3, k=4))
    assert shown.deferred.GetDisplayNode().GetOpacity2DFill() == 0.3
    assert display.visible_segments(shown.deferred) == ("expert.extent", "expert.edge")
    assert not shown.result.GetDisplayNode().GetVisibility()


def test_surfaces_are_made_when_3d_is_asked_for_and_not_before(shown: Shown) -> None:
    shown.defer(ball(6), ball(3, k=4))
    assert surface_points(shown.result) == [-1, -1] and surface_points(shown.deferred) == [-1, -1, -1]
    display.show_3d([shown.result, None, shown.deferred], True)
    assert min(surface_points(shown.result)) > 100
    big, small, none = surface_points(shown.deferred)
    assert big > small > 20 and none == 0
    assert not display.refresh_3d(shown.result), "there already"


def test_small_regions_do_not_vanish_in_3d(shown: Shown) -> None:
    eight = np.zeros(GRID.shape, bool)
    eight[10:12, 10:12, 10:12] = True
    shown.defer(eight)
    display.show_3d([shown.deferred], True)
    bounds = shown.deferred.GetSegmentation().GetNthSegment(0).GetRepresentation(closed_surface()).GetBounds()
    extent = np.diff(np.reshape(bounds, (3, 2)), axis=1).ravel()
    assert np.all(extent > 0.5 * np.array([2.0, 2.0, 4.0])), extent


def test_a_new_budget_drops_the_old_surfaces_and_a_refresh_makes_new_ones(shown: Shown) -> None:
    shown.defer(ball(4))
    display.show_3d([shown.deferred], True)
    before = surface_points(shown.deferred)[0]
    shown.defer(ball(8))
    assert surface_points(shown.deferred) == [-1, -1, -1]
    assert display.refresh_3d(shown.deferred) and surface_points(shown.deferred)[0] > before


def test_nothing_is_computed_for_a_node_that_is_hidden_in_3d(shown: Shown) -> None:
    shown.defer(ball(4))
    display.show_3d([shown.deferred], False)
    assert not display.refresh_3d(shown.deferred) and surface_points(shown.deferred) == [-1, -1, -1]
    assert not shown.deferred.GetDisplayNode().GetVisibility3D()


def test_regions_are_seen_through_the_model_in_3d(shown: Shown) -> None:
    display.show_3d([shown.result, shown.deferred], True)
    assert shown.result.GetDisplayNode().GetOpacity3D() < 0.5 < shown.deferred.GetDisplayNode().GetOpacity3D()


def test_the_legend_has_exactly_the_figures_of_the_regions(shown: Shown) -> None:
    work = worklist_of(shown.case)
    regions = work.regions(0.3)
    rows = legend_rows(regions, work.experts, shown.case.geometry)
    assert [row.expert_id for row in rows] == ["extent", "normal", "edge"]
    assert [row.on_duty for row in rows] == [True, True, False]
    assert (rows[2].regions, rows[2].ml, rows[2].minutes) == (0, 0.0, 0.0)
    for row, expert in zip(rows, work.experts, strict=True):
        own = [region for region in regions if region.expert == expert.id]
        assert row.regions == len(own) and (row.name, row.color) == (expert.name, expert.color)
        assert row.ml == pytest.approx(sum(region.volume_ml for region in own), rel=1e-12)
        assert row.minutes == sum(region.seconds for region in own) / 60
    assert sum(row.regions for row in rows) == len(regions) > 0
    assert sum(row.minutes for row in rows) == pytest.approx(regions.seconds / 60)


def test_the_legend_has_a_row_for_everybody_when_nothing_is_deferred(shown: Shown) -> None:
    experts = [replace(expert, available=False) for expert in shown.case.experts]
    rows = legend_rows((), experts, GRID)
    assert [(row.regions, row.ml, row.minutes, row.on_duty) for row in rows] == [(0, 0.0, 0.0, False)] * 3
