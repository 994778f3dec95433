"""Volume nodes and the library's grids: where a node's voxels are, and how a case's voxels lie on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import slicer
import vtk
import vtk.util.numpy_support

from ..core.errors import BadInputError
from ..core.geometry import LPS_TO_RAS, Geometry
from ..core.image_file import narrowed
from ..core.volume import VOXEL_TYPES, Modality, Volume
from .modality import modality_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scalar = TypeVar("Scalar", bound=np.generic)


def check_usable(volume_node: Any) -> None:
    """Raise BadInputError unless a node is a scan that can be segmented; cheap enough for every click.

    Refused, each with its own sentence: no node, a labelmap, no image or no voxels, several numbers a voxel (color,
    vector, several time points), a node under a transform that is not linear or that flattens space, axes that are not
    at right angles, spacing that is not finite and positive. Voxel values are looked at by `volume_of`.
    """
    if volume_node is None:
        raise BadInputError("no volume is chosen; choose a CT or MR first")
    who = _who(volume_node)
    if not volume_node.IsA("vtkMRMLScalarVolumeNode"):
        raise BadInputError(f"{who} is no scalar volume; choose a CT or MR")
    if volume_node.IsA("vtkMRMLLabelMapVolumeNode"):
        raise BadInputError(f"{who} is a labelmap; choose the scan itself")
    image = volume_node.GetImageData()
    scalars = image.GetPointData().GetScalars() if image is not None else None
    if scalars is None or image.GetNumberOfPoints() == 0:
        raise BadInputError(f"{who} has no image")
    components = scalars.GetNumberOfComponents()
    if components != 1:
        raise BadInputError(
            f"{who} has {components} numbers a voxel (color, vector or several time points), expected one gray value; "
            "extract one channel or time point first"
        )
    _linear_to_world(volume_node)
    geometry_of(volume_node)


def geometry_of(volume_node: Any) -> Geometry:
    """Grid of a volume node in its local RAS, that is without its parent transforms.

    Raises
    ------
    BadInputError : spacing that is not finite and positive, axes that are not at right angles, no voxels.
    """
    image = volume_node.GetImageData()
    if image is None:
        raise BadInputError(f"{_who(volume_node)} has no image")
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    to_lps = LPS_TO_RAS @ array_of_matrix(matrix)
    extent = image.GetExtent()
    origin = to_lps @ (extent[0], extent[2], extent[4], 1)  # an image need not begin at index 0
    spacing = np.linalg.norm(to_lps[:3, :3], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        direction = to_lps[:3, :3] / spacing
    try:
        return Geometry(
            image.GetDimensions(),
            tuple(spacing.tolist()),
            tuple(origin[:3].tolist()),
            tuple(direction.ravel().tolist()),
        )
    except BadInputError as error:
        advice = ""
        if np.all(np.isfinite(direction)) and min(image.GetDimensions()) > 0:
            advice = "; its axes are not at right angles (a tilted gantry?), resample it first"
        raise BadInputError(f"{_who(volume_node)} cannot be placed: {error}{advice}") from error


def array_of(volume_node: Any) -> NDArray[np.generic]:
    """Voxels of a scalar volume node: a live view [k, j, i] in the node's own type, no copy."""
    image = volume_node.GetImageData()
    scalars = image.GetPointData().GetScalars()
    view = vtk.util.numpy_support.vtk_to_numpy(scalars)
    return view.reshape(image.GetDimensions()[::-1])  # type: ignore[no-any-return]


def grid_copy(volume_node: Any) -> Any:
    """A volume node outside any scene that has the grid of another as it is now: local RAS and extent, no voxels."""
    to_ras, image, copy = vtk.vtkMatrix4x4(), vtk.vtkImageData(), slicer.vtkMRMLScalarVolumeNode()
    volume_node.GetIJKToRASMatrix(to_ras)
    image.SetExtent(volume_node.GetImageData().GetExtent())
    copy.SetIJKToRASMatrix(to_ras)
    copy.SetAndObserveImageData(image)
    return copy


def volume_of(volume_node: Any, modality: Modality | None = None) -> Volume:
    """The scan of a node as the library has it; no checksum is made.

    Parameters
    ----------
    modality : what the scan is; without it `modality.modality_of` tells.

    Returns
    -------
    The voxels as a view of the node's where its type can stay, else a copy: 64-bit and unsigned 32-bit integers become
    int32, int32 becomes int16 where that is lossless, float64 becomes float32, as `core.volume.read_volume` does.

    Raises
    ------
    BadInputError : a node that `check_usable` refuses, voxels that are NaN, infinite or too large, or all the same.
    """
    check_usable(volume_node)
    geometry = geometry_of(volume_node)
    image = _supported(array_of(volume_node), _who(volume_node))
    _check_voxels(image, _who(volume_node))
    return Volume(image, geometry, modality if modality is not None else modality_of(volume_node))


def world_from_local(node: Any) -> NDArray[np.float64]:
    """4x4 matrix from a node's local RAS mm to world RAS mm through all its parent transforms.

    Raises
    ------
    BadInputError : a parent transform that is not linear (named), or one that flattens space.
    """
    return _linear_to_world(node)


