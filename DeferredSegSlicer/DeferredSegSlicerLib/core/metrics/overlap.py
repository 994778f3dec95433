"""Overlap of two masks. Masks are boolean (or 0 and non-0) arrays of one shape, of any dimension."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BadInputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def dice(mask: ArrayLike, truth: ArrayLike) -> float:
    """2 |A and B| / (|A| + |B|); 1 if both are empty, 0 if one is."""
    a, b = two_masks(mask, truth)
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / total if total else 1.0


def intersection_over_union(mask: ArrayLike, truth: ArrayLike) -> float:
    """|A and B| / |A or B|; 1 if both are empty, 0 if one is."""
    a, b = two_masks(mask, truth)
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def sensitivity(mask: ArrayLike, truth: ArrayLike) -> float:
    """Share of the truth that the mask has, |A and T| / |T|; NaN if the truth is empty."""
    a, b = two_masks(mask, truth)
    positive = np.count_nonzero(b)
    return np.count_nonzero(a & b) / positive if positive else math.nan


def two_masks(mask: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Both as boolean arrays; raises BadInputError if their shapes differ."""
    a, b = np.asarray(mask).astype(bool, copy=False), np.asarray(truth).astype(bool, copy=False)
    if a.shape != b.shape:
        raise BadInputError(f"masks have shapes {a.shape} and {b.shape}, expected one shape")
    return a, b
