"""Boxes and segments as the network's boxes: the right place in the volume's own coordinates, in millimeters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.structures import PALETTE, Code, Terminology, terminology_of
from DeferredSegSlicerLib.mrml import names
from DeferredSegSlicerLib.mrml.grid import geometry_of, local_from_world
from DeferredSegSlicerLib.mrml.prompts import (
    PromptEntry,
    add_box,
    box_of_roi,
    box_of_segment,
    entries_of_segmentation,
    entry_of_box,
    new_key,
    structure_of,
    structures_of,
)
from hard_volumes import (
    GRID_OF_FILE,
    HARD_VOLUMES,
    MOTION,
    OBLIQUE,
    PLAIN,
    SECOND_MOTION,
    bspline,
    put_under,
    turned,
)
from places import itk_image, moved

RED = (0.8, 0.2, 0.2)
TO_WORLD = {"under a linear transform": MOTION, "under two linear transforms": SECOND_MOTION @ MOTION}
SIGNS = np.array([[a, b, c] for a in (-0.5, 0.5) for b in (-0.5, 0.5) for c in (-0.5, 0.5)])

each_hard_volume = pytest.mark.parametrize("kind", HARD_VOLUMES)


def middle_of(kind: str) -> np.ndarray:
    """World RAS mm of a hard volume's middle."""
    grid = GRID_OF_FILE[kind]
    image = itk_image(np.zeros(grid.shape, np.uint8), grid)
    lps = image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in grid.size])
    return moved(TO_WORLD.get(kind, np.eye(4)), np.array(lps) * (-1, -1, 1))[0]


def a_roi(scene: Any, center: np.ndarray, size: tuple[float, float, float], turn: np.ndarray | None = None) -> Any:
    """A ROI as a user draws one, not bound to any volume."""
    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "ROI")
    to_node = np.eye(4)
    to_node[:3, :3] = np.eye(3) if turn is None else turn
    to_node[:3, 3] = center
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(to_node.ravel().tolist())
    roi.SetSize(*size)
    roi.GetObjectToNodeMatrix().DeepCopy(matrix)
    return roi


@each_hard_volume
def test_a_box_that_is_added_is_the_networks_box(scene: Any, tmp_path: Path, kind: str) -> None:
    node = HARD_VOLUMES[kind](scene, tmp_path)
    center = middle_of(kind)
    roi = add_box(scene, node, center, (6.0, 5.0, 4.0), "Liver", RED)
    shown = [0.0, 0.0, 0.0]
    roi.GetCenterWorld(shown)
    assert np.allclose(shown, center, atol=1e-6) and roi.GetSize() == (6.0, 5.0, 4.0)
    box = box_of_roi(roi, node)
    to_world = TO_WORLD.get(kind, np.eye(4))
    local = moved(np.linalg.inv(to_world), center)[0]
    assert np.allclose((box.low, box.high), (local - (3, 2.5, 2), local + np.array((3, 2.5, 2))), atol=1e-3)
    assert structure_of(entry_of_box(roi, "Liver", RED), scene, node).box == box


@each_hard_volume
@pytest.mark.parametrize("under", [None, SECOND_MOTION])
def test_a_turned_roi_under_any_transforms_becomes_the_tight_box_around_it(
    scene: Any, tmp_path: Path, kind: str, under: np.ndarray | None
) -> None:
    node = HARD_VOLUMES[kind](scene, tmp_path)
    parent = np.eye(4) if under is None else under
    center, turn, size = moved(np.linalg.inv(parent), middle_of(kind))[0], turned(0.6, -0.9), (6.0, 9.0, 4.0)
    roi = a_roi(scene, center, size, turn)
    if under is not None:
        put_under(scene, roi, under)
    box = box_of_roi(roi, node)
    corners = moved(parent, SIGNS * size @ turn.T + center)
    local = moved(np.linalg.inv(TO_WORLD.get(kind, np.eye(4))), corners)
    assert np.allclose(box.low, local.min(axis=0), atol=1.1e-3) and np.allclose(
        box.high, local.max(axis=0), atol=1.1e-3
    )
    inside = 0
    for point in np.random.default_rng(2).uniform(corners.min(axis=0), corners.max(axis=0), (300, 3)):
        if roi.IsPointInROIWorld(point.tolist()):
            inside += 1
            ours = moved(local_from_world(node), point)[0]
            assert np.all(ours >= np.array(box.low) - 1e-3) and np.all(ours <= np.array(box.high) + 1e-3)
    assert inside > 30


