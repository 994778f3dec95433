"""The contact sheet: the slices that matter, the model's outlines, the deferral regions, and what they mean."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from ..core.regions import Region
from .choice import context_mm, index_box, informative_slices, reformat_index
from .scene import Scene
from .tile import FILL_OPACITY, INK, MUTED, PAPER, Tile, draw_tile, outline_color
from .view import View

DOTS_PER_INCH = 150
_TILE_AREA = 8.4
_TITLE_HEIGHT, _CAPTION_HEIGHT, _GAP, _MARGIN, _LEGEND_WIDTH = 0.62, 0.2, 0.1, 0.2, 3.0
_FEWEST_REFORMAT_SLICES = 5
_REGION_CONTEXT_MM, _LEAST_REGION_SIDE_MM = 20.0, 80.0


@dataclass(frozen=True)
class PlacedTile:
    """A tile and where it lies in the picture: left, top, width and height in pixels from the top left."""

    tile: Tile
    left: float
    top: float
    width: float
    height: float

    def pixel_of(self, ijk: tuple[int, int, int]) -> tuple[int, int]:
        """(row, column) of the sheet's pixel at the center of a voxel (i, j, k)."""
        x, y = self.tile.place_of(ijk)
        height_mm, width_mm = self.tile.size_mm
        return round(self.top + y / height_mm * self.height), round(self.left + x / width_mm * self.width)


@dataclass(frozen=True)
class ContactSheet:
    """A finished sheet: PNG bytes and the tiles on it."""

    png: bytes
    tiles: tuple[PlacedTile, ...]


def contact_sheet(scene: Scene, slices: int = 10) -> ContactSheet:
    """Draw up to `slices` slices along the slicing axis and one reformat in each of the other two planes."""
    tiles = choose_tiles(scene, slices)
    columns = _columns(len(tiles))
    rows = math.ceil(len(tiles) / columns)
    cell_height, cell_width = _cell_size(tiles[0], columns)
    figure_width = 2 * _MARGIN + columns * cell_width + (columns - 1) * _GAP + _GAP * 2 + _LEGEND_WIDTH
    body = rows * (cell_height + _CAPTION_HEIGHT) + (rows - 1) * _GAP
    body = max(body, _legend_height(scene))
    figure_height = _TITLE_HEIGHT + body + 2 * _MARGIN
    figure = Figure(figsize=(figure_width, figure_height), dpi=DOTS_PER_INCH, facecolor=PAPER)
    FigureCanvasAgg(figure)
    placed = []
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        left = _MARGIN + column * (cell_width + _GAP)
        top = _MARGIN + _TITLE_HEIGHT + row * (cell_height + _CAPTION_HEIGHT + _GAP)
        placed.append(_place(figure, scene, tile, left, top, cell_width, cell_height))
    _title(figure, scene)
    _legend(figure, scene, figure_width - _MARGIN - _LEGEND_WIDTH, _MARGIN + _TITLE_HEIGHT)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, facecolor=PAPER, metadata={"Software": "DeferredSegSlicer"})
    return ContactSheet(buffer.getvalue(), tuple(placed))


def choose_tiles(scene: Scene, slices: int) -> list[Tile]:
    """The tiles of a sheet: slices along the slicing axis in anatomical order, then the two reformats."""
    first, stop = index_box(scene)
    context = context_mm(first, stop, scene.geometry)
    along = scene.geometry.slicing_axis
    view = View(scene.geometry, along)
    window = view.window_around(first, stop, context)
    chosen = informative_slices(scene, along, slices)
    if scene.geometry.ijk_to_ras[view.anatomical_axis, along] > 0:  # from superior to inferior, right to left
        chosen = chosen[::-1]
    tiles = [Tile(view, index, window) for index in chosen]
    if stop[along] - first[along] >= _FEWEST_REFORMAT_SLICES:
        for axis in sorted((a for a in range(3) if a != along), key=lambda a: -scene.geometry.anatomical_axes[a]):
            across = View(scene.geometry, axis)
            tiles.append(Tile(across, reformat_index(scene, axis), across.window_around(first, stop, context)))
    return tiles


def region_picture(scene: Scene, region: Region, width_inches: float = 2.4) -> bytes:
    """The slice with most of a region, cropped around it, as PNG bytes."""
    tile = region_tile(scene, region)
    height_mm, width_mm = tile.size_mm
    size = (width_inches, width_inches * height_mm / width_mm)
    figure = Figure(figsize=size, dpi=DOTS_PER_INCH, facecolor="black")
    FigureCanvasAgg(figure)
    draw_tile(figure.add_axes((0, 0, 1, 1)), scene, tile, marked=region)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, facecolor="black")
    return buffer.getvalue()


def region_tile(scene: Scene, region: Region) -> Tile:
    """The slice along the slicing axis with most voxels of a region, and a square crop around the region."""
    along = scene.geometry.slicing_axis
    index = np.bincount(np.unravel_index(region.indices, scene.geometry.shape)[2 - along]).argmax()
    view = View(scene.geometry, along)
    first, stop = (np.array(corner) for corner in region.box_ijk)
    in_plane = [view.row_axis, view.column_axis]
    size = ((stop - first) * np.asarray(scene.geometry.spacing))[in_plane]
    side = max(float(size.max()) + 2 * _REGION_CONTEXT_MM, _LEAST_REGION_SIDE_MM)
    window = view.window_around(first, stop, 0.0)
    return Tile(view, int(index), view.square(window, side))


def _columns(tiles: int) -> int:
    return next(columns for columns in (1, 2, 3, 4, 5, 6) if columns * max(1, columns - 1) >= tiles or columns == 6)


