"""Colors, names and frames that the plots of an evaluation share; the colors are Okabe and Ito's."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..core.atomic import write_via

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, SOFT, GRID = "#1b1d21", "#5a606b", "#e4e6ea"
DPI = 160

_TITLE_PER_INCH, _NOTE_PER_INCH = 8.8, 16.0
"""Characters that fit an inch in their size."""


@dataclass(frozen=True)
class Stroke:
    """How a method is drawn, and what it is called."""

    label: str
    color: str
    line: Any = "-"
    width: float = 1.8
    marker: str = ""


STROKES = {
    "learned": Stroke("learned", "#d55e00", width=2.6, marker="o"),
    "margin": Stroke("margin", "#0072b2", marker="s"),
    "entropy": Stroke("entropy", "#56b4e9", (0, (5, 2)), marker="^"),
    "tta": Stroke("TTA", "#009e73", marker="D"),
    "tta-confidence": Stroke("TTA and confidence", "#cc79a7", (0, (5, 2)), marker="v"),
    "random": Stroke("random", "#7a808a", (0, (1, 1.5))),
    "oracle": Stroke("oracle", "#1b1d21", (0, (6, 1.5, 1, 1.5))),
}
"""By name of method."""


def stroke_of(method: str) -> Stroke:
    """The stroke of a method; a plain one for a method that is not known."""
    return STROKES.get(method, Stroke(method, SOFT))


def new_figure(width: float, height: float, title: str, note: str) -> Figure:
    """An empty figure (inches) with a title on top and a small note below.

    Lay axes out between `bottom_of(note)` and the title with `Figure.subplots_adjust`.
    """
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    size = min(12.5, 12.5 * width * _TITLE_PER_INCH / max(1, len(title)))
    figure.text(0.012, 1 - 0.12 / height, title, ha="left", va="top", fontsize=size, fontweight="bold", color=INK)
    lines = textwrap.wrap(note, int(width * _NOTE_PER_INCH))
    figure.text(
        0.012, 0.09 / height, "\n".join(lines), ha="left", va="bottom", fontsize=8, color=SOFT, linespacing=1.35
    )
    return figure


def note_height(width: float, note: str) -> float:
    """Inches that a note takes below a figure of this width."""
    return 0.16 + 0.152 * len(textwrap.wrap(note, int(width * _NOTE_PER_INCH)))


def dress(axes: Axes, x: str, y: str) -> None:
    """Axis labels, a light grid, and no box."""
    axes.set_xlabel(x, fontsize=9.5, color=INK)
    axes.set_ylabel(y, fontsize=9.5, color=INK)
    axes.tick_params(labelsize=8.5, colors=SOFT, length=3)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(SOFT)


def legend(axes: Axes) -> None:
    """A legend above the axes, where it covers nothing; two rows for more than five entries."""
    count = len(axes.get_legend_handles_labels()[1])
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=count if count <= 5 else (count + 1) // 2, fontsize=8.5,
        frameon=False, handlelength=2.8, columnspacing=1.6, borderaxespad=0.3,
    )  # fmt: skip


def save(figure: Figure, path: Path) -> None:
    """Write a PNG atomically, without date or program in it, so that the same figures give the same file."""

    def write(file: IO[bytes]) -> None:
        figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})

    write_via(path, write)