def test_a_box_moves_with_its_volume(scene: Any, a_volume_node: Callable[..., Any]) -> None:
    node = a_volume_node(grid=PLAIN)
    transform = put_under(scene, node, MOTION)
    roi = add_box(scene, node, moved(MOTION, np.array([14.0, -30.0, 420.0]))[0], 6.0, "Liver", RED)
    before = box_of_roi(roi, node)
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(SECOND_MOTION.ravel().tolist())
    transform.SetMatrixTransformToParent(matrix)
    assert np.allclose(box_of_roi(roi, node).low, before.low, atol=2e-3)


def test_a_box_looks_like_an_outline_with_handles_and_sits_beside_its_volume(
    scene: Any, a_volume_node: Callable[..., Any]
) -> None:
    node = a_volume_node()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
    hierarchy.CreateItem(study, node)
    other = hierarchy.CreateFolderItem(study, "Other")
    roi = add_box(scene, node, middle_of("oblique"), 6.0, "Liver", RED)
    item = hierarchy.GetItemByDataNode(roi)
    assert hierarchy.GetItemParent(item) == study and hierarchy.GetItemPositionUnderParent(item) == 1
    assert hierarchy.GetItemPositionUnderParent(other) == 2
    display = roi.GetDisplayNode()
    assert np.allclose(display.GetSelectedColor(), RED) and np.allclose(display.GetColor(), RED)
    assert display.GetOutlineVisibility() and not display.GetFillVisibility() and display.GetHandlesInteractive()
    assert roi.GetName() == "Liver" and roi.GetAttribute(names.ROLE_ATTRIBUTE) == names.ROLE_PROMPT
    assert roi.GetNodeReference(names.VOLUME_REFERENCE) is node


def test_a_box_at_the_very_origin_is_placed(scene: Any, a_volume_node: Callable[..., Any]) -> None:
    grid = Geometry((20, 20, 20), (1.0, 1.0, 1.0), (10.0, 10.0, -10.0), (-1, 0, 0, 0, -1, 0, 0, 0, 1))
    node = a_volume_node(grid=grid)
    roi = add_box(scene, node, (0.0, 0.0, 0.0), 4.0, "Liver", RED)
    assert roi.GetNumberOfDefinedControlPoints() == 1
    assert box_of_roi(roi, node).low == (-2.0, -2.0, -2.0)


@pytest.mark.parametrize("size", [0.0, -1.0, np.nan, (5.0, np.inf, 5.0)])
def test_a_box_without_a_real_size_is_refused_and_leaves_nothing(
    scene: Any, a_volume_node: Callable[..., Any], size: Any
) -> None:
    node = a_volume_node()
    before = scene.GetNumberOfNodes()
    with pytest.raises(BadInputError, match='box for "Liver" has the size'):
        add_box(scene, node, (0.0, 0.0, 0.0), size, "Liver", RED)
    assert scene.GetNumberOfNodes() == before


def test_a_box_that_is_not_placed_yet_is_named(scene: Any, a_volume_node: Callable[..., Any]) -> None:
    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "ROI")
    with pytest.raises(BadInputError, match='structure "Spleen": the box is not placed yet; click'):
        structure_of(entry_of_box(roi, "Spleen", RED), scene, a_volume_node())
    roi.AddControlPoint(vtk.vtkVector3d(1, 2, 3))
    with pytest.raises(BadInputError, match='structure "Spleen": box has no volume'):
        structure_of(entry_of_box(roi, "Spleen", RED), scene, a_volume_node())


def test_a_box_drawn_by_two_clicks_in_a_slice_is_used(scene: Any, a_volume_node: Callable[..., Any]) -> None:
    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "ROI")
    for corner in ((15.0, -36.0, 420.0), (11.0, -40.0, 420.0)):
        roi.AddControlPoint(vtk.vtkVector3d(*corner))
    box = box_of_roi(roi, a_volume_node(grid=PLAIN))
    assert box.low == (11.0, -40.0, 418.0) and box.high == (15.0, -36.0, 422.0)


def test_a_box_outside_the_volume_is_named_with_both_places(scene: Any, a_volume_node: Callable[..., Any]) -> None:
    node = a_volume_node(grid=PLAIN)
    roi = a_roi(scene, np.array([14.0, -38.0, 500.0]), (5.0, 5.0, 5.0))
    with pytest.raises(
        BadInputError, match=r'box for "Liver" lies outside the volume: S 49[78]\.\.50[23] mm, volume S'
    ):
        structure_of(entry_of_box(roi, "Liver", RED), scene, node)


