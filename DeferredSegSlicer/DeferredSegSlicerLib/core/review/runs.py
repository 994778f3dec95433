"""Sets of voxels, and labels of voxels, as runs along the flat index: exact, and short enough for a line of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BadInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class VoxelRuns:
    """A set of voxels of a [k, j, i] volume.

    Attributes
    ----------
    start, length : (R,) int64, flat index of the first voxel of each run and its number of voxels; runs ascend, do
        not overlap, and do not touch.
    """

    start: NDArray[np.int64]
    length: NDArray[np.int64]

    @classmethod
    def of(cls, indices: NDArray[Any]) -> VoxelRuns:
        """From ascending flat indices without repetitions."""
        flat = _ascending(indices)
        first = _first_of_runs(np.diff(flat) != 1, len(flat))
        return cls(flat[first], np.diff(first, append=len(flat)))

    @classmethod
    def from_list(cls, values: Any, voxel_count: int) -> VoxelRuns:
        """From `[gap, length, gap, length, ...]`, gaps counted from the end of the run before.

        Raises BadInputError for anything but runs inside a volume of so many voxels.
        """
        gap, length = _columns(values, 2, voxel_count)
        if np.any(gap[1:] < 1):
            raise BadInputError("runs of voxels touch each other")
        return cls(_starts(gap, length, voxel_count), length)

    def to_list(self) -> list[int]:
        """`[gap, length, gap, length, ...]`, gaps counted from the end of the run before, the first from 0."""
        return np.stack([_gaps(self.start, self.length), self.length], axis=1).ravel().tolist()

    @cached_property
    def indices(self) -> NDArray[np.int64]:
        """(n,) ascending flat indices, read-only."""
        return _expanded(self.start, self.length)

    def __len__(self) -> int:
        return int(self.length.sum())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VoxelRuns) and self.to_list() == other.to_list()

    def __hash__(self) -> int:
        return hash((self.start.tobytes(), self.length.tobytes()))


@dataclass(frozen=True, eq=False)
class LabelRuns:
    """A set of voxels of a [k, j, i] volume, with a label for each.

    Attributes
    ----------
    start, length : as in `VoxelRuns`, but runs of different labels may touch.
    label : (R,) uint8, the label of each run.
    """

    start: NDArray[np.int64]
    length: NDArray[np.int64]
    label: NDArray[np.uint8]

    @classmethod
    def of(cls, indices: NDArray[Any], labels: NDArray[np.uint8]) -> LabelRuns:
        """From ascending flat indices without repetitions, and the label of each."""
        flat = _ascending(indices)
        if len(labels) != len(flat):
            raise ValueError(f"{len(labels)} labels given for {len(flat)} voxels")
        first = _first_of_runs((np.diff(flat) != 1) | (labels[1:] != labels[:-1]), len(flat))
        return cls(flat[first], np.diff(first, append=len(flat)), np.asarray(labels[first], dtype=np.uint8))

    @classmethod
    def from_list(cls, values: Any, voxel_count: int, structures: int) -> LabelRuns:
        """From `[gap, length, label, ...]`.

        Raises BadInputError for anything but runs inside a volume of so many voxels with labels 0 to `structures`.
        """
        gap, length, label = _columns(values, 3, voxel_count)
        if label.max() > structures:
            raise BadInputError(f"label {int(label.max())} is of no structure; there are {structures}")
        if np.any((gap[1:] < 1) & (label[1:] == label[:-1])):
            raise BadInputError("runs of one label touch each other")
        return cls(_starts(gap, length, voxel_count), length, label.astype(np.uint8))

    def to_list(self) -> list[int]:
        """`[gap, length, label, ...]`, gaps counted from the end of the run before, the first from 0."""
        gaps = _gaps(self.start, self.length)
        return np.stack([gaps, self.length, self.label.astype(np.int64)], axis=1).ravel().tolist()

    @cached_property
    def indices(self) -> NDArray[np.int64]:
        """(n,) ascending flat indices, read-only."""
        return _expanded(self.start, self.length)

    @property
    def labels(self) -> NDArray[np.uint8]:
        """(n,) label of each voxel of `indices`."""
        return np.repeat(self.label, self.length)

    def __len__(self) -> int:
        return int(self.length.sum())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LabelRuns) and self.to_list() == other.to_list()

    def __hash__(self) -> int:
        return hash((self.start.tobytes(), self.length.tobytes(), self.label.tobytes()))


def position_in(sorted_indices: NDArray[Any], wanted: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where each wanted index is in an ascending array, and whether it is there at all (else the position is 0)."""
    if not len(sorted_indices):
        return np.zeros(len(wanted), np.intp), np.zeros(len(wanted), bool)
    position = np.searchsorted(sorted_indices, wanted)
    position[position == len(sorted_indices)] = 0
    return position, sorted_indices[position] == wanted


