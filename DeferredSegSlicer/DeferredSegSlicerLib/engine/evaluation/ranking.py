"""In which order the voxels of a decision zone are deferred: a key for each voxel, equal keys being one block.

Core defers by falling margin, then by doubt, then by the voxel's place in memory. The last is arbitrary, so voxels of
the same margin and doubt have the same key here, and a figure inside such a block is the mean over its orders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...core.routing import MARGIN_SCALE, margin_keys
from ...core.worklist import Worklist

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEVER = 0
"""Key of voxels that are deferred at no budget, since their stored deferral probability is 0."""

_DOUBTS = 128


@dataclass(frozen=True, eq=False)
class Ranking:
    """A decision zone in order of deferral.

    Attributes
    ----------
    method : whose order it is. key : int64 (N,), larger is deferred earlier, 0 never.
    wrong : bool (N,), whether the model's label is wrong: it is another label than the truth's, whatever structure the
        voxel belongs to.
    """

    method: str
    key: NDArray[np.int64]
    wrong: NDArray[np.bool_]

    @property
    def deferrable(self) -> int:
        """How many voxels can be deferred at all."""
        return int(np.count_nonzero(self.key != NEVER))


def routed_ranking(method: str, work: Worklist, wrong: NDArray[np.bool_]) -> Ranking:
    """The order in which core defers by the stored routing bytes, everybody available.

    wrong : (N,) over the zone.
    """
    key = np.full(len(work.zone), NEVER, dtype=np.int64)
    candidates = work.candidates
    found = margin_keys(candidates.shares, work.experts)
    if found is not None and len(candidates):
        place = np.searchsorted(work.zone.indices, candidates.indices)
        early = 255 * MARGIN_SCALE - found[0].astype(np.int64)
        key[place] = 1 + early * _DOUBTS + candidates.doubt
    return Ranking(method, key, wrong)


def random_ranking(wrong: NDArray[np.bool_]) -> Ranking:
    """One block: every figure of it is the expectation over all orders."""
    return Ranking("random", np.ones(len(wrong), dtype=np.int64), wrong)


def oracle_ranking(wrong: NDArray[np.bool_], mendable: NDArray[np.bool_]) -> Ranking:
    """Errors that some expert mends first, then the other errors, then the rest.

    mendable : (N,) whether at least one expert is right.
    """
    return Ranking("oracle", 1 + wrong.astype(np.int64) + (wrong & mendable), wrong)


def at(volume: NDArray[np.generic], indices: NDArray[np.integer]) -> NDArray[np.generic]:
    """Values of a volume [k, j, i] at flat indices."""
    return volume.reshape(-1)[indices]
