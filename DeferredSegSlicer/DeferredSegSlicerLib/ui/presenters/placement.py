"""Where a new box goes: around the point that the slice views show, a quarter of what they show, inside the volume."""

from __future__ import annotations

from collections.abc import Sequence

SHARE_OF_FIELD = 0.25
"""A new box's side as a share of the views' field of view."""

SMALLEST_MM = 5.0
"""A new box is at least this wide, if the volume is: its handles must be far enough apart to be caught."""

Point = tuple[float, float, float]


def first_box(center: Sequence[float], field_mm: Sequence[float], bounds: Sequence[float]) -> tuple[Point, Point]:
    """Center and size of a new box, in RAS mm.

    Parameters
    ----------
    center : the point that the slice views show.
    field_mm : what they show along R, A and S.
    bounds : of the volume: lowest and highest R, then A, then S.

    A center outside the volume is replaced by the volume's, axis by axis; a box that reaches beyond the volume is cut.
    """
    middle, size = [], []
    for axis in range(3):
        low, high = bounds[2 * axis], bounds[2 * axis + 1]
        wanted = max(SHARE_OF_FIELD * field_mm[axis], SMALLEST_MM)
        at = center[axis] if low <= center[axis] <= high else (low + high) / 2
        first, last = max(low, at - wanted / 2), min(high, at + wanted / 2)
        if last - first < min(SMALLEST_MM, high - low):  # the views stand on the volume's rim
            first, last = (low, low + wanted) if at - low < high - at else (high - wanted, high)
            first, last = max(low, first), min(high, last)
        middle.append((first + last) / 2)
        size.append(last - first)
    return (middle[0], middle[1], middle[2]), (size[0], size[1], size[2])
