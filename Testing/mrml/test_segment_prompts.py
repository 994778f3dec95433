"""Segments of any segmentation as the network's boxes, in the volume's own coordinates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
import vtk.util.numpy_support
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.structures import PALETTE, Code, Terminology, terminology_of
from DeferredSegSlicerLib.mrml.prompts import (
    box_of_segment,
    entries_of_segmentation,
    structure_of,
    structures_of,
)
from hard_volumes import (
    HARD_VOLUMES,
    MOTION,
    PLAIN,
    TO_WORLD,
    bspline,
    put_under,
    turned,
)
from places import itk_image, moved

SIGNS = np.array([[a, b, c] for a in (-0.5, 0.5) for b in (-0.5, 0.5) for c in (-0.5, 0.5)])

each_hard_volume = pytest.mark.parametrize("kind", HARD_VOLUMES)


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
    local = moved(np.linalg.inv(TO_WORLD[kind]), corners)
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
