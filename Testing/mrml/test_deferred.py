"""Deferred regions over a volume: in the right voxels, in place, fast, and without harm to anything of the user's."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
import vtk.util.numpy_support
from case_on_node import (
    LABELMAP,
    case_of_scan,
    node_ids,
    places_of_regions,
    places_of_segment,
    region_of,
    worklist_of,
)
from DeferredSegSlicerLib.core.case import Case
from DeferredSegSlicerLib.core.experts import Expert
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.structures import Terminology
from DeferredSegSlicerLib.mrml.deferred import DeferredDisplay, find_node, segment_id
from DeferredSegSlicerLib.mrml.grid import Alignment, align, world_from_local
from DeferredSegSlicerLib.mrml.names import EXPERT_TAG
from DeferredSegSlicerLib.mrml.segments import tag_of
from hard_volumes import GRID_OF_FILE, HARD_VOLUMES, OBLIQUE, PLAIN, node_from_array, put_under, scan_on

OpenCase = Callable[..., "Shown"]


class Shown:
    """A case, its volume node and the display of its regions."""

    def __init__(self, scene: Any, case: Case, volume_node: Any) -> None:
        self.scene, self.case, self.volume = scene, case, volume_node
        self.display = DeferredDisplay(scene, case, volume_node, align(case.geometry, volume_node))

    @property
    def node(self) -> Any:
        return self.display.node

    @property
    def segmentation(self) -> Any:
        return self.node.GetSegmentation()

    def segment(self, number: int) -> Any:
        return self.segmentation.GetSegment(segment_id(self.case.experts[number]))

    def layer(self) -> Any:
        return self.segment(0).GetRepresentation(LABELMAP)

    def places(self, expert: Expert) -> np.ndarray:
        return places_of_segment(self.node, segment_id(expert))

    def shows(self, regions: Any) -> bool:
        """Whether every expert's segment has exactly the voxels of these regions, in their places in the world."""
        to_world = world_from_local(self.volume)
        expected = [(places_of_regions(regions, e.id, self.case, to_world), self.places(e)) for e in self.case.experts]
        return all(a.shape == b.shape and np.allclose(a, b, atol=1e-4) for a, b in expected)


@pytest.fixture
def show_case(scene: Any, tmp_path: Path, write_a_case: Callable[..., Case]) -> OpenCase:
    """A function that shows a case of noise on a grid, on a volume node of the same scan."""

    def show(grid: Geometry = OBLIQUE, volume_node: Any = None) -> Shown:
        node = volume_node if volume_node is not None else node_from_array(scene, scan_on(grid), grid)
        return Shown(scene, case_of_scan(write_a_case, tmp_path / "case", grid), node)

    return show


@pytest.fixture
def a_shown_case(show_case: OpenCase) -> Shown:
    """A case on an oblique volume, with its regions at half the zone."""
    shown = show_case()
    shown.display.show(worklist_of(shown.case).regions(0.5), shown.case.experts)
    return shown


def array_of_layer(image: Any) -> np.ndarray:
    voxels = vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    return voxels.reshape(image.GetDimensions()[::-1])


def a_users_segment(segmentation: Any, image: Any, label: int, name: str = "mine") -> str:
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetLabelValue(label)
    segment.AddRepresentation(LABELMAP, image)
    segmentation.AddSegment(segment, name)
    return name


@pytest.mark.parametrize("name", list(HARD_VOLUMES))
def test_regions_lie_where_their_voxels_are_in_the_patient(
    scene: Any, tmp_path: Path, show_case: OpenCase, name: str
) -> None:
    shown = show_case(GRID_OF_FILE[name], HARD_VOLUMES[name](scene, tmp_path))
    regions = worklist_of(shown.case).regions(0.5)
    shown.display.show(regions, shown.case.experts)
    assert len({region.expert for region in regions}) == 2, "the third expert of the fixture is off duty"
    assert shown.shows(regions)


