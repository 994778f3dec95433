"""Boxes drawn in the views as the network's boxes: the right place in the volume's own coordinates, in millimeters."""

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
from DeferredSegSlicerLib.core.structures import Code, Terminology
from DeferredSegSlicerLib.mrml import names
from DeferredSegSlicerLib.mrml.grid import geometry_of, local_from_world
from DeferredSegSlicerLib.mrml.prompts import (
    PromptEntry,
    add_box,
    box_of_roi,
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
    TO_WORLD,
    bspline,
    put_under,
    turned,
)
from places import itk_image, moved

RED = (0.8, 0.2, 0.2)
SIGNS = np.array([[a, b, c] for a in (-0.5, 0.5) for b in (-0.5, 0.5) for c in (-0.5, 0.5)])

each_hard_volume = pytest.mark.parametrize("kind", HARD_VOLUMES)


def middle_of(kind: str) -> np.ndarray:
    """World RAS mm of a hard volume's middle."""
    grid = GRID_OF_FILE[kind]
    image = itk_image(np.zeros(grid.shape, np.uint8), grid)
    lps = image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in grid.size])
    return moved(TO_WORLD[kind], np.array(lps) * (-1, -1, 1))[0]


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
    to_world = TO_WORLD[kind]
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
    local = moved(np.linalg.inv(TO_WORLD[kind]), corners)
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
