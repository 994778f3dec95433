"""Bootstrap over patients: all images of a patient are drawn together, since they are not independent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import BadInputError
from ...core.metrics import Interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

DRAWS = 2000
LEVEL = 0.95


class Resampling:
    """Draws of patients with replacement, made once and used for every figure, so that figures can be compared.

    For one image a patient and no missing values, its intervals are those of `core.metrics.bootstrap_over_cases`.

    Attributes
    ----------
    weights : int (draws, cases), how often each case is in each draw. patients : how many there are.
    """

    def __init__(self, patients: Sequence[str], draws: int = DRAWS, seed: int = 0, level: float = LEVEL) -> None:
        if not patients or draws < 1:
            raise BadInputError(f"{len(patients)} cases and {draws} draws given, expected at least 1 of each")
        names, place = np.unique(np.asarray(patients), return_inverse=True)
        self.patients = len(names)
        self._level = level
        generator = np.random.default_rng(seed)
        counts = np.stack(
            [
                np.bincount(generator.integers(0, self.patients, self.patients), minlength=self.patients)
                for _ in range(draws)
            ]
        )
        self.weights: NDArray[np.int64] = counts[:, place.reshape(-1)]

    def means(self, values: ArrayLike) -> tuple[float, NDArray[np.float64]]:
        """Mean over cases, and over the cases of each draw; cases without a value (NaN) are left out of both."""
        one = np.asarray(values, dtype=np.float64)
        there = ~np.isnan(one)
        endless = np.isinf(one)
        finite = np.where(there & ~endless, one, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn = self.weights @ finite / (self.weights @ there)
        for sign in (1, -1):
            drawn[(self.weights[:, endless & (one == sign * np.inf)] > 0).any(axis=1)] = sign * np.inf
        return float(np.mean(one[there])) if there.any() else float("nan"), drawn

    def interval(self, estimate: float, drawn: NDArray[Any], patients: int | None = None) -> Interval:
        """Percentile interval; draws without a value are left out.

        Both ends are NaN without an estimate, and for a single patient, of whom nothing can be resampled.
        """
        count = self.patients if patients is None else patients
        defined = drawn[~np.isnan(drawn)]
        if np.isnan(estimate) or not len(defined) or self.patients < 2:
            return Interval(float(estimate), float("nan"), float("nan"), count)
        tails = [(1 - self._level) / 2, (1 + self._level) / 2]
        low, high = np.quantile(defined, tails, method="nearest")
        return Interval(float(estimate), float(low), float(high), count)

    def mean(self, values: ArrayLike) -> Interval:
        """Mean over cases with its interval."""
        return self.interval(*self.means(values))