def test_another_budget_and_duty_replace_what_was_shown(a_shown_case: Shown) -> None:
    work = worklist_of(a_shown_case.case)
    fewer = work.regions(0.1)
    a_shown_case.display.show(fewer, a_shown_case.case.experts)
    assert 0 < fewer.voxels < work.regions(0.5).voxels and a_shown_case.shows(fewer)

    one_left = work.with_experts([replace(e, available=e.id == "edge") for e in a_shown_case.case.experts])
    a_shown_case.display.show(one_left.regions(0.5), one_left.experts)
    assert a_shown_case.shows(one_left.regions(0.5)) and len(a_shown_case.places(a_shown_case.case.experts[2])) > 0

    a_shown_case.display.show((), a_shown_case.case.experts)
    assert not array_of_layer(a_shown_case.layer()).any()


def test_every_expert_has_a_segment_also_with_nothing_to_do(a_shown_case: Shown) -> None:
    experts, segmentation = a_shown_case.case.experts, a_shown_case.segmentation
    assert [segmentation.GetNthSegmentID(n) for n in range(3)] == ["expert.extent", "expert.normal", "expert.edge"]
    assert segmentation.GetNumberOfSegments() == 3 and segmentation.GetNumberOfLayers() == 1
    for number, expert in enumerate(experts):
        segment = a_shown_case.segment(number)
        assert segment.GetName() == expert.name and np.allclose(segment.GetColor(), expert.color)
        assert tag_of(segment, EXPERT_TAG) == expert.id
    assert len(a_shown_case.places(experts[2])) == 0


def test_segments_carry_what_a_dicom_export_asks_for(a_shown_case: Shown) -> None:
    for number in range(3):
        segment = a_shown_case.segment(number)
        codes = Terminology.from_slicer(tag_of(segment, "TerminologyEntry") or "")
        assert (codes.category.value, codes.type.scheme, codes.type.value) == ("309825002", "DCM", "111099")
        assert tag_of(segment, "DICOM.SegmentAlgorithmType") == "AUTOMATIC"
        assert tag_of(segment, "DICOM.SegmentAlgorithmName") == "Test net"
        entry = slicer.vtkSlicerTerminologyEntry()
        logic = slicer.modules.terminologies.logic()
        assert logic.DeserializeTerminologyEntry(tag_of(segment, "TerminologyEntry"), entry)
        assert entry.GetTypeObject().GetCodeMeaning() == "Selected region"


def test_todays_names_and_colors_are_shown(a_shown_case: Shown) -> None:
    first, *others = a_shown_case.case.experts
    renamed = replace(first, name="Dr. Ä", color=(0.0, 1.0, 0.5))
    a_shown_case.display.show((), (renamed, *others))
    assert a_shown_case.segment(0).GetName() == "Dr. Ä" and a_shown_case.segment(0).GetColor() == (0.0, 1.0, 0.5)


def test_a_new_budget_writes_into_the_same_image_and_makes_no_node(a_shown_case: Shown) -> None:
    image, nodes = a_shown_case.layer(), node_ids(a_shown_case.scene)
    for budget in (0.2, 0.7, 0.01):
        a_shown_case.display.show(worklist_of(a_shown_case.case).regions(budget), a_shown_case.case.experts)
        assert a_shown_case.layer() is image
    assert node_ids(a_shown_case.scene) == nodes


def test_the_node_tells_of_a_new_budget_so_that_views_follow(a_shown_case: Shown) -> None:
    told: list[str] = []
    event = slicer.vtkSegmentation.SourceRepresentationModified
    a_shown_case.segmentation.AddObserver(event, lambda caller, name: told.append(name))
    a_shown_case.display.show((), a_shown_case.case.experts)
    assert told


def test_it_lies_beside_the_volume_and_moves_with_it(show_case: OpenCase, scene: Any) -> None:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    volume = node_from_array(scene, scan_on(PLAIN), PLAIN)
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Study")
    hierarchy.CreateItem(folder, volume)
    shown = show_case(PLAIN, volume)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(shown.node)) == folder
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    assert shown.node.GetNodeReference(role) is volume

    regions = worklist_of(shown.case).regions(0.5)
    put_under(scene, volume, np.diag([1.0, 1.0, 1.0, 1.0]) + np.eye(4, k=3) * 12.5)
    shown.display.show(regions, shown.case.experts)
    assert shown.node.GetParentTransformNode() is volume.GetParentTransformNode() and shown.shows(regions)


