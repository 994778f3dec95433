"""The grid that a learned router works on: the prompt box of a structure with a margin, in pixels of bounded number.

Its pixels are those of the display where the box is small, and coarser where the box is large, so that the work does
not grow with the size of the structure. All edges are float display pixels: pixel n of a slice runs from n to n + 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from ..views import IndexBox, SliceView

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST = 96
"""Pixels of the longer side of the prompt box at most."""

MARGIN_MM = 12.0
"""The margin around the box at least; the decision zone reaches 10 mm beyond what may be foreground."""

MARGIN_SHARE = 0.2
"""The margin around the box at least, as a share of its longer side."""

SHORTEST = 8
"""Pixels along a side at least."""


@dataclass(frozen=True)
class WorkGrid:
    """A rectangle of every slice and the number of pixels that it is sampled with.

    Attributes
    ----------
    rows, columns : first and last-plus-one display index, inside the slice view.
    size : (h, w) pixels of the grid.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    size: tuple[int, int]

    @property
    def half(self) -> tuple[int, int]:
        """(h, w) of the grid of half the resolution, for the image embedding."""
        return (self.size[0] + 1) // 2, (self.size[1] + 1) // 2

    @property
    def window(self) -> tuple[slice, slice]:
        """The rectangle as an index into a slice."""
        return slice(*self.rows), slice(*self.columns)

    def window_in(self, view: SliceView) -> tuple[slice, slice]:
        """The rectangle as an index into the part of the slice that a view covers."""
        row, column = view.rows[0], view.columns[0]
        return (
            slice(self.rows[0] - row, self.rows[1] - row),
            slice(self.columns[0] - column, self.columns[1] - column),
        )

    def centers(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Display row and column indices (float, centers at integers) of the grid's pixel centers: (h,) and (w,)."""
        return _centers(*self.rows, self.size[0]) - 0.5, _centers(*self.columns, self.size[1]) - 0.5

    def sample(
        self,
        maps: torch.Tensor,
        view: SliceView,
        covered: tuple[float, float] = (1.0, 1.0),
        size: tuple[int, int] | None = None,
    ) -> torch.Tensor:
        """Maps of a slice view (B, C, H, W) on this grid: (B, C, h, w) float32, linear between the pixel centers.

        Parameters
        ----------
        covered : share of the maps' rows and columns that the view fills, from the top left; the rest is padding.
        size : (h, w) to sample with; None for the grid's own.
        """
        rows, columns = size or self.size
        height, width = maps.shape[-2:]
        lines = []
        for (first, last), count, whole, length, share in (
            (self.rows, rows, view.rows, height, covered[0]),
            (self.columns, columns, view.columns, width, covered[1]),
        ):
            position = (_centers(first, last, count) - whole[0]) / (whole[1] - whole[0]) * share
            lines.append((position, (last - first) / (whole[1] - whole[0]) * share * length / count))
        maps = maps.float()
        shrink = [max(1, int(step)) for _, step in lines]
        if max(shrink) > 1:
            maps = functional.avg_pool2d(maps, shrink, ceil_mode=True, count_include_pad=False)
            ends = [math.ceil(n / s) * s / n for n, s in zip((height, width), shrink, strict=True)]
        else:
            ends = [1.0, 1.0]
        y, x = ((2 * position / end - 1).to(maps) for (position, _), end in zip(lines, ends, strict=True))
        place = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)
        return functional.grid_sample(
            maps, place.expand(len(maps), -1, -1, -1), mode="bilinear", padding_mode="border", align_corners=False
        )

    def gather(self, display: NDArray[np.generic]) -> torch.Tensor:
        """Whole slices (D, rows, columns) of the display on this grid, as means over its pixels: (D, h, w) float32."""
        part = torch.from_numpy(np.ascontiguousarray(display[:, self.window[0], self.window[1]])).float()
        if part.shape[1:] == self.size:
            return part
        return functional.interpolate(part[:, None], size=self.size, mode="area")[:, 0]

    def spread(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps of the grid (D, C, h, w) on the display pixels of the rectangle, linear: (D, C, rows, columns)."""
        wanted = self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]
        if maps.shape[2:] == wanted:
            return maps
        return functional.interpolate(maps, size=wanted, mode="bilinear", align_corners=False)


def work_grid(box: IndexBox, spacing: tuple[float, float, float], view: SliceView) -> WorkGrid:
    """The work grid of a prompt box.

    Parameters
    ----------
    box : in display indices. spacing : mm between slices, rows and columns. view : what is encoded; the grid stays
        inside of it.
    """
    row_mm, column_mm = spacing[1:]
    long = max((box.stop[1] - box.first[1]) * row_mm, (box.stop[2] - box.first[2]) * column_mm)
    margin = max(MARGIN_MM, MARGIN_SHARE * long)
    pixel = max(min(row_mm, column_mm), long / LONGEST)
    sides = []
    for first, stop, mm, whole in (
        (box.first[1], box.stop[1], row_mm, view.rows),
        (box.first[2], box.stop[2], column_mm, view.columns),
    ):
        low = max(whole[0], math.floor(first - margin / mm))
        high = min(whole[1], math.ceil(stop + margin / mm))
        sides.append(((low, high), max(SHORTEST, round((high - low) * mm / pixel))))
    return WorkGrid(sides[0][0], sides[1][0], (sides[0][1], sides[1][1]))


def _centers(first: int, last: int, count: int) -> torch.Tensor:
    """Float display positions of the centers of `count` equal pixels between two edges."""
    return first + (torch.arange(count, dtype=torch.float64) + 0.5) * (last - first) / count
