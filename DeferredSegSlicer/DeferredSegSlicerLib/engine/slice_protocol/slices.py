"""From a data set's image to the protocol's slices: square, in 0..1, one with every slice that has a label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from ..views import Display
from ..windowing import choose_window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..datasets import LoadedCase, LoadedSlice

SIZE = 256
"""Pixels a side, as published; SAM's own 1024 are not used."""


@dataclass(frozen=True, eq=False)
class CutSlice:
    """One slice of an image, stretched to a square.

    Attributes
    ----------
    number : of the slice along the slicing axis, from 0; 0 for an image that is a slice by itself.
    image : (1 or 3, S, S) float16 in 0..1, the darkest pixel 0 and the brightest 1; one channel is gray.
    truth : (S, S) uint8, 0 is background. readings : readers' labels by name, each like `truth`.
    spacing : mm between rows and columns of the square; (1, 1) if the data does not say.
    """

    number: int
    image: NDArray[np.float16]
    truth: NDArray[np.uint8]
    readings: Mapping[str, NDArray[np.uint8]]
    spacing: tuple[float, float]

    @property
    def labels(self) -> tuple[int, ...]:
        """Foreground labels that the slice has."""
        return tuple(int(label) for label in np.unique(self.truth) if label)


def cut_slices(
    loaded: LoadedCase | LoadedSlice, size: int = SIZE, windows: Mapping[str, Mapping[str, Any]] | None = None
) -> Iterator[CutSlice]:
    """The slices with a label, along the axis that the scanner stacked them; images bilinear, labels nearest.

    Gray values are windowed over the volume (CT level 40, width 400; else percentiles), then brought to 0..1 slice by
    slice, as MedSAM's preprocessing does. The aspect ratio is given up, as published.

    Parameters
    ----------
    windows : a bundle's default windows by modality.

    Raises
    ------
    BadInputError : a volume without contrast.
    """
    volume = getattr(loaded, "volume", None)
    if volume is None:
        image = np.asarray(loaded.image, dtype=np.float32)  # type: ignore[union-attr]
        yield from _cut(0, image, loaded.truth, _readings(loaded), (1.0, 1.0), size)
        return
    display = Display.of(volume.geometry)
    gray, truth = display.show(volume.image), display.show(loaded.truth)
    readings = {name: display.show(labels) for name, labels in _readings(loaded).items()}
    window = choose_window(gray, volume.modality, default=(windows or {}).get(volume.modality))
    for number in range(display.shape[0]):
        if truth[number].any():
            here = {name: labels[number] for name, labels in readings.items()}
            yield from _cut(number, window.apply(gray[number])[None], truth[number], here, display.spacing[1:], size)


def _readings(loaded: LoadedCase | LoadedSlice) -> dict[str, NDArray[np.uint8]]:
    return {reading.name: reading.labels for reading in loaded.readings}


def _cut(
    number: int,
    image: NDArray[np.float32],
    truth: NDArray[np.uint8],
    readings: Mapping[str, NDArray[np.uint8]],
    spacing: tuple[float, float],
    size: int,
) -> Iterator[CutSlice]:
    """One slice (C, H, W), or none if its labels are too small for the square."""
    labels = _nearest(truth, size)
    if not labels.any():
        return
    rows, columns = truth.shape
    square = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))[None]
    square = functional.interpolate(square, size=(size, size), mode="bilinear", antialias=True)[0]
    low, high = square.min(), square.max()
    square = (square - low) / (high - low).clamp(min=1e-8)
    yield CutSlice(
        number,
        square.half().numpy(),
        labels,
        {name: _nearest(reading, size) for name, reading in readings.items()},
        (spacing[0] * rows / size, spacing[1] * columns / size),
    )


def _nearest(labels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Labels (H, W) on the square, each from the pixel under its center."""
    rows, columns = (((np.arange(size) + 0.5) * old / size).astype(np.intp) for old in labels.shape)
    return np.ascontiguousarray(labels[rows[:, None], columns[None]], dtype=np.uint8)
