"""Probabilities as bytes: what is stored in a case, and how to get back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import BadInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUM_TOLERANCE = 1e-3
"""How far the shares of a voxel may be from adding up to 1 before they are refused."""


def quantize_probability(probability: NDArray[Any]) -> NDArray[np.uint8]:
    """uint8 nearest to `probability` times 255, any shape.

    Raises BadInputError for values that are not finite or more than 1e-6 outside 0..1.
    """
    values = np.asarray(probability)
    if values.size and not (values.min() >= -1e-6 and values.max() <= 1 + 1e-6):  # also False for NaN
        raise BadInputError(f"probability runs from {values.min()} to {values.max()}, expected 0..1")
    scaled = values * np.asarray(255, dtype=values.dtype if values.dtype.kind == "f" else np.float32)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def quantize_shares(shares: NDArray[Any]) -> NDArray[np.uint8]:
    """uint8 shares that add up to exactly 255 over the first axis, each within 1 of 255 * share.

    Largest remainder method: every share is rounded down, and what is missing goes one each to the largest
    remainders (the first agents if they tie).

    Parameters
    ----------
    shares : float [a, ...], not negative, adding up to 1 within 1e-3 over the first axis (they are normalized).

    Raises
    ------
    BadInputError : values that are negative or not finite, or shares that do not add up to 1.
    """
    values = np.asarray(shares)
    if values.dtype.kind != "f" or values.itemsize < 4:
        values = values.astype(np.float32)
    total = values.sum(axis=0)
    if values.size and not values.min() >= 0:
        raise BadInputError("routing shares have a negative or undefined value, expected 0..1")
    if total.size and not np.abs(total - 1).max() <= SUM_TOLERANCE:
        raise BadInputError(f"routing shares add up to {total.min():.4g}..{total.max():.4g} over agents, expected 1")
    scaled = values * (np.asarray(255, values.dtype) / total)
    floors = np.floor(scaled)
    remainders = scaled - floors
    whole = floors.astype(np.int16)
    missing = 255 - whole.sum(axis=0)
    result = np.empty(values.shape, dtype=np.uint8)
    for agent, remainder in enumerate(remainders):
        rank = np.zeros(missing.shape, dtype=np.int16)
        for other, rival in enumerate(remainders):
            if other != agent:
                rank += (rival >= remainder) if other < agent else (rival > remainder)
        result[agent] = whole[agent] + (rank < missing)
    return result


def dequantize(stored: NDArray[np.uint8]) -> NDArray[np.float32]:
    """float32 in 0..1 of stored bytes."""
    return np.asarray(stored, dtype=np.float32) / np.float32(255)
