"""The byte maps that a run fills, slice by slice, in display order, on the grid of the volume."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .deferral.base import SliceScores
from .views import Display, SliceView

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Maps:
    """Probability of every structure, and deferral score and error probability of every voxel.

    Attributes
    ----------
    probability : uint8 [s, k, j, i]. defer, error : uint8 [k, j, i], the maximum over structures.
    shares : uint8 [j, k, j, i], the experts' conditional shares by the structure of the largest score; None as long as
        the method gives none.
    """

    def __init__(self, shape: tuple[int, int, int], structures: int, display: Display) -> None:
        self.probability = np.zeros((structures, *shape), dtype=np.uint8)
        self.defer = np.zeros(shape, dtype=np.uint8)
        self.error = np.zeros(shape, dtype=np.uint8)
        self.shares: NDArray[np.uint8] | None = None
        self._display = display
        self._shown = display.show(self.probability)

    def put(self, structure: int, index: int, view: SliceView, stored: NDArray[np.uint8]) -> None:
        """Store the probability (h, w) of a structure on a slice."""
        self._shown[structure, index][view.window] = stored

    def of_slice(self, structure: int, index: int, view: SliceView) -> NDArray[np.uint8]:
        """The stored probability (h, w) of a structure on a slice."""
        return np.ascontiguousarray(self._shown[structure, index][view.window])

    def merge(self, structure: int, view: SliceView, scores: SliceScores) -> None:
        """Take the larger of what is there and a structure's scores."""
        place: tuple[int | slice, ...] = (scores.index, *view.window)
        defer, error = self._display.show(self.defer)[place], self._display.show(self.error)[place]
        if scores.experts is not None:
            if self.shares is None:
                self.shares = np.zeros((len(scores.experts), *self.defer.shape), dtype=np.uint8)
            everyone: tuple[int | slice, ...] = (slice(None), *place)
            shown = self._display.show(self.shares)[everyone]
            np.copyto(shown, np.rint(scores.experts * 255).astype(np.uint8), where=scores.defer > defer)
        np.maximum(defer, scores.defer, out=defer)
        np.maximum(error, scores.error, out=error)
