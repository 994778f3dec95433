"""Closed surfaces: watertight, turned outward, of the voxels' volume, in the millimeters that Slicer expects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk.util.numpy_support
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.export.marching_cubes import loops_of, triangles_of_codes
from DeferredSegSlicerLib.export.stl import write_stl
from DeferredSegSlicerLib.export.surface import Surface, surface_of

UNIT = Geometry((12, 12, 12), (1.0, 1.0, 1.0))


def read_stl(path: Path) -> tuple[str, Surface]:
    """Header and surface of a binary STL file, corners of the same three numbers taken as one point."""
    data = path.read_bytes()
    count = int.from_bytes(data[80:84], "little")
    assert len(data) == 84 + 50 * count
    rows = np.frombuffer(data[84:], np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("rest", "<u2")]))
    points, triangles = np.unique(rows["corners"].reshape(-1, 3), axis=0, return_inverse=True)
    edges = rows["corners"].astype(np.float64)
    normal = np.cross(edges[:, 1] - edges[:, 0], edges[:, 2] - edges[:, 0])
    length = np.linalg.norm(normal, axis=1)
    solid = length > 1e-6
    assert np.allclose(normal[solid] / length[solid, None], rows["normal"][solid], atol=1e-3)
    return data[:80].decode("ascii"), Surface(points.astype(np.float64), triangles.reshape(-1, 3))


def ball(grid: Geometry, center: tuple[float, float, float], radius: float) -> np.ndarray:
    """Voxels [k, j, i] within a radius (mm) of a point in RAS mm."""
    k, j, i = np.indices(grid.shape)
    return np.linalg.norm(grid.ras_of(np.stack([i, j, k], axis=-1)) - center, axis=-1) < radius


def noise(seed: int, density: float) -> np.ndarray:
    return np.random.default_rng(seed).random((7, 8, 9)) < density


@pytest.mark.parametrize("steps", [0, 12])
@pytest.mark.parametrize("density", [0.03, 0.3, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_the_surface_of_any_voxels_is_watertight(a_grid: Geometry, seed: int, density: float, steps: int) -> None:
    """Noise has every case that there is, corners and edges that touch among them, and reaches the volume's border."""
    mask = noise(seed, density)
    surface = surface_of(mask, a_grid, steps)
    assert surface.is_watertight
    assert surface.volume_ml > 0, "the triangles face outward, on left-handed grids too"


def test_a_hole_or_a_turned_triangle_is_no_watertight_surface() -> None:
    surface = surface_of(ball(UNIT, (-5, -5, 5), 4), UNIT)
    assert not Surface(surface.points_lps, surface.triangles[1:]).is_watertight
    turned = surface.triangles.copy()
    turned[0] = turned[0, ::-1]
    assert not Surface(surface.points_lps, turned).is_watertight


@pytest.mark.parametrize("density", [0.01, 0.1, 0.5, 0.9])
def test_the_volume_is_that_of_the_voxels_whatever_their_shape(a_grid: Geometry, density: float) -> None:
    mask = noise(3, density)
    assert surface_of(mask, a_grid).volume_ml == pytest.approx(mask.sum() * a_grid.voxel_ml, rel=0.02)


def test_the_volume_of_a_single_voxel_a_line_and_a_sheet() -> None:
    for part in (np.s_[5:6, 5:6, 5:6], np.s_[5:6, 5:6, 2:10], np.s_[5:6, 2:10, 2:10]):
        mask = np.zeros(UNIT.shape, bool)
        mask[part] = True
        assert surface_of(mask, UNIT).volume_ml == pytest.approx(mask.sum() / 1000, rel=0.02)


def test_no_point_is_farther_than_half_a_voxel_from_the_border_of_the_voxels(a_grid: Geometry) -> None:
    mask = noise(1, 0.4)
    plain, smooth = surface_of(mask, a_grid, 0), surface_of(mask, a_grid)
    moved = a_grid.ijk_of(smooth.points_lps * (-1, -1, 1)) - a_grid.ijk_of(plain.points_lps * (-1, -1, 1))
    assert 0.05 < np.abs(moved).max() <= 0.5 + 1e-6


def test_smoothing_takes_the_steps_off_a_ball() -> None:
    grid = Geometry((40, 40, 20), (1.0, 1.0, 2.0), (-19.5, -19.5, -19.0))
    mask = ball(grid, (0, 0, 0), 15)
    rough, smooth = (np.linalg.norm(surface_of(mask, grid, n).points_lps, axis=1).std() for n in (0, 12))
    assert smooth < 0.7 * rough
    assert np.linalg.norm(surface_of(mask, grid).points_lps, axis=1).mean() == pytest.approx(15, abs=0.2)


