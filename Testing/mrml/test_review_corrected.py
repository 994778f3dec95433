"""The corrected copy: the same labels in the scene and back, whatever the segment editor does to it in between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from boot import HeadlessSlicer
from case_on_node import LABELMAP, case_of_scan, in_order, node_ids, places_of_segment
from DeferredSegSlicerLib.core.case import Case
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.segmentation_file import ALGORITHM_TYPE_TAG
from DeferredSegSlicerLib.mrml.grid import Alignment, align
from DeferredSegSlicerLib.mrml.names import CASE_ID_ATTRIBUTE, ROLE_ATTRIBUTE, STRUCTURE_TAG
from DeferredSegSlicerLib.mrml.review.corrected import CorrectedCopy, find_corrected
from DeferredSegSlicerLib.mrml.review.edit_limit import EditLimit, aim_editor, editor_node, release_editor
from DeferredSegSlicerLib.mrml.review.names import LIMIT_TAG
from DeferredSegSlicerLib.mrml.segments import tag_of
from editor_hand import Hand
from hard_volumes import GRID_OF_FILE, HARD_VOLUMES, LEFT_HANDED, OBLIQUE, TO_WORLD, node_from_array, scan_on


class Bench:
    """A case on a volume, its corrected copy, and the editor."""

    def __init__(self, app: HeadlessSlicer, case: Case, volume_node: Any, labels: np.ndarray | None = None) -> None:
        self.app, self.scene, self.case, self.volume = app, app.mrmlScene(), case, volume_node
        self.alignment: Alignment = align(case.geometry, volume_node)
        self.labels = blocks(case.geometry) if labels is None else labels
        self.copy = CorrectedCopy(self.scene, case, volume_node, self.alignment, self.labels)

    @property
    def segmentation(self) -> Any:
        return self.copy.node.GetSegmentation()

    def edit(self, structure: int = 0) -> Hand:
        """The editor at work on a structure."""
        editor = editor_node(self.scene)
        aim_editor(editor, self.copy.node, self.volume, self.copy.segment_id(self.case.structures[structure].id))
        return Hand(self.app, editor)

    def on_node(self, mask: np.ndarray) -> np.ndarray:
        return self.alignment.to_node(mask)

    def read(self, structure: int = 0, box: Any = None) -> np.ndarray:
        return self.copy.read(self.labels, self.case.structures[structure].id, box)


def blocks(grid: Geometry) -> np.ndarray:
    """Two structures side by side, in no way symmetric."""
    labels = np.zeros(grid.shape, np.uint8)
    k = max(1, grid.size[2] // 2)
    labels[:k, 2:7, 1:6] = 1
    labels[:k, 2:5, 6:11] = 2
    labels[0, 8, 12] = 1
    return labels


@pytest.fixture
def a_bench(
    a_slicer: HeadlessSlicer, scene: Any, tmp_path: Path, write_a_case: Callable[..., Case]
) -> Callable[..., Bench]:
    """A function that makes a `Bench` on a grid."""

    def make(grid: Geometry = OBLIQUE, volume_node: Any = None) -> Bench:
        node = node_from_array(scene, scan_on(grid), grid) if volume_node is None else volume_node
        return Bench(a_slicer, case_of_scan(write_a_case, tmp_path / "case", grid), node)

    return make


def somewhere(grid: Geometry) -> np.ndarray:
    """Voxels of both structures and of none, not at the volume's rim."""
    mask = np.zeros(grid.shape, bool)
    mask[0:1, 3:6, 4:9] = True
    return mask


@pytest.mark.parametrize("name", list(HARD_VOLUMES))
def test_labels_lie_where_they_are_in_the_patient_and_come_back_after_a_stroke(
    a_bench: Callable[..., Bench], scene: Any, tmp_path: Path, name: str
) -> None:
    grid = GRID_OF_FILE[name]
    bench = a_bench(grid, HARD_VOLUMES[name](scene, tmp_path))
    for number, structure in enumerate(bench.case.structures, 1):
        kji = np.argwhere(bench.labels == number)
        expected = grid.ras_of(kji[:, ::-1]) @ TO_WORLD[name][:3, :3].T + TO_WORLD[name][:3, 3]
        assert np.allclose(places_of_segment(bench.copy.node, structure.id), in_order(expected), atol=1e-4)
    assert np.array_equal(bench.read(), bench.labels)

    stroke = somewhere(grid)
    bench.edit().paint(bench.on_node(stroke))
    assert np.array_equal(bench.read(), np.where(stroke, 1, bench.labels)), "the neighbor gives way"


