"""A case on its volume: what is deferred at a budget with today's experts, and the nodes that show it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ..core.budgets import check_share
from ..core.case import Case
from ..core.experts import Expert
from ..core.regions import RegionList
from ..core.worklist import Worklist
from ..mrml.deferred import DeferredDisplay
from ..mrml.grid import Alignment
from ..mrml.legend import LegendRow, legend_rows
from .experts import off_duty_of, with_duty

_KEPT_LISTS = 32
"""So many region lists of the current duty are kept, for a slider that goes to and fro."""


@dataclass(frozen=True)
class Forecast:
    """What a budget would ask for: number of regions, minutes of review, and the share of the decision zone."""

    regions: int
    minutes: float
    share: float


class ShownCase:
    """A case that is open on a volume node of the scene. No network is run by anything here.

    Parameters
    ----------
    case : the case; its maps are in `worklist` already.
    volume_node, result_node : the volume and the model's segmentation.
    deferred : draws the regions.
    alignment : of the case on the volume.
    worklist : of the case, with the experts as they are on duty.
    budget : share of the decision zone.
    """

    def __init__(
        self,
        case: Case,
        volume_node: Any,
        result_node: Any,
        deferred: DeferredDisplay,
        alignment: Alignment,
        worklist: Worklist,
        budget: float,
        regions: RegionList | None = None,
    ) -> None:
        self.case = case
        self.volume_node = volume_node
        self.result_node = result_node
        self.deferred = deferred
        self.alignment = alignment
        self._worklist = worklist
        self._budget = check_share(budget)
        self._lists: dict[float, RegionList] = {} if regions is None else {self._budget: regions}

    @property
    def worklist(self) -> Worklist:
        """With the current duty."""
        return self._worklist

    @property
    def experts(self) -> tuple[Expert, ...]:
        """All experts of the case with their current duty."""
        return self._worklist.experts

    @property
    def off_duty(self) -> frozenset[str]:
        """Ids of experts who get nothing now."""
        return off_duty_of(self.experts)

    @property
    def budget(self) -> float:
        """Share of the decision zone that may be deferred."""
        return self._budget

    @property
    def regions(self) -> RegionList:
        """What is deferred now, worst first."""
        return self.regions_at(self._budget)

    @property
    def deferred_node(self) -> Any:
        """The segmentation node with a segment for each expert."""
        return self.deferred.node

    def regions_at(self, share: float) -> RegionList:
        """Regions at any budget with the current duty; those of the last budgets are remembered.

        Raises BadInputError outside 0..1.
        """
        key = check_share(share)
        found = self._lists.pop(key, None)
        if found is None:
            found = self._worklist.regions(key)
            while len(self._lists) >= _KEPT_LISTS:
                del self._lists[next(iter(self._lists))]
        self._lists[key] = found
        return found

    def forecast(self, share: float) -> Forecast:
        """What a budget would ask for with the current duty; raises BadInputError outside 0..1."""
        regions = self.regions_at(share)
        return Forecast(len(regions), regions.seconds / 60, self._worklist.deferred(share).share)

    def set_budget(self, share: float) -> None:
        """Defer at another budget and draw it; raises BadInputError outside 0..1, and nothing has changed then."""
        regions = self.regions_at(share)
        self._budget = check_share(share)
        self.deferred.show(regions, self.experts)

    def set_off_duty(self, ids: Collection[str]) -> None:
        """Give the voxels of experts who are not there to the others, and draw it. With nobody there, none are."""
        if frozenset(ids) & {e.id for e in self.experts} == self.off_duty:
            return
        self._worklist = self._worklist.with_experts(with_duty(self.experts, ids))
        self._lists.clear()
        self.deferred.show(self.regions, self.experts)

    def legend(self) -> tuple[LegendRow, ...]:
        """One row for each expert: color, regions, ml, minutes."""
        return legend_rows(self.regions, self.experts, self.case.geometry)
