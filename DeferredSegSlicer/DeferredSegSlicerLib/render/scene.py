"""What a picture or a report shows: the scan, the model's labels and the deferral regions of one budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.experts import Expert
from ..core.geometry import Geometry
from ..core.regions import Region, RegionList
from ..core.structures import Structure
from ..core.worklist import worklist

if TYPE_CHECKING:
    from ..core.case import Case
    from ..core.worklist import Worklist

_SAMPLED_VOXELS = 2_000_000


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that is drawn, in the grid of the scan.

    Attributes
    ----------
    image : the scan [k, j, i]; HU for CT.
    label : uint8 [k, j, i], the model's label: 0 background, s + 1 for structure s.
    deferred : uint8 [k, j, i], 0 where the model decides, j + 1 in a region of expert j.
    regions : worst first.
    budget : share of the decision zone that was asked for. zone_voxels : size of the zone.
    display_window : (level, width) in the scan's units.
    model, settings, versions : as the case has them.
    note : why nothing is deferred, or an empty text.
    """

    geometry: Geometry
    image: NDArray[np.generic]
    label: NDArray[np.uint8]
    deferred: NDArray[np.uint8]
    structures: tuple[Structure, ...]
    experts: tuple[Expert, ...]
    regions: RegionList
    budget: float
    zone_voxels: int
    display_window: tuple[float, float]
    model: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    created: str = ""
    note: str = ""

    @property
    def share(self) -> float:
        """Voxels of the regions as a share of the decision zone."""
        return self.regions.voxels / self.zone_voxels if self.zone_voxels else 0.0

    def structure_ml(self, number: int) -> float:
        """Volume of the model's label of a structure in ml."""
        return int(np.count_nonzero(self.label == number + 1)) * self.geometry.voxel_ml

    def regions_of(self, expert: Expert) -> list[Region]:
        """The regions that go to an expert, worst first."""
        return [region for region in self.regions if region.expert == expert.id]


def scene_of(case: Case, budget: float, prepared: Worklist | None = None) -> Scene:
    """The scene of a case at a budget (share of the decision zone); `prepared` saves making the worklist again."""
    work = prepared or worklist_of(case)
    scene = scene_at(work, budget, case.volume().image, case.label(), case.settings)
    return replace(scene, model=case.model, versions=case.versions, created=str(case.created))


def scene_at(
    work: Worklist, budget: float, image: NDArray[np.generic], label: NDArray[np.uint8], settings: Mapping[str, Any]
) -> Scene:
    """The scene of maps in memory at a budget."""
    regions = work.regions(budget)
    return Scene(
        geometry=work.geometry,
        image=image,
        label=label,
        deferred=paint(regions, work.experts, work.geometry),
        structures=work.structures,
        experts=work.experts,
        regions=regions,
        budget=budget,
        zone_voxels=len(work.zone),
        display_window=display_window(image, settings),
        settings=settings,
        note=work.deferred(budget).note,
    )


def worklist_of(case: Case) -> Worklist:
    """The worklist of a stored case, with the experts as they were stored."""
    return worklist(
        case.probability(), case.routing(), case.error(), case.structures, case.experts, case.geometry, case.settings
    )


def paint(regions: Sequence[Region], experts: Sequence[Expert], geometry: Geometry) -> NDArray[np.uint8]:
    """uint8 volume [k, j, i]: 0 outside all regions, j + 1 in those of expert j."""
    labels = np.zeros(geometry.shape, dtype=np.uint8)
    number = {expert.id: n + 1 for n, expert in enumerate(experts)}
    for region in regions:
        labels.reshape(-1)[region.indices] = number[region.expert]
    return labels


def display_window(image: NDArray[np.generic], settings: Mapping[str, Any]) -> tuple[float, float]:
    """(level, width) to show the scan with: that of the settings, or one from the 1st to the 99.5th percentile."""
    window = settings.get("window")
    if isinstance(window, Mapping) and {"level", "width"} <= set(window):
        return float(window["level"]), float(window["width"])
    if isinstance(window, Sequence) and not isinstance(window, str) and len(window) == 2:
        return float(window[0]), float(window[1])
    step = max(1, image.size // _SAMPLED_VOXELS)
    low, high = np.percentile(image.reshape(-1)[::step].astype(np.float32), [1.0, 99.5])
    return float(low + high) / 2, float(max(high - low, 1e-6))
