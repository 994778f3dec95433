"""Smooth random fields in mm: the same field whatever the grid, the crop or the number of axes it is sampled on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

WAVES = 128
"""Cosines that make up a field."""

_CHUNK = 1 << 15


class SmoothField:
    """A Gaussian random field of mean 0 and variance 1 with correlation exp(-r^2 / (2 l^2)).

    Made of random cosines, so that it can be evaluated at any points.

    Source: Rahimi and Recht 2007, random Fourier features of the Gaussian kernel.

    Parameters
    ----------
    correlation_mm : l, above 0; at this distance the correlation is 0.61, at twice of it 0.14.
    axes : number of coordinates of a point.
    """

    def __init__(self, correlation_mm: float, axes: int, generator: np.random.Generator) -> None:
        if not correlation_mm > 0:
            raise ValueError(f"correlation length is {correlation_mm} mm, expected above 0")
        self.frequencies = generator.standard_normal((axes, WAVES)).astype(np.float32) / np.float32(correlation_mm)
        self.phases = generator.uniform(0, 2 * np.pi, WAVES).astype(np.float32)

    def at(self, points: NDArray[Any]) -> NDArray[np.float32]:
        """Values (n,) at points (n, axes) in mm."""
        values = np.empty(len(points), dtype=np.float32)
        for start in range(0, len(points), _CHUNK):
            part = np.asarray(points[start : start + _CHUNK], dtype=np.float32)
            values[start : start + _CHUNK] = np.cos(part @ self.frequencies + self.phases).sum(axis=1)
        values *= np.float32(np.sqrt(2 / WAVES))
        return values
