"""Volume nodes as grids: every voxel in its place, in millimeters, whatever Slicer did to the order of the slices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vtk
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.mrml.grid import (
    Alignment,
    align,
    array_of,
    check_usable,
    geometry_of,
    local_from_world,
    volume_of,
    world_from_local,
)
from hard_volumes import (
    GRID_OF_FILE,
    HARD_VOLUMES,
    LEFT_HANDED,
    MOTION,
    OBLIQUE,
    PLAIN,
    TO_WORLD,
    bspline,
    displacement_grid,
    put_under,
    scan_on,
)
from places import itk_image, moved, places_by_value

each_hard_volume = pytest.mark.parametrize("kind", HARD_VOLUMES)


@each_hard_volume
def test_every_voxel_is_where_itk_has_it(scene: Any, tmp_path: Path, kind: str) -> None:
    node = HARD_VOLUMES[kind](scene, tmp_path)
    expected = places_by_value(itk_image(scan_on(GRID_OF_FILE[kind]), GRID_OF_FILE[kind]))
    voxels, geometry = array_of(node), geometry_of(node)
    to_world = TO_WORLD[kind]
    assert voxels.size == len(expected)
    for k, j, i in np.ndindex(*voxels.shape):
        ras = geometry.ras_of((i, j, k))
        assert np.allclose(ras, expected[float(voxels[k, j, i])], atol=1e-6)
    there = np.array(list(expected.values()))
    assert np.allclose(moved(world_from_local(node), there), moved(to_world, there), atol=1e-6)
    assert np.allclose(moved(local_from_world(node), moved(to_world, there)), there, atol=1e-6)


@each_hard_volume
def test_a_case_made_from_the_file_lies_on_the_node_voxel_for_voxel(scene: Any, tmp_path: Path, kind: str) -> None:
    node = HARD_VOLUMES[kind](scene, tmp_path)
    scan = scan_on(GRID_OF_FILE[kind])
    alignment = align(GRID_OF_FILE[kind], node)
    assert np.array_equal(alignment.to_node(scan), array_of(node))
    assert np.array_equal(alignment.to_case(array_of(node)), scan)
    both = np.stack([scan, scan + 1])
    assert np.array_equal(alignment.to_node(both)[1], array_of(node) + 1)


def test_slicer_reverses_the_slices_of_a_left_handed_file_and_of_no_other(scene: Any, tmp_path: Path) -> None:
    flips = {}
    for number, kind in enumerate(HARD_VOLUMES):
        folder = tmp_path / str(number)
        folder.mkdir()
        flips[kind] = align(GRID_OF_FILE[kind], HARD_VOLUMES[kind](scene, folder)).flips
    reversed_kinds = {"left-handed in its file", "under two linear transforms"}
    assert {kind for kind, found in flips.items() if found == (False, False, True)} == reversed_kinds
    assert all(found == (False,) * 3 for kind, found in flips.items() if kind not in reversed_kinds)


@pytest.mark.parametrize("flips", [(True, False, False), (False, True, True), (True, True, True)])
def test_any_axes_may_be_reversed(a_volume_node: Callable[..., Any], flips: tuple[bool, ...]) -> None:
    scan = scan_on(OBLIQUE)
    steps = [-1 if flip else 1 for flip in flips]
    other = scan[:: steps[2], :: steps[1], :: steps[0]]
    image = itk_image(np.ascontiguousarray(other), OBLIQUE)
    corner = [n - 1 if flip else 0 for n, flip in zip(OBLIQUE.size, flips, strict=True)]
    origin = itk_image(scan, OBLIQUE).TransformIndexToPhysicalPoint(corner)
    image.SetOrigin(origin)
    direction = np.reshape(OBLIQUE.direction_lps, (3, 3)) * steps
    node = a_volume_node(other, Geometry(OBLIQUE.size, OBLIQUE.spacing, origin, tuple(direction.ravel().tolist())))
    alignment = align(OBLIQUE, node)
    assert alignment == Alignment(flips) and not alignment.identity
    assert np.array_equal(alignment.to_case(array_of(node)), scan)


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        (Geometry((14, 12, 8), OBLIQUE.spacing, OBLIQUE.origin_lps, OBLIQUE.direction_lps), "size"),
        (Geometry(OBLIQUE.size, (0.8, 1.1, 2.51), OBLIQUE.origin_lps, OBLIQUE.direction_lps), "spacing"),
        (Geometry(OBLIQUE.size, OBLIQUE.spacing, (-20.5, 33.0, 410.26), OBLIQUE.direction_lps), "origin"),
        (Geometry(OBLIQUE.size, OBLIQUE.spacing, OBLIQUE.origin_lps, PLAIN.direction_lps), "direction"),
        (LEFT_HANDED, "another volume"),
    ],
)
def test_a_case_of_another_grid_is_refused(a_volume_node: Callable[..., Any], grid: Geometry, sentence: str) -> None:
    with pytest.raises(BadInputError, match=r"another volume.*another patient") as refused:
        align(grid, a_volume_node())
    assert sentence in refused.value.sentence


def test_a_transform_over_the_volume_does_not_change_where_a_case_lies(
    scene: Any, a_volume_node: Callable[..., Any]
) -> None:
    node = a_volume_node()
    before = geometry_of(node)
    put_under(scene, node, MOTION)
    assert geometry_of(node).differences_from(before, 1e-9) == [] and align(OBLIQUE, node).identity


@pytest.mark.parametrize("kind", ["left-handed in its file", "left-handed in the scene", "oblique", "sagittal slices"])
def test_a_case_still_lies_on_its_volume_after_saving_and_reopening_the_scene(
    scene: Any, tmp_path: Path, kind: str
) -> None:
    HARD_VOLUMES[kind](scene, tmp_path)
    assert scene.WriteToMRB(str(tmp_path / "saved.mrb"))
    scene.Clear(0)
    assert scene.ReadFromMRB(str(tmp_path / "saved.mrb"), True)
    node = scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    alignment = align(GRID_OF_FILE[kind], node)
    assert np.array_equal(alignment.to_case(array_of(node)), scan_on(GRID_OF_FILE[kind]))


def test_an_image_whose_indices_do_not_begin_at_zero_is_placed_as_slicer_places_it(
    scene: Any, a_volume_node: Callable[..., Any]
) -> None:
    node = a_volume_node()
    node.GetImageData().SetExtent(3, 16, -2, 9, 5, 13)
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    assert np.allclose(geometry_of(node).ras_of((0, 0, 0)), matrix.MultiplyPoint((3, -2, 5, 1))[:3])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "float32"])
def test_voxels_of_the_librarys_types_are_not_copied(a_volume_node: Callable[..., Any], dtype: str) -> None:
    voxels = np.arange(PLAIN.voxel_count).reshape(PLAIN.shape) % 120
    node = a_volume_node(voxels.astype(dtype), PLAIN)
    volume = volume_of(node, "MR")
    assert volume.image.dtype == dtype and np.shares_memory(volume.image, array_of(node)) and volume.modality == "MR"


@pytest.mark.parametrize(
    ("dtype", "highest", "becomes"),
    [
        ("int32", 3000, "int16"),
        ("int32", 40000, "int32"),
        ("uint32", 3000, "int16"),
        ("int64", -70000, "int32"),
        ("float64", 0.25, "float32"),
    ],
)
def test_other_types_become_those_that_reading_the_file_gives(
    a_volume_node: Callable[..., Any], dtype: str, highest: float, becomes: str
) -> None:
    voxels = np.zeros(PLAIN.shape, dtype)
    voxels[2, 3, 4] = highest
    image = volume_of(a_volume_node(voxels, PLAIN)).image
    assert image.dtype == becomes and np.array_equal(image, voxels)


def test_integers_past_32_bits_are_refused(a_volume_node: Callable[..., Any]) -> None:
    voxels = np.zeros(PLAIN.shape, np.int64)
    voxels[0, 0, 0] = 2**40
    with pytest.raises(BadInputError, match="past what 32-bit integers hold"):
        volume_of(a_volume_node(voxels, PLAIN))


@pytest.mark.parametrize(("value", "sentence"), [(np.nan, "NaN or infinite voxels in 1 of 9"), (np.inf, "NaN or inf")])
def test_voxels_that_are_no_numbers_are_refused(a_volume_node: Callable[..., Any], value: float, sentence: str) -> None:
    voxels = scan_on(PLAIN, np.float32)
    voxels[4, 4, 4] = value
    node = a_volume_node(voxels, PLAIN)
    check_usable(node)
    with pytest.raises(BadInputError, match=sentence):
        volume_of(node)


def test_an_empty_scan_is_refused(a_volume_node: Callable[..., Any]) -> None:
    with pytest.raises(BadInputError, match='volume "CT" is empty: every voxel is -1000'):
        volume_of(a_volume_node(np.full(PLAIN.shape, -1000, np.int16), PLAIN))


def test_no_volume_and_things_that_are_no_scan_are_refused(scene: Any, a_volume_node: Callable[..., Any]) -> None:
    with pytest.raises(BadInputError, match="no volume is chosen"):
        check_usable(None)
    bare = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Bare")
    with pytest.raises(BadInputError, match='"Bare" has no image'):
        check_usable(bare)
    bare.SetAndObserveImageData(vtk.vtkImageData())
    with pytest.raises(BadInputError, match='"Bare" has no image'):
        check_usable(bare)
    labelmap = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    labelmap.SetAndObserveImageData(a_volume_node().GetImageData())
    with pytest.raises(BadInputError, match='"Labels" is a labelmap'):
        check_usable(labelmap)
    with pytest.raises(BadInputError, match="is no scalar volume"):
        check_usable(scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Organs"))


def test_several_numbers_a_voxel_are_refused(scene: Any) -> None:
    image = vtk.vtkImageData()
    image.SetDimensions(4, 4, 4)
    image.AllocateScalars(vtk.VTK_SHORT, 3)
    for name in ("vtkMRMLVectorVolumeNode", "vtkMRMLScalarVolumeNode"):
        node = scene.AddNewNodeByClass(name, "Color")
        node.SetAndObserveImageData(image)
        with pytest.raises(BadInputError, match=r"3 numbers a voxel .*; extract one channel or time point"):
            check_usable(node)


@pytest.mark.parametrize("warp", [bspline, displacement_grid])
@pytest.mark.parametrize("where", ["directly", "inside a linear one", "around a linear one"])
def test_a_volume_under_a_transform_that_bends_is_refused_and_the_transform_named(
    scene: Any, a_volume_node: Callable[..., Any], warp: Callable[..., Any], where: str
) -> None:
    node = a_volume_node()
    bent = warp(scene, "Warp of visit 2")
    if where == "directly":
        node.SetAndObserveTransformNodeID(bent.GetID())
    elif where == "inside a linear one":
        node.SetAndObserveTransformNodeID(bent.GetID())
        put_under(scene, bent, MOTION, "Outer")
    else:
        put_under(scene, node, MOTION, "Inner").SetAndObserveTransformNodeID(bent.GetID())
    for refused in (check_usable, world_from_local, lambda n: align(OBLIQUE, n)):
        with pytest.raises(BadInputError, match=r'under the non-linear transform "Warp of visit 2".*harden'):
            refused(node)
    node.SetAndObserveTransformNodeID(None)
    check_usable(node)


@pytest.mark.parametrize("entry", [0.0, np.nan])
def test_a_transform_that_flattens_space_is_refused(
    scene: Any, a_volume_node: Callable[..., Any], entry: float
) -> None:
    node = a_volume_node()
    put_under(scene, node, np.diag([1.0, 1.0, entry, 1.0]), "Flat")
    with pytest.raises(BadInputError, match='the transform "Flat", which flattens space'):
        check_usable(node)


def test_spacing_that_is_no_length_is_refused(a_volume_node: Callable[..., Any]) -> None:
    node = a_volume_node(grid=PLAIN)
    for bad in (0.0, np.nan):
        matrix = vtk.vtkMatrix4x4()
        matrix.SetElement(2, 2, bad)
        node.SetIJKToRASMatrix(matrix)
        with pytest.raises(BadInputError, match='volume "CT" cannot be placed'):
            check_usable(node)


def test_axes_that_are_not_at_right_angles_are_refused_with_advice(a_volume_node: Callable[..., Any]) -> None:
    node = a_volume_node(grid=PLAIN)
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(1, 2, 0.3)
    node.SetIJKToRASMatrix(matrix)
    with pytest.raises(BadInputError, match=r"tilted gantry.*resample"):
        check_usable(node)


def test_looking_at_a_volume_changes_and_adds_nothing(scene: Any, a_hard_volume: Any) -> None:
    before, stamp = scene.GetNumberOfNodes(), a_hard_volume.GetMTime()
    voxels = array_of(a_hard_volume).copy()
    volume_of(a_hard_volume)
    assert (scene.GetNumberOfNodes(), a_hard_volume.GetMTime()) == (before, stamp)
    assert np.array_equal(array_of(a_hard_volume), voxels)
