"""The labels of the system, model and experts together, and how good they are against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ...core import metrics
from ...core.budgets import voxels_of_share
from .cases import EvaluatedImage, Segmentation
from .choice import choice_rows
from .record import BY_CHANCE, BY_ORACLE, BY_ROUTING, NOBODY, Choice, Row

if TYPE_CHECKING:
    from numpy.typing import NDArray

SURFACE_TOLERANCE_MM = 2.0
"""Of the surface Dice."""

DRAWS = 5
"""Random deferrals whose mean is taken."""


@dataclass(frozen=True, eq=False)
class System:
    """One segmented image, ready to be asked what its labels would be with some voxels in experts' hands."""

    image: EvaluatedImage
    made: Segmentation
    seed: int

    @property
    def truth(self) -> NDArray[np.uint8]:
        """Labels [k, j, i]."""
        return self.image.truth

    @cached_property
    def wrong(self) -> NDArray[np.bool_]:
        """(N,) over the zone: the model's label is not the truth's."""
        return self._zone(self.made.label) != self._zone(self.truth)

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """(J, N) over the zone: whether each expert's label is the truth's."""
        truth = self._zone(self.truth)
        return np.stack([self._zone(labels) == truth for labels in self.image.panel.opinions])

    @property
    def mendable(self) -> NDArray[np.bool_]:
        """(N,) over the zone: at least one expert is right."""
        found: NDArray[np.bool_] = np.any(self.right, axis=0)
        return found

    def _zone(self, volume: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return volume.reshape(-1)[self.made.work.zone.indices]

    def with_answers(self, indices: NDArray[np.integer], answers: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The model's labels with those at flat indices replaced."""
        labels = self.made.label.copy()
        labels.reshape(-1)[indices] = answers
        return labels

    def answers(self, indices: NDArray[np.integer], expert: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Labels (n,) that the given experts give at flat indices."""
        opinions = self.image.panel.opinions
        return opinions.reshape(len(opinions), -1)[expert, indices]

    def best_answers(self, indices: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Labels (n,) at flat indices if somebody who is right is asked wherever there is one (else the first)."""
        truth = self.truth.reshape(-1)[indices]
        opinions = self.image.panel.opinions
        said = opinions.reshape(len(opinions), -1)[:, indices]
        return np.where((said == truth).any(axis=0), truth, said[0])

    def generator(self, *parts: object) -> np.random.Generator:
        """Random numbers that depend on the seed, the image and the purpose alone."""
        text = "\0".join(map(str, (self.image.id, *parts)))
        return np.random.default_rng([self.seed, *text.encode("utf-8")])

    def figures(self, labels: NDArray[np.uint8], surfaces: bool = True) -> dict[str, float]:
        """Figures of a labeling; see `label_figures`."""
        geometry = self.image.volume.geometry
        axis = 2 - geometry.slicing_axis
        return label_figures(labels, self.truth, len(self.image.structures), geometry.spacing, axis, surfaces)


def label_figures(
    labels: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    structures: int,
    spacing: tuple[float, float, float],
    axis: int,
    surfaces: bool = True,
) -> dict[str, float]:
    """Dice, IoU, sensitivity, Dice by slice, and by choice HD95 (mm) and surface Dice: means over structures.

    A structure that neither the truth nor the labels have is left out. Dice by slice is the mean over the slices that
    either of them has something on.

    Parameters
    ----------
    labels, truth : [k, j, i], structure plus 1. spacing : (i, j, k) mm. axis : of the array, along which slices lie.
    """
    found: dict[str, list[float]] = {}
    for number in range(1, structures + 1):
        mask, target = labels == number, truth == number
        if not (mask.any() or target.any()):
            continue
        values = {
            "dice": metrics.dice(mask, target),
            "iou": metrics.intersection_over_union(mask, target),
            "sensitivity": metrics.sensitivity(mask, target),
            "dice_slice": dice_by_slice(mask, target, axis),
        }
        if surfaces:
            distances = metrics.surface_distances(mask, target, spacing)
            values |= {"hd95_mm": distances.hausdorff_95, "surface_dice": distances.surface_dice(SURFACE_TOLERANCE_MM)}
        for name, value in values.items():
            found.setdefault(name, []).append(value)
    return {name: _mean(values) for name, values in found.items()}


def dice_by_slice(mask: NDArray[np.bool_], target: NDArray[np.bool_], axis: int) -> float:
    """Mean Dice over the slices that one of the masks has something on."""
    others = tuple(a for a in range(3) if a != axis)
    both = 2 * (mask & target).sum(axis=others)
    total = mask.sum(axis=others) + target.sum(axis=others)
    return float((both[total > 0] / total[total > 0]).mean())


def reference_rows(system: System) -> list[Row]:
    """The model alone, and every expert everywhere."""
    rows = [Row("model", NOBODY, None, name, value) for name, value in system.figures(system.made.label).items()]
    for expert, labels in zip(system.image.panel.experts, system.image.panel.opinions, strict=True):
        values = system.figures(labels)
        rows += [Row(f"expert:{expert.id}", NOBODY, None, name, value) for name, value in values.items()]
    return rows


def agreement_rows(system: System) -> list[Row]:
    """Dice of every expert with the majority of the others, in which that expert has no part ("dice_others").

    Where the others are split evenly the data's truth decides. Fewer than three experts have no majority to speak of.
    """
    panel = system.image.panel
    if len(panel.experts) < 3:
        return []
    rows = []
    for number, expert in enumerate(panel.experts):
        others = np.delete(panel.opinions, number, axis=0)
        values = []
        for structure in range(1, len(system.image.structures) + 1):
            votes, mine = (others == structure).sum(axis=0), panel.opinions[number] == structure
            majority = np.where(2 * votes == len(others), system.truth == structure, 2 * votes > len(others))
            if majority.any() or mine.any():
                values.append(metrics.dice(mine, majority))
        rows.append(Row(f"expert:{expert.id}", NOBODY, None, "dice_others", _mean(values)))
    return rows


def routed_rows(system: System, budgets: Sequence[float]) -> tuple[list[Row], dict[tuple[str, float], Choice]]:
    """A method's voxels with the expert that routing picks, with a random one, and with the best one.

    Surfaces are compared for the first alone. Also how often the right expert was picked.
    """
    method, work = system.made.method, system.made.work
    rows: list[Row] = []
    choices = {}
    for budget in budgets:
        deferred = work.deferred(budget)
        right = system.right[:, np.searchsorted(work.zone.indices, deferred.indices)]
        rates, choices[method, budget] = choice_rows(method, budget, deferred.expert, right)
        routed = system.with_answers(deferred.indices, system.answers(deferred.indices, deferred.expert))
        best = system.with_answers(deferred.indices, system.best_answers(deferred.indices))
        anyone = [_asked_at_random(system, deferred.indices, (method, budget, n)) for n in range(DRAWS)]
        for to_whom, values in (
            (BY_ROUTING, system.figures(routed)),
            (BY_ORACLE, system.figures(best, surfaces=False)),
            (BY_CHANCE, _mean_of([system.figures(labels, surfaces=False) for labels in anyone])),
        ):
            rows += [Row(method, to_whom, budget, name, value) for name, value in values.items()]
        rows += rates
    return rows, choices


def random_rows(system: System, budgets: Sequence[float]) -> list[Row]:
    """Random voxels of the zone, each to a random expert: means of `DRAWS` seeded draws."""
    zone = system.made.work.zone
    rows = []
    for budget in budgets:
        count = voxels_of_share(budget, len(zone))
        drawn = []
        for number in range(DRAWS):
            order = system.generator("voxels", number).permutation(len(zone))  # nested: the same order at every budget
            drawn.append(system.figures(_asked_at_random(system, zone.indices[order[:count]], (budget, number))))
        rows += [Row("random", BY_CHANCE, budget, name, value) for name, value in _mean_of(drawn).items()]
    return rows


def oracle_rows(system: System, budgets: Sequence[float]) -> list[Row]:
    """Errors that some expert mends, as many as the budget allows, in random order, each to an expert who is right."""
    zone = system.made.work.zone
    mendable = np.flatnonzero(system.wrong & system.mendable)
    order = system.generator("oracle").permutation(mendable)
    rows = []
    for budget in budgets:
        indices = zone.indices[order[: voxels_of_share(budget, len(zone))]]
        values = system.figures(system.with_answers(indices, system.best_answers(indices)))
        rows += [Row("oracle", BY_ORACLE, budget, name, value) for name, value in values.items()]
    return rows


def _asked_at_random(system: System, indices: NDArray[np.integer], purpose: tuple[object, ...]) -> NDArray[np.uint8]:
    experts = len(system.image.panel.experts)
    expert = system.generator("expert", *purpose).integers(0, experts, len(indices))
    return system.with_answers(indices, system.answers(indices, expert))


def _mean_of(drawn: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means of several draws, figure by figure."""
    return {name: _mean([one[name] for one in drawn if name in one]) for name in drawn[0]} if drawn else {}


def _mean(values: Sequence[float]) -> float:
    """Mean of what is defined; NaN if nothing is."""
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")
