"""Swatches that keep their color in a selected row: an expert's color must not become another one's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qt

from ..tables import SWATCH, swatch


def firm_swatch(color: Sequence[float]) -> Any:
    """An icon in one color, red, green, blue in 0..1, also where it is selected."""
    icon = swatch(color)
    icon.addPixmap(icon.pixmap(SWATCH, SWATCH), qt.QIcon.Selected)
    return icon