def test_a_prompt_that_was_deleted_is_named(scene: Any, a_volume_node: Callable[..., Any]) -> None:
    node = a_volume_node()
    roi = add_box(scene, node, middle_of("oblique"), 6.0, "Liver", RED)
    entry = entry_of_box(roi, "Liver", RED)
    scene.RemoveNode(roi)
    with pytest.raises(BadInputError, match='the box of structure "Liver" is no longer there; remove the structure'):
        structure_of(entry, scene, node)
    with pytest.raises(BadInputError, match='the segmentation of structure "Liver" is no longer there'):
        structure_of(PromptEntry(new_key(), "Liver", RED, Terminology(), "segment", node.GetID(), "x"), scene, node)


def test_a_prompt_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(BadInputError, match='prompt of "Liver" is a "point"'):
        PromptEntry(new_key(), "Liver", RED, Terminology(), "point", "id")


# Segments


def a_segmentation(scene: Any, grid: Geometry, mask: np.ndarray, first: tuple[int, int, int] = (0, 0, 0)) -> Any:
    """A segmentation on a grid of its own: the mask [k, j, i] is segment "organ", beside a neighbor in its layer."""
    image = slicer.vtkOrientedImageData()
    i, j, k = (n - 1 for n in mask.shape[::-1])
    image.SetExtent(first[0], first[0] + i, first[1], first[1] + j, first[2], first[2] + k)
    to_ras = np.eye(4)
    to_ras[:3, :3] = np.reshape(grid.direction_lps, (3, 3)) * grid.spacing
    to_ras[:3, 3] = np.array(grid.origin_lps) - to_ras[:3, :3] @ first
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy((np.diag([-1.0, -1, 1, 1]) @ to_ras).ravel().tolist())
    image.SetGeometryFromImageToWorldMatrix(matrix)
    labels = np.where(mask, 3, 7).astype(np.uint8)
    image.GetPointData().SetScalars(vtk.util.numpy_support.numpy_to_vtk(labels.ravel(), deep=True))
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "TotalSegmentator")
    node.CreateDefaultDisplayNodes()
    for segment_id, name, value in (("organ", "right kidney", 3), ("rest", "rest", 7), ("none", "nothing", 9)):
        segment = slicer.vtkSegment()
        segment.SetName(name)
        segment.SetColor(0.1, 0.9, 0.1)
        segment.SetLabelValue(value)
        segment.AddRepresentation("Binary labelmap", image)
        node.GetSegmentation().AddSegment(segment, segment_id)
    return node


