"""From an evaluation's records and summaries to its plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..engine.evaluation.graphs import GRID, Curve, caught_curves, reliability, risk_curves
from ..engine.evaluation.panel import COLORS, SENTENCES
from ..engine.evaluation.record import BY_CHANCE, BY_ORACLE, BY_ROUTING
from ..engine.evaluation.report import counted
from ..engine.evaluation.settings import EVALUATED, REFERENCES, EvaluationSettings
from ..engine.evaluation.summary import GroupSummary, patient_of
from ..render.evaluation_plots import (
    FEWEST,
    ExpertShares,
    Level,
    PlotLine,
    ReliabilityBins,
    errors_caught_plot,
    expert_load_plot,
    reliability_plot,
    risk_coverage_plot,
    system_dice_plot,
)

if TYPE_CHECKING:
    from ..engine.evaluation.run import Evaluation

PLOTS = ("errors_caught.png", "risk_coverage.png", "reliability.png", "expert_load.png", "system_dice.png")


def draw_all(
    folder: Path,
    evaluation: Evaluation,
    groups: Sequence[GroupSummary],
    settings: EvaluationSettings,
    model: str,
) -> None:
    """Write the plots of all cases together."""
    records, everyone = evaluation.records, groups[0]
    people = [patient_of(record) for record in records]
    who = f"{model}, {counted(everyone.cases, 'image')} of {counted(everyone.patients, 'patient')}"
    bands = "One patient alone: no intervals."
    if everyone.patients > 1:
        bands = "Means over images; bands and bars are 95 % bootstrap intervals over patients."
    experts = SENTENCES[settings.experts]
    zone = "Over the decision zone; errors outside of it are not counted."
    ceiling = "Oracle: errors first. Random: the mean over all orders."
    caught = [_line(curve) for curve in caught_curves(records, people, settings.seed)]
    errors_caught_plot(
        folder / PLOTS[0], caught, settings.budgets, f"Errors caught: {who}", f"{bands} {zone} {ceiling}"
    )
    risk = [_line(curve) for curve in risk_curves(records, people, settings.seed)]
    risk_coverage_plot(folder / PLOTS[1], risk, f"Risk and coverage: {who}", f"{bands} {zone} {ceiling}")
    bins = [ReliabilityBins(b.method, b.predicted, b.observed, b.voxels) for b in reliability(records)]
    reliability_plot(
        folder / PLOTS[2], bins, f"Reliability: {who}",
        "Voxels of all images' decision zones together. On the diagonal, the predictions are true; above it errors "
        "are more frequent than predicted, below it rarer. "
        f"Bins of fewer than {FEWEST} voxels have no point.",
    )  # fmt: skip
    names = list(dict.fromkeys(expert for record in records for expert in record.experts))
    expert_load_plot(
        folder / PLOTS[3],
        _shares(everyone, names, settings),
        [(name, COLORS[number % len(COLORS)]) for number, name in enumerate(names)],
        f"Load of the experts: {who}",
        f"Means over images. {experts}",
    )
    system_dice_plot(
        folder / PLOTS[4],
        _dice(everyone, settings),
        _alone(everyone, names),
        f"The system's Dice: {who}",
        f"{bands} {experts} Random: random voxels to random experts. Oracle: errors that some expert mends.",
    )


def _line(curve: Curve) -> PlotLine:
    return PlotLine(curve.method, GRID, curve.mean, curve.low, curve.high)


def _dice(group: GroupSummary, settings: EvaluationSettings) -> list[PlotLine]:
    lines = []
    budgets = np.array(settings.budgets)
    for method in EVALUATED:
        to_whom = {"random": BY_CHANCE, "oracle": BY_ORACLE}.get(method, BY_ROUTING)
        rows = [group.get(method, to_whom, budget, "dice") for budget in settings.budgets]
        found = [row.interval for row in rows if row is not None]
        if len(found) == len(rows):
            parts = (np.array([getattr(one, name) for one in found]) for name in ("estimate", "low", "high"))
            lines.append(PlotLine(method, budgets, *parts))
    return lines


def _alone(group: GroupSummary, names: Sequence[str]) -> list[Level]:
    levels = []
    row = group.get("model", "", None, "dice")
    if row is not None:
        levels.append(Level("model alone", row.interval.estimate, "#1b1d21"))
    for number, name in enumerate(names):
        row = group.get(f"expert:{name}", "", None, "dice")
        if row is not None:
            red, green, blue = (round(255 * c) for c in COLORS[number % len(COLORS)])
            levels.append(Level(f"{name} alone", row.interval.estimate, f"#{red:02x}{green:02x}{blue:02x}"))
    return levels


def _shares(group: GroupSummary, names: Sequence[str], settings: EvaluationSettings) -> list[ExpertShares]:
    found = []
    for method in EVALUATED:
        table = {}
        for budget in settings.budgets:
            rows = [group.get(method, BY_ROUTING, budget, f"share:{name}") for name in names]
            if any(row is not None for row in rows):
                table[budget] = [0.0 if row is None else row.interval.estimate for row in rows]
        if table and method not in REFERENCES:
            found.append(ExpertShares(method, table))
    return found
