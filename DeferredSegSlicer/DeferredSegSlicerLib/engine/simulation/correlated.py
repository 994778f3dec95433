"""Readers who err as people do: shifted boundaries, leaks, bites and missed pieces, each with a speciality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .shapes import check_spacing, crop_around, pieces, points_mm, signed_distance
from .smooth_field import SmoothField

if TYPE_CHECKING:
    from numpy.typing import NDArray

Speciality = Literal["foreground", "background", "boundary", "upper", "lower"]
"""Where a reader is right: in the structures, outside them, within `boundary_mm` of an edge, or in one half of the
structures' extent along the first axis of the array (larger or smaller index)."""

BOUNDARY_MM = 3.0
"""Half-width of the boundary as a place."""

_REACH = 4.0
_WOBBLE = 0.3


@dataclass(frozen=True)
class CorrelatedReader:
    """A reader with spatially correlated errors.

    Every structure's edge is moved by bias_mm + boundary_sd_mm * g, where g is a smooth random field of variance 1;
    so a voxel at signed distance t from the edge is taken for foreground with probability
    Phi((bias_mm - t) / boundary_sd_mm), and neighbors share their fate. Then leaks are added and bites taken, and
    pieces may be missed. Inside the speciality the reader is right, but for slips that are correlated as well.

    Attributes
    ----------
    boundary_sd_mm, bias_mm : mm; a positive bias draws too large. correlation_mm : of the field g.
    leaks, bites : their mean number for each structure of an image (Poisson). blob_mm : their radius.
    miss_ml, miss_probability : pieces below this volume are overlooked with this probability; in 2D a slice is taken
        to be 1 mm thick.
    speciality, speciality_accuracy : where the reader is right, and the probability that an error there is mended.
    """

    name: str
    speciality: Speciality | None = None
    boundary_sd_mm: float = 2.0
    correlation_mm: float = 8.0
    bias_mm: float = 0.0
    leaks: float = 1.0
    bites: float = 1.0
    blob_mm: float = 6.0
    miss_ml: float = 0.5
    miss_probability: float = 0.5
    speciality_accuracy: float = 0.98

    def __post_init__(self) -> None:
        if min(self.boundary_sd_mm, self.leaks, self.bites, self.blob_mm, self.miss_ml) < 0:
            raise ValueError(f'reader "{self.name}" has a negative size or number of errors')
        if not (0 <= self.miss_probability <= 1 and 0 <= self.speciality_accuracy <= 1 and self.correlation_mm > 0):
            raise ValueError(f'reader "{self.name}" has a probability outside 0..1 or no correlation length')

    def label(
        self,
        truth: NDArray[Any],
        spacing: Sequence[float],
        generator: np.random.Generator,
        image: NDArray[Any] | None = None,
    ) -> NDArray[np.uint8]:
        """This reader's labels.

        Parameters
        ----------
        truth : [j, i] or [k, j, i] labels 0..255, 0 is background. spacing : mm along the axes of the array.
        generator : see `seeds.reader_generator`.
        image : like truth; leaks then keep to voxels within two standard deviations of the structure's intensity.
        """
        steps = check_spacing(truth, spacing)
        if image is not None and image.shape != truth.shape:
            raise ValueError(f"image has shape {image.shape}, expected {truth.shape} as the labels")
        labels = truth.astype(np.uint8)
        if not labels.any():
            return labels
        band = _REACH * self.boundary_sd_mm + abs(self.bias_mm)
        margin = band + 2 * self.blob_mm * (1 + _REACH * _WOBBLE) + BOUNDARY_MM
        box = crop_around(labels != 0, margin, steps)
        first = [s.start for s in box]
        right = labels[box].copy()
        special = self._special(right, steps)
        claim = np.zeros(right.shape, dtype=np.float32)
        drawn = np.zeros_like(right)
        for structure in np.unique(right[right != 0]):
            own = None if image is None else image[box]
            level = self._redrawn(right == structure, special, steps, first, generator, own)
            if level is not None:
                better = level < claim
                drawn[better] = structure
                np.copyto(claim, level, where=better)
        self._mend(drawn, right, special, steps, first, generator)
        labels[box] = drawn
        return labels

    def _special(self, right: NDArray[np.uint8], steps: tuple[float, ...]) -> NDArray[np.bool_]:
        """Where this reader's speciality is, from the true labels of the crop."""
        if self.speciality is None:
            return np.zeros(right.shape, dtype=bool)
        if self.speciality == "foreground":
            return right != 0
        if self.speciality == "background":
            return right == 0
        if self.speciality == "boundary":
            return near_edge(right, steps, BOUNDARY_MM)
        occupied = np.flatnonzero((right != 0).any(axis=tuple(range(1, right.ndim))))
        upper = np.arange(len(right)) > (occupied[0] + occupied[-1]) / 2
        wanted = upper if self.speciality == "upper" else ~upper
        return np.broadcast_to(wanted.reshape(-1, *[1] * (right.ndim - 1)), right.shape)

    def _redrawn(
        self,
        mask: NDArray[np.bool_],
        special: NDArray[np.bool_],
        steps: tuple[float, ...],
        first: Sequence[int],
        generator: np.random.Generator,
        image: NDArray[Any] | None,
    ) -> NDArray[np.float32] | None:
        """A structure as this reader draws it: a level in mm, negative where it is drawn; None if overlooked."""
        field = SmoothField(self.correlation_mm, mask.ndim, generator)
        kept = self._noticed(mask, steps, generator)
        blobs = [
            (sign, SmoothField(self.blob_mm or 1.0, mask.ndim, generator))
            for sign, mean in ((-1, self.leaks), (1, self.bites))
            for _ in range(generator.poisson(mean))
        ]
        places = generator.random(len(blobs))
        if not kept.any():
            return None
        distance = signed_distance(kept, steps)
        level = distance - np.float32(self.bias_mm)
        near = np.abs(level) < _REACH * self.boundary_sd_mm
        level[near] -= np.float32(self.boundary_sd_mm) * field.at(points_mm(near, steps, first))
        for (sign, wobble), place in zip(blobs, places, strict=True):
            outward = distance * -sign
            candidates = np.argwhere((outward > 0) & (outward <= self.blob_mm) & ~special)
            if not len(candidates) or self.blob_mm == 0:
                continue
            center = (candidates[int(place * len(candidates))] + np.asarray(first)) * np.asarray(steps)
            self._blob(level, sign, center, wobble, steps, first, mask, image)
        return level

    def _noticed(
        self, mask: NDArray[np.bool_], steps: tuple[float, ...], generator: np.random.Generator
    ) -> NDArray[np.bool_]:
        """The mask without the small pieces that are overlooked."""
        labels, count = pieces(mask)
        volumes = np.bincount(labels.ravel(), minlength=count + 1) * float(np.prod(steps)) / 1000
        missed = (volumes < self.miss_ml) & (generator.random(count + 1) < self.miss_probability)
        missed[0] = False
        return mask & ~missed[labels]

    def _blob(
        self,
        level: NDArray[np.float32],
        sign: int,
        center: NDArray[Any],
        wobble: SmoothField,
        steps: tuple[float, ...],
        first: Sequence[int],
        mask: NDArray[np.bool_],
        image: NDArray[Any] | None,
    ) -> None:
        """Add a leak (sign -1) to the level or take a bite (sign +1): a ball with an uneven surface."""
        reach = self.blob_mm * (1 + _REACH * _WOBBLE)
        box = tuple(
            slice(max(0, int((c - reach) / s) - f), max(0, int((c + reach) / s) + 2 - f))
            for c, s, f in zip(center, steps, first, strict=True)
        )
        part = level[box]
        start = [f + b.start for f, b in zip(first, box, strict=True)]
        points = points_mm(np.ones(part.shape, dtype=bool), steps, start)
        away = np.linalg.norm(points - center.astype(np.float32), axis=1)
        surface = (away - self.blob_mm * (1 + _WOBBLE * wobble.at(points))).astype(np.float32).reshape(part.shape)
        if sign > 0:
            np.maximum(part, -surface, out=part)
            return
        if image is not None:
            own = image[mask].astype(np.float32)
            alike = np.abs(image[box].astype(np.float32) - own.mean()) <= 2 * own.std()
            surface = np.where(alike, surface, np.float32(np.inf))
        np.minimum(part, surface, out=part)

    def _mend(
        self,
        drawn: NDArray[np.uint8],
        right: NDArray[np.uint8],
        special: NDArray[np.bool_],
        steps: tuple[float, ...],
        first: Sequence[int],
        generator: np.random.Generator,
    ) -> None:
        """Put the errors inside the speciality right, but for correlated slips."""
        slips = SmoothField(self.correlation_mm, right.ndim, generator)
        wrong = special & (drawn != right)
        if not wrong.any() or self.speciality_accuracy == 0:
            return
        if self.speciality_accuracy == 1:
            drawn[wrong] = right[wrong]
            return
        limit = NormalDist().inv_cdf(self.speciality_accuracy)
        mended = np.zeros_like(wrong)
        mended[wrong] = slips.at(points_mm(wrong, steps, first)) < limit
        drawn[mended] = right[mended]