def local_from_world(node: Any) -> NDArray[np.float64]:
    """4x4 matrix from world RAS mm to a node's local RAS mm; see `world_from_local`."""
    return np.asarray(np.linalg.inv(_linear_to_world(node)), dtype=np.float64)


@dataclass(frozen=True)
class Alignment:
    """How a case's grid lies on a volume node's: the same voxels, with index axes reversed or not.

    Slicer reverses the third axis of a volume that is left-handed in its file, so a case that was made from the file
    has its slices in the other order.

    Attributes
    ----------
    flips : for index axes i, j, k: whether the node counts them from the other end.
    """

    flips: tuple[bool, bool, bool] = (False, False, False)

    @property
    def identity(self) -> bool:
        """Whether no axis is reversed."""
        return not any(self.flips)

    def to_node(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        """An array [..., k, j, i] of the case in the order of the node's voxels; a view, maybe of negative strides."""
        i, j, k = (slice(None, None, -1 if flip else None) for flip in self.flips)
        return array[..., k, j, i]

    def to_case(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        """An array [..., k, j, i] on the node in the order of the case's voxels; a view, maybe of negative strides."""
        return self.to_node(array)


def align(case_geometry: Geometry, volume_node: Any) -> Alignment:
    """How a case's grid lies on a node.

    Raises
    ------
    BadInputError : the grids differ by more than reversed axes (places are compared in the node's local RAS, to
        0.001 mm), so the case belongs to another volume; or the node is not usable (`check_usable`).
    """
    check_usable(volume_node)
    there = geometry_of(volume_node)
    cosines = np.sum(np.reshape(case_geometry.direction_lps, (3, 3)) * np.reshape(there.direction_lps, (3, 3)), axis=0)
    i, j, k = (bool(c < 0) for c in cosines)
    alignment = Alignment((i, j, k))
    differences = reversed_grid(case_geometry, alignment.flips).differences_from(there)
    if differences:
        raise BadInputError(
            f"{_who(volume_node)} is another volume than the one that was segmented (maybe another patient): "
            + "; ".join(differences)
        )
    return alignment


def reversed_grid(geometry: Geometry, flips: tuple[bool, bool, bool]) -> Geometry:
    """The same voxels in the same places, counted from the other end along the axes i, j, k that are flipped."""
    last = np.where(flips, np.asarray(geometry.size) - 1, 0)
    origin = geometry.ijk_to_lps[:3, :3] @ last + geometry.origin_lps
    direction = np.reshape(geometry.direction_lps, (3, 3)) * np.where(flips, -1.0, 1.0)
    return Geometry(geometry.size, geometry.spacing, tuple(origin.tolist()), tuple(direction.ravel().tolist()))


def array_of_matrix(matrix: Any) -> NDArray[np.float64]:
    """A vtkMatrix4x4 as an array (4, 4)."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def _linear_to_world(node: Any) -> NDArray[np.float64]:
    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        raise BadInputError(
            f'{_who(node)} is under the non-linear transform "{_first_not_linear(parent)}", which bends its grid; '
            "take it out of the transform or harden the transform in the Transforms module"
        )
    matrix = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    to_world = array_of_matrix(matrix)
    if not np.all(np.isfinite(to_world)) or np.linalg.cond(to_world[:3, :3]) > 1e6:
        raise BadInputError(
            f'{_who(node)} is under the transform "{parent.GetName()}", which flattens space or has no finite numbers; '
            "correct the transform or take the volume out of it"
        )
    return to_world


def _first_not_linear(transform: Any) -> str:
    """Name of the transform, from a node's own upward, that is not linear."""
    at = transform
    while at is not None and at.IsLinear():
        at = at.GetParentTransformNode()
    return str((at if at is not None else transform).GetName())


def _supported(image: NDArray[np.generic], who: str) -> NDArray[np.generic]:
    """The voxels in one of the library's types."""
    if image.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return image.astype(np.float32, copy=False)
    if image.dtype.name in VOXEL_TYPES:
        return narrowed(image)
    limits = np.iinfo(np.int32)
    if image.dtype.kind not in "iu" or image.min() < limits.min or image.max() > limits.max:  # type: ignore[operator]
        raise BadInputError(f"{who} has {image.dtype.name} voxels past what 32-bit integers hold")
    return narrowed(image.astype(np.int32))


def _check_voxels(image: NDArray[np.generic], who: str) -> None:
    ranges = [(float(plane.min()), float(plane.max())) for plane in image]
    if not np.all(np.isfinite(ranges)):
        broken = sum(not np.all(np.isfinite(r)) for r in ranges)
        raise BadInputError(f"{who} has NaN or infinite voxels in {broken} of {len(ranges)} slices")
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    if low == high:
        raise BadInputError(f"{who} is empty: every voxel is {low:g}")


def _who(node: Any) -> str:
    return f'volume "{node.GetName()}"' if node.IsA("vtkMRMLVolumeNode") else f'"{node.GetName()}"'
