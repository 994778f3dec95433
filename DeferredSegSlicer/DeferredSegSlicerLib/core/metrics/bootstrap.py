"""Confidence intervals by drawing cases with replacement: voxels of one case are not independent, cases are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BadInputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Interval:
    """An estimate with its percentile interval, and the number of cases it rests on."""

    estimate: float
    low: float
    high: float
    cases: int

    def __str__(self) -> str:
        return f"{self.estimate:.3f} ({self.low:.3f} to {self.high:.3f})"


def mean_of_cases(values: NDArray[Any]) -> float:
    """Mean over cases."""
    return float(values.mean(axis=0))


def bootstrap_over_cases(
    values: ArrayLike,
    statistic: Callable[[NDArray[Any]], float] = mean_of_cases,
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap interval of a statistic.

    Parameters
    ----------
    values : (n, ...) one row a case. Rows with an undefined value (NaN: a figure that the case does not have) are left
        out, and `cases` says how many are left.
    statistic : from drawn rows to a number.

    Raises
    ------
    BadInputError : no case with a defined value, fewer than 1 draw, or a level outside 0..1.
    """
    rows = np.asarray(values, dtype=np.float64)
    if draws < 1 or not 0.0 < level < 1.0:
        raise BadInputError(f"{draws} draws at level {level} asked for, expected at least 1 and a level inside 0..1")
    rows = rows[~np.isnan(rows.reshape(len(rows), -1)).any(axis=1)] if rows.ndim and len(rows) else rows.reshape(0)
    if not len(rows):
        raise BadInputError("no case has a defined value, so there is nothing to average")
    generator = np.random.default_rng(seed)
    drawn = [statistic(rows[generator.integers(0, len(rows), len(rows))]) for _ in range(draws)]
    # Infinite figures (one empty surface) are sorted, not interpolated, as that would make NaN of them.
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], method="nearest")
    return Interval(float(statistic(rows)), float(low), float(high), len(rows))
