"""Entropy of the prediction: defer where it carries the least information."""

from __future__ import annotations

import numpy as np

from .base import TableMethod, stored_levels


def entropy_method() -> TableMethod:
    """d = H(p) / ln 2 with H(p) = -p ln p - (1 - p) ln(1 - p), which is 0 at 0 and 1; e = 1 - max(p, 1 - p)."""
    p = stored_levels()
    inner = p[1:-1]
    entropy = np.zeros_like(p)
    entropy[1:-1] = -(inner * np.log(inner) + (1 - inner) * np.log1p(-inner)) / np.log(2)
    return TableMethod("entropy", np.clip(entropy, 0.0, 1.0), 1 - np.maximum(p, 1 - p))
