"""Slices are shown as a radiologist reads them, whatever the way they are stored."""

from __future__ import annotations

import numpy as np
import pytest
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.render.scene import Scene
from DeferredSegSlicerLib.render.view import View


def gradient(geometry: Geometry, ras_axis: int) -> np.ndarray:
    """A volume [k, j, i] whose value is its own RAS coordinate."""
    k, j, i = np.indices(geometry.shape)
    return geometry.ras_of(np.stack([i, j, k], axis=-1))[..., ras_axis]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_every_picture_runs_from_right_anterior_and_superior_to_left_posterior_and_inferior(
    a_scene: Scene, axis: int
) -> None:
    view = View(a_scene.geometry, axis)
    horizontal = {"Sagittal": 1, "Coronal": 0, "Axial": 0}[view.name.replace("Oblique ", "").capitalize()]
    vertical = {"Sagittal": 2, "Coronal": 2, "Axial": 1}[view.name.replace("Oblique ", "").capitalize()]
    across = view.plane(gradient(a_scene.geometry, horizontal), 3)
    down = view.plane(gradient(a_scene.geometry, vertical), 3)
    assert np.all(np.diff(across, axis=1) < 0), "to the picture's right the coordinate falls: R to L, A to P"
    assert np.all(np.diff(down, axis=0) < 0), "down the picture the coordinate falls: A to P, S to I"
    assert view.letters["left"][0] == "RAS"[horizontal]
    assert view.letters["right"][0] == "LPI"[horizontal]
    assert view.letters["top"][0] == "RAS"[vertical]
    assert view.letters["bottom"][0] == "LPI"[vertical]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_voxel_is_found_again_at_its_display_pixel(a_scene: Scene, axis: int) -> None:
    geometry = a_scene.geometry
    ijk = (5, 11, 17)
    volume = np.zeros(geometry.shape)
    volume[ijk[2], ijk[1], ijk[0]] = 1
    view = View(geometry, axis)
    row, column = view.pixel_of(ijk)
    plane = view.plane(volume, ijk[axis])
    assert plane.sum() == 1 and plane[row, column] == 1


def test_letters_of_a_straight_grid_are_single_and_of_an_oblique_one_double() -> None:
    straight = View(Geometry((8, 8, 8), (1, 1, 1)), 2)
    assert straight.letters == {"left": "R", "right": "L", "top": "A", "bottom": "P"}
    c, s = np.cos(np.radians(30)), np.sin(np.radians(30))
    turned = View(Geometry((8, 8, 8), (1, 1, 1), direction_lps=(c, -s, 0, s, c, 0, 0, 0, 1)), 2)
    assert turned.letters == {"left": "RA", "right": "LP", "top": "AL", "bottom": "PR"}
    assert turned.name == "Axial", "turned within its own plane a slice stays axial"


def test_a_tilted_slice_is_called_oblique() -> None:
    c, s = np.cos(np.radians(30)), np.sin(np.radians(30))
    tilted = View(Geometry((8, 8, 8), (1, 1, 1), direction_lps=(1, 0, 0, 0, c, -s, 0, s, c)), 2)
    assert tilted.name == "Oblique axial"


def test_the_slice_position_is_the_coordinate_of_the_crop_center() -> None:
    view = View(Geometry((10, 10, 10), (1, 1, 2.5), (0, 0, -40)), 2)
    assert view.position(4) == "I 30.0 mm"
    assert view.position(20) == "S 10.0 mm"


def test_a_crop_around_a_box_keeps_its_context_and_stays_inside_the_plane() -> None:
    view = View(Geometry((100, 80, 10), (2, 1, 5)), 2)
    window = view.window_around(np.array([40, 30, 2]), np.array([50, 40, 5]), 10.0)
    assert (window.left, window.right, window.top, window.bottom) == (35, 55, 20, 50)
    corner = view.window_around(np.array([0, 0, 0]), np.array([4, 4, 5]), 10.0)
    assert (corner.left, corner.top) == (0, 0)


def test_a_square_crop_at_the_edge_is_moved_inside(a_scene: Scene) -> None:
    view = View(a_scene.geometry, 2)
    edge = view.window_around(np.array([0, 0, 0]), np.array([3, 3, 3]), 0.0)
    square = view.square(edge, 30.0)
    rows, columns = view.size
    assert 0 <= square.top < square.bottom <= rows and 0 <= square.left < square.right <= columns
    heights = np.array(square.size) * view.pixel_mm
    assert np.all(np.abs(heights - 30.0) <= max(view.pixel_mm))
