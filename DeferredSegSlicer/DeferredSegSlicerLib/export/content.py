"""What an export says of a case: the labels as they stand now, and for each region what a person made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..core.case import Case
from ..core.regions import Region
from ..core.structures import Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

AUTOMATIC, SEMIAUTOMATIC = "AUTOMATIC", "SEMIAUTOMATIC"
"""DICOM's algorithm types: the model alone, or a person changed at least one voxel of it."""


@dataclass(frozen=True)
class RegionContent:
    """A deferral region and what became of it.

    Attributes
    ----------
    region : of the worklist at the exported budget.
    status : open, partly, reassigned, skipped, edited, accepted or conflict, as `core.review.status` has it.
    reviewed : whether a person accepted or edited all of it, and no two persons disagree.
    in_conflict : whether readers disagree on it.
    readers : names of those who accepted or edited it. waiting_for : ids of experts whom it was reassigned to.
    decided : when somebody decided last, UTC, ISO 8601, or empty.
    seconds_looked, seconds_edited : spent on it by all readers.
    voxels_changed : voxels of the region whose label is no longer the model's.
    before_ml, after_ml : ml of the region's structure within it, with the model's labels and with those exported.
    """

    region: Region
    status: str
    reviewed: bool
    in_conflict: bool
    readers: tuple[str, ...]
    waiting_for: tuple[str, ...]
    decided: str
    seconds_looked: float
    seconds_edited: float
    voxels_changed: int
    before_ml: float
    after_ml: float


@dataclass(frozen=True)
class StructureContent:
    """A structure and how far its regions are reviewed.

    Attributes
    ----------
    number : its label, from 1.
    before_ml, ml : ml with the model's labels and as exported. voxels : as exported.
    voxels_changed : voxels that it gained or lost against the model's labels.
    regions, unreviewed, conflicts : numbers of its deferral regions.
    """

    structure: Structure
    number: int
    voxels: int
    before_ml: float
    ml: float
    voxels_changed: int
    regions: int
    unreviewed: int
    conflicts: int
    readers: tuple[str, ...]

    @property
    def algorithm_type(self) -> str:
        """DICOM's: who made it, the model alone or with a person's help."""
        return SEMIAUTOMATIC if self.voxels_changed else AUTOMATIC

    @property
    def slicer_status(self) -> str:
        """Slicer's status of a segment: completed, flagged or inprogress."""
        if self.unreviewed:
            return "flagged"
        return "completed" if self.regions else "inprogress"

    @property
    def review_text(self) -> str:
        """One sentence on its review."""
        if not self.regions:
            text = "No deferral region at this budget"
        elif not self.unreviewed:
            text = f"{'All ' if self.regions > 1 else ''}{_regions(self.regions)} reviewed"
        else:
            text = f"{self.unreviewed} of {_regions(self.regions)} NOT reviewed"
        by = f" by {', '.join(self.readers)}" if self.readers else ""
        conflict = f"; readers disagree on {self.conflicts}" if self.conflicts else ""
        changed = f"; {self.voxels_changed or 'no'} voxel{'' if self.voxels_changed == 1 else 's'} changed by hand"
        return f"{text}{by}{conflict}{changed}."


