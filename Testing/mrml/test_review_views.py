"""Views on a region: every slice goes through it, all of it is in the picture, and the way back is exact."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from boot import HeadlessSlicer
from case_on_node import case_of_scan, region_of
from DeferredSegSlicerLib.core.case import Case
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.mrml.review import views
from hard_volumes import (
    GRID_OF_FILE,
    HARD_VOLUMES,
    MOTION,
    OBLIQUE,
    TO_WORLD,
    bspline,
    node_from_array,
    put_under,
    scan_on,
)
from render import SliceView, ThreeDView

ORIENTATIONS = ("Axial", "Sagittal", "Coronal")


@pytest.fixture
def slice_nodes(a_slicer: HeadlessSlicer, scene: Any) -> Iterator[list[Any]]:
    """The nodes of three slice views of different shapes, with their matrices at work."""
    shown = [
        SliceView(a_slicer, name, orientation, size)
        for name, orientation, size in zip(
            ("Red", "Yellow", "Green"), ORIENTATIONS, ((300, 200), (150, 400), (256, 256)), strict=True
        )
    ]
    yield [view.node for view in shown]
    for view in shown:
        view.close()


def ragged(shape: tuple[int, int, int]) -> np.ndarray:
    """A mask whose centroid is not in it: a ring around a hole."""
    mask = np.zeros(shape, bool)
    k, j, i = (n // 2 for n in shape)
    mask[k, max(0, j - 3) : j + 4, max(0, i - 4) : i + 5] = True
    mask[k, max(0, j - 2) : j + 3, max(0, i - 3) : i + 4] = False
    return mask


def center_of(node: Any) -> np.ndarray:
    """World RAS mm of the middle of a slice view."""
    columns, rows, _ = node.GetDimensions()
    return np.array(node.GetXYToRAS().MultiplyPoint((columns / 2, rows / 2, 0, 1))[:3])


def is_in_picture(node: Any, points: np.ndarray) -> bool:
    """Whether world points, projected onto a slice, are inside the view."""
    to_view = vtk.vtkMatrix4x4()
    to_view.DeepCopy(node.GetXYToRAS())
    to_view.Invert()
    xy = np.array([to_view.MultiplyPoint((*p, 1.0))[:2] for p in points.tolist()])
    return bool(np.all((xy >= 0) & (xy <= node.GetDimensions()[:2])))


@pytest.mark.parametrize("name", list(HARD_VOLUMES))
def test_every_slice_goes_through_a_voxel_of_the_region_and_shows_all_of_it(
    scene: Any, tmp_path: Path, write_a_case: Callable[..., Case], slice_nodes: list[Any], name: str
) -> None:
    grid, volume = GRID_OF_FILE[name], HARD_VOLUMES[name](scene, tmp_path)
    region = region_of(ragged(grid.shape), case_of_scan(write_a_case, tmp_path / "case", grid), "extent")
    kji = np.stack(np.unravel_index(region.indices, grid.shape), axis=1)
    places = grid.ras_of(kji[:, ::-1]) @ TO_WORLD[name][:3, :3].T + TO_WORLD[name][:3, 3]

    views.go_to(scene, views.place_of(region.indices, grid, volume))

    for node in slice_nodes:
        distance = np.linalg.norm(places - center_of(node), axis=1)
        assert distance.min() < 1e-3, "the middle of the view is no voxel of the region"
        nearest = np.linalg.norm(places - places.mean(axis=0), axis=1).min()
        assert np.linalg.norm(center_of(node) - places.mean(axis=0)) < nearest + 1e-3
        assert is_in_picture(node, places)


def test_zooming_keeps_pixels_square_and_shows_small_regions_with_their_surroundings(
    scene: Any, slice_nodes: list[Any]
) -> None:
    volume = node_from_array(scene, scan_on(OBLIQUE), OBLIQUE)
    views.go_to(scene, views.place_of(np.array([500]), OBLIQUE, volume))
    for node in slice_nodes:
        (columns, rows, _), (width, height, depth) = node.GetDimensions(), node.GetFieldOfView()
        assert width / columns == pytest.approx(height / rows)
        assert min(width, height) == pytest.approx(views.SMALLEST_VIEW_MM)
        assert depth == 1.0


def test_without_zoom_only_the_place_changes(scene: Any, slice_nodes: list[Any]) -> None:
    volume = node_from_array(scene, scan_on(OBLIQUE), OBLIQUE)
    before = [node.GetFieldOfView() for node in slice_nodes]
    views.go_to(scene, views.place_of(np.array([500]), OBLIQUE, volume), zoom=False)
    assert [node.GetFieldOfView() for node in slice_nodes] == before


def test_panned_views_are_centered_too_and_all_views_come_back_exactly(scene: Any, slice_nodes: list[Any]) -> None:
    volume = node_from_array(scene, scan_on(OBLIQUE), OBLIQUE)
    camera = scene.AddNewNodeByClass("vtkMRMLCameraNode")
    camera.SetPosition(10, 400, -30)
    camera.SetViewUp(0, 0, -1)
    for shift, node in enumerate(slice_nodes, 1):
        node.SetXYZOrigin(11.0 * shift, -7.0, 0)
        node.SetSliceOffset(3.5 * shift)
        node.UpdateMatrices()
    before = views.remember(scene)
    centers = [center_of(node) for node in slice_nodes]
    place = views.place_of(np.array([500]), OBLIQUE, volume)

    views.go_to(scene, place)
    assert all(np.allclose(center_of(node), place.center, atol=1e-3) for node in slice_nodes)
    assert not np.allclose(centers[0], place.center, atol=1)
    views.restore(scene, before)

    assert np.allclose([center_of(node) for node in slice_nodes], centers)
    after = views.remember(scene)
    assert dict(after.slices) == dict(before.slices) and dict(after.cameras) == dict(before.cameras)


def test_a_window_that_was_resized_meanwhile_keeps_square_pixels(scene: Any, slice_nodes: list[Any]) -> None:
    before = views.remember(scene)
    node = slice_nodes[0]
    width = node.GetFieldOfView()[0]
    node.SetDimensions(300, 600, 1)
    views.restore(scene, before)
    assert node.GetFieldOfView()[:2] == pytest.approx((width, 2 * width))


def test_cameras_look_at_the_region_from_where_they_looked_before(a_slicer: HeadlessSlicer, scene: Any) -> None:
    view = ThreeDView(a_slicer, "Cameras")
    volume = node_from_array(scene, scan_on(OBLIQUE), OBLIQUE)
    put_under(scene, volume, MOTION)
    cameras = slicer.util.getNodesByClass("vtkMRMLCameraNode", scene)
    camera = next(node for node in cameras if node.GetLayoutName() == view.node.GetLayoutName())
    camera.SetPosition(300, 400, 500)
    direction = np.array([3, 4, 5]) / np.sqrt(50)
    place = views.place_of(np.arange(400, 460), OBLIQUE, volume)

    views.go_to(scene, place)

    focus, position = np.array(camera.GetFocalPoint()), np.array(camera.GetPosition())
    assert np.allclose(focus, place.center)
    assert np.allclose((position - focus) / np.linalg.norm(position - focus), direction)
    view.window.Render()
    for corner in place.corners:
        view.renderer.SetWorldPoint(*corner, 1.0)
        view.renderer.WorldToDisplay()
        x, y, _ = view.renderer.GetDisplayPoint()
        assert 0 < x < 400 and 0 < y < 400
    view.close()


def test_views_of_another_scene_stay_where_they_are(scene: Any, slice_nodes: list[Any]) -> None:
    other = slicer.vtkMRMLScene()
    stranger = slicer.vtkMRMLSliceNode()
    stranger.SetLayoutName("Red")
    stranger = other.AddNode(stranger)
    before = views.remember(other)
    volume = node_from_array(scene, scan_on(OBLIQUE), OBLIQUE)
    views.go_to(scene, views.place_of(np.array([500]), OBLIQUE, volume))
    assert dict(views.remember(other).slices) == dict(before.slices)


def test_a_volume_that_was_bent_meanwhile_is_refused_by_name(scene: Any) -> None:
    volume = node_from_array(scene, scan_on(OBLIQUE), OBLIQUE)
    volume.SetAndObserveTransformNodeID(bspline(scene).GetID())
    with pytest.raises(BadInputError, match="Warp"):
        views.place_of(np.array([500]), OBLIQUE, volume)
