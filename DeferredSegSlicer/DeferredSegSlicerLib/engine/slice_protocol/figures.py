"""Means over slices, then over seeds: mean, variance, standard deviation and 95 % confidence interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .rows import Scored

FIGURES = ("dice", "iou", "sensitivity", "deferred")


@dataclass(frozen=True)
class SliceFigures:
    """One row of one slice in one run."""

    run: str
    seed: int
    slice: str
    scored: Scored


@dataclass(frozen=True)
class Spread:
    """A figure over the runs.

    Attributes
    ----------
    mean : of the runs' means over slices. variance, deviation : over runs, with n - 1; NaN for a single run.
    interval : half-width of the 95 % interval, 1.96 deviation / sqrt(runs), as published; NaN for a single run.
    runs : that have the figure. slices : with the figure, over all runs.
    """

    mean: float
    variance: float
    deviation: float
    interval: float
    runs: int
    slices: int


@dataclass(frozen=True)
class Row:
    """A row of the protocol's table, with a `Spread` for each of `FIGURES`."""

    name: str
    figures: dict[str, Spread]


def over_runs(found: Iterable[SliceFigures]) -> list[Row]:
    """The table, its rows in the order in which they first come."""
    groups: dict[str, dict[tuple[str, int], list[Scored]]] = {}
    for one in found:
        groups.setdefault(one.scored.row, {}).setdefault((one.run, one.seed), []).append(one.scored)
    return [
        Row(name, {figure: _spread([[getattr(s, figure) for s in run] for run in runs.values()]) for figure in FIGURES})
        for name, runs in groups.items()
    ]


def _spread(runs: Sequence[Sequence[float]]) -> Spread:
    """From each run's values; those that are NaN do not count, nor does a run without any other."""
    kept = [np.array([value for value in run if not math.isnan(value)]) for run in runs]
    means = [float(values.mean()) for values in kept if len(values)]
    slices = sum(len(values) for values in kept)
    if not means:
        return Spread(math.nan, math.nan, math.nan, math.nan, 0, 0)
    variance = float(np.var(means, ddof=1)) if len(means) > 1 else math.nan
    deviation = math.sqrt(variance)
    return Spread(
        float(np.mean(means)), variance, deviation, 1.96 * deviation / math.sqrt(len(means)), len(means), slices
    )
