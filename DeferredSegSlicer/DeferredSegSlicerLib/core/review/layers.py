"""What holds in one reader's journal, voxel by voxel: of the decisions that were not undone, the last on each voxel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..case_reader import Case
from .decisions import Accept, Decision, Edit, Entry, Reader, Reassign, Skip, Undo
from .runs import position_in

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_VOICE, ACCEPTING, EDITING, REASSIGNING, SKIPPING = range(5)
"""What a reader says about a voxel."""


class ModelLabel:
    """The model's labels of a case, read once and when they are needed."""

    def __init__(self, case: Case) -> None:
        self._case = case

    @cached_property
    def volume(self) -> NDArray[np.uint8]:
        """uint8 [k, j, i], read-only; raises DamagedCaseError as `Case.label` does."""
        label = self._case.label()
        label.setflags(write=False)
        return label

    def at(self, indices: NDArray[Any]) -> NDArray[np.uint8]:
        """(n,) labels at flat indices."""
        return self.volume.reshape(-1)[indices]


@dataclass(frozen=True, eq=False)
class ReaderLayer:
    """One reader's decisions in force.

    Attributes
    ----------
    reader : as in the last line. entries : all lines, in order. undone : numbers of the lines that were undone.
    voxels : (N,) ascending flat indices of every voxel on which a decision bears.
    top : (N,) int32, which entry speaks there (its position in `entries`).
    saying : (N,) uint8, one of the constants above. label : (N,) uint8, the label that a judgment gives, else 0.
    """

    reader: Reader
    entries: tuple[Entry, ...]
    undone: frozenset[int]
    voxels: NDArray[np.int64]
    top: NDArray[np.int32]
    saying: NDArray[np.uint8]
    label: NDArray[np.uint8]

    @classmethod
    def of(cls, entries: Sequence[Entry], model: ModelLabel) -> ReaderLayer:
        """From the lines of one journal; at least one."""
        undone = frozenset(e.decision.line.n for e in entries if isinstance(e.decision, Undo))
        acting = [e for e in entries if e.n not in undone and not isinstance(e.decision, Undo)]
        return cls(entries[-1].reader, tuple(entries), undone, *_painted(acting, model))

    def with_entry(self, entry: Entry, model: ModelLabel) -> ReaderLayer:
        """The layer with one more line."""
        grown = replace(self, reader=entry.reader, entries=(*self.entries, entry))
        if isinstance(entry.decision, Undo):
            return grown._without(entry.decision.line.n, model)
        return grown._with(*_painted([entry], model))

    @cached_property
    def positions(self) -> dict[str, int]:
        """Position in `entries` by sha256."""
        return {e.sha: p for p, e in enumerate(self.entries)}

    @property
    def active(self) -> tuple[Entry, ...]:
        """The decisions that were not undone, in order."""
        return tuple(e for e in self.entries if e.n not in self.undone and not isinstance(e.decision, Undo))

    def asking(self, reader_id: str) -> ReaderLayer:
        """The layer with nothing but what it reassigns to another reader."""
        asks = [isinstance(e.decision, Reassign) and e.decision.to == reader_id for e in self.entries]
        kept = np.asarray(asks, dtype=bool)[self.top]
        return replace(
            self, voxels=self.voxels[kept], top=self.top[kept], saying=self.saying[kept], label=self.label[kept]
        )

    def lookup(self, indices: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.uint8]]:
        """(n,) top (-1 where nothing speaks), saying and label at flat indices."""
        position, found = position_in(self.voxels, indices)
        if not len(self.voxels):
            return (
                np.full(len(indices), -1, np.int32),
                np.zeros(len(indices), np.uint8),
                np.zeros(len(indices), np.uint8),
            )
        top = np.where(found, self.top[position], np.int32(-1))
        return top, np.where(found, self.saying[position], 0), np.where(found, self.label[position], 0)

    def _with(
        self, voxels: NDArray[np.int64], top: NDArray[np.int32], saying: NDArray[np.uint8], label: NDArray[np.uint8]
    ) -> ReaderLayer:
        """The layer with something newer on top of some voxels."""
        where, there = position_in(self.voxels, voxels)
        fresh = ~there
        at = np.searchsorted(self.voxels, voxels[fresh])

        def laid(old: NDArray[Any], new: NDArray[Any]) -> NDArray[Any]:
            changed = old.copy()
            changed[where[there]] = new[there]
            return np.insert(changed, at, new[fresh]) if len(at) else changed

        return replace(
            self,
            voxels=np.insert(self.voxels, at, voxels[fresh]) if len(at) else self.voxels,
            top=laid(self.top, top),
            saying=laid(self.saying, saying),
            label=laid(self.label, label),
        )

    def _without(self, n: int, model: ModelLabel) -> ReaderLayer:
        """The layer after the decision of line n was undone: what it covered shows again."""
        gone = self.top == n - 1
        bare = replace(self, undone=self.undone | {n})
        freed = self.voxels[gone]
        if not len(freed):
            return bare
        keep = ~gone
        bare = replace(
            bare, voxels=self.voxels[keep], top=self.top[keep], saying=self.saying[keep], label=self.label[keep]
        )
        below = [e for e in bare.active if e.n < n and _meets(e, int(freed[0]), int(freed[-1]))]
        if not below:
            return bare
        voxels, top, saying, label = _painted(below, model)
        again = position_in(freed, voxels)[1]
        return bare._with(voxels[again], top[again], saying[again], label[again])


def _meets(entry: Entry, first: int, last: int) -> bool:
    """Whether the span of a decision's voxels reaches into first..last."""
    decision = entry.decision
    runs = decision.after if isinstance(decision, Edit) else decision.voxels if isinstance(decision, Decision) else None
    return runs is not None and bool(runs.start[0] <= last and runs.start[-1] + runs.length[-1] > first)


def _painted(
    entries: Sequence[Entry], model: ModelLabel
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.uint8], NDArray[np.uint8]]:
    """Voxels, top, saying and label of decisions laid over each other, the later on top."""
    if not entries:
        return np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.uint8), np.empty(0, np.uint8)
    parts = [_of_entry(entry, model) for entry in entries]
    sizes = [len(p[0]) for p in parts]
    voxels = np.concatenate([p[0] for p in parts])
    top = np.repeat(np.array([e.n - 1 for e in entries], np.int32), sizes)
    saying = np.repeat(np.array([p[1] for p in parts], np.uint8), sizes)
    label = np.concatenate([p[2] for p in parts])
    if len(entries) > 1:
        order = np.argsort(voxels, kind="stable")
        voxels = voxels[order]
        last = order[np.append(np.diff(voxels) != 0, True)]
        voxels = voxels[np.append(np.diff(voxels) != 0, True)]
        top, saying, label = top[last], saying[last], label[last]
    return voxels, top, saying, label


def _of_entry(entry: Entry, model: ModelLabel) -> tuple[NDArray[np.int64], int, NDArray[np.uint8]]:
    decision = entry.decision
    if isinstance(decision, Edit):
        return decision.indices, EDITING, decision.after.labels
    if isinstance(decision, Accept):
        return decision.indices, ACCEPTING, model.at(decision.indices)
    if isinstance(decision, Reassign | Skip):
        saying = REASSIGNING if isinstance(decision, Reassign) else SKIPPING
        return decision.indices, saying, np.zeros(len(decision.voxels), np.uint8)
    raise TypeError(f"a line of kind {decision.kind} bears on no voxels")