def trim(shown: Shown) -> None:
    """As Slicer does on saving: the layer keeps only the part that has voxels."""
    image, part = shown.layer(), [2, 5, 1, 6, 3, 4]
    cut = slicer.vtkOrientedImageData()
    slicer.vtkOrientedImageDataResample.CopyImage(image, cut, part)
    image.DeepCopy(cut)


def separate(shown: Shown) -> None:
    """As the Segment Editor does when segments overlap."""
    shown.segmentation.SeparateSegmentLabelmap(segment_id(shown.case.experts[1]))
    assert shown.segmentation.GetNumberOfLayers() == 2


def widen(shown: Shown) -> None:
    """As an edit with a label beyond 255 does."""
    cast = vtk.vtkImageCast()
    cast.SetInputData(shown.layer())
    cast.SetOutputScalarTypeToShort()
    cast.Update()
    shown.layer().ShallowCopy(cast.GetOutput())


def move(shown: Shown) -> None:
    shown.layer().SetOrigin(1.0, 2.0, 3.0)


def remove_a_segment(shown: Shown) -> None:
    shown.segmentation.RemoveSegment(segment_id(shown.case.experts[0]))


def remove_all(shown: Shown) -> None:
    shown.segmentation.RemoveAllSegments()


def empty_the_layer(shown: Shown) -> None:
    shown.layer().Initialize()


def relabel(shown: Shown) -> None:
    shown.segment(1).SetLabelValue(9)


def draw_over(shown: Shown) -> None:
    array_of_layer(shown.layer())[:] = 2


def delete_the_node(shown: Shown) -> None:
    shown.scene.RemoveNode(shown.node)


@pytest.mark.parametrize(
    "meddle",
    [
        trim,
        separate,
        widen,
        move,
        remove_a_segment,
        remove_all,
        empty_the_layer,
        relabel,
        draw_over,
        delete_the_node,
    ],
)
def test_it_is_right_again_after_the_user_has_meddled_with_its_layer(
    a_shown_case: Shown, meddle: Callable[[Shown], None]
) -> None:
    meddle(a_shown_case)
    regions = worklist_of(a_shown_case.case).regions(0.3)
    a_shown_case.display.show(regions, a_shown_case.case.experts)
    assert a_shown_case.shows(regions) and a_shown_case.node.GetScene() is a_shown_case.scene
    assert a_shown_case.segmentation.GetNumberOfLayers() == 1


def test_a_users_segment_in_the_same_layer_keeps_its_voxels(a_shown_case: Shown) -> None:
    array_of_layer(a_shown_case.layer())[2, 3:6, 4:9] = 7
    mine = a_users_segment(a_shown_case.segmentation, a_shown_case.layer(), 7)
    before = places_of_segment(a_shown_case.node, mine)
    regions = worklist_of(a_shown_case.case).regions(0.3)
    for _ in range(2):
        a_shown_case.display.show(regions, a_shown_case.case.experts)
        assert len(before) == 15 and np.array_equal(places_of_segment(a_shown_case.node, mine), before)
        assert a_shown_case.shows(regions) and a_shown_case.segmentation.GetNumberOfLayers() == 2


def test_a_users_segmentation_is_never_touched(scene: Any, show_case: OpenCase) -> None:
    volume = node_from_array(scene, scan_on(PLAIN), PLAIN)
    theirs = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "CT (deferred)")
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(14, 12, 9)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    array_of_layer(image)[:] = np.arange(9 * 12 * 14).reshape(9, 12, 14) % 3
    for label in (1, 2):
        a_users_segment(theirs.GetSegmentation(), image, label, f"expert.{('extent', 'normal')[label - 1]}")
    before, voxels = theirs.GetSegmentation().GetMTime(), array_of_layer(image).copy()

    shown = show_case(PLAIN, volume)
    shown.display.show(worklist_of(shown.case).regions(0.5), shown.case.experts)
    shown.display.remove()
    assert theirs.GetSegmentation().GetMTime() == before and np.array_equal(array_of_layer(image), voxels)
    assert theirs.GetScene() is scene and theirs.GetSegmentation().GetNumberOfSegments() == 2


