"""From stored routing maps to an order of deferral: margins, availability, cost and the best expert of each voxel.

All of it is integer arithmetic on the stored bytes, so that order and ties are the same on every machine, and
raising an expert's cost can never bring that expert a voxel by rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import BadInputError
from .experts import Expert
from .geometry import Geometry
from .quantize import quantize_shares
from .zone import Zone, check_maps

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARGIN_SCALE = 2**14
"""Margins are whole numbers of 1 / (255 * MARGIN_SCALE)."""

_CHUNK = 1 << 20
_POSITION_BITS = 33
_DOUBT_BITS = 7


@dataclass(frozen=True)
class Candidates:
    """The zone voxels that may be deferred at all: those where the stored deferral probability is above 0.

    Attributes
    ----------
    indices : (M,) flat indices into the [k, j, i] volume, ascending.
    structure : (M,) uint8 index of the structure.
    shares : (J + 1, M) uint8 routing map, experts first, model last.
    error : (M,) uint8, probability that the model's label is wrong, times 255.
    doubt : (M,) uint8 0..127, 1 - max(p, 1 - p) times 255 of the most doubtful structure; breaks ties of margin.
    """

    indices: NDArray[Any]
    structure: NDArray[np.uint8]
    shares: NDArray[np.uint8]
    error: NDArray[np.uint8]
    doubt: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True)
class DeferralOrder:
    """In which order candidates are deferred as the budget grows, and to whom.

    Attributes
    ----------
    ranked : (M,) position in the candidates of the first, second ... voxel to be deferred.
    rank : (M,) the inverse: how many candidates are deferred before this one.
    expert : (M,) uint8 index of the expert who would get each candidate, in the candidates' order.
    """

    ranked: NDArray[Any]
    rank: NDArray[Any]
    expert: NDArray[np.uint8]


def find_candidates(
    zone: Zone,
    probability: NDArray[np.uint8],
    routing: NDArray[np.uint8],
    error: NDArray[np.uint8],
    geometry: Geometry,
) -> Candidates:
    """Gather what the deferral needs to know about the voxels that may be deferred.

    Parameters
    ----------
    probability : uint8 [s, k, j, i]. routing : uint8 [a, k, j, i], model last. error : uint8 [k, j, i].

    Raises
    ------
    BadInputError : maps that do not fit the grid, or a routing map that does not add up to 255 over agents.
    """
    check_maps(probability, geometry, "probability")
    check_maps(routing, geometry, "routing")
    if error.dtype != np.uint8 or error.shape != geometry.shape:
        raise BadInputError(
            f"error map is {error.dtype} of shape {error.shape}, expected uint8 of shape {geometry.shape}"
        )
    deferrable = np.flatnonzero(_gather(routing[-1], zone.indices) < 255)
    indices = zone.indices[deferrable]
    shares = np.empty((len(routing), len(indices)), dtype=np.uint8)
    for agent, component in enumerate(routing):
        shares[agent] = _gather(component, indices)
    if len(indices) and not np.all(shares.sum(axis=0, dtype=np.uint16) == 255):
        raise BadInputError("routing map does not add up to 255 over the agents in every voxel of the decision zone")
    doubt = np.zeros(len(indices), dtype=np.uint8)
    for component in probability:
        p = _gather(component, indices)
        np.maximum(doubt, np.minimum(p, 255 - p), out=doubt)
    return Candidates(indices, zone.structure[deferrable], shares, _gather(error, indices), doubt)


def margin_keys(
    shares: NDArray[np.uint8], experts: Sequence[Expert]
) -> tuple[NDArray[np.int32], NDArray[np.uint8]] | None:
    """Margin and best available expert of every voxel; None if nobody is available.

    The mass of absent experts moves to those available in proportion to theirs (equally if all of theirs is 0):
    p_j' = d * p_j / sum of available p - cost_j with d = 1 - p_model, and margin = p_model - max_j p_j'.

    Parameters
    ----------
    shares : (J + 1, n) uint8, experts first, model last, adding up to 255.

    Returns
    -------
    margins in 1 / (255 * MARGIN_SCALE), and index of the best available expert (the first if they tie).
    """
    if len(shares) != len(experts) + 1:
        raise BadInputError(f"routing map has {len(shares)} agents, expected {len(experts)} experts and the model")
    present = [j for j, expert in enumerate(experts) if expert.available]
    if not present:
        return None
    defer = 255 - shares[-1].astype(np.int32)
    total = shares[present].sum(axis=0, dtype=np.int32)
    lost = total == 0
    highest = np.full(shares.shape[1], np.iinfo(np.int32).min, dtype=np.int32)
    chosen = np.zeros(shares.shape[1], dtype=np.uint8)
    for j in present:
        value = shares[j].astype(np.int32)
        if len(present) < len(experts):
            value = np.where(lost, 1, value) * (defer * MARGIN_SCALE)
            value //= np.where(lost, len(present), total)
        else:
            value *= MARGIN_SCALE
        value -= round(experts[j].cost * 255 * MARGIN_SCALE)
        better = value > highest
        np.copyto(highest, value, where=better)
        np.copyto(chosen, np.uint8(j), where=better)
    return shares[-1].astype(np.int32) * MARGIN_SCALE - highest, chosen


def deferral_order(candidates: Candidates, experts: Sequence[Expert]) -> DeferralOrder | None:
    """Smallest margin first; ties by larger doubt, then by flat index. None if nobody is available."""
    found = margin_keys(candidates.shares, experts)
    if found is None:
        return None
    margins, expert = found
    # One unique number a voxel (margin, doubt, position) makes any sorting algorithm stable, and the fast one usable.
    keys = (margins + np.int32(255 * MARGIN_SCALE)).astype(np.uint64)
    keys <<= np.uint64(_DOUBT_BITS)
    keys |= 127 - candidates.doubt
    keys <<= np.uint64(_POSITION_BITS)
    keys |= np.arange(len(candidates), dtype=np.uint64)
    keys.sort()
    keys &= np.uint64((1 << _POSITION_BITS) - 1)
    ranked = keys.astype(candidates.indices.dtype)
    rank = np.empty_like(ranked)
    rank[ranked] = np.arange(len(ranked), dtype=ranked.dtype)
    return DeferralOrder(ranked, rank, expert)


def routing_map(defer: NDArray[Any], shares: NDArray[Any], zone: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The routing map to store: p_model = 1 - d, p_j = d * q_j; outside the zone the model has all.

    Parameters
    ----------
    defer : float [k, j, i], probability d in 0..1 that the voxel should be deferred.
    shares : float [j, k, j, i], conditional shares q of the experts, adding up to 1 over experts in the zone.
    zone : bool [k, j, i], the decision zone.

    Returns
    -------
    uint8 [a, k, j, i], experts first, model last, adding up to exactly 255.
    """
    if shares.ndim != 4 or shares.shape[1:] != defer.shape or zone.shape != defer.shape:
        raise BadInputError(f"shapes of shares {shares.shape}, deferral {defer.shape} and zone {zone.shape} disagree")
    result = np.zeros((len(shares) + 1, *defer.shape), dtype=np.uint8)
    result[-1] = 255
    for k in np.flatnonzero(zone.any(axis=(1, 2))):
        inside = zone[k]
        d = np.asarray(defer[k][inside], dtype=np.float32)
        experts = d * np.asarray(shares[:, k][:, inside], dtype=np.float32)
        result[:, k, inside] = quantize_shares(np.concatenate([experts, 1 - d[None]]))
    return result


def _gather(volume: NDArray[np.uint8], indices: NDArray[Any]) -> NDArray[np.uint8]:
    """Values at flat indices, in pieces: numpy makes 64-bit indices of them, which for millions is much memory."""
    flat = np.ascontiguousarray(volume).reshape(-1)
    values = np.empty(len(indices), dtype=np.uint8)
    for start in range(0, len(indices), _CHUNK):
        values[start : start + _CHUNK] = flat[indices[start : start + _CHUNK]]
    return values