def _cell_size(tile: Tile, columns: int) -> tuple[float, float]:
    """(height, width) in inches of a cell with the first tile's proportions, within limits."""
    height_mm, width_mm = tile.size_mm
    ratio = min(2.0, max(0.4, height_mm / width_mm))
    area = _TILE_AREA * (2.2 if columns == 1 else 1.4 if columns == 2 else 1.0)
    width = math.sqrt(area / ratio)
    return width * ratio, width


def _place(
    figure: Figure, scene: Scene, tile: Tile, left: float, top: float, cell_width: float, cell_height: float
) -> PlacedTile:
    """Draw a tile, as large as fits, at the top of its cell under its caption; inches from the top left."""
    figure_width, figure_height = figure.get_size_inches()
    height_mm, width_mm = tile.size_mm
    inches_per_mm = min(cell_width / width_mm, cell_height / height_mm)
    width, height = width_mm * inches_per_mm, height_mm * inches_per_mm
    x, y = left + (cell_width - width) / 2, top + _CAPTION_HEIGHT
    axes = figure.add_axes(
        (x / figure_width, 1 - (y + height) / figure_height, width / figure_width, height / figure_height)
    )
    draw_tile(axes, scene, tile)
    figure.text(
        x / figure_width, 1 - (y - 0.05) / figure_height, tile.title, color=MUTED, fontsize=7.5, ha="left", va="bottom"
    )
    scale = DOTS_PER_INCH
    return PlacedTile(tile, x * scale, y * scale, width * scale, height * scale)


def _title(figure: Figure, scene: Scene) -> None:
    width, height = figure.get_size_inches()
    names = ", ".join(structure.name for structure in scene.structures)
    x = _MARGIN / width
    figure.text(
        x, 1 - (_MARGIN + 0.02) / height, _short(names, 90), color=INK, fontsize=13, fontweight="bold", va="top"
    )
    figure.text(x, 1 - (_MARGIN + 0.3) / height, summary_line(scene), color=MUTED, fontsize=8.5, va="top")


def summary_line(scene: Scene) -> str:
    """Model, method, budget, what became of it, and the gray window, in one line."""
    level, width = scene.display_window
    parts = [
        f"model {scene.model.get('name') or scene.model.get('bundle') or 'unknown'}",
        f"deferral by {scene.settings.get('method', 'unknown')}",
        f"budget {100 * scene.budget:.3g} % of the decision zone",
        f"{len(scene.regions)} regions, {100 * scene.share:.2g} % deferred",
        f"level {level:g}, width {width:g}",
    ]
    return "   ·   ".join(parts)


def _legend_lines(scene: Scene) -> list[tuple[str, str, tuple[float, float, float] | None]]:
    """(kind, text, color) of every legend line, from top to bottom."""
    lines: list[tuple[str, str, tuple[float, float, float] | None]] = [("head", "Model's outline", None)]
    for number, structure in enumerate(scene.structures):
        lines.append(("line", f"{_short(structure.name, 22)}   {_ml(scene.structure_ml(number))}", structure.color))
    lines += [("gap", "", None), ("head", "Deferred to", None)]
    for expert in scene.experts:
        regions = scene.regions_of(expert)
        volume = sum(region.volume_ml for region in regions)
        minutes = sum(region.seconds for region in regions) / 60
        lines.append(("patch", _short(expert.name, 30), expert.color))
        about = f"{len(regions)} regions   {_ml(volume)}   about {minutes:.1f} min"
        lines.append(("note", about if expert.available else "not available", None))
    if scene.note:
        lines.append(("note", _short(scene.note, 46), None))
    lines += [("gap", "", None), ("head", "How to read", None)]
    for text in (
        "Lines: where the model draws the edge.",
        "Filled: voxels that it hands to a reader.",
        "Seen from the feet: patient's right is left.",
        "Research use only. Not a medical device.",
    ):
        lines.append(("note", text, None))
    return lines


_LINE_HEIGHT = {"head": 0.27, "line": 0.21, "patch": 0.21, "note": 0.19, "gap": 0.13}


def _legend_height(scene: Scene) -> float:
    return sum(_LINE_HEIGHT[kind] for kind, _, _ in _legend_lines(scene)) + _CAPTION_HEIGHT


def _legend(figure: Figure, scene: Scene, left: float, top: float) -> None:
    """Draw the legend's lines downward from a point in inches from the top left."""
    width, height = figure.get_size_inches()
    y = top + _CAPTION_HEIGHT
    for kind, text, color in _legend_lines(scene):
        middle = 1 - (y + 0.09) / height
        if kind == "head":
            figure.text(left / width, middle, text, color=INK, fontsize=9.5, fontweight="bold", va="center")
        elif kind == "line":
            ends = [left / width, (left + 0.26) / width]
            assert color is not None
            figure.add_artist(Line2D(ends, [middle, middle], color=outline_color(color), linewidth=2.2))
        elif kind == "patch":
            corner = (left / width, middle - 0.065 / height)
            assert color is not None
            figure.add_artist(
                Rectangle(
                    corner, 0.26 / width, 0.13 / height, facecolor=(*color, FILL_OPACITY), edgecolor=color, lw=1.1
                )
            )
        if kind in ("line", "patch"):
            figure.text((left + 0.36) / width, middle, text, color=INK, fontsize=8.5, va="center")
        elif kind == "note":
            indent = 0.36 if text[:1].isdigit() or text == "not available" else 0.0
            figure.text((left + indent) / width, middle, text, color=MUTED, fontsize=7.5, va="center")
        y += _LINE_HEIGHT[kind]


def _ml(volume: float) -> str:
    return f"{volume:.0f} ml" if volume >= 100 else f"{volume:.1f} ml" if volume >= 1 else f"{volume:.2f} ml"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