def test_removing_it_leaves_nothing_behind(scene: Any, show_case: OpenCase) -> None:
    first = show_case(PLAIN)
    first.display.remove()  # what Slicer makes once for any segmentation is there now
    nodes = node_ids(scene)
    for _ in range(3):
        shown = Shown(scene, first.case, first.volume)
        shown.display.show(worklist_of(shown.case).regions(0.5), shown.case.experts)
        shown.node.AddDefaultStorageNode()
        shown.display.remove()
        shown.display.remove()
    assert node_ids(scene) == nodes


def test_a_node_of_the_same_case_and_volume_is_taken_over(a_shown_case: Shown) -> None:
    scene, case, nodes = a_shown_case.scene, a_shown_case.case, node_ids(a_shown_case.scene)
    a_shown_case.node.GetDisplayNode().SetOpacity2DFill(0.25)
    again = Shown(scene, case, a_shown_case.volume)
    assert again.node is a_shown_case.node and node_ids(scene) == nodes
    assert again.node.GetDisplayNode().GetOpacity2DFill() == 0.25

    other_volume = node_from_array(scene, scan_on(OBLIQUE), OBLIQUE, "other")
    assert find_node(scene, case.id, other_volume) is None
    assert find_node(scene, "another case", a_shown_case.volume) is None
    assert Shown(scene, case, other_volume).node is not again.node


def test_slicers_undo_of_segments_goes_back_exactly(a_shown_case: Shown) -> None:
    """Slicer's history takes a segment for unchanged unless it was told of the change in the right order."""
    work, experts = worklist_of(a_shown_case.case), a_shown_case.case.experts
    history = slicer.vtkSegmentationHistory()
    history.SetSegmentation(a_shown_case.segmentation)
    many, few = work.regions(0.5), work.regions(0.1)
    history.SaveState()
    a_shown_case.display.show(few, experts)
    history.SaveState()
    history.RestorePreviousState()
    assert a_shown_case.shows(many)
    history.RestoreNextState()
    assert a_shown_case.shows(few)


def test_the_scenes_undo_is_left_alone(a_shown_case: Shown) -> None:
    scene = a_shown_case.scene
    scene.SetUndoOn()
    try:
        before = scene.GetNumberOfUndoLevels(), scene.GetUndoFlag()
        for budget in (0.1, 0.4):
            a_shown_case.display.show(worklist_of(a_shown_case.case).regions(budget), a_shown_case.case.experts)
        assert (scene.GetNumberOfUndoLevels(), scene.GetUndoFlag()) == before
        assert not a_shown_case.node.GetUndoEnabled()
    finally:
        scene.SetUndoOff()


@pytest.mark.parametrize("flip", [False, True])
def test_a_clinical_scan_is_redrawn_in_under_a_tenth_of_a_second(scene: Any, a_case: Case, flip: bool) -> None:
    grid = Geometry((512, 512, 200), (0.8, 0.8, 2.0))
    volume = node_from_array(scene, np.zeros(grid.shape, np.int8), grid)
    case = replace(a_case, record=replace(a_case.record, geometry=grid))
    display = DeferredDisplay(scene, case, volume, Alignment((False, False, flip)))
    k, j, i = np.ogrid[:200, :512, :512]
    shells = [np.abs(np.hypot(np.hypot((k - 100) * 2.5, j - 256), i - 150 - 70 * n) - 90) < 1.5 for n in range(3)]
    regions = [region_of(shell, case, case.experts[n % 2].id) for n, shell in enumerate(shells)]
    assert sum(region.voxels for region in regions) > 300_000
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        display.show(regions, case.experts)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.1, f"{min(seconds) * 1000:.0f} ms"
    drawn = array_of_layer(display.node.GetSegmentation().GetNthSegment(0).GetRepresentation(LABELMAP))
    assert np.array_equal(drawn[::-1] == 2 if flip else drawn == 2, shells[1] & ~shells[2])
