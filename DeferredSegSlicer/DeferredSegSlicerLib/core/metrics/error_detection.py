"""How well a score finds the model's errors, and what deferring by it leaves behind.

A *score* is the wish to defer: larger means deferred earlier. `wrong` is 1 (or True) where the model's label is wrong;
values in between are expected errors. Units with the same score count as one block: what happens inside a block is the
mean over all orders.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..budgets import voxels_of_share
from ..errors import BadInputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def area_under_roc(score: ArrayLike, wrong: ArrayLike) -> float:
    """Chance that a wrong unit has a larger score than a right one, ties half; NaN without both kinds.

    `wrong` must be 0 or 1.
    """
    blocks, positives = _blocks(score, wrong, binary=True)
    negatives = blocks - positives
    total = positives.sum() * negatives.sum()
    if total == 0:
        return math.nan
    # Blocks come in falling order of score: a wrong unit beats the right ones of later blocks, and half of its own.
    later = negatives.sum() - np.cumsum(negatives)
    return float((positives * (later + negatives / 2)).sum() / total)


def area_under_precision_recall(score: ArrayLike, wrong: ArrayLike) -> float:
    """Average precision for finding wrong units: sum of precision times the rise in recall; NaN without errors.

    `wrong` must be 0 or 1.
    """
    blocks, positives = _blocks(score, wrong, binary=True)
    if positives.sum() == 0:
        return math.nan
    precision = np.cumsum(positives) / np.cumsum(blocks)
    return float((precision * positives).sum() / positives.sum())


def errors_caught(score: ArrayLike, wrong: ArrayLike, budgets: Sequence[float]) -> NDArray[np.float64]:
    """Share of all errors that is deferred at each budget (share of the units); NaN if there are none."""
    caught, _, total, _ = _deferred_errors(score, wrong, budgets)
    return caught / total if total > 0 else np.full(len(budgets), math.nan)


def error_rate_on_kept(score: ArrayLike, wrong: ArrayLike, budgets: Sequence[float]) -> NDArray[np.float64]:
    """Errors per kept unit at each budget (share of the units); NaN where nothing is kept."""
    caught, deferred, total, count = _deferred_errors(score, wrong, budgets)
    kept = count - deferred
    return np.where(kept > 0, (total - caught) / np.maximum(kept, 1), math.nan)


def risk_coverage(
    score: ArrayLike, wrong: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Coverage, selective risk and generalized risk, one point for each distinct score, coverage rising to 1.

    Units of the lowest score (most confident) are kept first. Selective risk is errors among the kept over the kept,
    generalized risk the same errors over all.
    """
    blocks, errors = _blocks(score, wrong, binary=False)
    kept, left = np.cumsum(blocks[::-1]), np.cumsum(errors[::-1])
    return kept / kept[-1], left / kept, left / kept[-1]


def area_under_risk_coverage(score: ArrayLike, wrong: ArrayLike) -> float:
    """AURC: selective risk over coverage, trapezoids, the first point's risk held down to coverage 0."""
    coverage, risk, _ = risk_coverage(score, wrong)
    return _trapezoid(np.append(risk[0], risk), np.append(0.0, coverage))


def excess_area_under_risk_coverage(score: ArrayLike, wrong: ArrayLike) -> float:
    """E-AURC: AURC minus e + (1 - e) ln(1 - e), the best for an error rate e of errors that are 0 or 1."""
    _, risk, _ = risk_coverage(score, wrong)
    rate = float(risk[-1])
    best = rate + (1 - rate) * math.log1p(-rate) if rate < 1 else 1.0
    return area_under_risk_coverage(score, wrong) - best


def area_under_generalized_risk(score: ArrayLike, wrong: ArrayLike) -> float:
    """AUGRC: generalized risk over coverage from (0, 0), trapezoids (Traub et al., arXiv 2407.01032), times 1.

    For errors that are 0 or 1 at rate e it is (1 - AUROC) e (1 - e) + e**2 / 2.
    """
    coverage, _, risk = risk_coverage(score, wrong)
    return _trapezoid(np.append(0.0, risk), np.append(0.0, coverage))


def _blocks(score: ArrayLike, wrong: ArrayLike, binary: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Units and errors of each distinct score, largest score first; raises BadInputError for what is no error."""
    values, errors = np.asarray(score).reshape(-1), np.asarray(wrong).reshape(-1)
    if values.shape != errors.shape or not len(values):
        raise BadInputError(f"{len(values)} scores and {len(errors)} errors given, expected as many, at least 1")
    if np.isnan(values).any():
        raise BadInputError("scores have undefined values (NaN)")
    if not (errors.min() >= 0 and errors.max() <= 1):
        raise BadInputError(f"errors run from {errors.min()} to {errors.max()}, expected 0..1")
    if binary and not np.all((errors == 0) | (errors == 1)):
        raise BadInputError("errors have values between 0 and 1, expected right (0) or wrong (1)")
    order = np.argsort(values)[::-1]
    values, errors = values[order], errors[order]
    start = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])
    sizes = np.diff(np.append(start, len(values))).astype(np.float64)
    return sizes, np.add.reduceat(errors, start, dtype=np.float64)


def _deferred_errors(
    score: ArrayLike, wrong: ArrayLike, budgets: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, int]:
    """Errors caught and units deferred at each budget, all errors, all units."""
    sizes, errors = _blocks(score, wrong, binary=False)
    count = int(sizes.sum())
    deferred = np.array([voxels_of_share(budget, count) for budget in budgets], dtype=np.float64)
    edges, reached = np.append(0.0, np.cumsum(sizes)), np.append(0.0, np.cumsum(errors))
    return np.interp(deferred, edges, reached), deferred, float(reached[-1]), count


def _trapezoid(y: NDArray[np.float64], x: NDArray[np.float64]) -> float:
    return float(((y[1:] + y[:-1]) * np.diff(x)).sum() / 2)
