"""What the plots show, as arrays: means over cases on common grids, and counts pooled over cases."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .curves import curves_of
from .record import CaseRecord
from .resampling import DRAWS, Resampling
from .settings import EVALUATED

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRID = np.concatenate([np.arange(0, 0.25, 0.0025), np.arange(0.25, 1.0001, 0.01)])
"""Shares of the zone that are deferred, finer where budgets are."""


@dataclass(frozen=True, eq=False)
class Curve:
    """Mean over cases of a method's curve on `GRID`, with its interval over patients (None for a single one)."""

    method: str
    mean: NDArray[np.float64]
    low: NDArray[np.float64] | None
    high: NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class Bins:
    """A method's reliability over all cases: mean predicted error, observed share of errors, and voxels of each bin."""

    method: str
    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    voxels: NDArray[np.int64]


def caught_curves(records: Sequence[CaseRecord], patients: Sequence[str], seed: int, draws: int = DRAWS) -> list[Curve]:
    """Errors caught against the share of the zone that is deferred."""
    return _curves(records, patients, seed, draws, 0)


def risk_curves(records: Sequence[CaseRecord], patients: Sequence[str], seed: int, draws: int = DRAWS) -> list[Curve]:
    """Errors per kept voxel against the share of the zone that is deferred (1 - coverage)."""
    return _curves(records, patients, seed, draws, 1)


def reliability(records: Sequence[CaseRecord]) -> list[Bins]:
    """Reliability of each method's error map, voxels of all cases together; empty bins have NaN."""
    found = []
    for method in EVALUATED:
        parts = [record.reliability[method] for record in records if method in record.reliability]
        if parts:
            voxels = np.sum([part.voxels for part in parts], axis=0)
            with np.errstate(invalid="ignore", divide="ignore"):
                predicted = np.sum([part.predicted for part in parts], axis=0) / voxels
                observed = np.sum([part.wrong for part in parts], axis=0) / voxels
            found.append(Bins(method, predicted, observed, voxels))
    return found


def _curves(records: Sequence[CaseRecord], patients: Sequence[str], seed: int, draws: int, which: int) -> list[Curve]:
    resampling = Resampling(patients, draws, seed)
    found = []
    for method in EVALUATED:
        if not all(method in record.histograms for record in records):
            continue
        table = np.stack([curves_of(record.histograms[method], GRID.tolist())[which] for record in records])
        there = ~np.isnan(table)
        with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a grid point where no case has a value stays NaN
            mean = np.nanmean(table, axis=0)
            drawn = (resampling.weights @ np.where(there, table, 0)) / (resampling.weights @ there)
            low, high = np.nanquantile(drawn, [0.025, 0.975], axis=0)
        alone = resampling.patients < 2
        found.append(Curve(method, mean, None if alone else low, None if alone else high))
    return found
