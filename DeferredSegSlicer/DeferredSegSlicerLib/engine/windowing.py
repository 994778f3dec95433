"""From stored voxels to the gray values that a network sees: a window for CT, percentiles for everything else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import BadInputError
from ..core.volume import Modality

if TYPE_CHECKING:
    from numpy.typing import NDArray

CT_LEVEL, CT_WIDTH = 40.0, 400.0
"""Soft tissue, in HU; what MedSAM and LiteMedSAM were trained with."""

PERCENTILES = (0.5, 99.5)
"""Of the voxels above the background, for scans in arbitrary units (MedSAM's preprocessing)."""

_SAMPLE = 2_000_000


@dataclass(frozen=True)
class Window:
    """The values that become black (`low`) and white (`high`), in the volume's units (HU for CT).

    Raises
    ------
    BadInputError : a limit that is not finite, or no width.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise BadInputError(f"window {self.low}..{self.high} is not finite")
        if not self.low < self.high:
            raise BadInputError(f"window {self.low:g}..{self.high:g} has no width, expected a width above 0")

    @classmethod
    def of_level(cls, level: float, width: float) -> Window:
        """From a level (center) and a width; raises BadInputError for a width of 0 or less."""
        if not (math.isfinite(level) and math.isfinite(width) and width > 0):
            raise BadInputError(f"window level {level:g}, width {width:g}: expected finite numbers and a width above 0")
        return cls(level - width / 2, level + width / 2)

    @property
    def level(self) -> float:
        """Center of the window."""
        return (self.low + self.high) / 2

    @property
    def width(self) -> float:
        """White minus black."""
        return self.high - self.low

    def apply(self, voxels: NDArray[Any]) -> NDArray[np.float32]:
        """Gray values float32 in 0..1, C-contiguous, of voxels of any type and shape (meant for one slice)."""
        gray = voxels.astype(np.float32, order="C")
        gray -= np.float32(self.low)
        gray *= np.float32(1.0 / self.width)
        return np.clip(gray, 0.0, 1.0, out=gray)


def choose_window(
    slices: NDArray[Any],
    modality: Modality,
    asked: tuple[float, float] | None = None,
    default: Mapping[str, Any] | None = None,
) -> Window:
    """The window asked for as (level, width), else the bundle's default for the modality, else the usual one.

    The usual one is level 40 / width 400 HU for CT and percentiles of the scan for everything else. Percentiles are
    those of at most two million evenly spaced voxels above the background. The background is 0, or the lowest value
    of the sample where that is negative (a normalized MR).

    Parameters
    ----------
    slices : the volume as displayed, (slice, row, column), so that the same scan stored along other axes is sampled
        at the same places. It is neither copied whole nor changed.
    default : {"level", "width"} or {"percentiles": [low, high]}, as in a bundle.

    Raises
    ------
    BadInputError : a window without width, or a scan without contrast.
    """
    if asked is not None:
        return Window.of_level(*asked)
    if default is None and modality == "CT":
        return Window.of_level(CT_LEVEL, CT_WIDTH)
    if default is not None and "level" in default:
        return Window.of_level(float(default["level"]), float(default["width"]))
    percentiles = PERCENTILES if default is None else tuple(default["percentiles"])
    sample = _sample(slices)
    background = min(0.0, float(sample.min()))
    inside = sample[sample > background]
    if inside.size:
        low, high = (float(v) for v in np.percentile(inside, percentiles))
        if low < high:
            return Window(low, high)
    low, high = float(slices.min()), float(slices.max())
    if not low < high:
        raise BadInputError(f"the scan has no contrast: every voxel is {low:g}")
    return Window(low, high)


def _sample(slices: NDArray[Any]) -> NDArray[Any]:
    """At most `_SAMPLE` voxels on a regular grid, taken in plane first since slices are few and differ more."""
    count, rows, columns = slices.shape
    in_plane = max(1, math.ceil(math.sqrt(slices.size / _SAMPLE)))
    left = count * math.ceil(rows / in_plane) * math.ceil(columns / in_plane)
    return slices[:: max(1, math.ceil(left / _SAMPLE)), ::in_plane, ::in_plane]
