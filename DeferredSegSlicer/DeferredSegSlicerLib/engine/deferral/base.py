"""What every deferral method offers: it watches the segmentation go by and scores every voxel that was looked at.

A method says two things of a voxel, both as bytes (times 255), since that is what a case stores:
the *deferral score* d, "P(a person should decide)", and the *error probability* e, "P(the model's label is wrong)".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from .. import segmentor as base
from ..views import IndexBox, SliceView

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOREGROUND = 128
"""Smallest stored probability whose label is the structure (p >= 0.5)."""

ProbabilityOf = Callable[[int, int], "NDArray[np.uint8]"]
"""(structure, index) to the stored probability (h, w) of that slice view on the display grid."""


@dataclass(frozen=True)
class ViewRun:
    """The segmentation of one slice view, as a method sees it.

    segmentor : the network.
    view : the part of the slice that is encoded, with its way back to the display grid.
    structures : how many structures share this view.
    indices : display indices of the slices that may be looked at.
    gray : the slice view (H, W) float32 in 0..1 of an index.
    step : to be called once for every slice that the method has done further work on, for the progress bar; it may
        raise to abandon the run.
    boxes : the prompt box of each structure in display indices; empty for nets without prompts.
    spacing : mm between slices, rows and columns of the display.
    """

    segmentor: base.Segmentor
    view: SliceView
    structures: int
    indices: range
    gray: Callable[[int], NDArray[np.float32]]
    step: Callable[[], None]
    boxes: tuple[IndexBox, ...] = ()
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class SliceEvidence:
    """What was computed for one structure on one slice.

    structure : number of the structure within the view. index : the slice.
    image : (H, W) slice view, float32 in 0..1; None unless the method wants features.
    box : (4,) x0, y0, x1, y1 in its pixels; None for nets without prompts.
    prediction : one prompt's (B = 1), with decoder features if the method wants them.
    """

    structure: int
    index: int
    image: NDArray[np.float32] | None
    box: NDArray[np.float32] | None
    encoding: base.Encoding
    prediction: base.Prediction


@dataclass(frozen=True)
class SliceScores:
    """What a method says of one structure on one slice: bytes (h, w) on the display grid of the view.

    experts : conditional shares of the experts (J, h, w), float, adding up to 1; None to route by competence.
    """

    structure: int
    index: int
    defer: NDArray[np.uint8]
    error: NDArray[np.uint8]
    experts: NDArray[np.float32] | None = None


class DeferralPass(Protocol):
    """A method at work on one slice view."""

    def see(self, evidence: SliceEvidence) -> None:
        """Take note of a structure on a slice; called once each, as the segmentation goes."""
        ...

    def scores(self, probability: ProbabilityOf) -> Iterator[SliceScores]:
        """The scores of everything that was seen, after the last slice, in any order."""
        ...


class DeferralMethod(Protocol):
    """A way to decide which voxels to hand over.

    name : as on the command line and in the case.
    wants_features : whether `see` needs the decoder's features.
    extra_encodings : how many more times each slice is encoded, for the estimate of the time left.
    """

    name: str
    wants_features: bool
    extra_encodings: int

    def start(self, run: ViewRun) -> DeferralPass:
        """Begin with a slice view."""
        ...

    def score_volume(self, run: VolumeRun) -> Iterator[SliceScores]:
        """The scores of a net that segments the whole volume at once."""
        ...


@dataclass(frozen=True)
class VolumeRun:
    """The segmentation of a whole volume by a 3D net, as a method sees it.

    stack : (N, H, W) float32 in 0..1, what the net was given. view : of its slices.
    probability : uint8 [class, N, h, w], the stored result on the display grid.
    """

    segmentor: base.Segmentor
    stack: NDArray[np.float32]
    view: SliceView
    probability: NDArray[np.uint8]
    step: Callable[[], None]


def stored_probability(logits: torch.Tensor, view: SliceView | None = None) -> NDArray[np.uint8]:
    """Foreground logits (B, H, W) of a slice view to stored bytes (B, h, w) on the display grid.

    Probabilities, not logits, are resampled. Logits that are not finite raise FloatingPointError.
    """
    probability = torch.sigmoid(logits.float())
    if view is not None:
        probability = view.to_grid(probability)
    values = probability.clamp(0.0, 1.0).mul(255.0).round().cpu()
    if not torch.isfinite(values).all():
        raise FloatingPointError("the network answered with values that are not finite")
    return values.to(torch.uint8).numpy()


class TableMethod:
    """A method whose scores depend on the stored probability alone: two tables of 256 bytes."""

    wants_features = False
    extra_encodings = 0

    def __init__(self, name: str, defer: NDArray[np.float64], error: NDArray[np.float64]) -> None:
        self.name = name
        self.defer = np.rint(defer * 255).astype(np.uint8)
        self.error = np.rint(error * 255).astype(np.uint8)

    def start(self, run: ViewRun) -> TablePass:
        """Begin with a slice view."""
        return TablePass(self)

    def score_volume(self, run: VolumeRun) -> Iterator[SliceScores]:
        """Look every class and slice up."""
        for structure, slices in enumerate(run.probability):
            for index, stored in enumerate(slices):
                yield SliceScores(structure, index, self.defer[stored], self.error[stored])


class TablePass:
    """Looks up what was seen."""

    def __init__(self, method: TableMethod) -> None:
        self._method = method
        self._seen: list[tuple[int, int]] = []

    def see(self, evidence: SliceEvidence) -> None:
        """Remember the slice."""
        self._seen.append((evidence.structure, evidence.index))

    def scores(self, probability: ProbabilityOf) -> Iterator[SliceScores]:
        """Look the seen slices up."""
        for structure, index in self._seen:
            stored = probability(structure, index)
            yield SliceScores(structure, index, self._method.defer[stored], self._method.error[stored])


def stored_levels() -> NDArray[np.float64]:
    """The 256 probabilities that a stored byte can mean."""
    return np.arange(256) / 255.0
