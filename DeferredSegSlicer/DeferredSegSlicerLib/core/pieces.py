"""Connected pieces of a sparse set of voxels: time and memory go with the set, not with the volume.

Voxels of one class that follow each other along index i form a run; runs that touch, corners included
(26-connectivity), are linked; linked runs form a piece.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HALF_OF_THE_ROWS_AROUND = ((0, -1), (-1, -1), (-1, 0), (-1, 1))
"""Steps (k, j) to the neighboring rows that come before; the other half sees this row as theirs."""


@dataclass(frozen=True)
class Runs:
    """Runs of voxels of one class along index i.

    Attributes
    ----------
    start : (R + 1,) where each run starts in the voxel list; the last entry is its length.
    links : (2, E) pairs of runs that touch, whatever their classes.
    contact : (E,) over how many voxels they do.
    """

    start: NDArray[np.intp]
    links: NDArray[np.intp]
    contact: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start) - 1


def find_runs(indices: NDArray[Any], classes: NDArray[Any], shape: tuple[int, int, int]) -> Runs:
    """Runs and which of them touch.

    Parameters
    ----------
    indices : (n,) ascending flat indices into a volume of `shape` (k, j, i). classes : (n,) class of each voxel.
    """
    if not len(indices):
        return Runs(np.zeros(1, np.intp), np.empty((2, 0), np.intp), np.empty(0, np.int64))
    columns = shape[2]
    row = indices // columns
    breaks = (np.diff(indices) != 1) | (np.diff(row) != 0) | (classes[1:] != classes[:-1])
    start = np.concatenate([[0], np.flatnonzero(breaks) + 1, [len(indices)]]).astype(np.intp)
    first = indices[start[:-1]].astype(np.int64)
    last = indices[start[1:] - 1].astype(np.int64)
    row_of_run = first // columns
    j, k = row_of_run % shape[1], row_of_run // shape[1]
    low = np.maximum(first - 1, row_of_run * columns)
    high = np.minimum(last + 1, row_of_run * columns + columns - 1)
    beside = np.flatnonzero((last[:-1] + 1 == first[1:]) & (row_of_run[:-1] == row_of_run[1:]))
    links = [np.stack([beside, beside + 1])]
    contact = [np.ones(len(beside), np.int64)]
    for step_k, step_j in _HALF_OF_THE_ROWS_AROUND:
        near = np.flatnonzero((k + step_k >= 0) & (j + step_j >= 0) & (j + step_j < shape[1]))
        shift = (step_k * shape[1] + step_j) * columns
        begin = np.searchsorted(last, low[near] + shift, side="left")
        end = np.searchsorted(first, high[near] + shift, side="right")
        counts = end - begin
        hit = counts > 0
        near, begin, counts = near[hit], begin[hit], counts[hit]
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        before, after = np.repeat(begin, counts) + offsets, np.repeat(near, counts)
        links.append(np.stack([before, after]))
        contact.append(
            np.minimum(last[before], high[after] + shift) - np.maximum(first[before], low[after] + shift) + 1
        )
    return Runs(start, np.concatenate(links, axis=1), np.concatenate(contact))


def connected(nodes: int, links: NDArray[np.intp]) -> NDArray[np.intp]:
    """Component of each of `nodes` linked nodes, numbered 0.. in the order of their lowest nodes."""
    label = np.arange(nodes)
    a, b = links
    while True:
        of_a, of_b = label[a], label[b]
        apart = of_a != of_b
        if not apart.any():
            break
        a, b, of_a, of_b = a[apart], b[apart], of_a[apart], of_b[apart]
        np.minimum.at(label, np.maximum(of_a, of_b), np.minimum(of_a, of_b))
        while True:
            root = label[label]
            if np.array_equal(root, label):
                break
            label = root
    return np.unique(label, return_inverse=True)[1].reshape(-1)