def test_a_labelmap_that_the_editor_trimmed_is_read_in_its_place(a_bench: Callable[..., Bench]) -> None:
    bench = a_bench(LEFT_HANDED)
    far = np.zeros(LEFT_HANDED.shape, bool)
    far[0, 8, 12] = True
    bench.edit().erase(bench.on_node(far))
    extent = bench.segmentation.GetNthSegment(0).GetRepresentation(LABELMAP).GetExtent()
    assert extent != bench.volume.GetImageData().GetExtent(), "the editor did not trim, the test tests nothing"
    assert np.array_equal(bench.read(), np.where(far, 0, bench.labels))
    box = (slice(0, 3), slice(2, 9), slice(4, 13))
    assert np.array_equal(bench.read(0, box), np.where(far, 0, bench.labels)[box])


def test_segments_on_several_layers_that_overlap_go_to_what_is_edited(a_bench: Callable[..., Bench]) -> None:
    bench = a_bench()
    hand = bench.edit(1)
    editor = editor_node(bench.scene)
    editor.SetOverwriteMode(editor.OverwriteNone)
    stroke = somewhere(OBLIQUE)
    hand.paint(bench.on_node(stroke))
    assert bench.segmentation.GetNumberOfLayers() == 2
    assert np.array_equal(bench.read(1), np.where(stroke, 2, bench.labels))
    contested = stroke & (bench.labels == 1)
    assert contested.any() and np.all(bench.read(0)[contested] == 1)


def test_undo_in_the_editor_brings_back_what_was_there(a_bench: Callable[..., Bench]) -> None:
    bench = a_bench()
    hand = bench.edit()
    first, second = somewhere(OBLIQUE), np.zeros(OBLIQUE.shape, bool)
    second[5, 1:3, 1:3] = True
    hand.paint(bench.on_node(first))
    hand.paint(bench.on_node(second))
    assert np.count_nonzero(bench.read() != np.where(first, 1, bench.labels)) == 4
    hand.undo()
    assert np.array_equal(bench.read(), np.where(first, 1, bench.labels))
    hand.undo()
    assert np.array_equal(bench.read(), bench.labels)


def test_other_labels_are_drawn_in_place_also_after_the_editor_split_the_labelmap(
    a_bench: Callable[..., Bench],
) -> None:
    bench = a_bench(LEFT_HANDED)
    hand = bench.edit()
    editor_node(bench.scene).SetOverwriteMode(editor_node(bench.scene).OverwriteNone)
    hand.paint(bench.on_node(somewhere(LEFT_HANDED)))
    later = bench.labels.copy()
    later[6, 4:9, 3:12] = 2
    bench.copy.fill(later)
    assert np.array_equal(bench.read(), later)
    assert bench.segmentation.GetNumberOfLayers() == 1 and bench.segmentation.GetNumberOfSegments() == 2

    voxels = np.flatnonzero(later != bench.labels)
    before = bench.segmentation.GetNthSegment(0).GetRepresentation(LABELMAP)
    bench.copy.update(bench.labels, voxels)
    assert np.array_equal(bench.read(), bench.labels)
    assert bench.segmentation.GetNthSegment(0).GetRepresentation(LABELMAP) is before, "voxels change in place"


def test_only_the_voxels_that_are_named_are_drawn_anew(a_bench: Callable[..., Bench]) -> None:
    bench = a_bench(LEFT_HANDED)
    later = np.where(bench.labels == 0, 2, 0).astype(np.uint8)
    voxels = np.array([3, 700, 701])
    bench.copy.update(later, voxels)
    expected = bench.labels.copy()
    expected.reshape(-1)[voxels] = later.reshape(-1)[voxels]
    assert np.array_equal(bench.read(), expected)


def test_a_labelmap_on_a_finer_grid_is_brought_back_to_the_scans(a_bench: Callable[..., Bench]) -> None:
    bench = a_bench()
    segment = bench.segmentation.GetSegment("Liver")
    coarse = segment.GetRepresentation(LABELMAP)
    fine = slicer.vtkOrientedImageData()
    to_ras = vtk.vtkMatrix4x4()
    bench.volume.GetIJKToRASMatrix(to_ras)
    for row in range(3):
        shift = sum(to_ras.GetElement(row, column) * -0.25 for column in range(3))
        to_ras.SetElement(row, 3, to_ras.GetElement(row, 3) + shift)
        for column in range(3):
            to_ras.SetElement(row, column, to_ras.GetElement(row, column) / 2)
    fine.SetGeometryFromImageToWorldMatrix(to_ras)
    fine.SetExtent(0, 27, 0, 23, 0, 17)
    fine.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    resample = slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage
    resample(coarse, fine, fine)
    segment.AddRepresentation(LABELMAP, fine)
    assert np.array_equal(bench.read(), bench.labels)


