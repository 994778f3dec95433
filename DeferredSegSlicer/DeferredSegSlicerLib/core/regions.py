"""Deferral regions: deferred voxels gathered into connected pieces that a reader can review one by one.

The rule, for a budget of n voxels and the n voxels deferred at it:

1. *Closing.* Voxels that may be deferred (deferral probability above 0), belong to the same structure and would go to
   the same expert are taken along where an in-plane closing of one voxel reaches them.
2. *Pieces* of one structure and one expert are connected over faces, edges and corners.
3. *Small pieces* (fewer deferred voxels than the minimum) go to the expert of the touching large piece of the same
   structure with which they have the longest contact; then the pieces that touch these, and so on. Small pieces that
   touch each other alone, but together reach the minimum, become a region of the expert who has most of it. The rest
   is dropped.
4. *Budget.* Closed-in voxels are kept in the order in which a larger budget would defer them, and only as many as
   dropped pieces left room for: the regions together never have more than n voxels. (So a piece may miss a voxel that
   joined it; it stays one region.)
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from .closing import closed_in
from .errors import BadInputError
from .experts import Expert
from .geometry import Geometry
from .merging import Pieces
from .pieces import connected, find_runs
from .routing import Candidates, DeferralOrder
from .structures import Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_REGION_ML = 0.05
MIN_REGION_VOXELS = 8
OPEN = "open"
"""Status of a region on which nobody has decided yet."""


@dataclass(frozen=True)
class Region:
    """A connected piece of deferred voxels of one structure and one expert, the unit of review.

    Attributes
    ----------
    id : "<structure>:<expert>:<12 hex digits of the sha256 of its voxel indices>": the same voxels, the same id.
    structure, expert : ids.
    voxels : how many. volume_ml : ml.
    slice_count, slice_range : slices that it touches, and the first and the last of them, along the slicing axis.
    box_ijk : first index and last-plus-one index (i, j, k) of its bounding box.
    centroid_ras : RAS mm.
    expected_error_voxels, expected_error_ml : sum of the probability that the model's label is wrong.
    seconds : expected time of review.
    value : expected_error_ml / seconds, the ranking; infinite for an error that costs no time.
    status : "open" until somebody decides.
    indices : ascending flat indices into the [k, j, i] volume.
    """

    id: str
    structure: str
    expert: str
    voxels: int
    volume_ml: float
    slice_count: int
    slice_range: tuple[int, int]
    box_ijk: tuple[tuple[int, int, int], tuple[int, int, int]]
    centroid_ras: tuple[float, float, float]
    expected_error_voxels: float
    expected_error_ml: float
    seconds: float
    value: float
    status: str = OPEN
    indices: NDArray[Any] = field(default_factory=lambda: np.empty(0, np.int32), repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON, without the voxels; an infinite value becomes None."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "indices"}
        plain |= {"value": self.value if math.isfinite(self.value) else None, "slice_range": list(self.slice_range)}
        return plain | {"centroid_ras": list(self.centroid_ras), "box_ijk": [list(c) for c in self.box_ijk]}


@dataclass(frozen=True)
class RegionList(Sequence[Region]):
    """Regions of a budget, worst first, and what became of the pieces that are not regions of their own.

    Attributes
    ----------
    regions : largest expected error removed per second of review first.
    merged_pieces, merged_voxels : small pieces that went to another expert's region.
    dropped_pieces, dropped_voxels : small pieces that nobody gets to see.
    closed_voxels : voxels that the closing added.
    """

    regions: tuple[Region, ...] = ()
    merged_pieces: int = 0
    merged_voxels: int = 0
    dropped_pieces: int = 0
    dropped_voxels: int = 0
    closed_voxels: int = 0

    @overload
    def __getitem__(self, index: int) -> Region: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Region, ...]: ...
    def __getitem__(self, index: int | slice) -> Region | tuple[Region, ...]:
        return self.regions[index]

    def __len__(self) -> int:
        return len(self.regions)

    def __iter__(self) -> Iterator[Region]:
        return iter(self.regions)

    @property
    def voxels(self) -> int:
        """Voxels of all regions together."""
        return sum(region.voxels for region in self.regions)

    @property
    def seconds(self) -> float:
        """Expected time to review all regions."""
        return sum(region.seconds for region in self.regions)


@dataclass(frozen=True)
class RegionSettings:
    """Smallest region: `min_ml` in ml, but never fewer than `min_voxels` voxels. Raises BadInputError below 0 and 1."""

    min_ml: float = MIN_REGION_ML
    min_voxels: int = MIN_REGION_VOXELS

    def __post_init__(self) -> None:
        if not (math.isfinite(self.min_ml) and self.min_ml >= 0):
            raise BadInputError(f"smallest region is {self.min_ml} ml, expected 0 or more")
        if self.min_voxels < 1:
            raise BadInputError(f"smallest region is {self.min_voxels} voxels, expected 1 or more")

    def voxels(self, geometry: Geometry) -> int:
        """Fewest voxels of a region on this grid."""
        return max(self.min_voxels, math.ceil(self.min_ml / geometry.voxel_ml - 1e-9))


def find_regions(
    candidates: Candidates,
    order: DeferralOrder,
    count: int,
    structures: Sequence[Structure],
    experts: Sequence[Expert],
    geometry: Geometry,
    settings: RegionSettings | None = None,
) -> RegionList:
    """Regions of the first `count` voxels of the deferral order, by the rule at the top of this module."""
    if count == 0:
        return RegionList()
    deferred = order.rank < count
    taken = deferred.copy()
    taken[_closing(candidates, order, deferred, len(structures), geometry)] = True
    position = np.flatnonzero(taken)
    own = deferred[position]
    expert = order.expert[position].astype(np.intp)
    structure = candidates.structure[position].astype(np.intp)
    runs = find_runs(candidates.indices[position], structure * len(experts) + expert, geometry.shape)
    first = runs.start[:-1]
    run_size = np.add.reduceat(own, first, dtype=np.intp)
    minimum = (settings or RegionSettings()).voxels(geometry)
    pieces = Pieces.of(expert[first], structure[first], run_size, runs.links, runs.contact, minimum, len(experts))
    final, dropped = pieces.settled()
    piece_links = pieces.contacts[:, (final[pieces.contacts[0]] == final[pieces.contacts[1]])]
    region_of_piece = connected(len(final), piece_links[:, ~dropped[piece_links].any(axis=0)])
    moved = (final != pieces.expert) & ~dropped
    counts = np.diff(runs.start)
    piece = np.repeat(pieces.of_run, counts)
    kept = _within_budget(~dropped[piece], own, order.rank[position], count)
    regions = _describe(
        position[kept], region_of_piece[piece[kept]], final[piece[kept]], candidates, structures, experts, geometry
    )
    return RegionList(
        regions,
        merged_pieces=int(moved.sum()),
        merged_voxels=int(pieces.size[moved].sum()),
        dropped_pieces=int(dropped.sum()),
        dropped_voxels=int(pieces.size[dropped].sum()),
        closed_voxels=int(np.count_nonzero(kept & ~own)),
    )


def _closing(
    candidates: Candidates, order: DeferralOrder, deferred: NDArray[np.bool_], structures: int, geometry: Geometry
) -> NDArray[np.intp]:
    """Positions of the candidates that the closing adds, each to its own structure and expert."""
    chosen = np.flatnonzero(deferred)
    owner = candidates.structure[chosen]
    added = []
    for structure in range(structures):
        mine = chosen[owner == structure]
        voxels, experts = closed_in(
            candidates.indices[mine], order.expert[mine], geometry.shape, 2 - geometry.slicing_axis
        )
        position = np.searchsorted(candidates.indices, voxels)
        position[position == len(candidates)] = 0
        own_expert = (experts >> order.expert[position].astype(experts.dtype)) & 1 == 1
        found = (candidates.indices[position] == voxels) & (candidates.structure[position] == structure)
        added.append(position[found & own_expert])
    return np.concatenate(added)


def _within_budget(
    kept: NDArray[np.bool_], own: NDArray[np.bool_], rank: NDArray[Any], count: int
) -> NDArray[np.bool_]:
    """The kept voxels without the closed-in ones, last in order first, that are more than `count` in all."""
    extra = np.flatnonzero(kept & ~own)
    room = count - int(np.count_nonzero(kept & own))
    if len(extra) > room:
        kept = kept.copy()
        kept[extra[np.argsort(rank[extra])[room:]]] = False
    return kept


def _describe(
    position: NDArray[np.intp],
    region: NDArray[np.intp],
    expert: NDArray[np.intp],
    candidates: Candidates,
    structures: Sequence[Structure],
    experts: Sequence[Expert],
    geometry: Geometry,
) -> tuple[Region, ...]:
    """Regions with their figures, worst first, from the kept candidates (ascending) and their region numbers."""
    if not len(position):
        return ()
    # A stable sort of 16-bit numbers goes by radix: several times faster.
    grouped = np.argsort(region.astype(np.uint16) if region.max() < 2**16 else region, kind="stable")
    position, region, expert = position[grouped], region[grouped], expert[grouped]
    start = np.concatenate([[0], np.flatnonzero(np.diff(region)) + 1]).astype(np.intp)
    stop = np.append(start[1:], len(position))
    indices = candidates.indices[position]
    ijk = list(reversed(np.unravel_index(indices, geometry.shape)))
    low = np.stack([np.minimum.reduceat(c, start) for c in ijk], axis=1)
    high = np.stack([np.maximum.reduceat(c, start) for c in ijk], axis=1)
    size = stop - start
    center = geometry.ras_of(np.stack([np.add.reduceat(c, start) for c in ijk], axis=1) / size[:, None])
    errors = np.add.reduceat(candidates.error[position], start, dtype=np.int64) / 255
    along = geometry.slicing_axis
    touched = np.zeros((len(start), geometry.size[along]), dtype=bool)
    touched[np.repeat(np.arange(len(start)), size), ijk[along]] = True
    slices = touched.sum(axis=1)
    found = []
    for n, (first, last) in enumerate(zip(start, stop, strict=True)):
        who, what = experts[expert[first]], structures[candidates.structure[position[first]]]
        voxels = indices[first:last].copy()
        voxels.setflags(write=False)
        error_ml = float(errors[n]) * geometry.voxel_ml
        seconds = who.seconds_per_region + who.seconds_per_slice * int(slices[n])
        value = error_ml / seconds if seconds > 0 else (math.inf if error_ml > 0 else 0.0)
        i0, j0, k0 = low[n].tolist()
        i1, j1, k1 = (high[n] + 1).tolist()
        r, anterior, s = center[n].tolist()
        found.append(
            Region(
                id=f"{what.id}:{who.id}:{hashlib.sha256(voxels.astype('<i8').tobytes()).hexdigest()[:12]}",
                structure=what.id,
                expert=who.id,
                voxels=int(size[n]),
                volume_ml=int(size[n]) * geometry.voxel_ml,
                slice_count=int(slices[n]),
                slice_range=(int(low[n, along]), int(high[n, along])),
                box_ijk=((i0, j0, k0), (i1, j1, k1)),
                centroid_ras=(r, anterior, s),
                expected_error_voxels=float(errors[n]),
                expected_error_ml=error_ml,
                seconds=seconds,
                value=value,
                indices=voxels,
            )
        )
    return tuple(sorted(found, key=lambda r: (-r.value, -r.expected_error_ml, r.id)))
