"""Box prompts of the protocol: tight around the truth, in training with every side moved outward at random."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

JITTER = 20
"""Most pixels that a side moves outward in training, as published; in evaluation it is 0."""


def tight_box(mask: NDArray[Any], jitter: int = 0, draw: random.Random | None = None) -> NDArray[np.float32]:
    """x0, y0, x1, y1: centers of the outermost pixels of a mask (H, W), float32.

    Parameters
    ----------
    jitter : each side moves outward by a whole number of pixels, uniform in 0..jitter, cut to the slice.
    draw : of the random numbers; Python's own generator if None.

    Raises
    ------
    ValueError : an empty mask.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise ValueError("there is no box around an empty mask")
    whole = draw or random
    moves = [whole.randint(0, jitter) if jitter else 0 for _ in range(4)]
    height, width = mask.shape
    return np.array(
        [
            max(0, columns[0] - moves[0]),
            max(0, rows[0] - moves[1]),
            min(width - 1, columns[-1] + moves[2]),
            min(height - 1, rows[-1] + moves[3]),
        ],
        dtype=np.float32,
    )
