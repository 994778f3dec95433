"""What becomes of pieces that are too small to be looked at one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .pieces import connected

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Pieces:
    """Connected pieces of one structure and one expert each.

    Attributes
    ----------
    of_run : (R,) piece of each run.
    expert, structure, size : (P,) indices of each piece's expert and structure, and its deferred voxels.
    small : (P,) whether a piece has fewer deferred voxels than the minimum.
    contacts, contact_size : (2, C) pairs of touching pieces of one structure of which at least one is small, both
        ways, and over how many voxels they touch.
    minimum : the fewest deferred voxels of a region.
    experts : how many experts there are.
    """

    of_run: NDArray[np.intp]
    expert: NDArray[np.intp]
    structure: NDArray[np.intp]
    size: NDArray[np.intp]
    small: NDArray[np.bool_]
    contacts: NDArray[np.intp]
    contact_size: NDArray[np.intp]
    minimum: int
    experts: int

    @classmethod
    def of(
        cls,
        expert: NDArray[np.intp],
        structure: NDArray[np.intp],
        size: NDArray[np.intp],
        links: NDArray[np.intp],
        contact: NDArray[np.int64],
        minimum: int,
        experts: int,
    ) -> Pieces:
        """From runs (their expert, structure and deferred voxels) and the links between them."""
        a, b = links
        same_structure = structure[a] == structure[b]
        same = same_structure & (expert[a] == expert[b])
        of_run = connected(len(expert), links[:, same])
        count = int(of_run.max()) + 1
        leader = np.zeros(count, dtype=np.intp)
        leader[of_run[::-1]] = np.arange(len(of_run))[::-1]
        sizes = np.zeros(count, dtype=np.intp)
        np.add.at(sizes, of_run, size)
        small = sizes < minimum
        touching = same_structure & ~same & (small[of_run[a]] | small[of_run[b]])
        pairs = of_run[links[:, touching]]
        both_ways = np.concatenate([pairs[0] * count + pairs[1], pairs[1] * count + pairs[0]])
        codes, code = np.unique(both_ways, return_inverse=True)
        voxels = np.bincount(code.reshape(-1), np.tile(contact[touching], 2), minlength=len(codes)).astype(np.intp)
        contacts = np.stack([codes // count, codes % count])
        return cls(of_run, expert[leader], structure[leader], sizes, small, contacts, voxels, minimum, experts)

    def settled(self) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Expert of each piece after small ones were merged, and which are dropped."""
        final = self.expert.copy()
        waiting = self.small.copy()
        a, b = self.contacts
        while True:
            ready = np.flatnonzero(waiting[a] & ~waiting[b])
            if not len(ready):
                break
            # For each waiting piece its longest contact comes first; the earlier neighbor if they tie.
            ready = ready[np.lexsort((b[ready], -self.contact_size[ready], a[ready]))]
            chosen = ready[np.concatenate([[True], np.diff(a[ready]) != 0])]
            final[a[chosen]] = final[b[chosen]]
            waiting[a[chosen]] = False
        self._gather_small(final, waiting)
        return final, waiting

    def _gather_small(self, final: NDArray[np.intp], waiting: NDArray[np.bool_]) -> None:
        """Turn clusters of small pieces that together reach the minimum into one expert's; changes both arrays."""
        both = waiting[self.contacts].all(axis=0)
        cluster = connected(len(final), self.contacts[:, both])
        votes = np.zeros((int(cluster.max()) + 1, self.experts), dtype=np.intp)
        small = np.flatnonzero(waiting)
        np.add.at(votes, (cluster[small], final[small]), self.size[small])
        enough = votes.sum(axis=1) >= self.minimum
        saved = small[enough[cluster[small]]]
        final[saved] = votes.argmax(axis=1)[cluster[saved]]
        waiting[saved] = False
