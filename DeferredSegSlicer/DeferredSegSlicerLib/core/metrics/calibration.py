"""Whether probabilities mean what they say. State with every figure over which voxels it was taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BadInputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

BINS = 15


def two_class(foreground: ArrayLike) -> NDArray[np.float64]:
    """(2, n) probabilities of background and foreground from (n,) probabilities of foreground."""
    p = np.asarray(foreground, dtype=np.float64).reshape(-1)
    return np.stack([1 - p, p])


def expected_calibration_error(confidence: ArrayLike, correct: ArrayLike, bins: int = BINS) -> float:
    """ECE: mean over units of |share correct - mean confidence| in their bin; bins of equal width, (low, high].

    Confidence 0 falls into the first bin (Guo et al., arXiv 1706.04599, eq. 3).
    """
    p = _probabilities(confidence).reshape(-1)
    hit = np.asarray(correct, dtype=np.float64).reshape(-1)
    _check_lengths(len(p), len(hit), bins)
    place = np.searchsorted(np.arange(1, bins) / bins, p, side="left")
    gap = np.bincount(place, hit - p, minlength=bins)
    return float(np.abs(gap).sum() / len(p))


def adaptive_calibration_error(probability: ArrayLike, label: ArrayLike, bins: int = BINS) -> float:
    """ACE: mean over classes and bins of |share of the class - mean probability|; bins of equal mass.

    Nixon et al., arXiv 1904.01685. Units are sorted by probability and cut into `bins` parts whose sizes differ by 1 at
    most.

    Parameters
    ----------
    probability : (c, n). label : (n,) class 0..c-1.
    """
    table, classes = _classes(probability, label, bins)
    gaps = []
    for number, p in enumerate(table):
        order = np.argsort(p, kind="stable")
        excess = (classes == number)[order] - p[order]
        gaps += [abs(part.mean()) for part in np.array_split(excess, min(bins, len(p)))]
    return float(np.mean(gaps))


def brier_score(probability: ArrayLike, label: ArrayLike) -> float:
    """Mean over units of the sum over classes of (p_c - 1[label = c])**2, 0..2; two classes give 2 (p - y)**2.

    Parameters
    ----------
    probability : (c, n). label : (n,) class 0..c-1.
    """
    table, classes = _classes(probability, label, 1)
    return float(sum(((p - (classes == number)) ** 2).mean() for number, p in enumerate(table)))


def _probabilities(values: ArrayLike) -> NDArray[np.float64]:
    """As float64; raises BadInputError outside 0..1."""
    p = np.asarray(values, dtype=np.float64)
    if p.size and not (p.min() >= 0 and p.max() <= 1):
        raise BadInputError(f"probabilities run from {p.min()} to {p.max()}, expected 0..1")
    return p


def _classes(probability: ArrayLike, label: ArrayLike, bins: int) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Probabilities (c, n) and labels (n,), checked."""
    table, classes = _probabilities(probability), np.asarray(label).reshape(-1)
    if table.ndim != 2:
        raise BadInputError(f"probabilities have shape {table.shape}, expected (classes, units)")
    _check_lengths(table.shape[1], len(classes), bins)
    if classes.min() < 0 or classes.max() >= len(table):
        raise BadInputError(f"labels run from {classes.min()} to {classes.max()}, expected 0..{len(table) - 1}")
    return table, classes


def _check_lengths(first: int, second: int, bins: int) -> None:
    if first != second or first == 0:
        raise BadInputError(f"{first} probabilities and {second} labels given, expected as many, at least 1")
    if bins < 1:
        raise BadInputError(f"{bins} bins given, expected 1 or more")
