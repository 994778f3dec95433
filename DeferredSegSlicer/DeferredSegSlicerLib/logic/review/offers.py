"""Labelings on offer for a region: from the stored maps, from re-prompting, or what disagreeing readers drew."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ...core.case import Case
from ...core.errors import BadInputError
from ...core.regions import Region
from ...core.review import Candidate, LabelAlternative, alternatives
from ...core.review.alternatives import MOST
from ...core.review.runs import LabelRuns
from ...mrml.review.patches import box_around
from ...mrml.review.previews import COLORS, Preview, Previews
from ..steps import Background

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONTEXT_MM = 60.0
"""A preview shows the structure so far around the region; its line ends there too, outside the zoomed views."""

PATIENCE_SECONDS = 3.0
"""So long two keys are kept for what the network may propose; then they go to the rest from the maps."""

_NAP = 0.002

_ALWAYS = ("tighter", "wider")
"""Offered at once while the network is still at work; the others have the places that it leaves."""


class Reprompt(Protocol):
    """Asks the network for other labelings of a region, such as its decoder's other mask tokens."""

    def __call__(self, region: Region, done: Callable[[Sequence[Candidate]], None]) -> Callable[[], None]:
        """Begin, and return at once.

        `done` is called on the main thread with what was found (nothing, if it failed), unless the returned function
        was called before: nobody wants it any more.
        """
        ...


@dataclass(frozen=True, eq=False)
class Option:
    """A labeling that can be taken.

    Attributes
    ----------
    number : the key that takes it, from 1. name : "tighter", "wider", "fill", "drop", or a proposer's.
    alternative : what `ReviewSession.take` is given.
    changed_voxels, delta_ml : what taking it changes in the labels as they are shown: voxels, and ml of the structure.
    color : of its line, red, green, blue in 0..1.
    """

    number: int
    name: str
    alternative: LabelAlternative
    changed_voxels: int
    delta_ml: float
    color: tuple[float, float, float]


