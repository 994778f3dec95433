"""The plots of an evaluation: every line, bar and level is there, nothing is cut off, and files are whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.render import evaluation_plots as plots
from DeferredSegSlicerLib.render.evaluation_plots import ExpertShares, Level, PlotLine, ReliabilityBins
from DeferredSegSlicerLib.render.evaluation_style import STROKES
from matplotlib.figure import Figure
from matplotlib.image import imread

METHODS = tuple(STROKES)
NOTE = "Experts are simulated. " + "Means over images with intervals over patients, over the decision zone. " * 3
BUDGETS = (0.01, 0.05, 0.2)


def some_lines(x: np.ndarray) -> list[PlotLine]:
    return [
        PlotLine(m, x, np.sqrt(x) / (n + 1), np.sqrt(x) / (n + 1.2), np.sqrt(x) / (n + 0.9))
        for n, m in enumerate(METHODS)
    ]


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """Every plot by name, as figures; the files are in tmp_path."""
    figures: dict[str, Figure] = {}
    save = plots.save

    def keep(figure: Figure, path: Path) -> None:
        figures[path.stem] = figure
        save(figure, path)

    monkeypatch.setattr(plots, "save", keep)
    grid = np.linspace(0, 1, 50)
    plots.errors_caught_plot(tmp_path / "caught.png", some_lines(grid), BUDGETS, "Errors caught", NOTE)
    plots.risk_coverage_plot(tmp_path / "risk.png", some_lines(grid), "Risk", NOTE)
    voxels = np.array([500, 40, 3, 0])
    bins = [
        ReliabilityBins(m, np.array([0.1, 0.3, 0.6, np.nan]), np.array([0.1, 0.2, 1.0, np.nan]), voxels)
        for m in METHODS[:5]
    ]
    plots.reliability_plot(tmp_path / "reliability.png", bins, "Reliability", NOTE)
    shares = [ExpertShares(m, {0.05: (0.2, 0.8), 0.1: (np.nan, np.nan)}) for m in METHODS[:2]]
    people = [("first", (0.9, 0.6, 0.0)), ("second", (0.0, 0.4, 0.7))]
    plots.expert_load_plot(tmp_path / "load.png", shares, people, "Load", NOTE)
    levels = [Level("model alone", 0.5), Level("first alone", 0.9), Level("second alone", 0.9)]
    plots.system_dice_plot(tmp_path / "dice.png", some_lines(np.array(BUDGETS)), levels, "Dice", NOTE)
    return figures


def test_every_plot_is_a_readable_picture_with_nothing_cut_off(drawn: dict[str, Figure], tmp_path: Path) -> None:
    for name, figure in drawn.items():
        picture = imread(tmp_path / f"{name}.png")[..., :3]
        assert picture.shape[0] > 500 and picture.shape[1] > 900
        assert picture.min() < 0.3, "something is drawn"
        border = np.concatenate([picture[:3].ravel(), picture[-3:].ravel(), picture[:, :3].ravel()])
        assert border.min() > 0.99 and picture[:, -3:].min() > 0.99, f"{name} touches its edge"
        assert "Experts are simulated" in " ".join(text.get_text() for text in figure.texts)


def test_every_method_has_its_line_and_its_name(drawn: dict[str, Figure]) -> None:
    for name in ("caught", "risk", "dice"):
        axes = drawn[name].axes[0]
        assert [text.get_text() for text in axes.get_legend().get_texts()] == [STROKES[m].label for m in METHODS]
    looks = {(stroke.color, str(stroke.line)) for stroke in STROKES.values()}
    assert len(looks) == len(STROKES)


def test_budgets_are_the_ticks_and_coverage_runs_from_0_to_1(drawn: dict[str, Figure]) -> None:
    ticks = [text.get_text() for text in drawn["caught"].axes[0].get_xticklabels()]
    assert ticks == ["0", "1", "5", "20"] == [t.get_text() for t in drawn["dice"].axes[0].get_xticklabels()]
    risk = drawn["risk"].axes[0]
    assert risk.get_xlim() == (0, 1)
    x, y = risk.get_lines()[0].get_data()
    assert y[np.argmax(x)] == 0, "all kept: what was given for nothing deferred"


def test_bins_of_few_voxels_have_a_bar_and_no_point(drawn: dict[str, Figure]) -> None:
    top = drawn["reliability"].axes[0]
    assert top.get_lines()[1].get_xdata().tolist() == [0.1, 0.3]
    assert len(drawn["reliability"].axes[5].patches) == 4


def test_shares_are_stacked_to_one_and_nothing_deferred_is_an_empty_place(drawn: dict[str, Figure]) -> None:
    bars = drawn["load"].axes[0].patches
    tops = sorted(round(bar.get_y() + bar.get_height(), 6) for bar in bars)
    assert tops == [0, 0, 0.2, 1.0]


def test_names_of_equal_levels_are_apart(drawn: dict[str, Figure]) -> None:
    places = sorted(text.xyann[1] for text in drawn["dice"].axes[0].texts)
    low, high = drawn["dice"].axes[0].get_ylim()
    assert np.diff(places).min() > 0.04 * (high - low)


def test_the_same_figures_give_the_same_file_and_a_missing_folder_is_named(tmp_path: Path) -> None:
    lines = [PlotLine("margin", np.linspace(0, 1, 9), np.linspace(0, 1, 9))]
    for name in ("a.png", "b.png"):
        plots.errors_caught_plot(tmp_path / name, lines, BUDGETS, "t", "n")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with pytest.raises(BadInputError, match="its folder does not exist"):
        plots.errors_caught_plot(tmp_path / "none" / "c.png", lines, BUDGETS, "t", "n")
