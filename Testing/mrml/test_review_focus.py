"""What a reader sees of the current region: it alone in full color with a bright edge, and no trace afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
import vtk.util.numpy_support
from boot import HeadlessSlicer
from case_on_node import in_order, node_ids, places_of_segment, region_of
from DeferredSegSlicerLib.core.case import Case
from DeferredSegSlicerLib.core.experts import load_experts
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.regions import Region
from DeferredSegSlicerLib.core.volume import Volume
from DeferredSegSlicerLib.mrml import display
from DeferredSegSlicerLib.mrml.deferred import DeferredDisplay
from DeferredSegSlicerLib.mrml.grid import align, world_from_local
from DeferredSegSlicerLib.mrml.result import show_result
from DeferredSegSlicerLib.mrml.review.dimming import Dimming, undim
from DeferredSegSlicerLib.mrml.review.focus import EDGE, LIMIT, OTHERS, REGION, RegionFocus
from DeferredSegSlicerLib.mrml.review.helper_nodes import clear_leftovers
from DeferredSegSlicerLib.mrml.review.previews import COLORS, Preview, Previews
from DeferredSegSlicerLib.mrml.state import parameter_node
from DeferredSegSlicerLib.resources import find_resources
from hard_volumes import GRID_OF_FILE, HARD_VOLUMES, TO_WORLD, node_from_array, turned
from render import SliceView, ThreeDView

SIZE = (60, 50, 18)
STRAIGHT = Geometry(SIZE, (1.0, 1.0, 3.0), (-30.0, -25.0, -27.0))
OBLIQUE = Geometry(SIZE, (1.0, 1.0, 3.0), (-30.0, -25.0, -27.0), tuple(turned(0.3, 0.2).ravel().tolist()))
LEFT_HANDED = Geometry(SIZE, (1.0, 1.0, 3.0), (-30.0, -25.0, 27.0), (1, 0, 0, 0, 1, 0, 0, 0, -1))
GRIDS = pytest.mark.parametrize("grid", [STRAIGHT, OBLIQUE, LEFT_HANDED], ids=["straight", "oblique", "left-handed"])

EXPERTS = load_experts(find_resources() / "Experts" / "default.json")
K = 6
"""The slice that is looked at; not the middle one, so that a reversed axis shows."""
FIRST = (slice(3, 9), slice(15, 35), slice(6, 20))
SECOND = (slice(3, 9), slice(15, 35), slice(36, 50))
BOTH_OF = 0
"""Both blocks are regions of this expert: what is dimmed has the same color as what is not."""


class Sight:
    """Two regions of one expert on a gray scan, and a structure around the first."""

    def __init__(self, scene: Any, folder: Path, write_a_case: Callable[..., Case], grid: Geometry) -> None:
        gray = np.full(grid.shape, 40, np.int16)
        gray[0, 0, :2] = -1000, 1000
        self.organ = np.zeros(grid.shape, np.uint8)
        self.organ[2:10, 10:40, 10:28] = 1
        probability = np.stack([self.organ, np.zeros_like(self.organ)]) * np.uint8(255)
        nobody = np.zeros((len(EXPERTS) + 1, *grid.shape), np.uint8)
        nobody[-1] = 255
        changes: dict[str, Any] = {"experts": EXPERTS, "probability": probability, "routing": nobody}
        self.scene, self.grid = scene, grid
        self.case = write_a_case(folder / "case", Volume(gray, grid, "CT"), **changes)
        self.volume = node_from_array(scene, gray, grid)
        self.volume.GetDisplayNode().SetAutoWindowLevel(False)
        self.volume.GetDisplayNode().SetWindowLevel(400, 40)
        self.alignment = align(self.case.geometry, self.volume)
        self.result = show_result(scene, self.case, self.volume, self.alignment)
        self.deferred = DeferredDisplay(scene, self.case, self.volume, self.alignment)
        self.first, self.second = (self._region(b) for b in (FIRST, SECOND))
        self.deferred.show([self.first, self.second], EXPERTS)
        self.focus = RegionFocus(
            scene, grid, self.volume, self.alignment, self.deferred.node, self.result, (self.result,)
        )
        self.previews = Previews(scene, self.volume, self.alignment)

    def _region(self, where: tuple[slice, slice, slice]) -> Region:
        mask = np.zeros(self.grid.shape, bool)
        mask[where] = True
        return region_of(mask, self.case, EXPERTS[BOTH_OF].id)

    def look_at(self, region: Region) -> None:
        self.focus.show(region.indices, EXPERTS[BOTH_OF].color)

    def place(self, j: float, i: float, k: float = K) -> tuple[float, float, float]:
        """World RAS mm of a voxel of the case."""
        r, a, s, _ = world_from_local(self.volume) @ (*self.case.geometry.ras_of((i, j, k)), 1.0)
        return float(r), float(a), float(s)


@pytest.fixture
def sight_on(scene: Any, tmp_path: Path, write_a_case: Callable[..., Case]) -> Callable[[Geometry], Sight]:
    """A function that makes a `Sight` on a grid."""
    return lambda grid: Sight(scene, tmp_path, write_a_case, grid)


@pytest.fixture
def a_view(a_slicer: HeadlessSlicer) -> Iterator[Callable[[Sight], SliceView]]:
    """A function that opens an axial view on the slice K."""
    made: list[SliceView] = []

    def show(sight: Sight) -> SliceView:
        made.append(SliceView(a_slicer, f"Axial {len(made)}", "Axial", (360, 360)))
        made[-1].node.SetSliceToRASByNTP(*slice_axes(sight), 0)
        made[-1].show(sight.volume, sight.place(25, 30))
        return made[-1]

    yield show
    for view in made:
        view.close()


def slice_axes(sight: Sight) -> tuple[float, ...]:
    """Normal, transversal axis and a place of the scan's own slices, for SetSliceToRASByNTP."""
    axes = sight.grid.ijk_to_ras[:3, :3] / sight.grid.spacing
    return (*axes[:, 2], *axes[:, 0], *sight.place(25, 30))


