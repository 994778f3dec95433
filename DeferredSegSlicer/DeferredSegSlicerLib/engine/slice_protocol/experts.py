"""What the experts say of one structure on one slice: simulated, frozen or drawn afresh, or read from the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...core.errors import BadInputError
from ..simulation import SimulatedReader, correlated_readers, published_experts, simulate_readers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .slices import CutSlice

SIMULATIONS = ("correlated", "published-similar", "published-complementary")


@dataclass(frozen=True)
class SliceExperts:
    """J experts, in the order of the routing's channels.

    Attributes
    ----------
    names : of the experts. readers : the simulated ones; empty if the data's own readings are the experts.
    """

    names: tuple[str, ...]
    readers: tuple[SimulatedReader, ...] = ()

    @classmethod
    def simulated(cls, which: str, count: int) -> SliceExperts:
        """The first `count` of a set in `SIMULATIONS`; BadInputError if there are not so many."""
        if which not in SIMULATIONS:
            raise BadInputError(f'simulated experts "{which}" are unknown, expected {", ".join(SIMULATIONS)}')
        published: Literal["similar", "discrepancy"] = "similar" if which == "published-similar" else "discrepancy"
        try:
            readers = correlated_readers(count) if which == "correlated" else published_experts(published, count)
        except ValueError as error:
            raise BadInputError(f"experts: {error}") from error
        return cls(tuple(reader.name for reader in readers), tuple(readers))

    @property
    def are_people(self) -> bool:
        """Whether their labels are human readings."""
        return not self.readers

    def labels(
        self,
        cut: CutSlice,
        label: int | None,
        image_id: str,
        split: str,
        seed: int,
        redraw: np.random.Generator | None = None,
    ) -> NDArray[np.uint8]:
        """Masks (J, S, S) of 0 and 1.

        Parameters
        ----------
        label : the structure; None for the union of all. image_id : stable name of the slice; with split and seed it
            fixes the random numbers of simulated experts, which so err alike whenever they are asked.
        redraw : random numbers for fresh errors at every call instead, as the released code has it.

        Raises
        ------
        BadInputError : the slice has no reading of an expert's name.
        """
        if self.are_people:
            return np.stack([target_of(self._reading(cut, name, image_id), label) for name in self.names])
        truth = target_of(cut.truth, label)
        gray = cut.image.astype(np.float32).mean(axis=0)
        if redraw is not None:
            return np.stack([reader.label(truth, cut.spacing, redraw, gray) for reader in self.readers])
        name = f"{image_id}/{'union' if label is None else label}"
        return simulate_readers(truth, cut.spacing, self.readers, name, split, seed, gray)

    def _reading(self, cut: CutSlice, name: str, image_id: str) -> NDArray[np.uint8]:
        if name not in cut.readings:
            has = ", ".join(cut.readings) or "none"
            raise BadInputError(f'image "{image_id}" has no reading of "{name}" (it has: {has})')
        return cut.readings[name]


def target_of(labels: NDArray[Any], label: int | None) -> NDArray[np.uint8]:
    """The mask (0 and 1) of one label, or of all labels above 0."""
    mask = labels > 0 if label is None else labels == label
    return mask.astype(np.uint8)
