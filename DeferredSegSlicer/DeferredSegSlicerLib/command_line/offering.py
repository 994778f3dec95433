"""Labelings on offer for a region: from the stored maps, and from asking the case's network again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import BadInputError
from ..core.regions import Region
from ..core.review import LabelAlternative, ReviewSession
from .console import progress_bar

if TYPE_CHECKING:
    from ..engine.reprompting import Reprompter

REPROMPT = "re-prompt:"
"""How the names of the network's labelings begin."""


@dataclass(frozen=True)
class _Step:
    stage: str
    done: int
    total: int
    seconds_left: float | None = None


class Offering:
    """What can be taken in a session; the network is loaded when it is needed, and then stays.

    Parameters
    ----------
    bundle : name or folder of the network that the case was made with; None for the name that the case has.
    device : auto, cpu, cuda, cuda:N.
    margin_mm : how far around a region the network's labelings may change something.
    """

    def __init__(self, session: ReviewSession, bundle: str | None, device: str, margin_mm: float = 0.0) -> None:
        self._session, self._bundle, self._device, self._margin = session, bundle, device, margin_mm
        self._asked: dict[str, tuple[LabelAlternative, ...]] = {}
        self.refused: dict[str, str] = {}
        """Of the region that was asked about last: which answers of the network are not on offer, and why."""

    def from_maps(self, region: Region) -> tuple[LabelAlternative, ...]:
        """Tighter, wider, fill and drop, as far as they differ."""
        return self._session.alternatives(region)

    def from_network(self, region: Region) -> tuple[LabelAlternative, ...]:
        """Other answers of the network; none if none is plausible.

        Raises
        ------
        BadInputError : the network is not installed, is another one, or cannot be asked about this structure.
        DeviceError : the device is missing or ran out of memory.
        """
        if region.id not in self._asked:
            with progress_bar() as show:
                answer = self._reprompter.ask(
                    region.structure,
                    region.indices,
                    self._margin,
                    step=lambda done, total: show(_Step("asking the network", done, total)),
                )
            self._asked[region.id], self.refused = answer.alternatives, answer.refused
        return self._asked[region.id]

    def named(self, region: Region, name: str) -> LabelAlternative:
        """The labeling of a name; raises BadInputError that lists those that there are."""
        network = name.startswith(REPROMPT)
        there = self.from_network(region) if network else self.from_maps(region)
        for alternative in there:
            if alternative.name == name:
                return alternative
        listed = ", ".join(a.name for a in there) or "none"
        whose = "the network has" if network else "there are"
        raise BadInputError(f'no labeling "{name}" is on offer for region "{region.id}"; {whose}: {listed}')

    def delta_ml(self, region: Region, alternative: LabelAlternative) -> float:
        """What taking it adds to the structure, against the labels as the reader sees them, in ml."""
        session = self._session
        number = 1 + [s.id for s in session.case.structures].index(region.structure)
        now = session.labels.reshape(-1)[alternative.after.indices]
        gained = np.count_nonzero(alternative.after.labels == number) - np.count_nonzero(now == number)
        return float(gained) * session.case.geometry.voxel_ml

    def plain(self, region: Region, offered: Sequence[LabelAlternative]) -> list[dict[str, Any]]:
        """As plain values."""
        return [{"name": a.name, "changed_voxels": a.changed, "delta_ml": self.delta_ml(region, a)} for a in offered]

    @cached_property
    def _reprompter(self) -> Reprompter:
        from ..engine.bundles import load_bundle
        from ..engine.devices import resolve_device
        from ..engine.reprompting import Reprompter, check_bundle

        case = self._session.case
        bundle = load_bundle(self._bundle or str(case.model.get("id", "")))
        check_bundle(case, bundle)
        return Reprompter(case, bundle.make_segmentor(resolve_device(self._device)))