def a_mask(grid: Geometry) -> np.ndarray:
    mask = np.zeros(grid.shape, bool)
    mask[len(mask) // 3, 4:8, 5] = mask[len(mask) // 2, 5, 3:9] = True
    return mask


def corners_of(mask: np.ndarray, grid: Geometry) -> np.ndarray:
    """RAS mm of the eight corners, on outer voxel faces, of a mask's range of indices; by ITK."""
    image = itk_image(mask.astype(np.uint8), grid)
    ijk = np.argwhere(mask)[:, ::-1]
    low, high = ijk.min(axis=0) - 0.5, ijk.max(axis=0) + 0.5
    corners = [np.where(sign > 0, high, low).tolist() for sign in SIGNS]
    return np.array([image.TransformContinuousIndexToPhysicalPoint(c) for c in corners]) * (-1, -1, 1)


FINER = Geometry((40, 30, 20), (0.4, 0.5, 1.1), (-21.0, 34.0, 409.0), tuple(turned(-0.2, 0.4).ravel().tolist()))


@each_hard_volume
@pytest.mark.parametrize("first", [(0, 0, 0), (7, -3, 40)])
@pytest.mark.parametrize("under", [None, MOTION])
def test_a_segment_of_any_grid_under_any_transforms_becomes_the_box_around_it(
    scene: Any, tmp_path: Path, kind: str, first: tuple[int, int, int], under: np.ndarray | None
) -> None:
    node = HARD_VOLUMES[kind](scene, tmp_path)
    mask = a_mask(FINER)
    segmentation = a_segmentation(scene, FINER, mask, first)
    if under is not None:
        put_under(scene, segmentation, under)
    box = box_of_segment(segmentation, "organ", node)
    corners = moved(np.eye(4) if under is None else under, corners_of(mask, FINER))
    local = moved(np.linalg.inv(TO_WORLD.get(kind, np.eye(4))), corners)
    assert np.allclose(box.low, local.min(axis=0), atol=1.1e-3) and np.allclose(
        box.high, local.max(axis=0), atol=1.1e-3
    )


def test_a_segment_on_the_volumes_grid_gives_back_its_own_range_of_voxels(
    scene: Any, a_volume_node: Callable[..., Any]
) -> None:
    mask = a_mask(PLAIN)
    box = box_of_segment(a_segmentation(scene, PLAIN, mask), "organ", a_volume_node(grid=PLAIN))
    low, stop = box.index_range(PLAIN)
    ijk = np.argwhere(mask)[:, ::-1]
    assert low == tuple(ijk.min(axis=0)) and stop == tuple(ijk.max(axis=0) + 1)


def test_rows_of_segments_have_their_names_and_codes_and_the_palettes_colors(scene: Any) -> None:
    segmentation = a_segmentation(scene, FINER, a_mask(FINER))
    codes = Terminology(Code("SCT", "1", "Category"), Code("SCT", "2", "Type"), Code("SCT", "3", "Side"))
    tag = slicer.vtkSegment.GetTerminologyEntryTagName()
    segmentation.GetSegmentation().GetSegment("rest").SetTag(tag, codes.to_slicer())
    first, second, third = entries_of_segmentation(segmentation, ["organ", "rest", "none"], taken=4)
    assert (first.name, first.kind, first.node_id, first.segment_id) == (
        "right kidney",
        "segment",
        segmentation.GetID(),
        "organ",
    )
    assert first.terminology == terminology_of("right kidney") and second.terminology == codes
    assert [e.color for e in (first, second, third)] == [PALETTE[4], PALETTE[5], PALETTE[0]]
    assert len({first.key, second.key, third.key}) == 3 and first.key.isalnum()
    segmentation.GetSegmentation().GetSegment("rest").SetTag(tag, "nonsense")
    assert entries_of_segmentation(segmentation, ["rest"])[0].terminology == terminology_of("rest")


def test_an_empty_and_a_missing_segment_are_named(scene: Any, a_volume_node: Callable[..., Any]) -> None:
    segmentation, node = a_segmentation(scene, FINER, a_mask(FINER)), a_volume_node()
    empty, organ = entries_of_segmentation(segmentation, ["none", "organ"])
    with pytest.raises(BadInputError, match='structure "nothing": segment "nothing" is empty'):
        structure_of(empty, scene, node)
    segmentation.GetSegmentation().AddEmptySegment("fresh", "fresh")
    with pytest.raises(BadInputError, match='segment "fresh" is empty'):
        box_of_segment(segmentation, "fresh", node)
    segmentation.GetSegmentation().RemoveSegment("organ")
    with pytest.raises(BadInputError, match=r'structure "right kidney": .* no segment "organ" any more'):
        structure_of(organ, scene, node)
    with pytest.raises(BadInputError, match='no segment "lost" any more'):
        entries_of_segmentation(segmentation, ["lost"])


def test_a_segmentation_under_a_transform_that_bends_is_refused(scene: Any, a_volume_node: Callable[..., Any]) -> None:
    segmentation, node = a_segmentation(scene, FINER, a_mask(FINER)), a_volume_node()
    segmentation.SetAndObserveTransformNodeID(bspline(scene).GetID())
    (entry,) = entries_of_segmentation(segmentation, ["organ"])
    with pytest.raises(BadInputError, match=r'structure "right kidney": .* under the non-linear transform "Warp"'):
        structure_of(entry, scene, node)


def surface_alone(scene: Any, center: tuple[float, float, float]) -> Any:
    """A segmentation of a box-shaped surface, 8 x 6 x 4 mm, that has no labelmap."""
    cube = vtk.vtkCubeSource()
    cube.SetCenter(*center)
    cube.SetXLength(8)
    cube.SetYLength(6)
    cube.SetZLength(4)
    cube.Update()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Surfaces")
    node.SetSourceRepresentationToClosedSurface()
    segment = slicer.vtkSegment()
    segment.SetName("tumor")
    segment.AddRepresentation("Closed surface", cube.GetOutput())
    node.GetSegmentation().AddSegment(segment, "tumor")
    return node


@pytest.mark.parametrize("under", [np.eye(4), MOTION])
def test_a_surface_is_a_prompt_too_and_stays_a_surface(
    scene: Any, a_volume_node: Callable[..., Any], under: np.ndarray
) -> None:
    segmentation, node = surface_alone(scene, (14.0, -38.0, 420.0)), a_volume_node(grid=PLAIN)
    put_under(scene, segmentation, under)
    stamp = segmentation.GetSegmentation().GetMTime()
    box = box_of_segment(segmentation, "tumor", node)
    local = moved(under, SIGNS * (8, 6, 4) + (14, -38, 420))
    assert np.allclose(box.low, local.min(axis=0), atol=1e-3) and np.allclose(box.high, local.max(axis=0), atol=1e-3)
    assert not segmentation.GetSegmentation().ContainsRepresentation("Binary labelmap")
    assert segmentation.GetSegmentation().GetMTime() == stamp


def test_one_flat_contour_is_as_thick_as_a_voxel(scene: Any, a_volume_node: Callable[..., Any]) -> None:
    points = vtk.vtkPoints()
    for corner in ((10, -40, 420), (16, -40, 420), (16, -35, 420), (10, -35, 420)):
        points.InsertNextPoint(*corner)
    contour = vtk.vtkPolyData()
    contour.SetPoints(points)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "RTSTRUCT")
    node.GetSegmentation().SetSourceRepresentationName("Planar contour")
    segment = slicer.vtkSegment()
    segment.SetName("gtv")
    segment.AddRepresentation("Planar contour", contour)
    node.GetSegmentation().AddSegment(segment, "gtv")
    box = box_of_segment(node, "gtv", a_volume_node(grid=PLAIN))
    assert box.low == (10.0, -40.0, 419.6) and box.high == (16.0, -35.0, 420.4)


