"""What has become of a region: the rules by which decisions on voxels become the state of a row of the worklist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from ..regions import Region
from .decisions import Reassign
from .layers import ReaderLayer

if TYPE_CHECKING:
    from .state import VoxelStates

State = Literal["open", "skipped", "reassigned", "accepted", "edited", "conflict", "partly"]

STATES: tuple[State, ...] = ("open", "skipped", "reassigned", "accepted", "edited", "conflict")
"""States of a voxel. A region has one of these, or is decided "partly"."""

OPEN, SKIPPED, REASSIGNED, ACCEPTED, EDITED, CONFLICT = range(len(STATES))

REGION_STATES: tuple[State, ...] = ("conflict", "open", "partly", "reassigned", "skipped", "edited", "accepted")
"""States of a region, those that want somebody first."""


@dataclass(frozen=True)
class RegionStatus:
    """What has become of a region.

    Attributes
    ----------
    state : see `state_of`.
    voxels : how many voxels are in each of `STATES`, in that order.
    waiting_for : ids of the experts to whom voxels were reassigned that nobody has judged since.
    readers : ids of the readers who say something about the region.
    """

    state: State
    voxels: tuple[int, ...]
    waiting_for: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()

    @property
    def judged_share(self) -> float:
        """Share of the voxels that a person accepted or edited and about which nobody disagrees."""
        return (self.voxels[ACCEPTED] + self.voxels[EDITED]) / sum(self.voxels)

    @property
    def open_share(self) -> float:
        """Share of the voxels on which nobody decided, readers disagree, or another expert is waited for."""
        return (self.voxels[OPEN] + self.voxels[CONFLICT] + self.voxels[REASSIGNED]) / sum(self.voxels)

    def is_done(self, reader_id: str | None = None) -> bool:
        """Whether nothing is left to do: for anybody, or for one reader, who need not wait for another expert."""
        if self.voxels[OPEN] or self.voxels[CONFLICT]:
            return False
        return not self.voxels[REASSIGNED] or (reader_id is not None and reader_id not in self.waiting_for)


class Progress(NamedTuple):
    """How far a review is: regions done, regions in all, and seconds that the others are expected to take."""

    done: int
    total: int
    seconds_left: float


def state_of(voxels: Sequence[int]) -> State:
    """The state of a region from how many of its voxels are in each of `STATES`.

    conflict, if readers disagree on a voxel; else edited or accepted, if every voxel was judged (edited, if any was);
    else partly, if some were judged, or some decided and others not; else reassigned or skipped, if every voxel was
    (reassigned, if any was); else open.
    """
    total = sum(voxels)
    judged = voxels[ACCEPTED] + voxels[EDITED]
    if voxels[CONFLICT]:
        return "conflict"
    if judged == total:
        return "edited" if voxels[EDITED] else "accepted"
    if voxels[OPEN] == total:
        return "open"
    if judged or voxels[OPEN]:
        return "partly"
    return "reassigned" if voxels[REASSIGNED] else "skipped"


def statuses_of(
    regions: Sequence[Region], states: VoxelStates, layers: Sequence[ReaderLayer]
) -> tuple[RegionStatus, ...]:
    """Status of each region, from the states of their voxels, one region after the other."""
    number = np.repeat(np.arange(len(regions)), [len(r.indices) for r in regions])
    count = len(STATES)
    table = np.bincount(number * count + states.state, minlength=len(regions) * count).reshape(-1, count)
    waiting: list[set[str]] = [set() for _ in regions]
    readers: list[list[str]] = [[] for _ in regions]
    for layer, voice in zip(layers, states.voices, strict=True):
        spoken = voice >= 0
        for region in np.flatnonzero(np.bincount(number[spoken])).tolist():
            readers[region].append(layer.reader.id)
        asks = spoken & (states.state == REASSIGNED)
        for code in np.unique(number[asks] * len(layer.entries) + voice[asks]).tolist():
            region, position = divmod(code, len(layer.entries))
            decision = layer.entries[position].decision
            if isinstance(decision, Reassign):
                waiting[region].add(decision.to)
    return tuple(
        RegionStatus(state_of(row), tuple(row), tuple(sorted(who)), tuple(speakers))
        for row, who, speakers in zip(table.tolist(), waiting, readers, strict=True)
    )


def progress_of(regions: Sequence[Region], statuses: Sequence[RegionStatus], reader_id: str | None = None) -> Progress:
    """Progress over regions whose statuses are known."""
    left = [(r, s) for r, s in zip(regions, statuses, strict=True) if not s.is_done(reader_id)]
    return Progress(len(regions) - len(left), len(regions), sum(r.seconds * s.open_share for r, s in left))