def pixel(view: SliceView, picture: np.ndarray, ras: tuple[float, float, float]) -> np.ndarray:
    row, column = view.pixel_of(ras)
    return picture[row, column] / 255.0


def saturation(color: np.ndarray) -> float:
    return float(np.ptp(color))


def brightest_near(view: SliceView, picture: np.ndarray, ras: tuple[float, float, float]) -> np.ndarray:
    """The pixel of most light within two of a place: where a thin line runs."""
    row, column = view.pixel_of(ras)
    around = picture[row - 3 : row + 4, column - 3 : column + 4].reshape(-1, 3) / 255.0
    return around[np.argmax(around.sum(axis=1))]


@GRIDS
def test_the_current_region_is_in_full_color_and_the_others_are_dimmed(
    sight_on: Callable[[Geometry], Sight], a_view: Callable[[Sight], SliceView], grid: Geometry
) -> None:
    sight = sight_on(grid)
    view = a_view(sight)
    middle_of_first, middle_of_second = sight.place(25, 13), sight.place(25, 43)
    before = view.picture()
    plain = saturation(pixel(view, before, middle_of_first))
    assert plain == pytest.approx(saturation(pixel(view, before, middle_of_second)), abs=0.02)

    for region, bright, dim in (
        (sight.first, middle_of_first, middle_of_second),
        (sight.second, middle_of_second, middle_of_first),
    ):
        sight.look_at(region)
        picture = view.picture()
        assert saturation(pixel(view, picture, bright)) > 0.95 * plain
        assert saturation(pixel(view, picture, dim)) < 0.5 * plain
        assert saturation(pixel(view, picture, dim)) > 0.05, "dimmed is not gone"


