"""Make decisions from regions: which voxels they bear on, what they change, and which other lines they answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BadInputError
from ..regions import Region
from .decisions import (
    NO_EFFORT,
    Accept,
    Alternative,
    Edit,
    Effort,
    Limit,
    LineRef,
    Reader,
    Reassign,
    RegionRef,
    Skip,
    Statistics,
)
from .layers import ACCEPTING, EDITING
from .runs import LabelRuns, VoxelRuns
from .state import ReviewState

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Deciding:
    """What decisions are made from: the review so far, who decides, and the budget of the worklist.

    `settle` makes a decision answer the lines of other readers with which it disagrees: the reader has seen them, and
    the conflict is over.
    """

    state: ReviewState
    reader: Reader
    budget: float
    effort: Effort = NO_EFFORT
    note: str = ""
    settle: bool = False

    def rest_of(self, region: Region) -> NDArray[np.int64]:
        """The voxels of a region that the reader has not judged; all of them, if all are judged."""
        indices = np.asarray(region.indices, dtype=np.int64)
        saying = [layer.lookup(indices)[1] for layer in self.state.layers if layer.reader.id == self.reader.id]
        if not saying:
            return indices
        judged = (saying[0] == ACCEPTING) | (saying[0] == EDITING)
        return indices if judged.all() else indices[~judged]

    def accept(self, region: Region) -> Accept:
        """The model's label stands in the rest of the region."""
        rest = self.rest_of(region)
        return Accept(**self._common(region, rest, self.state.model.at(rest)))

    def edit(self, region: Region, after: LabelRuns, limit: Limit | None = None) -> Edit:
        """Labels drawn by the reader; `after` has every voxel of the region and those changed around it."""
        common = self._common(region, after.indices, after.labels) | {"voxels": VoxelRuns.of(region.indices)}
        return Edit(**common, after=after, limit=limit or Limit())

    def alternative(self, region: Region, name: str, after: LabelRuns, limit: Limit | None = None) -> Alternative:
        """Labels offered under a name and taken by the reader."""
        common = self._common(region, after.indices, after.labels) | {"voxels": VoxelRuns.of(region.indices)}
        return Alternative(**common, after=after, limit=limit or Limit(), name=name)

    def reassign(self, region: Region, to: str) -> Reassign:
        """The rest of the region goes to another expert."""
        if to == self.reader.id:
            raise BadInputError(f'the region cannot be reassigned to "{self.reader.name}", who is reviewing it')
        rest = self.rest_of(region)
        return Reassign(**self._common(region, rest, None), to=to)

    def skip(self, region: Region, reason: str = "") -> Skip:
        """The reader leaves the rest of the region undecided."""
        rest = self.rest_of(region)
        return Skip(**self._common(region, rest, None), reason=reason)

    def _common(self, region: Region, indices: NDArray[Any], after: NDArray[np.uint8] | None) -> dict[str, Any]:
        case = self.state.case
        if indices[-1] >= case.geometry.voxel_count:
            raise BadInputError(f'region "{region.id}" has voxels outside the volume')
        before = self.state.model.at(indices)
        labels = before if after is None else after
        if labels.max() > len(case.structures):
            raise BadInputError(f"label {int(labels.max())} is of no structure; there are {len(case.structures)}")
        return {
            "region": RegionRef.of(region, self.budget),
            "voxels": VoxelRuns.of(indices),
            "statistics": Statistics.of(before, labels, case.structures, case.geometry.voxel_ml),
            "effort": self.effort,
            "note": self.note,
            "answers": self._answers(indices, after),
        }

    def _answers(self, indices: NDArray[Any], after: NDArray[np.uint8] | None) -> tuple[LineRef, ...]:
        """Lines of others that speak on these voxels: reassignments to this reader; to settle, what disagrees."""
        voices = self.state.at(indices).voices
        found: set[LineRef] = set()
        for layer, voice in zip(self.state.layers, voices, strict=True):
            if layer.reader.id == self.reader.id:
                continue
            _, saying, label = layer.lookup(indices)
            judges = (saying == ACCEPTING) | (saying == EDITING)
            for position in np.unique(voice[voice >= 0]).tolist():
                entry = layer.entries[position]
                here = voice == position
                asked = isinstance(entry.decision, Reassign) and entry.decision.to == self.reader.id
                apart = self.settle and after is not None and bool((judges & here & (label != after)).any())
                if asked or apart:
                    found.add(entry.ref)
        return tuple(sorted(found, key=lambda line: (line.reader, line.n)))
