"""The review of a case: what all its readers decided, merged voxel by voxel; a pure function of the files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..case_reader import Case
from ..errors import DamagedCaseError
from ..regions import Region
from .conflicts import Conflict, find_conflicts
from .decisions import Entry, Reader
from .layers import ACCEPTING, EDITING, NO_VOICE, REASSIGNING, SKIPPING, ModelLabel, ReaderLayer
from .names import journals_in
from .runs import groups_of, union_of
from .scanning import scan_journal
from .status import (
    ACCEPTED,
    CONFLICT,
    EDITED,
    OPEN,
    REASSIGNED,
    SKIPPED,
    Progress,
    RegionStatus,
    progress_of,
    statuses_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class VoxelStates:
    """What the readers together say about some voxels.

    Attributes
    ----------
    state : (n,) uint8, position in `core.review.status.STATES`.
    label : (n,) uint8, the corrected label: that of the readers where they judged and agree, else the model's.
    voices : (R, n) int32, for each reader of the state the entry that speaks (its position in the reader's entries);
        -1 where the reader says nothing, or has been answered.
    """

    state: NDArray[np.uint8]
    label: NDArray[np.uint8]
    voices: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class ReviewState:
    """All journals of a case at one moment; make it with `read_review`, carry it on with `with_entry`.

    Attributes
    ----------
    case : the case. layers : one a reader, by reader id.
    left_out : what is wrong with journals that are damaged and were left out, if that was asked for; by file name.
    """

    case: Case
    model: ModelLabel
    layers: tuple[ReaderLayer, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def readers(self) -> tuple[Reader, ...]:
        """Everybody who has a journal with a line, by id."""
        return tuple(layer.reader for layer in self.layers)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All lines: reader by reader, each in the order of the journal."""
        return tuple(entry for layer in self.layers for entry in layer.entries)

    @property
    def active(self) -> tuple[Entry, ...]:
        """The decisions that were not undone, in the order of `entries`."""
        return tuple(entry for layer in self.layers for entry in layer.active)

    def of(self, reader_id: str) -> ReviewState:
        """The same review as if only that reader had a journal."""
        return replace(self, layers=tuple(layer for layer in self.layers if layer.reader.id == reader_id))

    def seen_by(self, reader_id: str) -> ReviewState:
        """What a reader sees who wants to decide alone: own decisions, and what others reassigned to this reader."""
        layers = (la if la.reader.id == reader_id else la.asking(reader_id) for la in self.layers)
        return replace(self, layers=tuple(layers))

    def with_entry(self, entry: Entry) -> ReviewState:
        """The review with one more line of one journal."""
        layers = {layer.reader.id: layer for layer in self.layers}
        mine = layers.get(entry.reader.id)
        new = ReaderLayer.of([entry], self.model) if mine is None else mine.with_entry(entry, self.model)
        return self._with_layers({**layers, entry.reader.id: new})

    def with_journal(self, entries: Sequence[Entry]) -> ReviewState:
        """The review with a reader's journal read anew; its lines, at least one."""
        layer = ReaderLayer.of(entries, self.model)
        return self._with_layers({**{la.reader.id: la for la in self.layers}, layer.reader.id: layer})

    def at(self, indices: NDArray[Any]) -> VoxelStates:
        """What the readers say about the voxels at flat indices, (n,), in any order."""
        count = len(indices)
        if not self.layers:
            return VoxelStates(np.full(count, OPEN, np.uint8), self.model.at(indices), np.empty((0, count), np.int32))
        found = [layer.lookup(indices) for layer in self.layers]
        top = np.stack([f[0] for f in found])
        saying = np.stack([f[1] for f in found])
        label = np.stack([f[2] for f in found])
        silent = self._silent(top)
        top[silent], saying[silent] = -1, NO_VOICE
        judging = (saying == ACCEPTING) | (saying == EDITING)
        low = np.where(judging, label, 255).min(axis=0)
        high = np.where(judging, label, 0).max(axis=0)
        judged = judging.any(axis=0)
        state = np.full(count, OPEN, np.uint8)
        for value, said in ((SKIPPED, SKIPPING), (REASSIGNED, REASSIGNING), (ACCEPTED, ACCEPTING), (EDITED, EDITING)):
            state[(saying == said).any(axis=0)] = value
        apart = judged & (low != high)
        state[apart] = CONFLICT
        return VoxelStates(state, np.where(judged & ~apart, high, self.model.at(indices)), top)

    @cached_property
    def voxels(self) -> NDArray[np.int64]:
        """(N,) ascending flat indices of every voxel on which a decision in force bears."""
        return union_of([layer.voxels for layer in self.layers])

    def corrected(self) -> NDArray[np.uint8]:
        """The corrected labels: uint8 [k, j, i], 0 background, s + 1 for structure s.

        Where nobody judged, and where readers disagree, it is the model's label.
        """
        label = self.model.volume.copy()
        label.reshape(-1)[self.voxels] = self._all.label
        return label

    def judged(self) -> NDArray[np.bool_]:
        """bool [k, j, i]: the voxels that a person accepted or edited and about which nobody disagrees."""
        mask = np.zeros(self.case.geometry.shape, dtype=bool)
        mask.reshape(-1)[self.voxels] = np.isin(self._all.state, (ACCEPTED, EDITED))
        return mask

    def judged_by(self) -> tuple[NDArray[np.uint8], tuple[tuple[Reader, ...], ...]]:
        """Who judged each voxel.

        Returns
        -------
        uint8 [k, j, i], 0 where nobody did or readers disagree, else n for the n-th of the groups of readers, from 1;
        and the groups: readers who judged the same voxels and agree on them.
        """
        states = self._all
        done = np.flatnonzero(np.isin(states.state, (ACCEPTED, EDITED)))
        judging = np.zeros((len(self.layers), len(done)), dtype=bool)
        for r, layer in enumerate(self.layers):
            spoken = states.voices[r, done] >= 0
            saying = layer.lookup(self.voxels[done])[1]
            judging[r] = spoken & ((saying == ACCEPTING) | (saying == EDITING))
        if not len(done):
            return np.zeros(self.case.geometry.shape, dtype=np.uint8), ()
        group, example = groups_of(list(judging))
        if len(example) > 255:
            raise DamagedCaseError(f'case "{self.case.folder}" was judged by more than 255 groups of readers')
        volume = np.zeros(self.case.geometry.shape, dtype=np.uint8)
        volume.reshape(-1)[self.voxels[done]] = group + 1
        return volume, tuple(tuple(self.readers[r] for r in np.flatnonzero(judging[:, n])) for n in example)

    @cached_property
    def conflicts(self) -> tuple[Conflict, ...]:
        """Where readers disagree on voxels, largest first."""
        return find_conflicts(self.voxels, self._all.state == CONFLICT, self._all.voices, self.layers)

    def status_of(self, region: Region) -> RegionStatus:
        """What has become of a region, whatever budget it is of."""
        return self.statuses_of([region])[0]

    def statuses_of(self, regions: Sequence[Region]) -> tuple[RegionStatus, ...]:
        """What has become of each region; much faster than one by one."""
        if not regions:
            return ()
        return statuses_of(regions, self.at(np.concatenate([r.indices for r in regions])), self.layers)

    def progress(self, regions: Sequence[Region], reader_id: str | None = None) -> Progress:
        """How many regions are done, and the seconds that the others will take.

        A region that was reassigned is done for everybody but the expert who got it; without a reader, it is not done.
        """
        return progress_of(regions, self.statuses_of(regions), reader_id)

    @cached_property
    def _all(self) -> VoxelStates:
        return self.at(self.voxels)

    def _with_layers(self, layers: dict[str, ReaderLayer]) -> ReviewState:
        return replace(self, layers=tuple(layers[key] for key in sorted(layers)))

    @cached_property
    def _answers(self) -> dict[tuple[int, int], NDArray[np.int64]]:
        """For readers a and b, the pairs of an entry of a that answers one of b, as entry of a * entries of b + it."""
        number = {layer.reader.id: r for r, layer in enumerate(self.layers)}
        found: dict[tuple[int, int], list[int]] = {}
        for a, layer in enumerate(self.layers):
            for entry in layer.active:
                for line in getattr(entry.decision, "answers", ()):
                    b = number.get(line.reader)
                    position = self.layers[b].positions.get(line.sha) if b is not None and b != a else None
                    if b is not None and position is not None:
                        found.setdefault((a, b), []).append((entry.n - 1) * len(self.layers[b].entries) + position)
        return {pair: np.unique(codes) for pair, codes in found.items()}

    def _silent(self, top: NDArray[np.int32]) -> NDArray[np.bool_]:
        """(R, n) bool: where a reader's decision is answered by another's that stands there."""
        silent = np.zeros(top.shape, dtype=bool)
        for (a, b), codes in self._answers.items():
            spoken = (top[a] >= 0) & (top[b] >= 0)
            code = top[a].astype(np.int64) * len(self.layers[b].entries) + top[b]
            silent[b] |= spoken & np.isin(code, codes)
        return silent


def read_review(case: Case, leave_out_damaged: bool = False) -> ReviewState:
    """Read all journals of a case.

    Parameters
    ----------
    leave_out_damaged : go on without journals that are damaged, and say so in `left_out`, instead of refusing.

    Raises
    ------
    DamagedCaseError : a journal was changed; the sentence names it and the line.
    BadInputError : a journal cannot be read.
    """
    return with_journals(ReviewState(case, ModelLabel(case)), journals_in(case.folder), leave_out_damaged)


def with_journals(state: ReviewState, paths: Iterable[Path], leave_out_damaged: bool = False) -> ReviewState:
    """The review with some journals read anew; see `read_review`."""
    left_out = dict(state.left_out)
    for path in paths:
        left_out.pop(path.name, None)
        try:
            entries = scan_journal(path, state.case).entries
        except DamagedCaseError as error:
            if not leave_out_damaged:
                raise
            left_out[path.name] = error.sentence
            continue
        if entries:
            state = state.with_journal(entries)
    return replace(state, left_out=left_out)
