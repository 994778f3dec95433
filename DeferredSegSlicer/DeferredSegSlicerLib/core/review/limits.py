"""How far from its region an edit may reach."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..geometry import Geometry
from ..zone import dilated
from .decisions import Limit
from .runs import position_in

if TYPE_CHECKING:
    from numpy.typing import NDArray


def limit_mask(
    indices: NDArray[Any], geometry: Geometry, margin_mm: float
) -> tuple[tuple[slice, slice, slice], NDArray[np.bool_]]:
    """The voxels of a region and those within a margin of it.

    The margin is a box: so many mm along every index axis, rounded down to whole voxels.

    Parameters
    ----------
    indices : (n,) flat indices of the region's voxels into the [k, j, i] volume.

    Returns
    -------
    Slices (k, j, i) of the smallest part of the volume that holds them, and a boolean array of that shape.
    """
    radius = [math.floor(margin_mm / spacing + 1e-9) for spacing in reversed(geometry.spacing)]
    kji = np.unravel_index(indices, geometry.shape)
    low = [max(0, int(c.min()) - r) for c, r in zip(kji, radius, strict=True)]
    high = [min(n, int(c.max()) + r + 1) for c, r, n in zip(kji, radius, geometry.shape, strict=True)]
    mask = np.zeros([b - a for a, b in zip(low, high, strict=True)], dtype=bool)
    mask[tuple(c - a for c, a in zip(kji, low, strict=True))] = True
    k, j, i = (slice(a, b) for a, b in zip(low, high, strict=True))
    return (k, j, i), dilated(mask, radius)


def beyond_limit(region: NDArray[Any], touched: NDArray[Any], geometry: Geometry, limit: Limit) -> NDArray[np.int64]:
    """Those of the touched voxels that lie beyond the limit of an edit on a region; flat indices all."""
    outside = np.asarray(touched[~position_in(region, touched)[1]], dtype=np.int64)
    if limit.lifted or not len(outside):
        return outside[:0]
    box, mask = limit_mask(region, geometry, limit.margin_mm)
    kji = np.unravel_index(outside, geometry.shape)
    inside = np.ones(len(outside), dtype=bool)
    for c, part in zip(kji, box, strict=True):
        inside &= (c >= part.start) & (c < part.stop)
    within = np.zeros(len(outside), dtype=bool)
    within[inside] = mask[tuple(c[inside] - part.start for c, part in zip(kji, box, strict=True))]
    return outside[~within]
