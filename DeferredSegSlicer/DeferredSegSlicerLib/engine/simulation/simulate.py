"""Labels of several simulated readers for one image, and how right they are by place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .correlated import BOUNDARY_MM, near_edge
from .seeds import reader_generator
from .shapes import check_spacing

if TYPE_CHECKING:
    from numpy.typing import NDArray


class SimulatedReader(Protocol):
    """Anything that labels an image from its truth and random numbers."""

    @property
    def name(self) -> str:
        """Unique among the readers of one simulation; part of the seed."""
        ...

    def label(
        self,
        truth: NDArray[Any],
        spacing: Sequence[float],
        generator: np.random.Generator,
        image: NDArray[Any] | None = None,
    ) -> NDArray[np.uint8]:
        """Labels like `truth`, [j, i] or [k, j, i]; spacing in mm along the axes of the array."""
        ...


def simulate_readers(
    truth: NDArray[Any],
    spacing: Sequence[float],
    readers: Sequence[SimulatedReader],
    image_id: str,
    split: str,
    seed: int,
    image: NDArray[Any] | None = None,
) -> NDArray[np.uint8]:
    """One label array for each reader, (J, *truth.shape), the same at every call with the same arguments.

    Parameters
    ----------
    truth : [j, i] or [k, j, i] integer labels 0..255. spacing : mm along the axes of the array ((k, j, i) in 3D).
    image_id : stable name of the image. split : "train", "validation" or "test". seed : of the whole experiment.
    image : intensities like truth, or None.

    Raises
    ------
    ValueError : labels outside 0..255, no readers or two of one name, a spacing that does not fit.
    """
    check_spacing(truth, spacing)
    names = [reader.name for reader in readers]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"readers are named {names}, expected at least one and no name twice")
    if truth.size and (truth.min() < 0 or truth.max() > 255):
        raise ValueError(f"labels run from {truth.min()} to {truth.max()}, expected 0..255")
    return np.stack(
        [
            reader.label(truth, spacing, reader_generator(image_id, reader.name, split, seed), image)
            for reader in readers
        ]
    )


def places(
    truth: NDArray[Any], spacing: Sequence[float], boundary_mm: float = BOUNDARY_MM
) -> dict[str, NDArray[np.bool_]]:
    """Masks of the places that competences are declared for: boundary, foreground and background, disjoint."""
    steps = check_spacing(truth, spacing)
    labels = truth.astype(np.uint8)
    boundary = near_edge(labels, steps, boundary_mm)
    return {
        "foreground": (labels != 0) & ~boundary,
        "background": (labels == 0) & ~boundary,
        "boundary": boundary,
    }


def accuracy_by_place(
    labels: NDArray[Any], truth: NDArray[Any], spacing: Sequence[float], boundary_mm: float = BOUNDARY_MM
) -> dict[str, float]:
    """Share of right voxels at each place; NaN for a place that the image does not have."""
    right = labels == truth
    return {
        place: float(right[mask].mean()) if mask.any() else float("nan")
        for place, mask in places(truth, spacing, boundary_mm).items()
    }
