"""To whom: the experts' conditional shares, by declared competence or by a method's own, and the map that is stored.

A share by competence depends on the expert and on the place alone, and the deferral score is a byte. So every voxel's
shares are one of 3 x 256 possible ones: a table, and no float map of the volume is ever made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.experts import Expert
from ...core.geometry import Geometry
from ...core.quantize import quantize_shares
from ...core.zone import Zone, dilated
from .base import FOREGROUND

if TYPE_CHECKING:
    from numpy.typing import NDArray

BOUNDARY_MM = 3.0
"""A voxel is at the boundary if its center is within this distance of the label's surface."""

SHARPNESS = 0.02
"""A competence that is this much lower gets 1/e of the share, so that specialities matter."""

PLACE_ORDER = ("background", "foreground", "boundary")
"""Codes 0, 1, 2 of the places in a map; background first, since zeros that nobody writes to take no memory."""

_FOREGROUND, _BOUNDARY = 1, 2
_CHUNK = 1 << 20


def shares_by_place(experts: Sequence[Expert]) -> NDArray[np.float64]:
    """Conditional shares (place, expert), places as in `PLACE_ORDER`: q_j in proportion to exp((c_j - max c) / 0.02).

    Availability and cost do not enter: they belong to the reader's day, and are applied to the stored map.
    """
    competence = np.array([[getattr(expert.competence, place) for expert in experts] for place in PLACE_ORDER])
    weights = np.exp((competence - competence.max(axis=1, keepdims=True)) / SHARPNESS)
    return weights / weights.sum(axis=1, keepdims=True)


def routing_table(experts: Sequence[Expert]) -> NDArray[np.uint8]:
    """Stored shares (agent, place, 256 deferral scores), model last; every column adds up to exactly 255."""
    shares = shares_by_place(experts)
    defer = np.arange(256) / 255.0
    table = np.concatenate([shares.T[:, :, None] * defer, np.broadcast_to(1 - defer, (1, len(PLACE_ORDER), 256))])
    return quantize_shares(table)


def route_by_competence(
    defer: NDArray[np.uint8],
    probability: NDArray[np.uint8],
    zone: Zone,
    experts: Sequence[Expert],
    geometry: Geometry,
) -> NDArray[np.uint8]:
    """The routing map uint8 [a, k, j, i], experts first, model last, outside the zone all the model's.

    defer : uint8 [k, j, i]. probability : uint8 [s, k, j, i].
    """
    table = routing_table(experts).reshape(len(experts) + 1, -1)
    routing = untouched_routing(geometry, len(experts))
    flat = defer.reshape(-1)
    for structure, stored in enumerate(probability):
        places = places_of(stored, geometry).reshape(-1)
        for start in range(0, len(zone), _CHUNK):
            part = zone.indices[start : start + _CHUNK]
            part = part[(zone.structure[start : start + _CHUNK] == structure) & (flat[part] > 0)]
            column = places[part].astype(np.intp) * 256 + flat[part]
            for agent, row in enumerate(table):
                routing[agent].reshape(-1)[part] = row[column]
    return routing


def route_by_shares(
    defer: NDArray[np.uint8], shares: NDArray[np.uint8], zone: Zone, geometry: Geometry
) -> NDArray[np.uint8]:
    """The routing map from a method's own conditional shares, bytes [j, k, j, i] of any sum above 0.

    A voxel of which the method says nothing (all 0) is shared equally.
    """
    routing = untouched_routing(geometry, len(shares))
    flat = defer.reshape(-1)
    for start in range(0, len(zone), _CHUNK):
        part = zone.indices[start : start + _CHUNK]
        part = part[flat[part] > 0]
        weights = np.stack([component.reshape(-1)[part] for component in shares]).astype(np.float32)
        weights[:, weights.sum(axis=0) == 0] = 1
        d = flat[part].astype(np.float32) / 255
        rows = quantize_shares(np.concatenate([d * weights / weights.sum(axis=0), 1 - d[None]]))
        for agent, values in enumerate(rows):
            routing[agent].reshape(-1)[part] = values
    return routing


def untouched_routing(geometry: Geometry, experts: int) -> NDArray[np.uint8]:
    """A routing map that leaves everything to the model."""
    routing = np.zeros((experts + 1, *geometry.shape), dtype=np.uint8)
    routing[-1] = 255
    return routing


def places_of(stored: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.uint8]:
    """Index into `PLACE_ORDER` of every voxel [k, j, i], by the structure's label {p >= 0.5}.

    A voxel is at the boundary if, along the index axes, its center is within `BOUNDARY_MM` of the label's surface,
    which runs half a voxel off the outermost centers (Chebyshev distance in mm). The volume's faces are no surface.
    """
    places = np.zeros(geometry.shape, dtype=np.uint8)
    radius = [math.floor(BOUNDARY_MM / spacing + 0.5) for spacing in reversed(geometry.spacing)]
    box = _label_box(stored, radius)
    if box is None:
        return places
    inside: NDArray[np.bool_] = np.greater_equal(stored[box], FOREGROUND)
    places[box][inside] = _FOREGROUND
    places[box][dilated(inside, radius) & dilated(~inside, radius)] = _BOUNDARY
    return places


def _label_box(stored: NDArray[np.uint8], radius: list[int]) -> tuple[slice, ...] | None:
    """Index box of the label, grown by the radius and at least a voxel, and cut to the volume; None if it is empty."""
    planes = np.flatnonzero(stored.max(axis=(1, 2)) >= FOREGROUND)
    if not len(planes):
        return None
    shadow: NDArray[Any] = stored[planes[0] : planes[-1] + 1].max(axis=0) >= FOREGROUND
    found = (planes, np.flatnonzero(shadow.any(axis=1)), np.flatnonzero(shadow.any(axis=0)))
    return tuple(
        slice(max(0, int(f[0]) - max(r, 1)), min(size, int(f[-1]) + max(r, 1) + 1))
        for f, r, size in zip(found, radius, stored.shape, strict=True)
    )
