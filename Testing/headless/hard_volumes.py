"""Volume nodes that a careless geometry gets wrong, made from arrays or read from files as Slicer reads them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
import vtk.util.numpy_support
from DeferredSegSlicerLib.core.geometry import LPS_TO_RAS, Geometry
from DeferredSegSlicerLib.core.nrrd import write_nrrd

SIZE, SPACING, ORIGIN_LPS = (14, 12, 9), (0.8, 1.1, 2.5), (-20.5, 33.0, 410.25)


def turned(about_s: float, about_l: float) -> np.ndarray:
    """3x3 rotation (LPS): about_l radians about the left-right axis, then about_s about the body's axis."""
    s = np.array([[math.cos(about_s), -math.sin(about_s), 0], [math.sin(about_s), math.cos(about_s), 0], [0, 0, 1]])
    left = np.array([[1, 0, 0], [0, math.cos(about_l), -math.sin(about_l)], [0, math.sin(about_l), math.cos(about_l)]])
    return s @ left


def _grid(direction: np.ndarray, size: tuple[int, int, int] = SIZE) -> Geometry:
    return Geometry(size, SPACING, ORIGIN_LPS, tuple(direction.ravel().tolist()))


OBLIQUE = _grid(turned(0.3, 0.5))
LEFT_HANDED = _grid(turned(0.3, 0.5) * (1, 1, -1))
SINGLE_SLICE = _grid(turned(0.3, 0.5), (14, 12, 1))
SAGITTAL_FIRST = _grid(np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]))
"""i runs to the back, j to the head, k to the left: slices are sagittal."""
PLAIN = _grid(np.eye(3))


def scan_on(grid: Geometry, dtype: Any = np.int16) -> np.ndarray:
    """A CT of noise [k, j, i], no two voxels alike."""
    values = np.random.default_rng(5).permutation(grid.voxel_count).reshape(grid.shape) - 1000
    return values.astype(dtype)


def node_from_array(scene: Any, image: np.ndarray, grid: Geometry, name: str = "CT") -> Any:
    """A scalar volume node with the voxels [k, j, i] on a grid, as a user's script makes one; nothing is reversed."""
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy((LPS_TO_RAS @ grid.ijk_to_lps).ravel().tolist())
    node.SetIJKToRASMatrix(matrix)
    data = vtk.vtkImageData()
    data.SetDimensions(*image.shape[::-1])
    scalars = vtk.util.numpy_support.numpy_to_vtk(np.ascontiguousarray(image).ravel(), deep=True)
    data.GetPointData().SetScalars(scalars)
    node.SetAndObserveImageData(data)
    node.CreateDefaultDisplayNodes()
    return node


def node_from_file(path: Path, name: str = "CT") -> Any:
    """A volume node as Slicer's own reader makes it from a file; left-handed ones get their third axis reversed."""
    node = slicer.modules.volumes.logic().AddArchetypeVolume(str(path), name, 0)
    assert node is not None, f"Slicer cannot read {path}"
    return node


def put_under(scene: Any, node: Any, matrix: np.ndarray, name: str = "Moved") -> Any:
    """Put a node (or its top transform) under a new linear transform of a 4x4 matrix (RAS); returns the transform."""
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    to_parent = vtk.vtkMatrix4x4()
    to_parent.DeepCopy(np.asarray(matrix, float).ravel().tolist())
    transform.SetMatrixTransformToParent(to_parent)
    node.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def motion(about_s: float, about_l: float, shift: tuple[float, float, float]) -> np.ndarray:
    """4x4 rigid motion."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turned(about_s, about_l), shift
    return matrix


MOTION = motion(-0.4, 0.7, (31.0, -12.5, 44.0))
SECOND_MOTION = motion(1.1, -0.2, (-8.0, 90.0, 3.5))


def bspline(scene: Any, name: str = "Warp") -> Any:
    """A b-spline transform node that bends space."""
    to_parent = slicer.vtkOrientedBSplineTransform()
    coefficients = vtk.vtkImageData()
    coefficients.SetDimensions(6, 6, 6)
    coefficients.SetOrigin(-200, -200, 200)
    coefficients.SetSpacing(80, 80, 80)
    coefficients.AllocateScalars(vtk.VTK_DOUBLE, 3)
    vtk.util.numpy_support.vtk_to_numpy(coefficients.GetPointData().GetScalars())[:] = np.random.default_rng(3).normal(
        0, 4, (216, 3)
    )
    to_parent.SetCoefficientData(coefficients)
    node = scene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", name)
    node.SetAndObserveTransformToParent(to_parent)
    return node


def displacement_grid(scene: Any, name: str = "Field") -> Any:
    """A grid transform node that bends space."""
    to_parent = slicer.vtkOrientedGridTransform()
    field = vtk.vtkImageData()
    field.SetDimensions(5, 5, 5)
    field.SetOrigin(-200, -200, 200)
    field.SetSpacing(100, 100, 100)
    field.AllocateScalars(vtk.VTK_DOUBLE, 3)
    vtk.util.numpy_support.vtk_to_numpy(field.GetPointData().GetScalars())[:] = np.random.default_rng(4).normal(
        0, 4, (125, 3)
    )
    to_parent.SetDisplacementGridData(field)
    node = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", name)
    node.SetAndObserveTransformToParent(to_parent)
    return node


def _of_file(grid: Geometry) -> Callable[[Any, Path], Any]:
    def make(scene: Any, folder: Path) -> Any:
        path = folder / "scan.nrrd"
        write_nrrd(path, scan_on(grid), grid)
        return node_from_file(path)

    return make


def _moved(scene: Any, folder: Path) -> Any:
    node = _of_file(OBLIQUE)(scene, folder)
    put_under(scene, node, MOTION)
    return node


def _moved_twice(scene: Any, folder: Path) -> Any:
    node = _of_file(LEFT_HANDED)(scene, folder)
    put_under(scene, put_under(scene, node, MOTION), SECOND_MOTION, "Outer")
    return node


HARD_VOLUMES: dict[str, Callable[[Any, Path], Any]] = {
    "plain": _of_file(PLAIN),
    "oblique": _of_file(OBLIQUE),
    "left-handed in its file": _of_file(LEFT_HANDED),
    "left-handed in the scene": lambda scene, folder: node_from_array(scene, scan_on(LEFT_HANDED), LEFT_HANDED),
    "single slice": _of_file(SINGLE_SLICE),
    "sagittal slices": _of_file(SAGITTAL_FIRST),
    "under a linear transform": _moved,
    "under two linear transforms": _moved_twice,
}
"""Makers of volume nodes that must work, by name; each takes the scene and a folder for files."""

GRID_OF_FILE: dict[str, Geometry] = {
    "plain": PLAIN,
    "oblique": OBLIQUE,
    "left-handed in its file": LEFT_HANDED,
    "left-handed in the scene": LEFT_HANDED,
    "single slice": SINGLE_SLICE,
    "sagittal slices": SAGITTAL_FIRST,
    "under a linear transform": OBLIQUE,
    "under two linear transforms": LEFT_HANDED,
}
"""The grid that each of them has in its file (or array), in LPS and without transforms."""

TO_WORLD: dict[str, np.ndarray] = dict.fromkeys(HARD_VOLUMES, np.eye(4)) | {
    "under a linear transform": MOTION,
    "under two linear transforms": SECOND_MOTION @ MOTION,
}
"""4x4 matrix from each of their local RAS to world RAS."""