@GRIDS
def test_the_edge_of_the_current_region_is_bright_and_that_of_others_is_not(
    sight_on: Callable[[Geometry], Sight], a_view: Callable[[Sight], SliceView], grid: Geometry
) -> None:
    sight = sight_on(grid)
    view = a_view(sight)
    sight.look_at(sight.second)
    picture = view.picture()
    edges = [sight.place(25, 35.5), sight.place(25, 49.5), sight.place(14.5, 43), sight.place(34.5, 43)]
    assert all(brightest_near(view, picture, place).min() > 0.9 for place in edges)
    others = [sight.place(14.5, 8), sight.place(25, 5.5)]
    assert all(brightest_near(view, picture, place).min() < 0.7 for place in others)


def test_the_models_line_is_over_the_color_of_the_region_in_open_and_in_new_views(
    sight_on: Callable[[Geometry], Sight], a_view: Callable[[Sight], SliceView]
) -> None:
    sight = sight_on(STRAIGHT)
    opened = a_view(sight)
    crossing = sight.place(25, 9.5)  # the organ's edge inside the first region
    sight.look_at(sight.first)
    sight.result.GetDisplayNode().SetAllSegmentsOpacity2DOutline(1.0)
    for view in (opened, a_view(sight)):
        picture = view.picture()
        line = brightest_near(view, picture, crossing)
        assert np.allclose(line, sight.case.structures[0].color, atol=0.12), "the line is not the structure's color"


@GRIDS
def test_the_limit_of_an_edit_is_a_line_around_what_may_be_edited(
    sight_on: Callable[[Geometry], Sight], a_view: Callable[[Sight], SliceView], grid: Geometry
) -> None:
    sight = sight_on(grid)
    view = a_view(sight)
    sight.look_at(sight.second)
    outside = sight.place(11.5, 43)
    before = view.picture()
    box = (slice(2, 10), slice(12, 38), slice(33, 53))
    sight.focus.show_limit(box, np.ones((8, 26, 20), bool))
    picture = view.picture()
    light = brightest_near(view, picture, outside) - brightest_near(view, before, outside)
    assert light[1] > 0.25 and light[2] > 0.25, "there is no line"
    inside = sight.place(12.9, 43)
    assert np.array_equal(pixel(view, picture, inside), pixel(view, before, inside)), "it is a line, no fill"
    sight.focus.hide_limit()
    assert np.array_equal(view.picture(), before)


def test_it_hides_with_the_deferred_regions(
    sight_on: Callable[[Geometry], Sight], a_view: Callable[[Sight], SliceView]
) -> None:
    sight = sight_on(STRAIGHT)
    view = a_view(sight)
    place = sight.place(25, 43)
    sight.look_at(sight.second)
    display.set_visible(sight.deferred.node, False)
    assert saturation(pixel(view, view.picture(), place)) < 0.02
    display.set_visible(sight.deferred.node, True)
    assert saturation(pixel(view, view.picture(), place)) > 0.3


def test_afterwards_the_picture_and_the_scene_are_as_before(
    sight_on: Callable[[Geometry], Sight], a_view: Callable[[Sight], SliceView], scene: Any
) -> None:
    sight = sight_on(OBLIQUE)
    sight.deferred.node.GetDisplayNode().SetSegmentOpacity2DFill(f"expert.{EXPERTS[0].id}", 0.8)  # a user's own wish
    view = a_view(sight)
    parameter_node(scene)
    picture, nodes = view.picture(), node_ids(scene)
    observed = sight.deferred.node.GetDisplayNode().HasObserver("ModifiedEvent")
    for _ in range(2):
        sight.look_at(sight.first)
        sight.focus.show_limit((slice(0, 2), slice(0, 2), slice(0, 2)), np.ones((2, 2, 2), bool))
        sight.previews.show([preview_of(sight, FIRST)])
        assert not np.array_equal(view.picture(), picture)
        sight.previews.clear()
        sight.focus.clear()
        assert np.array_equal(view.picture(), picture)
        assert node_ids(scene) == nodes
    assert sight.deferred.node.GetDisplayNode().HasObserver("ModifiedEvent") == observed


def preview_of(sight: Sight, where: tuple[slice, slice, slice], name: str = "fill") -> Preview:
    shape = tuple(part.stop - part.start for part in where)
    return Preview(name, where, np.ones(shape, bool))


