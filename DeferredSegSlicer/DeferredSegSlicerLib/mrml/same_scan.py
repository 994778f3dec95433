"""Whether a volume node holds the very voxels that a case was made from: the wrong patient is the worst mistake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.case import Case
from ..core.case_record import IMAGE_FILE
from ..core.errors import BadInputError
from ..core.nrrd_header import read_nrrd_header
from ..core.volume import VOXEL_TYPES, sha256_of_voxels
from .grid import Alignment, array_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


def check_same_scan(case: Case, volume_node: Any, alignment: Alignment) -> None:
    """Raise BadInputError unless a node's voxels are those that the case was made from; see `voxels_of_case`."""
    voxels_of_case(case, volume_node, alignment)


def voxels_of_case(case: Case, volume_node: Any, alignment: Alignment) -> NDArray[np.generic]:
    """The node's voxels [k, j, i] in the case's order and type, whose checksum is the one in the case.

    Slicer's readers keep other voxel types than the library's (scaled NIfTI as float, 32-bit integers unnarrowed), so
    every type that holds the node's values is tried, the case's own first. Takes about 0.3 s per 100 MB, and several
    times that before it refuses; only the voxels are read, so it may run in a thread.

    Parameters
    ----------
    alignment : of the case on the node, from `grid.align`, which has compared the grids.

    Raises
    ------
    BadInputError : other voxels, perhaps another patient's of the same grid.
    """
    there = alignment.to_case(array_of(volume_node))
    for dtype in _types_to_try(case, there.dtype):
        voxels = _as_type(there, dtype)
        if voxels is not None and sha256_of_voxels(voxels) == case.record.image.sha256:
            return voxels
    raise BadInputError(
        f'volume "{volume_node.GetName()}" has the grid of the scan that was segmented but other voxels (maybe another '
        "patient's, or edited ones); choose the volume that the case was made from"
    )


def _types_to_try(case: Case, own: np.dtype[Any]) -> Iterator[np.dtype[Any]]:
    """The type of the case's image, if it holds one, then all others; a guess only decides what is tried first."""
    names = [str(own.name), *sorted(VOXEL_TYPES, key=lambda name: name != "int16")]
    if case.record.image.file is not None:
        with suppress(BadInputError, OSError):  # a case that was rebuilt has no image: that is what is asked for
            names.insert(0, read_nrrd_header(case.folder / IMAGE_FILE).dtype.name)
    for name in dict.fromkeys(names):
        if name in VOXEL_TYPES:
            yield np.dtype(name)


def _as_type(image: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[np.generic] | None:
    """The voxels in another type, or None if it cannot hold them; float64 becomes the nearest float32."""
    if image.dtype == dtype:
        return image
    ranges = [(plane.min(), plane.max()) for plane in image]
    if dtype.kind == "f":
        exact = image.dtype.kind == "f" or all(low >= -(1 << 24) and high <= 1 << 24 for low, high in ranges)
        return image.astype(dtype) if exact else None
    limits = np.iinfo(dtype)
    if not all(low >= limits.min and high <= limits.max for low, high in ranges):  # also if NaN is among them
        return None
    if image.dtype.kind == "f" and any(np.any(plane != np.rint(plane)) for plane in image):
        return None
    return image.astype(dtype)
