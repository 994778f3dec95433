"""From the stored grid to what a segmentor sees, and exactly back.

A volume is shown as a stack of slices (slice, row, column) in the radiological standard orientation, whatever the
order in which its voxels are stored. That takes flips and transposes alone, so showing and restoring are views on the
same memory and lose nothing. The orientation depends on the axis along which the scanner stacked its slices:

============  ==================  ============================  ============================
slices along  first slice         rows, from top to bottom      columns, from left to right
============  ==================  ============================  ============================
S-I (axial)   most inferior       anterior to posterior         patient's right to left
A-P           most anterior       superior to inferior          patient's right to left
R-L           most right          superior to inferior          anterior to posterior
============  ==================  ============================  ============================

A *slice view* is the part of a slice (all of it, or a crop around a box) that is encoded. Where pixels are not square
the view is resampled to square ones, since the networks were trained on square pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from ..core.errors import BadInputError
from ..core.geometry import Geometry

if TYPE_CHECKING:
    from numpy.typing import NDArray

VIEWS = ("auto", "slice", "crop")
"""Names of the ways to choose a view."""

_ORDERS = {2: ("IS", "AP", "RL"), 1: ("AP", "SI", "RL"), 0: ("RL", "SI", "AP")}

CONTEXT = 2.0
"""Side of a crop, in lengths of the box's longer side."""

SMALL = 0.125
"""Boxes below this share of the slice's longer side are cropped."""

NETWORK_PIXELS = 256
"""Longest side of the default network's input; a slice of fewer pixels loses nothing by being encoded whole."""

MIN_CROP = 32
"""Pixels; a smaller crop would be mere interpolation."""

NOT_SQUARE = 0.01
"""Row and column spacing that differ by more than this share are resampled."""

LONGEST = 1024
"""Pixels; resampling to square pixels makes no slice view longer than this."""


@dataclass(frozen=True)
class IndexBox:
    """A box in display indices: first and last-plus-one slice, row and column."""

    first: tuple[int, int, int]
    stop: tuple[int, int, int]

    @property
    def rectangle(self) -> NDArray[np.float32]:
        """x0, y0, x1, y1 of the box in a slice: the centers of its outermost pixels."""
        return np.array([self.first[2], self.first[1], self.stop[2] - 1, self.stop[1] - 1], dtype=np.float32)