def near_edge(labels: NDArray[np.uint8], spacing: tuple[float, ...], band_mm: float) -> NDArray[np.bool_]:
    """Voxels within `band_mm` of the edge of any structure, on both of its sides."""
    near = np.zeros(labels.shape, dtype=bool)
    for structure in np.unique(labels[labels != 0]):
        near |= np.abs(signed_distance(labels == structure, spacing)) <= band_mm
    return near


CORRELATED_READERS = (
    CorrelatedReader("lesion-extent", "foreground", bias_mm=1.0),
    CorrelatedReader("normal-tissue", "background", bias_mm=-1.0),
    CorrelatedReader("boundary", "boundary", boundary_sd_mm=3.0),
    CorrelatedReader("upper-half", "upper", bias_mm=0.5),
    CorrelatedReader("lower-half", "lower", bias_mm=-0.5),
)
"""Five readers whose specialities complement each other; the first three bear the names of the default experts."""


def correlated_readers(count: int = 3) -> tuple[CorrelatedReader, ...]:
    """The first `count` of `CORRELATED_READERS`, 1 to 5."""
    if not 1 <= count <= len(CORRELATED_READERS):
        raise ValueError(f"{count} correlated readers wanted, there are {len(CORRELATED_READERS)}")
    return CORRELATED_READERS[:count]


def _specialist(name: str, speciality: Speciality, bias_mm: float = 0.0) -> CorrelatedReader:
    return CorrelatedReader(
        name, speciality, boundary_sd_mm=4.0, correlation_mm=12.0, bias_mm=bias_mm, leaks=4.0, bites=4.0, blob_mm=10.0
    )


SPECIALISTS = (
    _specialist("lesion-extent", "foreground", bias_mm=2.0),
    _specialist("normal-tissue", "background", bias_mm=-2.0),
    _specialist("boundary", "boundary"),
    _specialist("upper-half", "upper"),
    _specialist("lower-half", "lower"),
)
"""Readers who are worth asking within their speciality alone: whole tumors drawn by one of them agree with the truth
about as well as two people do (Dice 0.7 to 0.8), so that it matters who is asked."""


def specialist_readers(count: int = 3) -> tuple[CorrelatedReader, ...]:
    """The first `count` of `SPECIALISTS`, 1 to 5."""
    if not 1 <= count <= len(SPECIALISTS):
        raise ValueError(f"{count} specialists wanted, there are {len(SPECIALISTS)}")
    return SPECIALISTS[:count]