def union_of(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """(n,) ascending indices of all that are in one of the ascending arrays; merges them, so that it is fast."""
    merged = np.sort(np.concatenate([np.empty(0, np.int64), *parts]), kind="stable")
    return merged[np.append(np.diff(merged) != 0, True)] if len(merged) else merged


def groups_of(columns: Sequence[NDArray[Any]]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Which rows of a table are alike, from its columns of whole numbers, (n,) each.

    Returns the number of each row's group, from 0, and for each group one row that is in it.
    """
    group, row = np.zeros(len(columns[0]), np.intp), np.zeros(1, np.intp)
    for column in columns:
        values = column.astype(np.intp) - int(column.min(initial=0))
        codes = group * (int(values.max(initial=0)) + 1) + values
        _, row, group = np.unique(codes, return_index=True, return_inverse=True)
    return group.reshape(-1), row


def _ascending(indices: NDArray[Any]) -> NDArray[np.int64]:
    flat = np.asarray(indices, dtype=np.int64)
    if not len(flat):
        raise ValueError("no voxels given")
    if flat[0] < 0 or np.any(np.diff(flat) < 1):
        raise ValueError("flat indices do not ascend from 0")
    return flat


def _first_of_runs(breaks: NDArray[np.bool_], count: int) -> NDArray[np.intp]:
    return np.concatenate([[0], np.flatnonzero(breaks) + 1]).astype(np.intp) if count else np.empty(0, np.intp)


def _columns(values: Any, width: int, voxel_count: int) -> tuple[NDArray[np.int64], ...]:
    """The columns of a flat list of whole numbers 0 to `voxel_count`; the second, the length, from 1."""
    if not isinstance(values, list) or not values or len(values) % width:
        raise BadInputError(f"runs are not a list of {width} numbers each")
    if set(map(type, values)) != {int} or min(values) < 0 or max(values) > voxel_count:
        raise BadInputError(f"runs are not whole numbers from 0 to {voxel_count}")
    table = np.asarray(values, dtype=np.int64).reshape(-1, width)
    if table[:, 1].min() < 1:
        raise BadInputError("a run has no voxels")
    return tuple(np.ascontiguousarray(column) for column in table.T)


def _starts(gap: NDArray[np.int64], length: NDArray[np.int64], voxel_count: int) -> NDArray[np.int64]:
    end = np.cumsum(gap + length)
    if end[-1] > voxel_count:
        raise BadInputError(f"runs reach beyond the {voxel_count} voxels of the volume")
    return end - length


def _gaps(start: NDArray[np.int64], length: NDArray[np.int64]) -> NDArray[np.int64]:
    return start - np.concatenate([[0], (start + length)[:-1]])


def _expanded(start: NDArray[np.int64], length: NDArray[np.int64]) -> NDArray[np.int64]:
    before = np.cumsum(length) - length
    flat = np.repeat(start - before, length) + np.arange(int(length.sum()))
    flat.setflags(write=False)
    return flat
