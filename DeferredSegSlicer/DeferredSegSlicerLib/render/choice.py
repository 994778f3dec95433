"""Which slices a contact sheet shows, and how much around the structures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core.geometry import Geometry
from .scene import Scene

CONTEXT_SHARE = 0.12
LEAST_CONTEXT_MM = 15.0
LEAST_SIDE_MM = 80.0

_STRETCH_MARGIN = 0.2


def index_box(scene: Scene) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """First index and last-plus-one (i, j, k) around all that is labeled or deferred; the whole grid if nothing is."""
    first, stop = [], []
    for axis in range(3):
        occupied = np.flatnonzero(np.sum(profile(scene, axis), axis=0))
        first.append(int(occupied[0]) if len(occupied) else 0)
        stop.append(int(occupied[-1]) + 1 if len(occupied) else scene.geometry.size[axis])
    return np.array(first), np.array(stop)


def context_mm(first: NDArray[np.int_], stop: NDArray[np.int_], geometry: Geometry) -> float:
    """How far around an index box to show: a share of it, and enough that a small structure is seen in its place."""
    size = (stop - first) * np.asarray(geometry.spacing)
    longest = float(size.max())
    return max(LEAST_CONTEXT_MM, CONTEXT_SHARE * longest, (LEAST_SIDE_MM - longest) / 2)


def profile(scene: Scene, axis: int) -> NDArray[np.int64]:
    """(2, slices): labeled and deferred voxels of every slice across an index axis."""
    across = tuple(a for a in range(3) if a != 2 - axis)
    return np.stack([np.count_nonzero(a, axis=across) for a in (scene.label, scene.deferred)]).astype(np.int64)


def informative_slices(scene: Scene, axis: int, wanted: int) -> list[int]:
    """Up to `wanted` slices across an axis, spread over the structures, ordered as they lie.

    The labeled extent is cut into equal stretches; the middle of each gives the slice with most deferred voxels (and,
    among equals, most labeled ones), so that no two slices are neighbors where there is a choice. Every structure and
    every expert with a region has a slice of its own if there is room.
    """
    labeled, deferred = profile(scene, axis)
    occupied = np.flatnonzero(labeled + deferred)
    if not len(occupied):
        return [scene.geometry.size[axis] // 2]
    first, stop = int(occupied[0]), int(occupied[-1]) + 1
    if stop - first <= wanted:
        return list(range(first, stop))
    score = deferred * (int(labeled.max()) + 1) + labeled
    stretch = (stop - first) / wanted
    chosen = []
    for number in range(wanted):
        begin = int(first + (number + _STRETCH_MARGIN) * stretch)
        end = max(begin + 1, int(first + (number + 1 - _STRETCH_MARGIN) * stretch))
        chosen.append(begin + int(np.argmax(score[begin:end])))
    for volume, numbers in ((scene.label, len(scene.structures)), (scene.deferred, len(scene.experts))):
        for number in range(1, numbers + 1):
            _include(chosen, _counts(volume, number, axis), deferred)
    return sorted(set(chosen))


def _include(chosen: list[int], counts: NDArray[np.int64], deferred: NDArray[np.int64]) -> None:
    """Make sure that a chosen slice shows some of `counts`: swap the nearest one for the best; changes `chosen`."""
    if counts.any() and not counts[chosen].any():
        best = int(np.argmax(counts))
        nearest = min(range(len(chosen)), key=lambda n: (abs(chosen[n] - best), deferred[chosen[n]]))
        chosen[nearest] = best


def _counts(volume: NDArray[np.uint8], number: int, axis: int) -> NDArray[np.int64]:
    across = tuple(a for a in range(3) if a != 2 - axis)
    return np.count_nonzero(volume == number, axis=across).astype(np.int64)


def reformat_index(scene: Scene, axis: int) -> int:
    """The slice across an axis that shows most deferred voxels next to labeled ones; the middle if there are none."""
    labeled, deferred = profile(scene, axis)
    if deferred.any():
        return int(np.argmax(deferred * (1 + labeled)))
    return int(np.argmax(labeled)) if labeled.any() else scene.geometry.size[axis] // 2
