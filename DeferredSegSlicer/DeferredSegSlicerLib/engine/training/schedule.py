"""The learning rate: a linear rise, then half a cosine down to nearly nothing."""

from __future__ import annotations

import math


def rate_factor(passed: float, epochs: float, warmup: float = 0.0) -> float:
    """Share of the full learning rate, in 0..1.

        passed / warmup                                          while passed < warmup
        (1 + cos(pi (passed - warmup) / (epochs - warmup))) / 2  after

    Parameters
    ----------
    passed : epochs, in fractions; the loop asks at the middle of every optimizer step, so that neither the first nor
        the last step is lost. epochs : in all. warmup : epochs of rising, cut to `epochs`.
    """
    warmup = min(warmup, epochs)
    if passed < warmup:
        return max(passed, 0.0) / warmup
    if epochs <= warmup:
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (passed - warmup) / (epochs - warmup))))