@dataclass(frozen=True, eq=False)
class Content:
    """Everything that an export writes.

    Attributes
    ----------
    label : uint8 [k, j, i] on the case's grid, 0 background, s + 1 for structure s.
    regions : worst first. budget : share of the decision zone at which they were made.
    decisions : every line of every reader's journal as plain values, reader by reader.
    has_review : whether anybody has begun to review the case.
    disputed_voxels : voxels, in regions of this budget or not, on which readers disagree; they have the model's label.
    """

    case: Case
    label: NDArray[np.uint8]
    structures: tuple[StructureContent, ...]
    regions: tuple[RegionContent, ...]
    budget: float
    decisions: tuple[Mapping[str, Any], ...] = ()
    has_review: bool = False
    disputed_voxels: int = 0

    @cached_property
    def unreviewed(self) -> tuple[RegionContent, ...]:
        """The regions that nobody has settled."""
        return tuple(r for r in self.regions if not r.reviewed)

    @cached_property
    def conflicts(self) -> tuple[RegionContent, ...]:
        """The regions on which readers disagree."""
        return tuple(r for r in self.regions if r.in_conflict)

    @cached_property
    def readers(self) -> tuple[str, ...]:
        """Everybody who judged a region, sorted."""
        return tuple(sorted({reader for r in self.regions for reader in r.readers}))

    @property
    def summary(self) -> str:
        """The state of the review in at most 64 ASCII characters, for the headers of files."""
        total, left = len(self.regions), len(self.unreviewed)
        if not total:
            return f"{'reviewed' if self.has_review else 'NOT REVIEWED'}; nothing deferred at this budget"
        if not self.has_review:
            return f"NOT REVIEWED: model's labels, {_regions(total, '')} open"
        if left:
            return f"{left} of {_regions(total, '')} NOT REVIEWED"
        return f"{'all ' if total > 1 else ''}{_regions(total, '')} reviewed"

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences that must be said at export."""
        found = []
        total, left = len(self.regions), len(self.unreviewed)
        if not self.has_review:
            found.append("nobody has reviewed this case: the labels are the model's own")
        if left:
            ml = sum(r.region.volume_ml for r in self.unreviewed)
            each = ", ".join(f"{s.structure.name} {s.unreviewed}" for s in self.structures if s.unreviewed)
            found.append(
                f"{left} of {_regions(total)} ({ml:.2f} ml: {each}) {'is' if left == 1 else 'are'} NOT reviewed; "
                "what the model handed over there, nobody has decided"
            )
        if self.disputed_voxels:
            found.append(
                f"readers disagree on {self.disputed_voxels} voxels, in {len(self.conflicts)} of the regions; "
                "there the model's label is exported"
            )
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """What the files of an export say of it, as plain values, without voxels."""
        return {
            "case": {"id": self.case.id, "created": self.case.created, "model": self.case.model},
            "software": {"name": "DeferredSegSlicer", "version": __version__},
            "review": {
                "summary": self.summary,
                "reviewed_by_a_person": self.has_review,
                "budget": self.budget,
                "regions": len(self.regions),
                "unreviewed_regions": len(self.unreviewed),
                "unreviewed_ml": sum(r.region.volume_ml for r in self.unreviewed),
                "conflicts": len(self.conflicts),
                "disputed_voxels": self.disputed_voxels,
                "readers": list(self.readers),
                "warnings": list(self.warnings),
            },
            "structures": [_structure_to_json(s) for s in self.structures],
        }


def _regions(count: int, kind: str = "deferral ") -> str:
    return f"{count} {kind}region{'' if count == 1 else 's'}"


def _structure_to_json(item: StructureContent) -> dict[str, Any]:
    structure, codes = item.structure, item.structure.terminology
    named = {"category": codes.category, "type": codes.type, "modifier": codes.modifier}
    return {
        "label": item.number,
        "id": structure.id,
        "name": structure.name,
        "color": list(structure.color),
        "codes": {
            key: {"scheme": c.scheme, "value": c.value, "meaning": c.meaning}
            for key, c in named.items()
            if c is not None
        },
        "algorithm_type": item.algorithm_type,
        "voxels": item.voxels,
        "ml": item.ml,
        "model_ml": item.before_ml,
        "voxels_changed": item.voxels_changed,
        "regions": item.regions,
        "unreviewed_regions": item.unreviewed,
        "conflicts": item.conflicts,
        "readers": list(item.readers),
        "review": item.review_text,
    }


def structures_of(
    case: Case, model: NDArray[np.uint8], label: NDArray[np.uint8], regions: Sequence[RegionContent]
) -> tuple[StructureContent, ...]:
    """The structures of a case from the model's and the exported label and what became of the regions."""
    count = len(case.structures) + 1
    pairs = np.zeros((count, count), np.int64)
    for before, after in zip(model, label, strict=True):  # slice by slice: no volume of wide numbers
        codes = before.ravel().astype(np.intp) * count + after.ravel()
        pairs += np.bincount(codes, minlength=count * count).reshape(count, count)
    ml = case.geometry.voxel_ml
    found = []
    for number, structure in enumerate(case.structures, 1):
        mine = [r for r in regions if r.region.structure == structure.id]
        stayed, was, is_now = int(pairs[number, number]), int(pairs[number].sum()), int(pairs[:, number].sum())
        found.append(
            StructureContent(
                structure,
                number,
                voxels=is_now,
                before_ml=was * ml,
                ml=is_now * ml,
                voxels_changed=was + is_now - 2 * stayed,
                regions=len(mine),
                unreviewed=sum(not r.reviewed for r in mine),
                conflicts=sum(r.in_conflict for r in mine),
                readers=tuple(sorted({reader for r in mine for reader in r.readers})),
            )
        )
    return tuple(found)
