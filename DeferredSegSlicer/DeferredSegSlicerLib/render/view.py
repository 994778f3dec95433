"""How a slice of the stored grid is shown: radiological convention, orientation letters, millimeters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.geometry import Geometry

PLANE_NAMES = ("Sagittal", "Coronal", "Axial")
"""Name of the plane by the anatomical axis (R-L, A-P, S-I) that stands upright on it."""

_HORIZONTAL_OF = (1, 0, 0)
_VERTICAL_OF = (2, 2, 1)
_POSITIVE, _NEGATIVE = "RAS", "LPI"
_SECOND_LETTER_COSINE = 0.2588
"""A second letter is shown once an axis is 15 degrees or more off the nearest anatomical one."""


@dataclass(frozen=True)
class Window:
    """Crop of a display plane: rows top..bottom and columns left..right, stops excluded, in display pixels."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.bottom - self.top, self.right - self.left


@dataclass(frozen=True)
class View:
    """Planes of the voxel grid across one index axis, turned the way a radiologist reads them.

    The patient's right is on the left of axial and coronal pictures; anterior is up on axial, superior on coronal and
    sagittal ones; anterior is left on sagittal ones. No voxel is resampled: an oblique grid is shown along its own
    planes, turned and mirrored to the nearest anatomical ones, with letters that say so.

    Attributes
    ----------
    geometry : the stored grid.
    axis : index axis (0 i, 1 j, 2 k) across which the planes lie.
    """

    geometry: Geometry
    axis: int

    @property
    def anatomical_axis(self) -> int:
        """R-L (0), A-P (1) or S-I (2): the axis that stands upright on the plane, or nearest to it."""
        return self.geometry.anatomical_axes[self.axis]

    @property
    def name(self) -> str:
        """Axial, coronal or sagittal, whichever is nearest; "oblique" in front if it is 15 degrees or more off."""
        name = PLANE_NAMES[self.anatomical_axis]
        return f"Oblique {name.lower()}" if len(_letters(self._direction(self.axis))) > 1 else name

    @property
    def column_axis(self) -> int:
        """Index axis that runs along the picture's rows, i.e. from column to column."""
        return self.geometry.anatomical_axes.index(_HORIZONTAL_OF[self.anatomical_axis])

    @property
    def row_axis(self) -> int:
        """Index axis that runs down the picture, i.e. from row to row."""
        return self.geometry.anatomical_axes.index(_VERTICAL_OF[self.anatomical_axis])

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """(height, width) of a pixel in mm."""
        return self.geometry.spacing[self.row_axis], self.geometry.spacing[self.column_axis]

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns) of the whole plane."""
        return self.geometry.size[self.row_axis], self.geometry.size[self.column_axis]

    @property
    def whole(self) -> Window:
        """The crop that takes everything."""
        rows, columns = self.size
        return Window(0, rows, 0, columns)

    def plane(self, array: NDArray[np.generic], index: int, window: Window | None = None) -> NDArray[np.generic]:
        """The plane [row, column] of a volume [k, j, i] at an index, as displayed; a view, not a copy."""
        picture = array[self._slot(index)]
        if self.column_axis > self.row_axis:  # rows of the stored plane run along the larger index axis
            picture = picture.T
        if self._mirrored(self.row_axis):
            picture = picture[::-1]
        if self._mirrored(self.column_axis):
            picture = picture[:, ::-1]
        return picture if window is None else picture[window.top : window.bottom, window.left : window.right]

    def pixel_of(self, ijk: tuple[int, int, int]) -> tuple[int, int]:
        """(row, column) at which a voxel (i, j, k) is displayed on its plane."""
        row, column = ijk[self.row_axis], ijk[self.column_axis]
        rows, columns = self.size
        return (
            rows - 1 - row if self._mirrored(self.row_axis) else row,
            columns - 1 - column if self._mirrored(self.column_axis) else column,
        )

    def window_around(self, first: NDArray[np.int_], stop: NDArray[np.int_], context_mm: float) -> Window:
        """Crop around an index box (i, j, k), grown by a context in mm and cut to the plane."""
        corners = [self.pixel_of(tuple(int(v) for v in corner)) for corner in (first, stop - 1)]  # type: ignore[arg-type]
        (top, left), (bottom, right) = np.min(corners, axis=0), np.max(corners, axis=0) + 1
        rows, columns = self.size
        grow_rows, grow_columns = (int(np.ceil(context_mm / mm)) for mm in self.pixel_mm)
        return Window(
            max(0, int(top) - grow_rows),
            min(rows, int(bottom) + grow_rows),
            max(0, int(left) - grow_columns),
            min(columns, int(right) + grow_columns),
        )

    def square(self, window: Window, side_mm: float) -> Window:
        """A crop of a side in mm around the middle of another; moved, then cut, to stay within the plane."""
        low, high = [], []
        spans = ((window.top, window.bottom), (window.left, window.right))
        for (start, stop), mm, whole in zip(spans, self.pixel_mm, self.size, strict=True):
            length = min(whole, max(stop - start, round(side_mm / mm)))
            begin = min(max(0, (start + stop - length) // 2), whole - length)
            low.append(begin)
            high.append(begin + length)
        return Window(low[0], high[0], low[1], high[1])

    @property
    def letters(self) -> dict[str, str]:
        """Orientation letters at the picture's `left`, `right`, `top` and `bottom`; two on an oblique grid."""
        rightward = -self._shown_direction(self.column_axis)
        downward = -self._shown_direction(self.row_axis)
        return {
            "left": _letters(-rightward),
            "right": _letters(rightward),
            "top": _letters(-downward),
            "bottom": _letters(downward),
        }

    def position(self, index: int, window: Window | None = None) -> str:
        """Where the plane lies, e.g. "S 45.0 mm": RAS coordinate of the picture's center along the upright axis."""
        window = window or self.whole
        rows, columns = self.size
        row, column = (window.top + window.bottom - 1) / 2, (window.left + window.right - 1) / 2
        ijk = np.zeros(3)
        ijk[self.axis] = index
        ijk[self.row_axis] = rows - 1 - row if self._mirrored(self.row_axis) else row
        ijk[self.column_axis] = columns - 1 - column if self._mirrored(self.column_axis) else column
        value = float(self.geometry.ras_of(ijk)[self.anatomical_axis])
        letter = (_POSITIVE if value >= 0 else _NEGATIVE)[self.anatomical_axis]
        return f"{letter} {abs(value):.1f} mm"

    def _slot(self, index: int) -> tuple[slice | int, ...]:
        slot: list[slice | int] = [slice(None)] * 3
        slot[2 - self.axis] = index
        return tuple(slot)

    def _direction(self, axis: int) -> NDArray[np.float64]:
        """RAS unit vector along which an index grows."""
        return self.geometry.ijk_to_ras[:3, axis] / self.geometry.spacing[axis]

    def _mirrored(self, axis: int) -> bool:
        """True if the index grows towards R, A or S: pictures run from R, A and S to L, P and I."""
        return bool(self._direction(axis)[self.geometry.anatomical_axes[axis]] > 0)

    def _shown_direction(self, axis: int) -> NDArray[np.float64]:
        """RAS unit vector of the axis, pointing to its R, A or S end."""
        direction = self._direction(axis)
        return direction if self._mirrored(axis) else -direction


def _letters(direction: NDArray[np.float64]) -> str:
    order = np.argsort(-np.abs(direction), kind="stable")
    letters = [(_POSITIVE if direction[a] > 0 else _NEGATIVE)[a] for a in order]
    return letters[0] + (letters[1] if abs(direction[order[1]]) >= _SECOND_LETTER_COSINE else "")