def shown_in_lists(scene: Any) -> set[str]:
    """Names of the items that Slicer's lists of data show: hidden nodes are left out with all that is below them."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    return shown_below(hierarchy, hierarchy.GetSceneItemID())


def shown_below(hierarchy: Any, parent: int) -> set[str]:
    items, names = vtk.vtkIdList(), set()
    hierarchy.GetItemChildren(parent, items, False)
    for item in (items.GetId(n) for n in range(items.GetNumberOfIds())):
        node = hierarchy.GetItemDataNode(item)
        if node is None or not node.GetHideFromEditors():
            names |= {hierarchy.GetItemName(item), *shown_below(hierarchy, item)}
    return names


def test_it_is_in_no_list_but_known_to_the_hierarchy_which_would_complain_else(
    sight_on: Callable[[Geometry], Sight], scene: Any
) -> None:
    sight = sight_on(STRAIGHT)
    before = shown_in_lists(scene)
    sight.look_at(sight.first)
    sight.previews.show([preview_of(sight, FIRST)])
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    nodes = [sight.focus.node, sight.previews.node]
    assert all(node.GetHideFromEditors() and hierarchy.GetItemByDataNode(node) for node in nodes)
    assert shown_in_lists(scene) == before
    sight.previews.clear()
    sight.focus.clear()
    assert shown_in_lists(scene) == before, "no item without a node is left"


def test_a_scene_that_is_saved_meanwhile_shows_nothing_of_it(
    sight_on: Callable[[Geometry], Sight], a_slicer: HeadlessSlicer, scene: Any, tmp_path: Path
) -> None:
    sight = sight_on(STRAIGHT)
    place = sight.place(25, 13)
    sight.look_at(sight.first)
    sight.previews.show([preview_of(sight, FIRST)])
    listed = shown_in_lists(scene)
    assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    scene.Clear(0)
    assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)
    assert shown_in_lists(scene) == listed == {"CT", "CT (DeferredSeg)", "CT (deferred)"}
    names = {node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode", scene)}
    assert names == {"CT (DeferredSeg)", "CT (deferred)"}
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationDisplayNode") == 2

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    items = hierarchy.GetNumberOfItems()
    clear_leftovers(scene)
    assert hierarchy.GetNumberOfItems() == items - 2
    volume = scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    deferred = next(
        n for n in slicer.util.getNodesByClass("vtkMRMLSegmentationNode", scene) if "deferred" in n.GetName()
    )
    undim(deferred)
    assert deferred.GetDisplayNode().GetSegmentOpacity2DFill(f"expert.{EXPERTS[BOTH_OF].id}") == 1
    view = SliceView(a_slicer, "Reopened", "Axial", (360, 360))
    view.show(volume, place)
    assert saturation(pixel(view, view.picture(), place)) > 0.5, "no region is dimmed any more"
    view.close()


def test_dimming_twice_is_dimming_once(sight_on: Callable[[Geometry], Sight]) -> None:
    sight = sight_on(STRAIGHT)
    look = sight.deferred.node.GetDisplayNode().GetSegmentOpacity2DFill
    segment_id = f"expert.{EXPERTS[BOTH_OF].id}"
    sight.look_at(sight.first)
    dimmed = look(segment_id)
    assert 0 < dimmed < 0.5
    Dimming(sight.deferred.node, "DeferredSeg.ExpertId", OTHERS).apply()
    assert look(segment_id) == dimmed
    sight.deferred.node.SetAttribute("DeferredSeg.Dimmed", "[nonsense")
    undim(sight.deferred.node)
    assert look(segment_id) == dimmed, "a damaged note is passed over"


@pytest.mark.parametrize("name", list(HARD_VOLUMES))
def test_highlight_limit_and_previews_lie_where_their_voxels_are_in_the_patient(
    scene: Any, tmp_path: Path, write_a_case: Callable[..., Case], name: str
) -> None:
    from case_on_node import case_of_scan

    grid, volume = GRID_OF_FILE[name], HARD_VOLUMES[name](scene, tmp_path)
    case = case_of_scan(write_a_case, tmp_path / "case", grid)
    alignment = align(case.geometry, volume)
    deferred = DeferredDisplay(scene, case, volume, alignment)
    result = show_result(scene, case, volume, alignment)
    focus = RegionFocus(scene, grid, volume, alignment, deferred.node, result)
    mask = np.zeros(grid.shape, bool)
    mask[0, 3:6, 2:9] = True
    mask[grid.shape[0] // 2, 4, 5] = True

    def places(of: np.ndarray) -> np.ndarray:
        points = grid.ras_of(np.argwhere(of)[:, ::-1])
        return in_order(points @ TO_WORLD[name][:3, :3].T + TO_WORLD[name][:3, 3])

    focus.show(np.flatnonzero(mask), (1, 0, 0))
    assert np.allclose(places_of_segment(focus.node, REGION), places(mask), atol=1e-4)
    assert np.allclose(places_of_segment(focus.node, EDGE), places(mask), atol=1e-4)
    smaller = np.zeros(grid.shape, bool)
    smaller[0, 7, 11] = True
    focus.show(np.flatnonzero(smaller), (1, 0, 0))
    assert np.allclose(places_of_segment(focus.node, REGION), places(smaller), atol=1e-4)

    box = (slice(0, grid.shape[0]), slice(2, 7), slice(1, 10))
    focus.show_limit(box, mask[box])
    assert np.allclose(places_of_segment(focus.node, LIMIT), places(mask), atol=1e-4)
    previews = Previews(scene, volume, alignment)
    previews.show([Preview("fill", box, mask[box]), Preview("drop", box, np.zeros_like(mask[box]))])
    assert np.allclose(places_of_segment(previews.node, "1"), places(mask), atol=1e-4)
    assert len(places_of_segment(previews.node, "2")) == 0


def test_each_labeling_on_offer_has_a_line_of_its_own_color(
    sight_on: Callable[[Geometry], Sight], a_view: Callable[[Sight], SliceView]
) -> None:
    sight = sight_on(OBLIQUE)
    view = a_view(sight)
    display.set_visible(sight.result, False)
    display.set_visible(sight.deferred.node, False)
    nested = [(slice(2, 9), slice(12 + 3 * n, 38 - 3 * n), slice(30 + 3 * n, 56 - 3 * n)) for n in range(4)]
    sight.previews.show([preview_of(sight, where, f"{n}") for n, where in enumerate(nested, 1)])
    picture = view.picture()
    for number, color in enumerate(COLORS):
        row, column = view.pixel_of(sight.place(25, 29.5 + 3 * number))
        around = picture[row - 3 : row + 4, column - 3 : column + 4].reshape(-1, 3) / 255.0
        assert np.linalg.norm(around - color, axis=1).min() < 0.15, f"the line of labeling {number + 1} is not there"
    with pytest.raises(ValueError, match="at most 4"):
        sight.previews.show([preview_of(sight, FIRST)] * 5)


def test_the_current_region_is_seen_in_3d_if_the_regions_are(
    sight_on: Callable[[Geometry], Sight], a_slicer: HeadlessSlicer
) -> None:
    sight = sight_on(STRAIGHT)
    sight.look_at(sight.first)
    assert not sight.focus.node.GetDisplayNode().GetVisibility3D()
    view = ThreeDView(a_slicer, "Region in 3D")
    display.show_3d([sight.deferred.node], True)
    sight.look_at(sight.second)
    view.fit()
    picture = view.picture() / 255.0
    surface = slicer.vtkMRMLSegmentationNode.GetClosedSurfaceInternalRepresentation(sight.focus.node, REGION)
    assert surface.GetNumberOfPoints() > 0
    points = vtk.util.numpy_support.vtk_to_numpy(surface.GetPoints().GetData())
    assert np.abs(points.mean(axis=0) - np.array(sight.second.centroid_ras)).max() < 2
    lit = np.ptp(picture, axis=2) > 0.3
    assert lit.sum() > 300, "the region is not seen in its color"
    view.close()
