"""From a reviewed case to training samples: what the model said, what people made of it, and where they looked.

Truth is only what a person judged: voxels that were accepted or edited, by one reader or by several who agree.
Everything else, skipped, reassigned, disputed or never shown to anybody, is not `judged`, and its label is the model's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .case_reader import Case
from .geometry import Geometry
from .review.decisions import Reader
from .review.state import ReviewState, read_review
from .structures import Structure
from .volume import Modality

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Sample:
    """One slice with at least one judged voxel, [row, column] as the volume has them.

    Attributes
    ----------
    index : of the slice along the slicing axis.
    image : in the scan's units. model, corrected : uint8 labels, 0 background, s + 1 for structure s.
    judged : bool, where `corrected` is truth. judge : uint8, see `Corrections`.
    """

    index: int
    image: NDArray[np.generic]
    model: NDArray[np.uint8]
    corrected: NDArray[np.uint8]
    judged: NDArray[np.bool_]
    judge: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Corrections:
    """The training samples of one case; all arrays [k, j, i] on `geometry`.

    Attributes
    ----------
    case_id : id of the case. modality : "CT", "MR" or "other". structures : what the labels mean, with their boxes.
    image : the scan. model, corrected : uint8 labels, 0 background, s + 1 for structure s.
    judged : bool, the voxels where `corrected` is truth.
    judge : uint8, 0 where nobody judged, else n for the n-th of `judges`, from 1.
    judges : groups of readers who judged the same voxels and agree.
    """

    case_id: str
    modality: Modality
    geometry: Geometry
    structures: tuple[Structure, ...]
    image: NDArray[np.generic]
    model: NDArray[np.uint8]
    corrected: NDArray[np.uint8]
    judged: NDArray[np.bool_]
    judge: NDArray[np.uint8]
    judges: tuple[tuple[Reader, ...], ...]

    def __len__(self) -> int:
        """Number of judged voxels."""
        return int(np.count_nonzero(self.judged))

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """bool [k, j, i]: judged voxels whose label the model had wrong."""
        return self.judged & (self.model != self.corrected)

    def judged_by(self, reader_id: str) -> NDArray[np.bool_]:
        """bool [k, j, i]: the voxels that a reader judged, alone or with others."""
        numbers = [n for n, group in enumerate(self.judges, start=1) if reader_id in {r.id for r in group}]
        return np.isin(self.judge, numbers)

    def slices(self) -> Iterator[Sample]:
        """Slices with at least one judged voxel, along the slicing axis; views, not copies."""
        axis = 2 - self.geometry.slicing_axis
        others = tuple(a for a in range(3) if a != axis)
        for index in np.flatnonzero(self.judged.any(axis=others)).tolist():
            part = tuple(slice(None) if a != axis else index for a in range(3))
            yield Sample(
                index, self.image[part], self.model[part], self.corrected[part], self.judged[part], self.judge[part]
            )


def corrections_of(case: Case, state: ReviewState | None = None) -> Corrections:
    """The training samples of a case, from its journals (or from a state of them that was read already).

    Raises
    ------
    DamagedCaseError : a journal or a file of the case was changed.
    BadInputError : the case keeps only a reference to its scan, which is not at its place.
    """
    review = read_review(case) if state is None else state
    judge, judges = review.judged_by()
    return Corrections(
        case.id,
        case.record.image.modality,
        case.geometry,
        case.structures,
        case.image(),
        review.model.volume,
        review.corrected(),
        review.judged(),
        judge,
        judges,
    )
