"""Where two readers disagree: listed, and left to them; nobody's decision is overwritten by another's."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..experts import Expert
from ..geometry import Geometry
from ..regions import Region
from .decisions import Entry
from .layers import ReaderLayer
from .runs import groups_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Conflict:
    """Voxels on which the same lines of two or more journals disagree.

    Attributes
    ----------
    entries : the lines, one a reader, by reader id. indices : (n,) ascending flat indices of the voxels.
    """

    entries: tuple[Entry, ...]
    indices: NDArray[np.int64]

    @property
    def readers(self) -> tuple[str, ...]:
        """Ids of the readers who disagree."""
        return tuple(entry.reader.id for entry in self.entries)

    @property
    def structure(self) -> str:
        """Id of the structure that the first of the lines is about."""
        return self.entries[0].decision.region.structure  # type: ignore[union-attr]

    def as_region(self, geometry: Geometry, experts: Sequence[Expert]) -> Region:
        """The voxels as a region that can be shown and decided on, also if no region of the worklist has them.

        Its expert is that of the first line's region, who sets the expected time; its expected error is unknown: 0.
        """
        entry = self.entries[0].decision.region  # type: ignore[union-attr]
        kji = np.unravel_index(self.indices, geometry.shape)
        ijk = np.stack(kji[::-1], axis=1)
        slices = np.unique(ijk[:, geometry.slicing_axis])
        who = next((e for e in experts if e.id == entry.expert), experts[0])
        low, high = ijk.min(axis=0).tolist(), (ijk.max(axis=0) + 1).tolist()
        center = geometry.ras_of(ijk.mean(axis=0)[None])[0].tolist()
        name = hashlib.sha256(self.indices.astype("<i8").tobytes()).hexdigest()[:12]
        return Region(
            id=f"{entry.structure}:{entry.expert}:{name}",
            structure=entry.structure,
            expert=entry.expert,
            voxels=len(self.indices),
            volume_ml=len(self.indices) * geometry.voxel_ml,
            slice_count=len(slices),
            slice_range=(int(slices[0]), int(slices[-1])),
            box_ijk=((low[0], low[1], low[2]), (high[0], high[1], high[2])),
            centroid_ras=(center[0], center[1], center[2]),
            expected_error_voxels=0.0,
            expected_error_ml=0.0,
            seconds=who.seconds_per_region + who.seconds_per_slice * len(slices),
            value=0.0,
            status="conflict",
            indices=self.indices,
        )


def find_conflicts(
    voxels: NDArray[np.int64], apart: NDArray[np.bool_], voices: NDArray[np.int32], layers: Sequence[ReaderLayer]
) -> tuple[Conflict, ...]:
    """Conflicts among voxels (ascending) that are `apart`, from the voices of every reader there; largest first."""
    if not apart.any():
        return ()
    where = voxels[apart]
    judging = voices[:, apart].copy()
    for layer, voice in zip(layers, judging, strict=True):
        judges = np.array([bool(e.decision.judges) for e in layer.entries])
        voice[(voice >= 0) & ~judges[voice]] = -1  # who skips or reassigns takes no side
    group, example = groups_of(list(judging))
    order = np.argsort(group, kind="stable")
    parts = np.split(where[order], np.flatnonzero(np.diff(group[order])) + 1)
    found = []
    for n, indices in zip(example, parts, strict=True):
        entries = tuple(la.entries[p] for la, p in zip(layers, judging[:, n].tolist(), strict=True) if p >= 0)
        found.append(Conflict(entries, indices))
    return tuple(sorted(found, key=lambda c: (-len(c.indices), int(c.indices[0]))))
