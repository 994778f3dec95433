"""What every data set gives: subjects with a split, and their images with truth and readings when asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from ...core.errors import BadInputError
from ...core.volume import Modality, Volume

if TYPE_CHECKING:
    from numpy.typing import NDArray

Split = Literal["train", "validation", "test"]
"""Which part of the data an image belongs to; all images of a patient belong to the same."""

SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True, eq=False)
class Reading:
    """What one human reader marked: uint8 `labels`, numbered like the truth and on its grid."""

    name: str
    labels: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class LoadedCase:
    """A volume with its truth.

    Attributes
    ----------
    volume : the scan, [k, j, i].
    truth : uint8 [k, j, i] on the scan's grid, 0 background, n for `Dataset.classes[n - 1]`.
    readings : of human readers, if the data has them.

    Raises
    ------
    BadInputError : labels of another shape or type.
    """

    volume: Volume
    truth: NDArray[np.uint8]
    readings: tuple[Reading, ...] = ()

    def __post_init__(self) -> None:
        _check_labels(self.truth, self.readings, self.volume.geometry.shape)


@dataclass(frozen=True, eq=False)
class LoadedSlice:
    """A picture with its truth.

    Attributes
    ----------
    image : float32 (3, H, W) in 0..1, in color or gray three times.
    truth : uint8 (H, W), 0 background, n for `Dataset.classes[n - 1]`.
    readings : of human readers, if the data has them.

    Raises
    ------
    BadInputError : an image or labels of another shape or type.
    """

    image: NDArray[np.float32]
    truth: NDArray[np.uint8]
    readings: tuple[Reading, ...] = ()

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[0] != 3 or self.image.dtype != np.float32:
            raise BadInputError(
                f"picture is {self.image.dtype.name} of shape {self.image.shape}, expected float32 of (3, H, W)"
            )
        _check_labels(self.truth, self.readings, self.image.shape[1:])


def _check_labels(truth: NDArray[np.uint8], readings: tuple[Reading, ...], shape: tuple[int, ...]) -> None:
    for who, labels in (("truth", truth), *((f'reading of "{r.name}"', r.labels) for r in readings)):
        if labels.shape != shape or labels.dtype != np.uint8:
            raise BadInputError(f"{who} is {labels.dtype.name} of shape {labels.shape}, expected uint8 of {shape}")


@dataclass(frozen=True)
class Subject:
    """One image of a patient, not yet read.

    Attributes
    ----------
    id : unique in its data set. patient : several images may share one. modality : of the scan.
    load : reads it; raises BadInputError that names the file and what was expected.
    """

    id: str
    patient: str
    split: Split
    modality: Modality
    load: Callable[[], LoadedCase | LoadedSlice] = field(repr=False, compare=False)


@dataclass(frozen=True, eq=False)
class Dataset:
    """The images of a folder.

    Attributes
    ----------
    name : to show. kind : one of `DATASETS`.
    classes : names of the labels 1, 2, ...
    planar : whether `Subject.load` gives a `LoadedSlice` (else a `LoadedCase`).
    license : of the data; a sentence if it could not be confirmed. citation : to name in publications.
    listed : all images; use `subjects`.

    Raises
    ------
    BadInputError : two images of one id, or a patient in two splits.
    """

    name: str
    kind: str
    classes: tuple[str, ...]
    planar: bool
    license: str
    citation: str
    listed: tuple[Subject, ...] = field(repr=False)

    def __post_init__(self) -> None:
        twice = [identifier for identifier, count in Counter(s.id for s in self.listed).items() if count > 1]
        if twice:
            raise BadInputError(f'data set "{self.kind}" has two images called "{twice[0]}", expected one')
        splits: dict[str, Split] = {}
        for subject in self.listed:
            if splits.setdefault(subject.patient, subject.split) != subject.split:
                raise BadInputError(
                    f'patient "{subject.patient}" of data set "{self.kind}" is in the splits '
                    f"{splits[subject.patient]} and {subject.split}, expected one"
                )
        object.__setattr__(self, "listed", tuple(sorted(self.listed, key=lambda s: s.id)))

    def subjects(self, split: Split | None = None) -> list[Subject]:
        """The images of a split, or all of them, sorted by id."""
        return [subject for subject in self.listed if split is None or subject.split == split]
