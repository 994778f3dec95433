"""Labelmaps that cover a part of a volume, from slices and masks in the case's order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk

from ..grid import Alignment
from ..shared_layer import layer_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

Box = tuple[slice, slice, slice]
"""Slices (k, j, i) with a start and a stop, on the case's grid."""


def new_patch(volume_node: Any, alignment: Alignment, box: Box, mask: NDArray[Any]) -> Any:
    """A labelmap of its own on a part of a volume's grid (local RAS): 1 where the mask is.

    Parameters
    ----------
    alignment : of the case on the node. box, mask : slices and an array of that shape [k, j, i], in the case's order.
    """
    patch = slicer.vtkOrientedImageData()
    set_patch(patch, volume_node, alignment, box, mask)
    return patch


def set_patch(patch: Any, volume_node: Any, alignment: Alignment, box: Box, mask: NDArray[Any]) -> None:
    """Make a labelmap cover another part; whoever shows it has to be told, see `shared_layer.layer_modified`."""
    to_ras = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(to_ras)
    patch.SetGeometryFromImageToWorldMatrix(to_ras)
    patch.SetExtent(*extent_of(volume_node, alignment, box))
    patch.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    layer_array(patch)[:] = alignment.to_node(np.asarray(mask))


def extent_of(volume_node: Any, alignment: Alignment, box: Box) -> tuple[int, ...]:
    """First and last index along i, j, k that a box of the case has on a node."""
    whole = volume_node.GetImageData().GetExtent()
    found: list[int] = []
    for axis, part in enumerate(reversed(box)):
        first, last = whole[2 * axis], whole[2 * axis + 1]
        if alignment.flips[axis]:
            found += [last - (part.stop - 1), last - part.start]
        else:
            found += [first + part.start, first + part.stop - 1]
    return tuple(found)


def box_around(indices: NDArray[Any], shape: tuple[int, int, int], voxels: tuple[int, int, int] = (0, 0, 0)) -> Box:
    """The smallest box that holds flat indices, grown by so many voxels along k, j, i, inside a volume of a shape."""
    found = []
    for c, n, more in zip(np.unravel_index(indices, shape), shape, voxels, strict=True):
        found.append(slice(max(0, int(c.min()) - more), min(n, int(c.max()) + 1 + more)))
    return found[0], found[1], found[2]


def mask_in(indices: NDArray[Any], shape: tuple[int, int, int], box: Box) -> NDArray[np.bool_]:
    """Boolean array of a box, true at flat indices of the volume, which must lie inside the box."""
    mask = np.zeros([part.stop - part.start for part in box], dtype=bool)
    kji = np.unravel_index(indices, shape)
    mask[tuple(c - part.start for c, part in zip(kji, box, strict=True))] = True
    return mask
