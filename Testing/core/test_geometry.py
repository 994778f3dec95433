"""Where voxels are: the same millimeters as SimpleITK for every direction matrix, and no grid that cannot be."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.geometry import Geometry
from hypothesis import given
from hypothesis import strategies as st

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
OBLIQUE = tuple(
    np.round(
        np.array([[math.cos(0.3), -math.sin(0.3), 0], [math.sin(0.3), math.cos(0.3), 0], [0, 0, 1]])
        @ np.array([[1, 0, 0], [0, math.cos(0.5), -math.sin(0.5)], [0, math.sin(0.5), math.cos(0.5)]]),
        12,
    ).ravel()
)
LEFT_HANDED = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)

GRIDS = {
    "identity": Geometry((5, 6, 7), (1.0, 1.0, 1.0)),
    "oblique": Geometry((5, 6, 7), (0.8, 1.1, 2.5), (-120.5, 33.0, 410.25), OBLIQUE),
    "left-handed": Geometry((5, 6, 7), (0.8, 1.1, 2.5), (-120.5, 33.0, 410.25), LEFT_HANDED),
    "sagittal acquisition": Geometry((5, 6, 7), (0.9, 0.9, 4.0), (70.0, -100.0, 60.0), SAGITTAL),
    "anisotropic": Geometry((50, 6, 3), (0.4, 0.4, 8.0), (1.0, 2.0, 3.0)),
    "single slice": Geometry((9, 8, 1), (0.7, 0.7, 5.0), (4.0, 5.0, 6.0), OBLIQUE),
}
every_grid = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())


def itk_image(grid: Geometry) -> sitk.Image:
    image = sitk.Image(list(grid.size), sitk.sitkUInt8)
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin_lps)
    image.SetDirection(grid.direction_lps)
    return image


@every_grid
def test_every_voxel_lies_where_simpleitk_says(grid: Geometry) -> None:
    image = itk_image(grid)
    for index in [(0, 0, 0), tuple(n - 1 for n in grid.size), (grid.size[0] // 2, 1, 0)]:
        lps = np.array(image.TransformIndexToPhysicalPoint([int(n) for n in index]))
        assert np.allclose(grid.ras_of(index), lps * (-1, -1, 1), atol=1e-9)


@every_grid
def test_a_point_comes_back_to_its_continuous_index_as_in_simpleitk(grid: Geometry) -> None:
    ras = grid.ras_of((1.25, 2.5, 0.4))
    expected = itk_image(grid).TransformPhysicalPointToContinuousIndex((ras * (-1, -1, 1)).tolist())
    assert np.allclose(grid.ijk_of(ras), expected, atol=1e-9)
    assert np.allclose(grid.ijk_of(ras), (1.25, 2.5, 0.4), atol=1e-9)


@every_grid
def test_a_grid_goes_through_a_simpleitk_image_unchanged(grid: Geometry) -> None:
    image = grid.apply_to(sitk.Image(list(grid.size), sitk.sitkInt16))
    assert Geometry.of_image(image).differences_from(grid) == []
    assert Geometry.of_image(image).shape == sitk.GetArrayViewFromImage(image).shape


@every_grid
def test_the_bounds_hold_every_voxel_and_half_a_voxel_more(grid: Geometry) -> None:
    every_index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.size), indexing="ij"), axis=-1).reshape(-1, 3)
    centers = grid.ras_of(every_index)
    low, high = grid.bounds_ras
    half = np.abs(grid.ijk_to_ras[:3, :3]).sum(axis=1) / 2
    assert np.allclose(centers.min(axis=0) - low, half) and np.allclose(high - centers.max(axis=0), half)


def test_only_a_mirrored_grid_is_left_handed() -> None:
    assert [name for name, grid in GRIDS.items() if grid.is_left_handed] == ["left-handed"]


@pytest.mark.parametrize(
    ("name", "axis"),
    [("identity", 2), ("oblique", 2), ("left-handed", 2), ("sagittal acquisition", 2), ("anisotropic", 2)],
)
def test_slices_were_stacked_along_the_coarsest_axis(name: str, axis: int) -> None:
    assert GRIDS[name].slicing_axis == axis


def test_an_isotropic_grid_is_sliced_along_the_body_whatever_its_index_order() -> None:
    coronal_order = (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0)
    assert Geometry((4, 4, 4), (1, 1, 1), direction_lps=coronal_order).slicing_axis == 1


def test_sagittal_slices_are_told_apart_from_axial_ones() -> None:
    assert GRIDS["sagittal acquisition"].anatomical_axes == (1, 2, 0)
    assert GRIDS["sagittal acquisition"].letters_of_axis(1) == ("S", "I")
    assert GRIDS["identity"].anatomical_axes == (0, 1, 2)


def test_letters_name_the_patient_side_at_each_end() -> None:
    # LPS identity: the first index grows to the patient's left, the second to the back, the third to the head.
    grid = GRIDS["identity"]
    assert [grid.letters_of_axis(axis) for axis in range(3)] == [("R", "L"), ("A", "P"), ("I", "S")]
    assert GRIDS["left-handed"].letters_of_axis(2) == ("S", "I")


def test_the_volume_of_a_voxel_is_in_milliliters() -> None:
    assert math.isclose(Geometry((1, 1, 1), (10, 10, 10)).voxel_ml, 1.0)


def test_an_image_of_another_size_is_not_given_the_grid() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        GRIDS["identity"].apply_to(sitk.Image([5, 6, 8], sitk.sitkUInt8))


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        (Geometry((5, 6, 8), (0.8, 1.1, 2.5), (-120.5, 33.0, 410.25), OBLIQUE), "size"),
        (Geometry((5, 6, 7), (0.8, 1.1, 2.6), (-120.5, 33.0, 410.25), OBLIQUE), "spacing"),
        (Geometry((5, 6, 7), (0.8, 1.1, 2.5), (-120.5, 33.1, 410.25), OBLIQUE), "origin"),
        (Geometry((5, 6, 7), (0.8, 1.1, 2.5), (-120.5, 33.0, 410.25), LEFT_HANDED), "direction"),
    ],
)
def test_what_differs_between_two_grids_is_named(changed: Geometry, part: str) -> None:
    sentences = changed.differences_from(GRIDS["oblique"])
    assert sentences and part in " ".join(sentences)
    assert changed.differences_from(changed) == []


def test_grids_of_one_slice_with_other_thickness_differ() -> None:
    thin, thick = Geometry((9, 8, 1), (1, 1, 1)), Geometry((9, 8, 1), (1, 1, 5))
    assert "spacing" in " ".join(thin.differences_from(thick))


def test_rounding_of_a_file_format_is_no_difference() -> None:
    grid = GRIDS["oblique"]
    origin = tuple(np.float32(v).item() for v in grid.origin_lps)
    direction = tuple(np.float32(v).item() for v in grid.direction_lps)
    assert Geometry(grid.size, grid.spacing, origin, direction).differences_from(grid) == []


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"size": (5, 0, 7)}, "size"),
        ({"size": (5, 7)}, "size"),
        ({"size": (100_000, 100_000, 100_000)}, "voxels"),
        ({"spacing": (1, 0, 1)}, "spacing"),
        ({"spacing": (1, -1, 1)}, "spacing"),
        ({"spacing": (1, math.inf, 1)}, "spacing"),
        ({"spacing": (1, math.nan, 1)}, "spacing"),
        ({"origin_lps": (0, math.nan, 0)}, "origin"),
        ({"direction_lps": (1, 0, 0, 0, 1, 0, 0, 1, 0)}, "orthonormal"),
        ({"direction_lps": (math.nan,) * 9}, "orthonormal"),
        ({"direction_lps": (1, 0, 0, 1)}, "orthonormal"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_by_name(values: dict, part: str) -> None:
    with pytest.raises(BadInputError, match=part):
        Geometry(**({"size": (5, 6, 7), "spacing": (1, 1, 1)} | values))


def test_an_image_that_is_not_3d_has_no_grid() -> None:
    with pytest.raises(BadInputError, match="2 dimensions"):
        Geometry.of_image(sitk.Image([4, 4], sitk.sitkUInt8))


def any_rotation() -> st.SearchStrategy:
    """Random proper and improper rotations as nine numbers, from unit quaternions and a mirror."""

    def matrix(parts: tuple[float, float, float, float, bool]) -> tuple[float, ...]:
        quaternion = np.array(parts[:4])
        w, x, y, z = quaternion / np.linalg.norm(quaternion)
        rotation = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        )
        return tuple((rotation * (1, 1, -1 if parts[4] else 1)).ravel())

    part = st.floats(-1, 1)
    return st.tuples(part, part, part, part, st.booleans()).filter(lambda p: np.linalg.norm(p[:4]) > 0.1).map(matrix)


any_grid = st.builds(
    Geometry,
    st.tuples(*[st.integers(1, 600)] * 3),
    st.tuples(*[st.floats(0.05, 20)] * 3),
    st.tuples(*[st.floats(-2000, 2000)] * 3),
    any_rotation(),
)


@given(any_grid, st.tuples(*[st.floats(-10, 700)] * 3))
def test_any_index_comes_back_from_millimeters(grid: Geometry, index: tuple[float, float, float]) -> None:
    assert np.allclose(grid.ijk_of(grid.ras_of(index)), index, atol=1e-5)


@given(any_grid, st.tuples(*[st.floats(-10, 700)] * 3))
def test_any_grid_agrees_with_simpleitk(grid: Geometry, index: tuple[float, float, float]) -> None:
    image = sitk.Image([1, 1, 1], sitk.sitkUInt8)
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin_lps)
    image.SetDirection(grid.direction_lps)
    lps = np.array(image.TransformContinuousIndexToPhysicalPoint(index))
    assert np.allclose(grid.ras_of(index), lps * (-1, -1, 1), atol=1e-6)


@given(any_grid)
def test_the_axes_of_any_grid_are_a_permutation_with_opposite_letters(grid: Geometry) -> None:
    assert sorted(grid.anatomical_axes) == [0, 1, 2]
    letters = [grid.letters_of_axis(axis) for axis in range(3)]
    assert sorted("".join(sorted(pair)) for pair in letters) == ["AP", "IS", "LR"]
    for axis, (_, high) in enumerate(letters):
        along = grid.ijk_to_ras[grid.anatomical_axes[axis], axis]
        assert (along > 0) == (high in "RAS")
