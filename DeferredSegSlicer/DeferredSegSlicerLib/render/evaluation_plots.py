"""The plots of an evaluation: errors caught, risk and coverage, reliability, load of the experts, the system's Dice."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, PercentFormatter

from .evaluation_style import INK, SOFT, dress, legend, new_figure, note_height, save, stroke_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

FEWEST = 30
"""Voxels of a bin whose observed share is drawn; of fewer it is noise."""

_TOP, _TOP_OF_PANELS = 0.98, 0.78
"""Inches above the axes for the title and the legend, or the title and the names of panels."""


@dataclass(frozen=True, eq=False)
class PlotLine:
    """A method's line with its interval; y, low and high like x, NaN where undefined."""

    method: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class ReliabilityBins:
    """Mean predicted and observed share of errors, and voxels, by bin."""

    method: str
    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    voxels: NDArray[np.int64]


@dataclass(frozen=True)
class ExpertShares:
    """A method's shares of the deferred voxels by budget and expert; NaN where nothing is deferred."""

    method: str
    shares: Mapping[float, Sequence[float]]


@dataclass(frozen=True)
class Level:
    """A figure that does not depend on the budget: the model or an expert alone."""

    name: str
    value: float
    color: str = field(default=SOFT)


def errors_caught_plot(path: Path, lines: Sequence[PlotLine], budgets: Sequence[float], title: str, note: str) -> None:
    """Share of the model's errors that is deferred, against the share of the zone that is deferred."""
    figure = _figure(7.2, 4.9, title, note)
    axes = figure.subplots()
    end = max(0.25, 1.25 * max(budgets))
    _draw(axes, lines, end)
    axes.set(xlim=(0, min(end, 1.0)), ylim=(0, 1.02))
    _mark_budgets(axes, budgets)
    axes.yaxis.set_major_formatter(_percent())
    dress(axes, "budget: share of the decision zone that is deferred, %", "share of the model's errors caught by it")
    legend(axes)
    save(figure, path)


def risk_coverage_plot(path: Path, lines: Sequence[PlotLine], title: str, note: str) -> None:
    """Error rate on what the model keeps, against the share that it keeps (coverage)."""
    figure = _figure(7.2, 4.9, title, note)
    axes = figure.subplots()
    turned = [PlotLine(one.method, 1 - one.x, one.y, one.low, one.high) for one in lines]
    _draw(axes, turned, 1.0)
    top = max((float(np.nanmax(one.y)) for one in turned if not np.isnan(one.y).all()), default=1.0)
    axes.set(xlim=(0, 1), ylim=(0, 1.08 * top or 1.0))
    axes.xaxis.set_major_formatter(_percent())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    dress(axes, "coverage: share of the decision zone that the model keeps", "error rate on what it keeps")
    legend(axes)
    save(figure, path)


def reliability_plot(path: Path, methods: Sequence[ReliabilityBins], title: str, note: str) -> None:
    """Observed against predicted error, one panel a method, with the number of voxels of each bin below."""
    count = len(methods)
    figure = _figure(max(5.2, 2.35 * count + 0.9), 4.5, title, note, left=0.75, top=_TOP_OF_PANELS)
    panels = figure.subplots(2, count, sharex=True, sharey="row", squeeze=False, height_ratios=[3, 1])
    most = max((int(one.voxels.max()) for one in methods), default=1)
    for column, one in enumerate(methods):
        top, bottom = panels[0][column], panels[1][column]
        stroke = stroke_of(one.method)
        there = one.voxels >= FEWEST
        edges = np.linspace(0, 1, len(one.voxels) + 1)
        top.plot([0, 1], [0, 1], color="#9aa0aa", linewidth=1, linestyle=(0, (4, 3)))
        top.plot(
            one.predicted[there],
            one.observed[there],
            color=stroke.color,
            linewidth=1.6,
            marker="o",
            markersize=4,
            clip_on=False,
        )
        top.set_title(stroke.label, fontsize=10, color=INK)
        top.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", adjustable="box", anchor="S")
        dress(top, "", "observed share of errors" if column == 0 else "")
        bottom.bar(
            edges[:-1], np.maximum(one.voxels, 0.1), np.diff(edges), align="edge", color=stroke.color, alpha=0.75
        )
        bottom.set_yscale("log")
        bottom.set(ylim=(0.8, 3 * max(most, 1)))
        bottom.yaxis.set_major_locator(LogLocator(numticks=4))
        dress(bottom, "predicted error probability", "voxels" if column == 0 else "")
        bottom.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    figure.subplots_adjust(hspace=0.08, wspace=0.12)
    save(figure, path)