def test_a_fractional_labelmap_is_a_prompt_too_and_stays_one(scene: Any, a_volume_node: Callable[..., Any]) -> None:
    surface = surface_alone(scene, (14.0, -38.0, 420.0))
    segmentation, node = surface.GetSegmentation(), a_volume_node(grid=PLAIN)
    surface.SetReferenceImageGeometryParameterFromVolumeNode(node)
    assert segmentation.CreateRepresentation("Fractional labelmap")
    segmentation.SetSourceRepresentationName("Fractional labelmap")
    segmentation.RemoveRepresentation("Closed surface")
    box = box_of_segment(surface, "tumor", node)
    assert np.allclose(box.low, (10, -41, 418), atol=2.6) and np.allclose(box.high, (18, -35, 422), atol=2.6)
    assert not segmentation.ContainsRepresentation("Binary labelmap")


def test_measuring_segments_leaves_the_users_node_as_it_is(scene: Any, a_volume_node: Callable[..., Any]) -> None:
    segmentation, node = a_segmentation(scene, FINER, a_mask(FINER)), a_volume_node()
    before = (segmentation.GetMTime(), segmentation.GetSegmentation().GetMTime(), scene.GetNumberOfNodes())
    structures_of(entries_of_segmentation(segmentation, ["organ", "rest"]), scene, node)
    assert before == (segmentation.GetMTime(), segmentation.GetSegmentation().GetMTime(), scene.GetNumberOfNodes())


def test_two_structures_of_one_name_and_none_at_all_are_refused(scene: Any, a_volume_node: Callable[..., Any]) -> None:
    node = a_volume_node()
    roi = add_box(scene, node, middle_of("oblique"), 6.0, "Liver", RED)
    with pytest.raises(BadInputError, match='two structures are called "liver"'):
        structures_of([entry_of_box(roi, "Liver", RED), entry_of_box(roi, " liver", RED)], scene, node)
    with pytest.raises(BadInputError, match="no structure to segment; add a box"):
        structures_of([], scene, node)
    with pytest.raises(BadInputError, match="needs a name"):
        structures_of([entry_of_box(roi, " ", RED)], scene, node)


def test_structures_keep_the_rows_colors_and_codes_and_get_ids_of_their_own(
    scene: Any, a_volume_node: Callable[..., Any]
) -> None:
    node = a_volume_node()
    roi = add_box(scene, node, middle_of("oblique"), 6.0, "Liver", RED)
    codes = Terminology(Code("SCT", "1", "Category"), Code("SCT", "2", "Type"))
    rows = [entry_of_box(roi, "Läsion 1", RED, codes), entry_of_box(roi, "L-sion 1", (0.1, 0.2, 0.3))]
    first, second = structures_of(rows, scene, node)
    assert (first.name, first.color, first.terminology) == ("Läsion 1", RED, codes)
    assert (second.name, second.color) == ("L-sion 1", (0.1, 0.2, 0.3)) and first.id != second.id


def test_a_volume_that_cannot_be_used_is_refused_before_its_prompts(
    scene: Any, a_volume_node: Callable[..., Any]
) -> None:
    node = a_volume_node()
    roi = add_box(scene, node, middle_of("oblique"), 6.0, "Liver", RED)
    node.SetAndObserveTransformNodeID(bspline(scene).GetID())
    with pytest.raises(BadInputError, match=r'volume "CT" is under the non-linear'):
        structures_of([entry_of_box(roi, "Liver", RED)], scene, node)
    with pytest.raises(BadInputError, match=r'volume "CT" is under the non-linear'):
        add_box(scene, node, (0, 0, 0), 6.0, "Liver", RED)
    assert geometry_of(node).differences_from(OBLIQUE) == []
