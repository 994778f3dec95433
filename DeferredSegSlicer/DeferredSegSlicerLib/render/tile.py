"""One picture of one slice: the scan, the model's outlines, the deferral regions, letters and a scale bar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from ..core.regions import Region
from .scene import Scene
from .view import View, Window

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#e8e8e8"
MUTED = "#a5a5a5"
PAPER = "#0d0d0f"
FILL_OPACITY = 0.68
_SCALE_BARS_MM = (1, 2, 5, 10, 20, 50, 100, 200)


@dataclass(frozen=True)
class Tile:
    """A slice and the crop of it that is shown.

    Attributes
    ----------
    view : across which axis. index : which slice. window : crop in display pixels.
    """

    view: View
    index: int
    window: Window

    @property
    def size_mm(self) -> tuple[float, float]:
        """(height, width) of the picture in mm."""
        rows, columns = self.window.size
        height, width = self.view.pixel_mm
        return rows * height, columns * width

    @property
    def title(self) -> str:
        """The plane's name and where it lies."""
        return f"{self.view.name}  {self.view.position(self.index, self.window)}"

    def place_of(self, ijk: tuple[int, int, int]) -> tuple[float, float]:
        """(x, y) in mm from the picture's top left corner at which the center of a voxel (i, j, k) is drawn."""
        row, column = self.view.pixel_of(ijk)
        height, width = self.view.pixel_mm
        return (column - self.window.left + 0.5) * width, (row - self.window.top + 0.5) * height


def draw_tile(axes: Axes, scene: Scene, tile: Tile, font_size: float = 7.0, marked: Region | None = None) -> None:
    """Draw a tile into axes of the tile's own proportions; one data unit is one mm. A frame goes around `marked`."""
    height, width = tile.size_mm
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    extent = (0.0, width, height, 0.0)
    axes.imshow(
        gray(tile.view.plane(scene.image, tile.index, tile.window), scene.display_window),
        cmap="gray", vmin=0.0, vmax=1.0, extent=extent, interpolation="bicubic", aspect="auto",
    )  # fmt: skip
    pixel_height, pixel_width = tile.view.pixel_mm
    deferred = tile.view.plane(scene.deferred, tile.index, tile.window)
    for number, expert in enumerate(scene.experts, start=1):
        mask = deferred == number
        if mask.any():
            filled = np.zeros((*mask.shape, 4))
            filled[mask] = (*expert.color, FILL_OPACITY)
            axes.imshow(filled, extent=extent, interpolation="nearest", aspect="auto")
            _edges(axes, mask, pixel_height, pixel_width, expert.color, 0.9)
    label = tile.view.plane(scene.label, tile.index, tile.window)
    for number, structure in enumerate(scene.structures, start=1):
        _outline(axes, label == number, pixel_height, pixel_width, structure.color)
    if marked is not None:
        _frame(axes, tile, marked)
    _letters(axes, tile.view.letters, width, height, font_size)
    _scale_bar(axes, width, height, font_size)


def outline_color(color: tuple[float, float, float]) -> tuple[float, float, float]:
    """A structure's color, half the way to white, so that it stands out from the experts' colors."""
    red, green, blue = (c + (1 - c) / 2 for c in color)
    return red, green, blue


def gray(plane: NDArray[np.generic], window: tuple[float, float]) -> NDArray[np.float32]:
    """The plane as 0..1 through a window (level, width)."""
    level, width = window
    return np.clip((plane.astype(np.float32) - np.float32(level - width / 2)) / np.float32(width), 0, 1)


def scale_bar_mm(width_mm: float) -> int:
    """Length of the scale bar: the round number that is nearest below a third of the picture's width."""
    return max([bar for bar in _SCALE_BARS_MM if bar <= width_mm / 3], default=_SCALE_BARS_MM[0])


def _outline(
    axes: Axes, mask: NDArray[np.bool_], pixel_height: float, pixel_width: float, color: tuple[float, float, float]
) -> None:
    """The model's outline, halfway between labeled and other voxels' centers."""
    if not mask.any():
        return
    padded = np.pad(mask, 1).astype(np.float32)
    rows, columns = padded.shape
    x, y = (np.arange(columns) - 0.5) * pixel_width, (np.arange(rows) - 0.5) * pixel_height
    drawn = axes.contour(x, y, padded, levels=[0.5], colors=[outline_color(color)], linewidths=1.1)
    drawn.set_path_effects([withStroke(linewidth=2.0, foreground=(0, 0, 0, 0.55))])


def _frame(axes: Axes, tile: Tile, region: Region) -> None:
    """A thin dashed frame around a region's bounding box."""
    first, stop = region.box_ijk
    corners = [tile.place_of(first), tile.place_of((stop[0] - 1, stop[1] - 1, stop[2] - 1))]
    (x0, y0), (x1, y1) = np.min(corners, axis=0), np.max(corners, axis=0)
    height, width = tile.view.pixel_mm
    axes.add_patch(
        Rectangle(
            (x0 - width, y0 - height),
            x1 - x0 + 2 * width,
            y1 - y0 + 2 * height,
            fill=False,
            ec="white",
            lw=0.8,
            ls=(0, (4, 3)),
        )
    )


def _edges(
    axes: Axes,
    mask: NDArray[np.bool_],
    pixel_height: float,
    pixel_width: float,
    color: tuple[float, float, float],
    line_width: float,
) -> None:
    """Lines along the voxel faces around a mask."""
    padded = np.pad(mask, 1)
    rows, columns = np.nonzero(padded[1:, 1:-1] != padded[:-1, 1:-1])
    across = [
        ((c * pixel_width, r * pixel_height), ((c + 1) * pixel_width, r * pixel_height))
        for r, c in zip(rows, columns, strict=True)
    ]
    rows, columns = np.nonzero(padded[1:-1, 1:] != padded[1:-1, :-1])
    down = [
        ((c * pixel_width, r * pixel_height), (c * pixel_width, (r + 1) * pixel_height))
        for r, c in zip(rows, columns, strict=True)
    ]
    axes.add_collection(LineCollection(across + down, colors=[color], linewidths=line_width, capstyle="projecting"))


def _letters(axes: Axes, letters: dict[str, str], width: float, height: float, font_size: float) -> None:
    places = {
        "left": (0.012, 0.5, "left", "center"),
        "right": (0.988, 0.5, "right", "center"),
        "top": (0.5, 0.985, "center", "top"),
        "bottom": (0.5, 0.015, "center", "bottom"),
    }
    for side, (x, y, horizontal, vertical) in places.items():
        axes.text(
            x, y, letters[side], transform=axes.transAxes, ha=horizontal, va=vertical, color=INK, fontsize=font_size,
            fontweight="bold", path_effects=[withStroke(linewidth=1.8, foreground="black")],
        )  # fmt: skip


def _scale_bar(axes: Axes, width: float, height: float, font_size: float) -> None:
    """A bar of a round length in the lower right corner, with its length above it."""
    bar = scale_bar_mm(width)
    right, bottom = width * 0.97, height - width * 0.03
    stroke = [withStroke(linewidth=3.2, foreground="black")]
    axes.plot(
        [right - bar, right], [bottom, bottom], color=INK, linewidth=1.6, solid_capstyle="butt", path_effects=stroke
    )
    axes.text(
        right - bar / 2, bottom - width * 0.012, f"{bar} mm", ha="center", va="bottom", color=INK,
        fontsize=font_size - 1, path_effects=[withStroke(linewidth=1.8, foreground="black")],
    )  # fmt: skip
