"""DeferredSeg's simulated experts: every pixel is flipped by itself, with a probability that depends on the place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RING_RADIUS = 3
"""Pixels; the edge is the background within a 7 x 7 dilation of the foreground, slice by slice."""


@dataclass(frozen=True)
class PublishedExpert:
    """An expert with independent errors. Accuracies in 0..1.

    edge_boost : added to the background's accuracy on the edge, up to 1. The inner side of the edge gets none.

    Source: Tian et al., DeferredSeg (arXiv 2604.12411), simulator as released.
    """

    name: str
    foreground: float
    background: float
    edge_boost: float

    def __post_init__(self) -> None:
        if not all(0.0 <= a <= 1.0 for a in (self.foreground, self.background)) or self.edge_boost < 0:
            raise ValueError(f'expert "{self.name}" has accuracies outside 0..1 or a negative edge boost')

    @property
    def edge(self) -> float:
        """Accuracy on the edge ring."""
        return min(1.0, self.background + self.edge_boost)

    def accuracy_map(self, truth: NDArray[Any]) -> NDArray[np.float32]:
        """Probability of a right label for every voxel of `truth` ([j, i] or [k, j, i], 0 is background)."""
        foreground = truth != 0
        accuracy = np.where(foreground, self.foreground, self.background).astype(np.float32)
        accuracy[edge_ring(foreground)] = self.edge
        return accuracy

    def label(
        self,
        truth: NDArray[Any],
        spacing: Sequence[float],
        generator: np.random.Generator,
        image: NDArray[Any] | None = None,
    ) -> NDArray[np.uint8]:
        """This expert's labels; a wrong one is any other class of the image, with equal probability.

        Parameters
        ----------
        truth : [j, i] or [k, j, i] labels 0..255. spacing, image : not used, these experts count pixels.
        """
        labels = truth.astype(np.uint8)
        wrong = generator.random(truth.shape) >= self.accuracy_map(truth)
        classes = np.union1d(np.unique(labels), [0, 1]).astype(np.uint8)
        place = np.searchsorted(classes, labels[wrong])
        shift = generator.integers(1, len(classes), size=place.shape)
        labels[wrong] = classes[(place + shift) % len(classes)]
        return labels


def edge_ring(foreground: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Background within `RING_RADIUS` pixels of the foreground along both in-plane axes (the last two)."""
    grown = foreground.astype(bool)
    for axis in (foreground.ndim - 2, foreground.ndim - 1):
        source = grown
        grown = source.copy()
        for step in range(1, min(RING_RADIUS, source.shape[axis] - 1) + 1):
            ahead, behind = [slice(None)] * source.ndim, [slice(None)] * source.ndim
            ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
            grown[tuple(ahead)] |= source[tuple(behind)]
            grown[tuple(behind)] |= source[tuple(ahead)]
    return grown & ~foreground


SIMILAR = (
    PublishedExpert("similar-1", 0.92, 0.98, 0.05),
    PublishedExpert("similar-2", 0.91, 0.99, 0.05),
    PublishedExpert("similar-3", 0.93, 0.97, 0.05),
    PublishedExpert("similar-4", 0.90, 0.97, 0.10),
    PublishedExpert("similar-5", 0.94, 0.99, 0.06),
)
"""The `similar` set; the released script uses the first three."""

DISCREPANCY = (
    PublishedExpert("E0", 0.88, 0.90, 0.08),
    PublishedExpert("E1", 0.97, 0.90, 0.08),
    PublishedExpert("E2", 0.88, 0.99, 0.08),
    PublishedExpert("E3", 0.88, 0.90, 0.20),
    PublishedExpert("E4", 0.97, 0.99, 0.08),
    PublishedExpert("E5", 0.97, 0.90, 0.20),
    PublishedExpert("E6", 0.88, 0.99, 0.20),
    PublishedExpert("E7", 0.97, 0.99, 0.20),
)
"""E0 to E7: good at nothing, foreground, background, edge, and their combinations up to all three."""


def published_experts(name: str, count: int = 3) -> tuple[PublishedExpert, ...]:
    """The first `count` experts of "similar" (up to 5) or of "discrepancy" (E1 on, up to 7).

    Raises
    ------
    ValueError : another name, or more experts than the set has.
    """
    sets = {"similar": SIMILAR, "discrepancy": DISCREPANCY[1:]}
    if name not in sets or not 1 <= count <= len(sets[name]):
        raise ValueError(f'{count} published experts of set "{name}" wanted, there are 5 "similar", 7 "discrepancy"')
    return sets[name][:count]
