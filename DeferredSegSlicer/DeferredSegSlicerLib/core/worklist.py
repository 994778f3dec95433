"""The worklist of a case: prepared once from the stored maps, then asked for any budget."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .budgets import check_minutes, check_region_count, largest_share, voxels_of_share
from .errors import BadInputError
from .experts import Expert, check_experts
from .geometry import Geometry
from .regions import MIN_REGION_ML, MIN_REGION_VOXELS, RegionList, RegionSettings, find_regions
from .routing import Candidates, DeferralOrder, deferral_order, find_candidates
from .structures import Structure
from .zone import ZONE_BAND_MM, ZONE_FLOOR, Zone, decision_zone

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOBODY_AVAILABLE = "no expert is available, so nothing is deferred"


@dataclass(frozen=True)
class DeferredSet:
    """The voxels deferred at a budget, in the order in which they are deferred.

    Attributes
    ----------
    indices : (n,) flat indices into the [k, j, i] volume.
    expert, structure : (n,) uint8 indices of the expert and of the structure of each voxel.
    zone_voxels : size of the decision zone.
    note : why nothing could be deferred, or an empty text.
    """

    indices: NDArray[Any]
    expert: NDArray[np.uint8]
    structure: NDArray[np.uint8]
    zone_voxels: int
    note: str = ""

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def share(self) -> float:
        """Deferred voxels as a share of the decision zone; 0 for an empty zone."""
        return len(self.indices) / self.zone_voxels if self.zone_voxels else 0.0

    def share_of_experts(self, experts: int) -> NDArray[np.float64]:
        """(J,) voxels of each expert as a share of the decision zone."""
        return np.bincount(self.expert, minlength=experts) / max(1, self.zone_voxels)

    def labels(self, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
        """uint8 volume [k, j, i]: 0 where the model decides, j + 1 where expert j does."""
        labels = np.zeros(shape, dtype=np.uint8)
        labels.reshape(-1)[self.indices] = self.expert + 1
        return labels


@dataclass(frozen=True)
class Worklist:
    """What is needed to defer at any budget; make it with `worklist`.

    Attributes
    ----------
    geometry, structures, experts : of the case.
    zone : the decision zone. candidates : its voxels that may be deferred.
    order : the order of deferral, or None if no expert is available.
    settings : of the regions.
    """

    geometry: Geometry
    structures: tuple[Structure, ...]
    experts: tuple[Expert, ...]
    zone: Zone
    candidates: Candidates
    order: DeferralOrder | None
    settings: RegionSettings
    _deferral: DeferredSet

    def deferred(self, budget: float) -> DeferredSet:
        """The voxels deferred at a share of the zone; raises BadInputError outside 0..1.

        A larger budget's set starts with a smaller budget's set.
        """
        count = self._count(budget)
        everything = self._deferral
        return replace(
            everything,
            indices=everything.indices[:count],
            expert=everything.expert[:count],
            structure=everything.structure[:count],
        )

    def regions(self, budget: float) -> RegionList:
        """Deferral regions at a share of the zone, worst first; raises BadInputError outside 0..1."""
        count = self._count(budget)
        if self.order is None:
            return RegionList()
        return find_regions(
            self.candidates, self.order, count, self.structures, self.experts, self.geometry, self.settings
        )

    def minutes(self, budget: float) -> float:
        """Expected minutes to review all regions at a share of the zone."""
        return self.regions(budget).seconds / 60

    def budget_for_minutes(self, minutes: float) -> float:
        """The largest share found whose regions take no more than so many minutes to review."""
        return largest_share(self.minutes, check_minutes(minutes))

    def budget_for_regions(self, regions: int) -> float:
        """The largest share found, going up from 0, that gives no more than so many regions."""
        return largest_share(lambda share: len(self.regions(share)), check_region_count(regions))

    def with_experts(self, experts: Sequence[Expert]) -> Worklist:
        """The same case with other availability, costs or times; the experts' ids and their order must be the same."""
        changed = check_experts(experts)
        before, after = [e.id for e in self.experts], [e.id for e in changed]
        if before != after:
            raise BadInputError(f"experts are {', '.join(after)}, but the routing map is of {', '.join(before)}")
        order = deferral_order(self.candidates, changed)
        return replace(
            self, experts=changed, order=order, _deferral=_deferral_of(self.candidates, order, len(self.zone))
        )

    def _count(self, budget: float) -> int:
        return min(voxels_of_share(budget, len(self.zone)), len(self._deferral))


def worklist(
    probability: NDArray[np.uint8],
    routing: NDArray[np.uint8],
    error: NDArray[np.uint8],
    structures: Sequence[Structure],
    experts: Sequence[Expert],
    geometry: Geometry,
    settings: Mapping[str, Any] | None = None,
) -> Worklist:
    """Prepare the worklist of a case.

    Parameters
    ----------
    probability : uint8 [s, k, j, i], foreground probability times 255.
    routing : uint8 [a, k, j, i], experts first, model last, adding up to 255.
    error : uint8 [k, j, i], probability that the model's label is wrong, times 255.
    settings : the case's settings; `zone_floor`, `zone_band_mm`, `min_region_ml` and `min_region_voxels` count here.

    Raises
    ------
    BadInputError : maps that do not fit the grid, the structures or the experts, or settings out of range.
    """
    structures, experts = tuple(structures), check_experts(experts)
    if len(probability) != len(structures):
        raise BadInputError(f"probability map has {len(probability)} components, expected {len(structures)} structures")
    if len(routing) != len(experts) + 1:
        raise BadInputError(f"routing map has {len(routing)} agents, expected {len(experts)} experts and the model")
    values = settings or {}
    region_settings = RegionSettings(
        _number(values, "min_region_ml", MIN_REGION_ML), int(_number(values, "min_region_voxels", MIN_REGION_VOXELS))
    )
    zone = decision_zone(
        probability, geometry, _number(values, "zone_floor", ZONE_FLOOR), _number(values, "zone_band_mm", ZONE_BAND_MM)
    )
    candidates = find_candidates(zone, probability, routing, error, geometry)
    order = deferral_order(candidates, experts)
    deferral = _deferral_of(candidates, order, len(zone))
    return Worklist(geometry, structures, experts, zone, candidates, order, region_settings, deferral)


def _deferral_of(candidates: Candidates, order: DeferralOrder | None, zone_voxels: int) -> DeferredSet:
    """All candidates in deferral order, read-only; a budget takes the first of them."""
    if order is None:
        none = np.empty(0, np.uint8)
        return DeferredSet(candidates.indices[:0], none, none, zone_voxels, NOBODY_AVAILABLE)
    arrays = candidates.indices[order.ranked], order.expert[order.ranked], candidates.structure[order.ranked]
    for array in arrays:
        array.setflags(write=False)
    return DeferredSet(*arrays, zone_voxels)


def _number(settings: Mapping[str, Any], name: str, default: float) -> float:
    value = settings.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadInputError(f"setting {name} is {value!r}, expected a number")
    return float(value)
