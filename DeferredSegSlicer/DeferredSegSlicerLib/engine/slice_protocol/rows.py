"""The protocol's rows for one slice: what the system, its parts and its rivals make of the same labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...core.metrics.overlap import dice, intersection_over_union, sensitivity

if TYPE_CHECKING:
    from numpy.typing import NDArray

SYSTEM, EXPERT_PART, MODEL_PART = "System", "Expert (deferred pixels)", "Model (kept pixels)"
MODEL_ALONE, ORACLE = "Model alone", "Oracle routing"
RANDOM, CONFIDENCE = "Random deferral, same share", "Confidence deferral, same share"
PUBLISHED_ROWS = (SYSTEM, EXPERT_PART, MODEL_PART)


@dataclass(frozen=True)
class Scored:
    """One row of one slice; a figure is NaN where it is not defined (nothing deferred, both masks empty).

    deferred : share of the slice's pixels that experts decide.
    """

    row: str
    dice: float
    iou: float
    sensitivity: float
    deferred: float


def score_slice(
    probability: NDArray[np.float32],
    leader: NDArray[np.uint8],
    experts: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    names: Sequence[str],
    generator: np.random.Generator,
) -> Iterator[Scored]:
    """All rows of one slice.

    System: every pixel has the label of the agent that leads there. Expert and Model: prediction and truth masked to
    the deferred and to the kept pixels. Random and Confidence: as many pixels of the slice as the system defers, drawn
    evenly or where the model's probability is nearest to one half, each with the label of an expert drawn evenly,
    since these rules know nothing of who is good where. Oracle: the right label wherever any agent has it.

    Source: Tian et al., DeferredSeg (arXiv 2604.12411), evaluation as released; the rows from Model alone on are ours.

    Parameters
    ----------
    probability : (S, S) of foreground. leader : (S, S), agents with the model last. experts : (J, S, S) masks.
    truth : (S, S) mask, not empty. names : of the experts. generator : for the draws.
    """
    right = truth > 0
    model = probability > 0.5
    labels = np.concatenate([experts > 0, model[None]])
    deferred = leader < len(experts)
    count = int(deferred.sum())
    share = count / deferred.size
    system = np.take_along_axis(labels, leader[None].astype(np.intp), axis=0)[0]
    yield _score(SYSTEM, system, right, share)
    yield _score(EXPERT_PART, system & deferred, right & deferred, share)
    yield _score(MODEL_PART, system & ~deferred, right & ~deferred, share)
    yield _score(MODEL_ALONE, model, right, 0.0)
    for name, mask in zip(names, labels[:-1], strict=True):
        yield _score(alone(name), mask, right, 1.0)
    helped = (labels[:-1] == right).any(axis=0) & (model != right)
    yield _score(ORACLE, np.where(helped, right, model), right, float(helped.mean()))
    whom = generator.integers(0, len(experts), right.shape)
    asked = np.take_along_axis(labels, whom[None], axis=0)[0]
    by_chance = generator.random(right.shape)
    doubt = -np.abs(probability.astype(np.float64) - 0.5)
    for row, order in ((RANDOM, by_chance), (CONFIDENCE, doubt)):
        chosen = _highest(order, by_chance, count)
        yield _score(row, np.where(chosen, asked, model), right, share)


def alone(name: str) -> str:
    """The row of one expert, used on every pixel."""
    return f"{name} alone"


def _highest(order: NDArray[np.float64], ties: NDArray[np.float64], count: int) -> NDArray[np.bool_]:
    """The `count` pixels of highest order, ties broken by the other array."""
    chosen = np.zeros(order.size, dtype=bool)
    chosen[np.lexsort((ties.ravel(), -order.ravel()))[:count]] = True
    return chosen.reshape(order.shape)


def _score(row: str, mask: NDArray[np.bool_], truth: NDArray[np.bool_], deferred: float) -> Scored:
    if not mask.any() and not truth.any():
        return Scored(row, math.nan, math.nan, math.nan, deferred)
    return Scored(row, dice(mask, truth), intersection_over_union(mask, truth), sensitivity(mask, truth), deferred)
