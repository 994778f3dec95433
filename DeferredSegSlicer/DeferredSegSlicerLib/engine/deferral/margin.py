"""Softmax margin: defer where the two classes are close."""

from __future__ import annotations

import numpy as np

from .base import TableMethod, stored_levels


def margin_method() -> TableMethod:
    """d = 1 - |2p - 1|, twice the error probability e = 1 - max(p, 1 - p) that p itself declares."""
    p = stored_levels()
    return TableMethod("margin", 1 - np.abs(2 * p - 1), 1 - np.maximum(p, 1 - p))
