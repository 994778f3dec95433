"""The legend: for each expert, how many regions, how much volume and how much time the current list asks for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..core.experts import Expert
from ..core.geometry import Geometry
from ..core.regions import Region


@dataclass(frozen=True)
class LegendRow:
    """One expert's share of the regions.

    Attributes
    ----------
    expert_id, name, color : of the expert; color red, green, blue in 0..1.
    regions : how many.
    ml : their volume together.
    minutes : expected time to review them.
    on_duty : whether the expert may be asked at all.
    """

    expert_id: str
    name: str
    color: tuple[float, float, float]
    regions: int
    ml: float
    minutes: float
    on_duty: bool = True


def legend_rows(regions: Iterable[Region], experts: Sequence[Expert], geometry: Geometry) -> tuple[LegendRow, ...]:
    """A row for each expert in their order, also for those who got nothing or are off duty."""
    everything = tuple(regions)
    rows = []
    for expert in experts:
        own = [region for region in everything if region.expert == expert.id]
        ml = sum(region.voxels for region in own) * geometry.voxel_ml
        minutes = sum(region.seconds for region in own) / 60
        rows.append(LegendRow(expert.id, expert.name, expert.color, len(own), ml, minutes, expert.available))
    return tuple(rows)
