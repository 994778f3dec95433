"""Deferral curves from counts by key: of one case, and of many cases whose voxels are put into one ranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.budgets import voxels_of_share
from .ranking import NEVER
from .record import Histogram

if TYPE_CHECKING:
    from numpy.typing import NDArray

_AT_ONCE = 64


class PooledRanking:
    """Counts of many cases by a common key, so that cases can be weighted.

    Attributes
    ----------
    keys : (K,) falling. voxels, errors : (cases, K).
    """

    def __init__(self, histograms: Sequence[Histogram]) -> None:
        found = np.unique(np.concatenate([h.keys for h in histograms]))[::-1]
        self.keys = found if len(found) else np.array([NEVER])  # nothing but empty zones
        shape = (len(histograms), len(self.keys))
        self.voxels, self.errors = np.zeros(shape), np.zeros(shape)
        for row, histogram in enumerate(histograms):
            # keys fall, so their negatives rise as searchsorted wants them
            place = np.searchsorted(-self.keys, -histogram.keys)
            self.voxels[row, place] = histogram.voxels
            self.errors[row, place] = histogram.errors

    def figures(self, weights: NDArray[Any], budgets: Sequence[float]) -> dict[str, NDArray[np.float64]]:
        """Figures of the pooled voxels for each row of weights (draws, cases), one weight a case.

        Returns "errors_caught" (draws, budgets), "augrc" and "auroc" (draws,).
        """
        parts = [
            self._figures(weights[start : start + _AT_ONCE], budgets) for start in range(0, len(weights), _AT_ONCE)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _figures(self, weights: NDArray[Any], budgets: Sequence[float]) -> dict[str, NDArray[np.float64]]:
        voxels, errors = weights @ self.voxels, weights @ self.errors
        never = voxels[:, -1] if self.keys[-1] == NEVER else np.zeros(len(voxels))
        caught = np.stack([caught_at(v, e, budgets, n) for v, e, n in zip(voxels, errors, never, strict=True)])
        return {
            "errors_caught": caught,
            "augrc": generalized_risk_area(voxels, errors),
            "auroc": roc_area(voxels, errors),
        }


def caught_at(
    voxels: NDArray[Any], errors: NDArray[Any], budgets: Sequence[float], never: float = 0.0
) -> NDArray[np.float64]:
    """Share of the errors that is deferred at each budget; NaN without errors.

    voxels, errors : (K,) of blocks in order of deferral, the last `never` voxels being deferred at no budget.
    """
    total, everything = voxels.sum(), errors.sum()
    if everything == 0:
        return np.full(len(budgets), np.nan)
    wanted = [min(voxels_of_share(budget, round(total)), total - never) for budget in budgets]
    edges, reached = np.append(0.0, np.cumsum(voxels)), np.append(0.0, np.cumsum(errors))
    return np.interp(wanted, edges, reached) / everything


def generalized_risk_area(voxels: NDArray[Any], errors: NDArray[Any]) -> NDArray[np.float64]:
    """AUGRC of each row of blocks (..., K) in order of deferral; NaN for an empty row.

    See `core.metrics.area_under_generalized_risk`.
    """
    kept = np.cumsum(voxels[..., ::-1], axis=-1)
    left = np.cumsum(errors[..., ::-1], axis=-1)
    before = np.concatenate([np.zeros_like(left[..., :1]), left[..., :-1]], axis=-1)
    with np.errstate(invalid="ignore"):
        area: NDArray[np.float64] = ((left + before) * voxels[..., ::-1]).sum(axis=-1) / 2 / kept[..., -1] ** 2
    return area


def roc_area(voxels: NDArray[Any], errors: NDArray[Any]) -> NDArray[np.float64]:
    """AUROC of each row of blocks (..., K) in order of deferral; NaN where there is only one kind."""
    right = voxels - errors
    later = right.sum(axis=-1, keepdims=True) - np.cumsum(right, axis=-1)
    total = errors.sum(axis=-1) * right.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        area: NDArray[np.float64] = (errors * (later + right / 2)).sum(axis=-1) / total
    return np.where(total > 0, area, np.nan)


def curves_of(histogram: Histogram, grid: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Errors caught, and selective risk (errors per kept voxel), at each share of the zone that is deferred.

    Unlike `caught_at` the curve goes on through the voxels that are never deferred, as one block. NaN where there are
    no errors, or nothing is kept.
    """
    voxels, errors = histogram.voxels.sum(), histogram.errors.sum()
    edges, reached = np.append(0, np.cumsum(histogram.voxels)), np.append(0, np.cumsum(histogram.errors))
    caught = np.interp(np.asarray(grid) * voxels, edges, reached)
    kept = voxels * (1 - np.asarray(grid))
    with np.errstate(invalid="ignore", divide="ignore"):
        risk = np.where(kept > 0.5, (errors - caught) / kept, np.nan)
        return caught / errors if errors else np.full(len(caught), np.nan), risk