class Offers:
    """The labelings of one region at a time.

    Parameters
    ----------
    case, model : the case and the model's labels, uint8 [k, j, i].
    previews : draws them. reprompt : proposes more, or None.
    changed : called when something new is on offer.
    """

    def __init__(
        self,
        case: Case,
        model: NDArray[np.uint8],
        previews: Previews,
        reprompt: Reprompt | None,
        changed: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._case, self._model, self._previews, self._reprompt = case, model, previews, reprompt
        self._changed, self._clock = changed, clock
        self._since, self._late = 0.0, False
        self._map: Background[NDArray[np.uint8]] = Background(case.probability)
        self._map.begin()
        self._region: Region | None = None
        self._from_maps: tuple[LabelAlternative, ...] = ()
        self._proposed: tuple[LabelAlternative, ...] | None = None
        self._stop: Callable[[], None] | None = None
        self._drawn = False
        self.options: tuple[Option, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether the maps are read, so that `find` takes milliseconds."""
        return self._map.ended

    @property
    def settled(self) -> bool:
        """Whether nothing more is waited for: the network has answered, was not asked, or has had its time."""
        return self._region is None or self._proposed is not None or self._late

    def set_reprompt(self, reprompt: Reprompt | None) -> None:
        """Have another proposer from the next region on, or none."""
        self._reprompt = reprompt

    def find(self, region: Region, labels: NDArray[np.uint8], extra: Sequence[Candidate] = ()) -> tuple[Option, ...]:
        """What is on offer for a region; waits for the maps if they are not read yet.

        Parameters
        ----------
        labels : uint8 [k, j, i], the labels as they are shown. extra : labelings that go before all others.

        Raises
        ------
        DamagedCaseError : the probability map was changed.
        """
        while not self._map.ended:
            time.sleep(_NAP)
        self.clear()
        self._region = region
        self._from_maps = alternatives(region, self._case, self._model, self._map.result(), extra)
        self._proposed, self._late, self._since = None, False, self._clock()
        if self._reprompt is None or extra:
            self._proposed = ()
        else:
            self._stop = self._reprompt(region, lambda found: self._on_proposed(region, labels, found))
        self._arrange(labels)
        return self.options

    def tick(self, labels: NDArray[np.uint8]) -> None:
        """Offer all there is once the network has had its time; what it proposes later has the keys that are left."""
        if not self.settled and self._clock() - self._since >= PATIENCE_SECONDS:
            self._late = True
            self._show_anew(labels)

    def option(self, number: int) -> Option:
        """The option of a key; raises BadInputError if there is none."""
        found = next((o for o in self.options if o.number == number), None)
        if found is None:
            raise BadInputError(f"there is no labeling {number} on offer for this region")
        return found

    def draw(self, labels: NDArray[np.uint8]) -> None:
        """Draw the lines of all options over the slices; `labels` as in `find`."""
        if self._region is not None:
            self._drawn = True
            self._previews.show([_preview(self._case, self._region, option, labels) for option in self.options])

    def hide(self) -> None:
        """Draw no lines; the options stay."""
        self._drawn = False
        self._previews.clear()

    def clear(self) -> None:
        """Nothing is on offer."""
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()
        self._region, self.options = None, ()
        self.hide()

    def _on_proposed(self, region: Region, labels: NDArray[np.uint8], found: Sequence[Candidate]) -> None:
        if self._region is not region or self._proposed is not None:
            return
        before = self._model.reshape(-1)[region.indices]
        fitting = [c for c in found if c.labels.dtype == np.uint8 and c.labels.shape == before.shape]
        known = [c for c in fitting if c.labels.max() <= len(self._case.structures)]
        changed = [c for c in known if not np.array_equal(c.labels, before)]
        self._proposed = tuple(
            LabelAlternative(c.name, LabelRuns.of(region.indices, c.labels), int(np.count_nonzero(c.labels != before)))
            for c in changed
        )
        self._stop = None
        self._show_anew(labels)

    def _show_anew(self, labels: NDArray[np.uint8]) -> None:
        self._arrange(labels)
        if self._drawn:
            self.draw(labels)
        self._changed()

    def _arrange(self, labels: NDArray[np.uint8]) -> None:
        """Number the options: what has a key already keeps it."""
        assert self._region is not None
        first = [a for a in self._from_maps if a.name in _ALWAYS]
        last = [a for a in self._from_maps if a.name not in _ALWAYS]
        if self._late or self._proposed == ():
            wanted = [*self._from_maps, *(self._proposed or ())]
        else:
            # where one key is left beside the network's, "drop" beats "fill" (measured, docs/benchmarks.md)
            last.sort(key=lambda alternative: alternative.name != "drop")
            wanted = first if self._proposed is None else [*first, *self._proposed, *last]
        distinct: list[LabelAlternative] = []
        for alternative in wanted:
            if all(alternative.after != other.after for other in distinct):
                distinct.append(alternative)
        self.options = tuple(
            _option(number, alternative, self._case, self._region, labels)
            for number, alternative in enumerate(distinct[:MOST], 1)
        )


def _number_of(case: Case, region: Region) -> int:
    return 1 + [s.id for s in case.structures].index(region.structure)


def _option(
    number: int, alternative: LabelAlternative, case: Case, region: Region, labels: NDArray[np.uint8]
) -> Option:
    mine = _number_of(case, region)
    now, after = labels.reshape(-1)[region.indices], alternative.after.labels
    gained = int(np.count_nonzero(after == mine)) - int(np.count_nonzero(now == mine))
    changed = int(np.count_nonzero(after != now))
    delta = gained * case.geometry.voxel_ml
    return Option(number, alternative.name, alternative, changed, delta, COLORS[number - 1])


def _preview(case: Case, region: Region, option: Option, labels: NDArray[np.uint8]) -> Preview:
    """Where the structure would be around the region."""
    shape = case.geometry.shape
    reach: tuple[Any, ...] = tuple(int(CONTEXT_MM / spacing) + 1 for spacing in reversed(case.geometry.spacing))
    box = box_around(region.indices, shape, reach)  # type: ignore[arg-type]
    mine = _number_of(case, region)
    mask = labels[box] == mine
    kji = np.unravel_index(region.indices, shape)
    mask[tuple(c - part.start for c, part in zip(kji, box, strict=True))] = option.alternative.after.labels == mine
    return Preview(option.name, box, mask)
