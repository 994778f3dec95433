"""The shown case's worklist for a review session: lists that were found for the overlay are not found twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from ...core.regions import RegionList
from ...core.worklist import Worklist
from ..shown_case import ShownCase


@dataclass(frozen=True)
class RememberedLists(Worklist):
    """A worklist whose regions come from somebody who remembers them."""

    regions_at: Callable[[float], RegionList]

    def regions(self, budget: float) -> RegionList:
        """Deferral regions at a share of the zone, worst first."""
        return self.regions_at(budget)


def lists_of(shown: ShownCase) -> RememberedLists:
    """The worklist of a shown case with today's duty."""
    work = shown.worklist
    values = {field.name: getattr(work, field.name) for field in fields(Worklist)}
    return RememberedLists(**values, regions_at=shown.regions_at)