def test_every_point_lies_around_its_ball_in_millimeters(a_grid: Geometry, tmp_path: Path) -> None:
    center = a_grid.ras_of(np.array(a_grid.size) // 2)
    radius = 2.2 * max(a_grid.spacing)
    mask = ball(a_grid, tuple(center), radius)
    assert mask.any()
    write_stl(tmp_path / "ball.stl", surface_of(mask, a_grid))
    _, surface = read_stl(tmp_path / "ball.stl")
    inside = a_grid.ras_of(np.argwhere(mask)[:, ::-1]) * (-1, -1, 1)
    reach = np.linalg.norm(a_grid.spacing)
    assert np.all(surface.points_lps >= inside.min(axis=0) - reach)
    assert np.all(surface.points_lps <= inside.max(axis=0) + reach)
    assert np.allclose(
        (surface.points_lps.min(axis=0) + surface.points_lps.max(axis=0)) / 2,
        (inside.min(axis=0) + inside.max(axis=0)) / 2,
        atol=reach / 2,
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_file_read_back_is_watertight_too(a_grid: Geometry, tmp_path: Path, seed: int) -> None:
    mask = noise(seed, 0.3)
    write_stl(tmp_path / "noise.stl", surface_of(mask, a_grid), "UNREVIEWED=2/3")
    header, surface = read_stl(tmp_path / "noise.stl")
    assert surface.is_watertight
    assert surface.volume_ml == pytest.approx(mask.sum() * a_grid.voxel_ml, rel=0.02)
    assert "SPACE=LPS" in header and "UNIT=mm" in header and "UNREVIEWED=2/3" in header
    assert not header.startswith("solid"), "readers would take it for text"


def test_a_long_remark_in_any_script_fits_the_header(tmp_path: Path) -> None:
    write_stl(tmp_path / "x.stl", surface_of(noise(0, 0.5), UNIT_SMALL), "肝臓" * 100)
    assert "SPACE=LPS" in read_stl(tmp_path / "x.stl")[0]


UNIT_SMALL = Geometry((9, 8, 7), (1.0, 1.0, 1.0))


def test_nothing_has_no_surface() -> None:
    with pytest.raises(ValueError, match="at least one voxel"):
        surface_of(np.zeros(UNIT.shape, bool), UNIT)


def test_each_edge_of_a_cell_that_is_crossed_is_on_one_line() -> None:
    for code in range(256):
        edges = [edge for loop, _ in loops_of(code) for edge in loop]
        inside = [bool(code >> n & 1) for n in range(8)]
        crossed = sum(inside[a] != inside[a | bit] for a in range(8) for bit in (1, 2, 4) if not a & bit)
        assert len(edges) == len(set(edges)) == crossed
    table, counts = triangles_of_codes()
    assert counts[0] == counts[255] == 0 and counts.max() == table.shape[1]


def test_voxels_that_touch_at_an_edge_or_a_corner_alone_are_apart() -> None:
    for code, lines in ((0b0001, 1), (0b0011, 1), (0b1001, 2), (0b10000001, 2), (0b1111, 1), (0b11110110, 1)):
        assert len(loops_of(code)) == lines, bin(code)


def test_slicer_reads_the_surface_where_the_voxels_are(a_grid: Geometry, tmp_path: Path) -> None:
    """Slicer's own reader takes the file's header for LPS and turns it to RAS."""
    surface = surface_of(noise(2, 0.2), a_grid)
    write_stl(tmp_path / "surface.stl", surface)
    scene = slicer.vtkMRMLScene()
    model = scene.AddNewNodeByClass("vtkMRMLModelNode")
    storage = scene.AddNewNodeByClass("vtkMRMLModelStorageNode")
    storage.SetFileName(str(tmp_path / "surface.stl"))
    assert storage.ReadData(model) == 1
    found = vtk.util.numpy_support.vtk_to_numpy(model.GetPolyData().GetPoints().GetData()).astype(np.float64)
    expected = surface.points_lps * (-1, -1, 1)
    gaps = np.linalg.norm(found[:, None] - expected[None], axis=2)
    assert gaps.min(axis=0).max() < 1e-3 and gaps.min(axis=1).max() < 1e-3
    scene.Clear(1)
