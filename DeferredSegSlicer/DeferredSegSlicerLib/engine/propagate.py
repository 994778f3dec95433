"""From slice to slice: which slices of a structure are segmented, in which order and with which box.

Rectangles are x0, y0, x1, y1 in display pixels, pixel centers at integers, float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
import SimpleITK as sitk

from ..core.errors import BadInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rectangle = NDArray[np.float32]

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Propagation:
    """How the box of the next slice follows from the slice before; see docs/decisions/0002 for the figures.

    The bounding box of the previous slice's label, without its crumbs, is grown by `reach`, cut to the prompt box, and
    then averaged with the prompt box.

    Attributes
    ----------
    trust : weight of the previous slice's box, 0..1: 1 goes by it alone, 0 takes the prompt box on every slice.
    reach : pixels of a 256-pixel network input.
    crumb : connected pieces of the label below this share of its largest piece do not widen the box, 0..1: a single
        stray pixel would otherwise let the next slice's box take in a neighbor.

    Raises
    ------
    BadInputError : a value out of range.
    """

    trust: float = 1.0
    reach: float = 5.0
    crumb: float = 0.1

    def __post_init__(self) -> None:
        if not 0.0 <= self.trust <= 1.0:
            raise BadInputError(f"propagation trusts the previous slice by {self.trust}, expected 0..1")
        if not (math.isfinite(self.reach) and self.reach >= 0):
            raise BadInputError(f"propagation reaches {self.reach} pixels further, expected 0 or more")
        if not 0.0 <= self.crumb <= 1.0:
            raise BadInputError(f"propagation takes pieces below {self.crumb} for crumbs, expected 0..1")


@dataclass(frozen=True)
class Step(Generic[Answer]):
    """One slice as it was segmented: its index, the box that was used, and what the segmentor answered."""

    index: int
    rectangle: Rectangle
    answer: Answer


def propagate(
    first: int,
    stop: int,
    prompt: Rectangle,
    pixel: float,
    look: Callable[[int, Rectangle, int], Answer],
    extent: Callable[[Answer], Rectangle | None],
    how: Propagation = Propagation(),
) -> Iterator[Step[Answer]]:
    """Segment a structure from the middle slice of its box outward, both ways.

    If the middle slice is empty, the nearest slice that is not is the start. From there each way ends with the box or
    with the first slice that is empty both with the propagated box and with the prompt box itself.

    Parameters
    ----------
    first, stop : first and last-plus-one slice of the prompt box.
    prompt : the prompt's rectangle, the same on every slice.
    pixel : display pixels per pixel of a 256-pixel network input, the unit of `how`.
    look : segments slice `index` with a rectangle; the third argument is the direction (+1 or -1) of travel.
    extent : bounding rectangle of an answer's mask, None if it is empty.

    Yields
    ------
    every slice that was segmented, once, empty ones at the ends included.
    """
    middle = (first + stop - 1) // 2
    start: Rectangle | None = None
    seen: dict[int, bool] = {}
    for index in sorted(range(first, stop), key=lambda n: (abs(n - middle), -n)):
        answer = look(index, prompt, 1 if index >= middle else -1)
        start = extent(answer)
        seen[index] = start is not None
        yield Step(index, prompt, answer)
        if start is not None:
            middle = index
            break
    if start is None:
        return
    for direction in (1, -1):
        previous: Rectangle | None = start
        index = middle + direction
        while first <= index < stop and previous is not None and index not in seen:
            rectangle = _next_box(previous, prompt, pixel, how)
            answer = look(index, rectangle, direction)
            previous = extent(answer)
            if previous is None and not np.array_equal(rectangle, prompt):
                rectangle = prompt
                answer = look(index, rectangle, direction)
                previous = extent(answer)
            yield Step(index, rectangle, answer)
            index += direction


def without_crumbs(mask: NDArray[np.bool_], crumb: float) -> NDArray[np.bool_]:
    """A mask (h, w) without its connected pieces (8-connectivity) below `crumb` of the largest piece's pixels."""
    if crumb <= 0 or not mask.any():
        return mask
    pieces = sitk.GetArrayFromImage(sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)), True))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    kept: NDArray[np.bool_] = sizes >= max(1.0, crumb * float(sizes.max()))
    return kept[pieces]


def extent_of(mask: NDArray[np.bool_]) -> Rectangle | None:
    """Bounding rectangle x0, y0, x1, y1 of a mask (h, w), None if it is empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return None
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    return np.array([columns[0], rows[0], columns[-1], rows[-1]], dtype=np.float32)


def _next_box(previous: Rectangle, prompt: Rectangle, pixel: float, how: Propagation) -> Rectangle:
    """The box for the slice after one whose label has the bounding rectangle `previous`."""
    outward = np.array([-1, -1, 1, 1], dtype=np.float32)
    grown = previous + outward * np.float32(how.reach * pixel)
    low, high = prompt[:2], prompt[2:]
    cut = np.concatenate([np.clip(grown[:2], low, high), np.clip(grown[2:], low, high)])
    if np.any(cut[2:] <= cut[:2]):
        return prompt  # a label that lies outside the prompt box leaves no box to go on with
    return (how.trust * cut + (1 - how.trust) * prompt).astype(np.float32)
