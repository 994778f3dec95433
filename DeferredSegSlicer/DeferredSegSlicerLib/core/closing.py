"""Which voxels a morphological closing would add to the deferred sets of several experts at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK = 1 << 19
"""Voxels closed at a time: few enough to stay in the processor's cache."""


def closed_in(
    indices: NDArray[Any], experts: NDArray[np.uint8], shape: tuple[int, int, int], axis: int
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """What a closing by one voxel (3 x 3) in the slice plane adds to each expert's voxels.

    Outside the volume there are no voxels, but the volume's border takes none away. Every expert has a bit of its
    own, so that one pass closes for all.

    Parameters
    ----------
    indices : (n,) ascending flat indices into a volume of `shape` (k, j, i). experts : (n,) 0..15.
    axis : array axis (0 k, 1 j, 2 i) along which the slices are stacked.

    Returns
    -------
    ascending flat indices of voxels that some expert's closing adds, and, as bits, for which experts it does.
    """
    kind = np.uint8 if experts.max(initial=0) < 8 else np.uint16
    if not len(indices):
        return np.empty(0, np.int64), np.empty(0, kind)
    place = np.unravel_index(indices, shape)
    pad = [0 if a == axis else 2 for a in range(3)]
    low = [int(p.min()) - extra for p, extra in zip(place, pad, strict=True)]
    high = [int(p.max()) + extra for p, extra in zip(place, pad, strict=True)]
    grid = np.zeros([h - lo + 1 for lo, h in zip(low, high, strict=True)], dtype=kind)
    grid[tuple(p - lo for p, lo in zip(place, low, strict=True))] = kind(1) << experts.astype(kind)
    _keep_what_closing_adds(grid, axis)
    cells = np.flatnonzero(grid)
    k, j, i = (p + lo for p, lo in zip(np.unravel_index(cells, grid.shape), low, strict=True))
    return (k * shape[1] + j) * shape[2] + i, grid.reshape(-1)[cells]


def _keep_what_closing_adds(grid: NDArray[Any], axis: int) -> None:
    """Replace every bit of a grid by what its closing adds, slice plane by slice plane, a block of slices at a time."""
    planes = np.moveaxis(grid, axis, 0)
    step = max(1, _BLOCK // (planes.shape[1] * planes.shape[2]))
    for start in range(0, len(planes), step):
        block = planes[start : start + step]
        closed = block.copy()
        for combine in (np.bitwise_or, np.bitwise_and):
            for in_plane in (1, 2):
                lines = np.moveaxis(closed, in_plane, 0)
                source = np.moveaxis(closed.copy(), in_plane, 0)
                combine(lines[1:], source[:-1], out=lines[1:])
                combine(lines[:-1], source[1:], out=lines[:-1])
        np.bitwise_xor(closed, block, out=block)
