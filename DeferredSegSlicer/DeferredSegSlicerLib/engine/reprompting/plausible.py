"""From masks to labelings worth a reader's look: near the region they must say what the model is sure of.

A mask of the network is about the whole slice, but only the region is in question. A mask that labels otherwise where
the model decided by itself, in the region's neighborhood, answers another question (the whole body, a vessel inside the
organ), and what it says in the region is worth nothing. So a labeling is offered only if

    voxels near the region, outside of it, where mask and label differ
    ------------------------------------------------------------------  <=  0.2
      voxels near the region, in it too, that mask or label contain

and if it changes the region by more than a few voxels and differs by as many from those offered before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.case_writer import label_of
from ...core.review.alternatives import LabelAlternative
from ...core.review.runs import LabelRuns

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEAR_MM = 10.0
"""How far the neighborhood reaches around a region, as the decision zone does around a structure."""

MOST_DISAGREEMENT = 0.2
FEWEST_VOXELS, FEWEST_SHARE = 4, 0.02
"""So many voxels, and this share of the region, a labeling must change, and differ in from any other on offer."""


@dataclass(frozen=True, eq=False)
class Question:
    """A region and what surrounds it, all in the region's part of the volume, [k, j, i].

    Attributes
    ----------
    region, allowed, near : bool: the region; where a labeling may change something (the region among it); the region's
        neighborhood (both among it).
    label : uint8, the model's. number : label of the structure.
    others : uint8 (s, ...) stored probabilities of all structures, that of this one 0.
    """

    region: NDArray[np.bool_]
    allowed: NDArray[np.bool_]
    near: NDArray[np.bool_]
    label: NDArray[np.uint8]
    number: int
    others: NDArray[np.uint8]

    @property
    def fewest(self) -> int:
        """Voxels that make a difference."""
        return max(FEWEST_VOXELS, round(FEWEST_SHARE * int(np.count_nonzero(self.region))))


@dataclass(frozen=True, eq=False)
class Answer:
    """What the network says when asked in another way: `mask` bool, the structure, where `known` bool, as above."""

    name: str
    mask: NDArray[np.bool_]
    known: NDArray[np.bool_]


def disagreement(question: Question, answer: Answer) -> float:
    """How much a mask and the model's label differ around the region; see the formula above. 0 if nothing is there."""
    label = question.label == question.number
    looked = question.near & answer.known
    either = int(np.count_nonzero(looked & (label | answer.mask)))
    apart = int(np.count_nonzero(looked & ~question.region & (label != answer.mask)))
    return apart / either if either else 0.0


def labeling_of(question: Question, answer: Answer) -> NDArray[np.uint8]:
    """The labels with the mask in them: nothing is taken from another structure, and nothing beyond `allowed` changes.

    Where the structure goes, the most probable of the others comes, if one reaches one half.
    """
    label, may = question.label, question.allowed & answer.known
    gains = may & answer.mask & (label == 0)
    loses = may & ~answer.mask & (label == question.number)
    without = label_of(question.others)
    return np.where(gains, np.uint8(question.number), np.where(loses, without, label))


def choose(
    question: Question, answers: Iterable[Answer], indices: NDArray[Any]
) -> tuple[tuple[LabelAlternative, ...], dict[str, str]]:
    """The answers that are plausible and different, as labelings; and of each other why it is not.

    Parameters
    ----------
    indices : int64 of the shape of the question's arrays, flat indices into the volume.
    """
    found: list[LabelAlternative] = []
    kept: list[NDArray[np.uint8]] = [question.label]
    refused: dict[str, str] = {}
    for answer in answers:
        after = labeling_of(question, answer)
        if disagreement(question, answer) > MOST_DISAGREEMENT:
            refused[answer.name] = "it contradicts the model around the region too"
        elif not np.any((after != question.label) & question.region) or _like_one_of(after, kept, question.fewest):
            refused[answer.name] = "it changes nothing that others do not"
        else:
            kept.append(after)
            found.append(_alternative(answer.name, question, after, indices))
    return tuple(found), refused


def _like_one_of(after: NDArray[np.uint8], others: Sequence[NDArray[np.uint8]], fewest: int) -> bool:
    return any(int(np.count_nonzero(after != other)) < fewest for other in others)


def _alternative(name: str, question: Question, after: NDArray[np.uint8], indices: NDArray[Any]) -> LabelAlternative:
    changed = after != question.label
    touched = question.region | changed
    where = indices[touched]
    order = np.argsort(where)
    return LabelAlternative(name, LabelRuns.of(where[order], after[touched][order]), int(np.count_nonzero(changed)))
