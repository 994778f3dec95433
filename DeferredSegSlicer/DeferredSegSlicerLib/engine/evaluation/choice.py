"""Whether routing knows to whom: on the voxels it defers, is the expert it chooses right?"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .record import BY_ROUTING, Choice, Row

if TYPE_CHECKING:
    from numpy.typing import NDArray

PERMUTATIONS = 9999
"""Random permutations if there are too many to take them all."""


def choice_rows(
    method: str, budget: float, expert: NDArray[np.uint8], right: NDArray[np.bool_]
) -> tuple[list[Row], Choice]:
    """Right-expert rates on the deferred voxels of a case, what chance would reach there, and the counts behind it.

    Parameters
    ----------
    expert : (n,) index of the chosen expert. right : (J, n) whether each expert is right.
    """
    number, count = len(right), len(expert)
    chosen = right[expert, np.arange(count)]
    split = right.any(axis=0) & ~right.all(axis=0)
    counts = choice_counts(expert[split], right[:, split])
    apart = int(counts.chosen.sum())
    reached = counts.right.trace() / apart if apart else math.nan
    by_chance = counts.right.sum() / (number * apart) if apart else math.nan
    # Someone who asks each expert as often, but anywhere: share of expert c times how often c is right there.
    blind = counts.chosen @ counts.right.sum(axis=0) / apart**2 if apart else math.nan
    values = {
        "right_expert": float(chosen.mean()) if count else math.nan,
        "right_expert_chance": float(right.mean()) if count else math.nan,
        "split_share": apart / count if count else math.nan,
        "right_expert_split": float(reached),
        "right_expert_split_chance": float(by_chance),
        "right_expert_split_blind": float(blind),
    }
    return [Row(method, BY_ROUTING, budget, name, value) for name, value in values.items()], counts


def choice_counts(expert: NDArray[np.uint8], right: NDArray[np.bool_]) -> Choice:
    """Counts (J, J) of chosen expert against right expert."""
    number = len(right)
    table = np.stack([right[:, expert == c].sum(axis=1) for c in range(number)]).astype(np.int64)
    return Choice(table, np.bincount(expert, minlength=number).astype(np.int64))


@dataclass(frozen=True)
class PermutationTest:
    """Right-expert rate on voxels where experts disagree, pooled over cases, against permuted expert identities.

    Attributes
    ----------
    rate : reached. chance : mean over the permutations. p_value : one-sided, share of permutations that reach as much.
    permutations : how many, the identity among them. exact : whether all were taken. groups : patients that were
        permuted independently. voxels : behind the rate.
    """

    rate: float
    chance: float
    p_value: float
    permutations: int
    exact: bool
    groups: int
    voxels: int


def permutation_test(
    choices: Sequence[Choice], groups: Sequence[str], seed: int = 0, most: int = PERMUTATIONS
) -> PermutationTest | None:
    """Test whether the chosen expert is right more often than if experts changed names within each patient.

    One permutation of the experts is drawn for all of a patient's images at once, since they are not independent. All
    combinations are taken if they are no more than `most` + 1, else `most` random ones and the one that happened.

    Parameters
    ----------
    choices : of the cases. groups : patient of each case. Returns None if the experts never disagree.
    """
    tables: dict[tuple[str, int], NDArray[np.int64]] = defaultdict(lambda: np.zeros((0, 0), np.int64))
    voxels = 0
    for choice, group in zip(choices, groups, strict=True):
        total = int(choice.chosen.sum())
        if total:
            key = (group, len(choice.chosen))
            tables[key] = tables[key] + choice.right if tables[key].size else choice.right
            voxels += total
    if not tables:
        return None
    reached = [_all_identities(table) for table in tables.values()]
    observed = sum(int(table.trace()) for table in tables.values())
    combinations = math.prod(len(one) for one in reached)
    exact = combinations <= most + 1
    if exact:
        sums = np.zeros(1, dtype=np.int64)
        for one in reached:
            sums = (sums[:, None] + one).reshape(-1)
    else:
        generator = np.random.default_rng(seed)
        drawn = np.sum([one[generator.integers(0, len(one), most)] for one in reached], axis=0)
        sums = np.append(drawn, observed)
    p_value = float(np.count_nonzero(sums >= observed) / len(sums))
    return PermutationTest(
        observed / voxels, float(sums.mean()) / voxels, p_value, len(sums), exact, len(tables), voxels
    )


def _all_identities(table: NDArray[np.int64]) -> NDArray[np.int64]:
    """Right choices under every permutation of the experts, or under 5040 random ones if there are more than 7."""
    number = len(table)
    if number <= 7:
        permutations = np.array(list(itertools.permutations(range(number))))
    else:
        generator = np.random.default_rng(number)
        permutations = np.array([generator.permutation(number) for _ in range(5040)])
    return table[np.arange(number), permutations].sum(axis=1)
