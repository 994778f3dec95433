"""A private copy of a volume's voxels, taken in short steps, so that a thread can read them while Slicer goes on."""

from __future__ import annotations

from typing import Any

import slicer
import vtk

from ..core.errors import BadInputError
from ..mrml.grid import array_of
from .steps import Steps

SLAB_BYTES = 8 << 20
"""So much is copied in one step: a few ms."""


def snapshot_of(volume_node: Any) -> Steps[Any]:
    """Steps that end in a volume node outside any scene with the same name, grid and voxels.

    Parent transforms are left out; the node is the caller's alone and may be given to a thread.

    Raises
    ------
    BadInputError : the volume got other voxels or another size between two steps.
    """
    source = volume_node.GetImageData()
    image = vtk.vtkImageData()
    image.SetExtent(source.GetExtent())
    image.AllocateScalars(source.GetScalarType(), 1)
    copy = slicer.vtkMRMLScalarVolumeNode()
    copy.SetName(volume_node.GetName())
    to_ras = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(to_ras)
    copy.SetIJKToRASMatrix(to_ras)
    copy.SetAndObserveImageData(image)
    target = array_of(copy)
    modified = scalars_time(volume_node)
    slab = max(1, SLAB_BYTES // max(1, target[0].nbytes))
    for first in range(0, len(target), slab):
        if scalars_time(volume_node) != modified:
            raise BadInputError(f'volume "{volume_node.GetName()}" was changed while it was being read; try again')
        target[first : first + slab] = array_of(volume_node)[first : first + slab]
        yield None
    return copy


def scalars_time(volume_node: Any) -> tuple[int, str]:
    """Another value than before if a volume's voxels were replaced or marked as modified meanwhile."""
    image = volume_node.GetImageData()
    scalars = image.GetPointData().GetScalars() if image is not None else None
    return (0, "") if scalars is None else (scalars.GetMTime(), str(scalars.__this__))