@dataclass(frozen=True)
class Display:
    """How the stored axes are shown.

    Attributes
    ----------
    axes : which stored array axis (0 k, 1 j, 2 i) becomes the slices, the rows and the columns.
    flipped : whether slices, rows and columns run against the stored order.
    shape : (slices, rows, columns).
    spacing : mm between slices, rows and columns.
    """

    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]

    @classmethod
    def of(cls, geometry: Geometry) -> Display:
        """The display of a grid; for an oblique one the nearest anatomical orientation."""
        anatomical = geometry.anatomical_axes
        axes, flipped = [], []
        for direction in _ORDERS[anatomical[geometry.slicing_axis]]:
            index_axis = anatomical.index({"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}[direction[0]])
            axes.append(2 - index_axis)
            flipped.append("".join(geometry.letters_of_axis(index_axis)) != direction)
        shape = tuple(geometry.shape[axis] for axis in axes)
        spacing = tuple(geometry.spacing[2 - axis] for axis in axes)
        return cls(tuple(axes), tuple(flipped), shape, spacing)  # type: ignore[arg-type]

    def show(self, stored: NDArray[Any]) -> NDArray[Any]:
        """A view (..., slice, row, column) on an array (..., k, j, i); writing to it writes to the array."""
        lead = stored.ndim - 3
        turned = stored.transpose([*range(lead), *(lead + axis for axis in self.axes)])
        steps = tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flipped)
        return turned[(slice(None),) * lead + steps]

    def box_of(self, first_ijk: tuple[int, int, int], stop_ijk: tuple[int, int, int]) -> IndexBox:
        """The display box of first and last-plus-one voxel indices (i, j, k)."""
        first, stop = [], []
        for axis, flip, size in zip(self.axes, self.flipped, self.shape, strict=True):
            low, high = first_ijk[2 - axis], stop_ijk[2 - axis]
            first.append(size - high if flip else low)
            stop.append(size - low if flip else high)
        return IndexBox(tuple(first), tuple(stop))  # type: ignore[arg-type]


@dataclass(frozen=True)
class SliceView:
    """The part of every slice that is encoded, and its size in square pixels.

    Attributes
    ----------
    rows, columns : first and last-plus-one display index.
    size : (H, W) pixels of what the segmentor sees; equal to the part's own size where pixels are square.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    size: tuple[int, int]

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w) display pixels that the view covers."""
        return self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]

    @property
    def window(self) -> tuple[slice, slice]:
        """The part of a slice as an index."""
        return slice(*self.rows), slice(*self.columns)

    @property
    def pixels_per_network_pixel(self) -> float:
        """Display rows or columns (the finer of the two) that one pixel of a 256-pixel network input covers."""
        (height, width), (high, wide) = self.size, self.grid
        return max(height, width) / NETWORK_PIXELS * max(high / height, wide / width)

    def resampled(self, gray: NDArray[np.float32]) -> NDArray[np.float32]:
        """(h, w) of the display grid to (H, W) square pixels: linear, the same array where they are square already."""
        if self.size == self.grid:
            return gray
        stack = torch.from_numpy(np.ascontiguousarray(gray))[None, None]
        return functional.interpolate(stack, size=self.size, mode="bilinear", align_corners=False)[0, 0].numpy()

    def to_grid(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, H, W) back to the display grid (B, h, w): linear with antialiasing, unchanged where pixels are square."""
        if self.size == self.grid:
            return maps
        return functional.interpolate(
            maps[:, None], size=self.grid, mode="bilinear", align_corners=False, antialias=True
        )[:, 0]

    def to_view(self, rectangle: NDArray[np.float32]) -> NDArray[np.float32]:
        """x0, y0, x1, y1 (pixel centers at integers) from display pixels of the slice to pixels of the view.

        The result is cut to the view.
        """
        (height, width), (high, wide) = self.size, self.grid
        moved = rectangle - np.array([self.columns[0], self.rows[0]] * 2, dtype=np.float32)
        scale = np.array([width / wide, height / high] * 2)
        limit = np.array([width - 1, height - 1] * 2)
        return np.clip((moved + 0.5) * scale - 0.5, 0, limit).astype(np.float32)


def whole_slice(display: Display) -> SliceView:
    """The view of whole slices."""
    return _view(display, (0, display.shape[1]), (0, display.shape[2]))


def choose_view(display: Display, box: IndexBox, mode: str) -> SliceView:
    """The slice view for a box: the whole slice, or a crop around the box with context.

    mode : "slice", "crop" or "auto", which crops if the box's longer side is below `SMALL` of the slice's longer side
        (in mm) and the slice has more pixels than the network's input; docs/decisions/0001 has the figures.
    Raises BadInputError for another mode.
    """
    if mode not in VIEWS:
        raise BadInputError(f'view "{mode}" is unknown, expected one of {", ".join(VIEWS)}')
    whole = whole_slice(display)
    row_mm, column_mm = display.spacing[1:]
    box_mm = ((box.stop[1] - box.first[1]) * row_mm, (box.stop[2] - box.first[2]) * column_mm)
    slice_mm = (display.shape[1] * row_mm, display.shape[2] * column_mm)
    gains = max(box_mm) < SMALL * max(slice_mm) and max(display.shape[1:]) > NETWORK_PIXELS
    if mode == "slice" or (mode == "auto" and not gains):
        return whole
    side = max(box_mm) * CONTEXT
    rows = _around(box.first[1], box.stop[1], side / row_mm, display.shape[1])
    columns = _around(box.first[2], box.stop[2], side / column_mm, display.shape[2])
    return _view(display, rows, columns)


def _around(first: int, stop: int, length: float, size: int) -> tuple[int, int]:
    """First and last-plus-one index of a stretch of about `length` around a box, moved inside 0..size if it can be."""
    wanted = min(size, max(stop - first, MIN_CROP, math.ceil(length)))
    start = min(max(0, (first + stop - wanted) // 2), size - wanted)
    return start, start + wanted


def _view(display: Display, rows: tuple[int, int], columns: tuple[int, int]) -> SliceView:
    """The view of a part of the slice, with square pixels of the finer of the two spacings."""
    height, width = rows[1] - rows[0], columns[1] - columns[0]
    row_mm, column_mm = display.spacing[1:]
    if abs(row_mm - column_mm) <= NOT_SQUARE * min(row_mm, column_mm):
        return SliceView(rows, columns, (height, width))
    pixel = max(min(row_mm, column_mm), max(height * row_mm, width * column_mm) / LONGEST)
    return SliceView(rows, columns, (max(1, round(height * row_mm / pixel)), max(1, round(width * column_mm / pixel))))
