"""Learned deferral against the best method without training, and the system's place between random and oracle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.metrics import Interval
from .curves import PooledRanking
from .record import BY_CHANCE, BY_ORACLE, NOBODY, CaseRecord
from .resampling import Resampling

if TYPE_CHECKING:
    from numpy.typing import NDArray

Estimates = dict[tuple[str, float | None], "tuple[float, NDArray[Any]]"]
"""Estimate and drawn estimates by figure and budget."""

BY_CASES, BY_VOXELS = "mean of cases", "pooled voxels"

COMPARED = "learned"

SMALLER_IS_BETTER = ("augrc", "aurc")


@dataclass(frozen=True)
class Comparison:
    """A method against the best of others.

    Attributes
    ----------
    pooling : "mean of cases" (the figure of each case, averaged) or "pooled voxels" (one ranking of all voxels).
    best : which of the others is best over all cases. value, best_value : the figures themselves.
    ratio, difference : method against the best, with intervals; in each draw it is the best of that draw.
    """

    method: str
    figure: str
    budget: float | None
    pooling: str
    best: str
    value: Interval
    best_value: Interval
    ratio: Interval
    difference: Interval


def against_best(
    figure: str,
    budget: float | None,
    pooling: str,
    method: tuple[str, float, NDArray[Any]],
    others: Mapping[str, tuple[float, NDArray[Any]]],
    resampling: Resampling,
) -> Comparison:
    """Compare one method's figure with the best of others.

    Parameters
    ----------
    method : name, estimate and drawn estimates. others : estimate and drawn estimates by name, from the same draws.
    """
    name, estimate, drawn = method
    small = figure in SMALLER_IS_BETTER
    pick = np.min if small else np.max
    best = (min if small else max)(others, key=lambda other: others[other][0])
    best_estimate, best_drawn = others[best]
    rival = pick(np.stack([values for _, values in others.values()]), axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = resampling.interval(
            estimate / best_estimate if best_estimate else float("nan"), np.where(rival > 0, drawn / rival, np.nan)
        )
    return Comparison(
        name,
        figure,
        budget,
        pooling,
        best,
        resampling.interval(estimate, drawn),
        resampling.interval(best_estimate, best_drawn),
        ratio,
        resampling.interval(estimate - best_estimate, drawn - rival),
    )


def compare(
    records: Sequence[CaseRecord],
    others: Sequence[str],
    budgets: Sequence[float],
    resampling: Resampling,
    pooled: Mapping[str, Estimates] | None = None,
    method: str = COMPARED,
) -> list[Comparison]:
    """Errors caught at each budget, AUGRC and AUROC of a method against the best of others, pooled both ways.

    pooled : `pooled_figures` of each method from the same draws, if they were made already.
    """
    there = [m for m in others if all(m in record.histograms for record in records)]
    if not there or not all(method in record.histograms for record in records):
        return []
    found = []
    wanted = [("errors_caught", budget) for budget in budgets] + [("augrc", None), ("auroc", None)]
    for figure, budget in wanted:
        by_case = {m: resampling.means(case_values(records, m, NOBODY, budget, figure)) for m in (method, *there)}
        mine = (method, *by_case.pop(method))
        found.append(against_best(figure, budget, BY_CASES, mine, by_case, resampling))
    if pooled is None:
        pooled = {m: pooled_figures(records, m, budgets, resampling) for m in (method, *there)}
    for figure, budget in wanted:
        by_voxel = {m: pooled[m][figure, budget] for m in (method, *there)}
        mine = (method, *by_voxel.pop(method))
        found.append(against_best(figure, budget, BY_VOXELS, mine, by_voxel, resampling))
    return found


def pooled_figures(
    records: Sequence[CaseRecord], method: str, budgets: Sequence[float], resampling: Resampling
) -> Estimates:
    """Figures of a method over the voxels of all cases in one ranking: estimate and drawn estimates."""
    ranking = PooledRanking([record.histograms[method] for record in records])
    once = ranking.figures(np.ones((1, len(records))), budgets)
    drawn = ranking.figures(resampling.weights, budgets)
    found: Estimates = {
        ("errors_caught", budget): (float(once["errors_caught"][0, n]), drawn["errors_caught"][:, n])
        for n, budget in enumerate(budgets)
    }
    for name in ("augrc", "auroc"):
        found[name, None] = (float(once[name][0]), drawn[name])
    return found


def position(
    records: Sequence[CaseRecord],
    method: str,
    to_whom: str,
    budget: float,
    resampling: Resampling,
    figure: str = "dice",
) -> Interval | None:
    """(system - random) / (oracle - random) of the mean figures; None if random or oracle were not evaluated.

    0 is random voxels to random experts, 1 the oracle. Undefined (NaN) where the oracle gains nothing.
    """
    parts = [
        case_values(records, method, to_whom, budget, figure),
        case_values(records, "random", BY_CHANCE, budget, figure),
        case_values(records, "oracle", BY_ORACLE, budget, figure),
    ]
    whole = ~np.isnan(np.stack(parts)).any(axis=0)
    if not whole.any():
        return None
    system, random, oracle = (resampling.means(np.where(whole, part, np.nan)) for part in parts)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = np.where(oracle[1] > random[1], (system[1] - random[1]) / (oracle[1] - random[1]), np.nan)
    gain = oracle[0] - random[0]
    return resampling.interval((system[0] - random[0]) / gain if gain > 0 else float("nan"), drawn)


def case_values(
    records: Sequence[CaseRecord], method: str, to_whom: str, budget: float | None, figure: str
) -> NDArray[np.float64]:
    """(cases,) one figure of every case; NaN where a case does not have it."""
    key = (method, to_whom, budget, figure)
    return np.array([record.table.get(key, np.nan) for record in records], dtype=np.float64)