def test_a_users_own_segments_are_left_alone(a_bench: Callable[..., Bench]) -> None:
    bench = a_bench()
    shared = bench.segmentation.GetSegment("Liver").GetRepresentation(LABELMAP)
    segment = slicer.vtkSegment()
    segment.SetName("mine")
    segment.SetLabelValue(7)
    segment.AddRepresentation(LABELMAP, shared)
    bench.segmentation.AddSegment(segment, "mine")
    hand = bench.edit()
    mark = np.zeros(OBLIQUE.shape, bool)
    mark[7, 9:11, 9:12] = True
    hand.paint(mark, "mine")
    mine = places_of_segment(bench.copy.node, "mine")
    assert len(mine) == 6 and np.array_equal(bench.read(), bench.labels)

    bench.copy.fill(np.full_like(bench.labels, 1))
    assert np.array_equal(places_of_segment(bench.copy.node, "mine"), mine)
    assert np.array_equal(bench.read(), np.full_like(bench.labels, 1))


def test_a_removed_segment_is_asked_for_by_name_and_made_anew_later(a_bench: Callable[..., Bench]) -> None:
    bench = a_bench()
    bench.segmentation.RemoveSegment("Liver")
    with pytest.raises(BadInputError, match='structure "Liver" was removed'):
        bench.read()
    bench.copy.fill(bench.labels)
    assert np.array_equal(bench.read(), bench.labels)


def test_segments_say_which_of_them_a_person_has_changed(a_bench: Callable[..., Bench]) -> None:
    bench = a_bench()
    kinds = lambda: [  # noqa: E731
        tag_of(bench.segmentation.GetSegment(s.id), ALGORITHM_TYPE_TAG) for s in bench.case.structures
    ]
    assert kinds() == ["AUTOMATIC", "AUTOMATIC"]
    bench.copy.retag({2})
    assert kinds() == ["AUTOMATIC", "SEMIAUTOMATIC"]
    bench.copy.retag(())
    assert kinds() == ["AUTOMATIC", "AUTOMATIC"]


@pytest.mark.parametrize("grid", [OBLIQUE, LEFT_HANDED], ids=["oblique", "left-handed"])
def test_the_copy_survives_an_mrb_even_in_the_middle_of_an_edit(
    a_bench: Callable[..., Bench], a_slicer: HeadlessSlicer, scene: Any, tmp_path: Path, grid: Geometry
) -> None:
    bench = a_bench(grid)
    limit = EditLimit(bench.copy.node, bench.volume, bench.alignment, editor_node(scene))
    limit.set((slice(0, 3), slice(2, 9), slice(2, 9)), np.ones((3, 7, 7), bool), False)
    bench.edit().paint(bench.on_node(somewhere(grid)))
    drawn = bench.read()
    assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    scene.Clear(0)
    assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)

    volume = scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    node = find_corrected(scene, bench.case.id, volume)
    assert node is not None and node.GetAttribute(CASE_ID_ATTRIBUTE) == bench.case.id
    again = Bench(a_slicer, bench.case, volume, drawn)
    assert again.copy.node is node and np.array_equal(again.read(), drawn)
    ids = [again.segmentation.GetNthSegmentID(n) for n in range(again.segmentation.GetNumberOfSegments())]
    assert ids == ["Liver", "right_kidney"], "the limit of the edit is gone"
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1


def test_the_copy_lies_beside_its_volume_and_leaves_nothing_when_it_goes(
    a_bench: Callable[..., Bench], scene: Any
) -> None:
    node_from_array(scene, scan_on(OBLIQUE), OBLIQUE, "other")
    before = node_ids(scene)
    bench = a_bench()
    volume = {bench.volume.GetID(), *(bench.volume.GetNthDisplayNodeID(n) for n in range(1))}
    assert bench.copy.node.GetAttribute(ROLE_ATTRIBUTE) == "corrected"
    assert bench.copy.node.GetName() == "CT (corrected)"
    assert bench.copy.in_scene
    bench.copy.remove()
    assert node_ids(scene) == before | volume and not bench.copy.in_scene


