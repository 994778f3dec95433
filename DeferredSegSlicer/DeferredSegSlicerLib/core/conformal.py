"""Conformal risk control: the smallest deferral that keeps the expected share of errors left below a promise.

Angelopoulos et al., "Conformal Risk Control", arXiv 2208.02814. The risk of a case at a deferral level is the
*generalized* one, errors left on the kept voxels over all voxels: it can only fall as more is deferred, which the
guarantee needs. (The selective risk, over the kept voxels alone, is not monotone and must not be used here.) The
promise holds on average over future cases that are exchangeable with the calibration cases, not for each of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .budgets import check_share, voxels_of_share
from .errors import BadInputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Guarantee:
    """A calibrated deferral level.

    Attributes
    ----------
    level : the smallest deferral level (share of the decision zone) that keeps the promise.
    alpha : the promise, E[risk of a new case] <= alpha.
    cases : calibration cases. mean_risk : their mean risk at the level.
    bound : n / (n + 1) * mean_risk + B / (n + 1), which is at most alpha.
    """

    level: float
    alpha: float
    cases: int
    mean_risk: float
    bound: float


def errors_left(
    wrong_in_order: ArrayLike,
    zone_voxels: int,
    levels: Sequence[float],
    never_deferred: float = 0.0,
    of: int | None = None,
) -> NDArray[np.float64]:
    """Generalized risk of one case at each deferral level: errors left on kept voxels / all voxels.

    Parameters
    ----------
    wrong_in_order : (M,) model wrong (1) or right (0) on the deferrable voxels, in the order of their deferral.
    zone_voxels : voxels of the decision zone, of which the levels are shares.
    never_deferred : wrong voxels that no level defers (outside the zone, or with deferral probability 0).
    of : the denominator; the zone's voxels unless told otherwise (the whole volume's, for instance).

    Raises
    ------
    BadInputError : more errors than voxels, or a level outside 0..1.
    """
    wrong = np.asarray(wrong_in_order, dtype=np.float64)
    total = zone_voxels if of is None else of
    if len(wrong) > zone_voxels or wrong.sum() + never_deferred > total:
        raise BadInputError(f"{wrong.sum() + never_deferred:g} errors do not fit into {total} voxels")
    if total == 0:
        return np.zeros(len(levels))
    left = np.append(wrong[::-1].cumsum()[::-1], 0.0) + never_deferred
    kept_from = [min(voxels_of_share(level, zone_voxels), len(wrong)) for level in levels]
    return np.asarray(left[kept_from] / total, dtype=np.float64)


def cases_needed(alpha: float, largest_loss: float = 1.0) -> int:
    """The fewest calibration cases with which a promise of alpha can be kept: n >= B / alpha - 1, at least 1."""
    if not 0.0 < alpha <= largest_loss:
        raise BadInputError(f"promised risk is {alpha:g}, expected above 0 and at most {largest_loss:g}")
    return max(1, math.ceil(largest_loss / alpha * (1 - 1e-12) - 1))


def calibrate(
    losses: NDArray[Any] | ArrayLike, levels: Sequence[float], alpha: float, largest_loss: float = 1.0
) -> Guarantee:
    """The smallest level with n / (n + 1) * mean loss + B / (n + 1) <= alpha (arXiv 2208.02814, eq. 4).

    Parameters
    ----------
    losses : (n, L) loss of each calibration case at each level, 0..B, never rising along the levels.
    levels : (L,) deferral levels, shares of the decision zone, rising.
    alpha : promised expected loss. largest_loss : B.

    Raises
    ------
    BadInputError : too few cases (it says how many are needed), losses that rise with the level or leave 0..B, levels
        that do not rise, or a promise that even the largest level does not keep.
    """
    table = np.asarray(losses, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(levels) or not len(levels):
        raise BadInputError(f"losses have shape {table.shape}, expected (cases, {len(levels)})")
    if any(b <= a for a, b in itertools.pairwise(levels)):
        raise BadInputError("deferral levels do not rise from one to the next")
    for level in levels:
        check_share(level)
    needed, cases = cases_needed(alpha, largest_loss), len(table)
    if cases < needed:
        raise BadInputError(
            f"a promised risk of {alpha:g} needs at least {needed} calibration cases, there are {cases}"
        )
    if not (table.min() >= 0 and table.max() <= largest_loss):
        raise BadInputError(f"losses run from {table.min():g} to {table.max():g}, expected 0..{largest_loss:g}")
    if (np.diff(table, axis=1) > 1e-12).any():
        raise BadInputError("losses rise with the deferral level; conformal risk control needs one that never rises")
    mean = table.mean(axis=0)
    bounds = (cases * mean + largest_loss) / (cases + 1)
    kept = np.flatnonzero(bounds <= alpha + 1e-12)
    if not len(kept):
        raise BadInputError(
            f"even at deferral level {levels[-1]:g} the risk bound is {bounds[-1]:.4g}, above the promised {alpha:g}"
        )
    first = int(kept[0])
    return Guarantee(float(levels[first]), float(alpha), cases, float(mean[first]), float(bounds[first]))