def expert_load_plot(
    path: Path,
    methods: Sequence[ExpertShares],
    experts: Sequence[tuple[str, tuple[float, float, float]]],
    title: str,
    note: str,
) -> None:
    """Who gets the deferred voxels: stacked shares by budget, one panel a method.

    experts : name and color of each.
    """
    count = len(methods)
    figure = _figure(max(6.4, 1.9 * count + 2.4), 4.2, title, note, right=1.75, top=_TOP_OF_PANELS)
    panels = figure.subplots(1, count, sharey=True, squeeze=False)[0]
    for axes, one in zip(panels, methods, strict=True):
        places = np.arange(len(one.shares))
        bottom = np.zeros(len(places))
        table = np.nan_to_num(np.array([list(shares) for shares in one.shares.values()], dtype=float))
        for number, (name, color) in enumerate(experts):
            axes.bar(places, table[:, number], 0.78, bottom, color=color, label=name, edgecolor="white", linewidth=0.8)
            bottom += table[:, number]
        axes.set_xticks(places, [f"{100 * budget:g}" for budget in one.shares])
        axes.set_title(stroke_of(one.method).label, fontsize=10, color=INK)
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(_percent())
        dress(axes, "budget, % of the zone", "share of the deferred voxels" if axes is panels[0] else "")
        axes.grid(visible=False, axis="x")
    handles, names = panels[-1].get_legend_handles_labels()
    panels[-1].legend(
        handles[::-1], names[::-1], loc="center left", bbox_to_anchor=(1.03, 0.5), fontsize=8.5, frameon=False
    )
    figure.subplots_adjust(wspace=0.12)
    save(figure, path)


def system_dice_plot(
    path: Path,
    lines: Sequence[PlotLine],
    alone: Sequence[Level],
    title: str,
    note: str,
    figure_name: str = "Dice of model and experts together",
) -> None:
    """Dice of the system against the budget, between random and oracle; the model and each expert alone as levels."""
    figure = _figure(7.6, 4.9, title, note, right=1.55)
    axes = figure.subplots()
    end = max((float(one.x.max()) for one in lines), default=1.0)
    crowd = max(len(lines), 1)
    for number, one in enumerate(lines):
        stroke = stroke_of(one.method)
        shift = (number - (crowd - 1) / 2) * 0.003 * end  # intervals beside each other, not on each other
        axes.plot(
            one.x + shift, one.y, color=stroke.color, linestyle=stroke.line, linewidth=stroke.width,
            marker=stroke.marker or "o", markersize=4, label=stroke.label,
        )  # fmt: skip
        if one.low is not None and one.high is not None:
            axes.vlines(one.x + shift, one.low, one.high, color=stroke.color, linewidth=1, alpha=0.55)
    values = [v for one in lines for v in one.y if np.isfinite(v)] + [level.value for level in alone]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = max(0.06 * (high - low), 0.004)
    drawn = [v for one in lines if one.low is not None for v in one.low if np.isfinite(v)]
    axes.set(xlim=(0, 1.06 * end), ylim=(max(0.0, min([low - room, *drawn]) - room), min(1.005, high + 1.5 * room)))
    _mark_budgets(axes, sorted({float(x) for one in lines for x in one.x}))
    dress(axes, "budget: share of the decision zone that is deferred, %", figure_name)
    bottom, top = axes.get_ylim()
    for level, place in zip(alone, _apart([level.value for level in alone], 0.045 * (top - bottom)), strict=True):
        axes.axhline(level.value, color=level.color, linewidth=1.1, linestyle=(0, (2, 2)), zorder=1)
        axes.annotate(
            level.name, (1.06 * end, level.value), (1.075 * end, place), fontsize=8.5, color=INK, va="center",
            annotation_clip=False,
        )  # fmt: skip
        axes.plot([1.06 * end, 1.072 * end], [level.value, place], color=level.color, linewidth=0.9, clip_on=False)
    legend(axes)
    save(figure, path)


def _draw(axes: Axes, lines: Sequence[PlotLine], end: float) -> None:
    """Lines with their intervals as bands, those of the first method on top."""
    for number, one in enumerate(lines):
        stroke = stroke_of(one.method)
        seen = one.x <= end
        axes.plot(
            one.x[seen], one.y[seen], color=stroke.color, linestyle=stroke.line, linewidth=stroke.width,
            label=stroke.label, zorder=4 - 0.1 * number,
        )  # fmt: skip
        if one.low is not None and one.high is not None and one.method not in ("random", "oracle"):
            axes.fill_between(one.x[seen], one.low[seen], one.high[seen], color=stroke.color, alpha=0.12, linewidth=0)


def _mark_budgets(axes: Axes, budgets: Sequence[float]) -> None:
    """Ticks and grid lines at the budgets themselves, in percent."""
    axes.set_xticks([0.0, *budgets], ["0", *(f"{100 * budget:g}" for budget in budgets)])


def _percent() -> PercentFormatter:
    return PercentFormatter(1, decimals=0, symbol=" %")


def _apart(values: Sequence[float], least: float) -> list[float]:
    """Places for labels at these values, moved so that no two are closer than `least`."""
    order = np.argsort(values)
    places = np.array(values, dtype=float)
    for before, after in itertools.pairwise(order):
        places[after] = max(places[after], places[before] + least)
    return [float(place) for place in places]


def _figure(
    width: float, height: float, title: str, note: str, left: float = 0.8, right: float = 0.25, top: float = _TOP
) -> Figure:
    """A figure whose axes leave room (inches) for the title above and the note below."""
    below = note_height(width, note)
    whole = height + below
    figure = new_figure(width, whole, title, note)
    figure.subplots_adjust(
        left=left / width, right=1 - right / width, top=1 - top / whole, bottom=(below + 0.55) / whole
    )
    return figure