def test_strokes_stay_inside_the_limit_and_the_limit_survives_them(a_bench: Callable[..., Bench], scene: Any) -> None:
    bench = a_bench(LEFT_HANDED)
    box, mask = (slice(1, 4), slice(2, 9), slice(3, 10)), np.ones((3, 7, 7), bool)
    mask[0, 0] = False
    allowed = np.zeros(LEFT_HANDED.shape, bool)
    allowed[box] = mask
    hand = bench.edit()
    limit = EditLimit(bench.copy.node, bench.volume, bench.alignment, editor_node(scene))
    limit.set(box, mask, False)

    for _ in range(3):  # the second and third would paint nowhere if the first had erased the mask
        hand.paint(bench.on_node(np.ones(LEFT_HANDED.shape, bool)))
        assert np.array_equal(bench.read(), np.where(allowed, 1, bench.labels))
        assert not limit.keep_whole(), "painting leaves the limit alone"

    hand.erase(bench.on_node(allowed))
    assert not limit.keep_whole(), "so does erasing inside"
    hand.erase(bench.on_node(np.ones(LEFT_HANDED.shape, bool)))  # Slicer lets it, everywhere, and widens the mask
    assert limit.keep_whole(), "this tells that something may have been erased beyond"
    hand.paint(bench.on_node(np.ones(LEFT_HANDED.shape, bool)))
    assert np.all((bench.read() == 1) <= allowed)
    limit.set(box, mask, True)
    hand.paint(bench.on_node(np.ones(LEFT_HANDED.shape, bool)))
    assert np.all(bench.read() == 1), "a lifted limit keeps nobody"


def test_a_limit_that_was_erased_or_deleted_is_put_right(a_bench: Callable[..., Bench], scene: Any) -> None:
    bench = a_bench(LEFT_HANDED)
    box, mask = (slice(1, 4), slice(2, 9), slice(3, 10)), np.ones((3, 7, 7), bool)
    hand = bench.edit()
    limit = EditLimit(bench.copy.node, bench.volume, bench.alignment, editor_node(scene))
    limit.set(box, mask, False)
    places = places_of_segment(bench.copy.node, limit.segment_id)
    assert len(places) == mask.sum()

    hand.erase_all(bench.on_node(somewhere(LEFT_HANDED)))
    hand.erase(np.ones(LEFT_HANDED.shape, bool), limit.segment_id)
    assert len(places_of_segment(bench.copy.node, limit.segment_id)) == 0
    assert limit.keep_whole()
    assert np.array_equal(places_of_segment(bench.copy.node, limit.segment_id), places)

    bench.segmentation.RemoveSegment(limit.segment_id)
    assert limit.keep_whole() and not limit.keep_whole()
    assert np.array_equal(places_of_segment(bench.copy.node, limit.segment_id), places)
    assert not bench.copy.node.GetDisplayNode().GetSegmentVisibility(limit.segment_id)


def test_the_end_of_an_edit_leaves_no_limit_and_an_editor_that_edits_nothing(
    a_bench: Callable[..., Bench], scene: Any
) -> None:
    bench = a_bench()
    before = node_ids(scene)
    editor = editor_node(scene)
    assert editor_node(scene) is editor, "there is one"
    bench.edit()
    limit = EditLimit(bench.copy.node, bench.volume, bench.alignment, editor)
    limit.set((slice(0, 2), slice(0, 2), slice(0, 2)), np.ones((2, 2, 2), bool), False)
    limit.remove()
    release_editor(editor)
    segments = [bench.segmentation.GetNthSegment(n) for n in range(bench.segmentation.GetNumberOfSegments())]
    assert [s.HasTag(LIMIT_TAG) for s in segments] == [False, False]
    assert all(s.HasTag(STRUCTURE_TAG) for s in segments)
    assert editor.GetSegmentationNode() is None and not editor.GetMaskSegmentID()
    assert node_ids(scene) == before | {editor.GetID()}


def test_a_scene_that_is_saved_keeps_none_of_the_reviews_editor(a_bench: Callable[..., Bench], scene: Any) -> None:
    editor_node(scene)
    scene.SetSaveToXMLString(1)
    scene.Commit()
    scene.SetSaveToXMLString(0)
    assert "<SubjectHierarchy" in scene.GetSceneXMLString()
    assert "DeferredSegSlicerReview" not in scene.GetSceneXMLString()
