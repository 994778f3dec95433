"""From a case and its review to what an export says of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.case import Case
from ..core.regions import Region
from ..core.review.decisions import Alternative, Decision, Entry, Reassign, Skip, Undo
from ..core.review.state import ReviewState, read_review
from ..core.review.status import RegionStatus
from ..core.worklist import Worklist, worklist
from .content import Content, RegionContent, structures_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SETTLED = ("accepted", "edited")


def content_of(case: Case, budget: float, work: Worklist | None = None, review: ReviewState | None = None) -> Content:
    """What an export of a case says at a budget (share of the decision zone).

    The labels are the model's, but for the voxels that readers judged and agree on. Without any review they are the
    model's own, and every region is open.

    Parameters
    ----------
    work : the case's worklist, if it was prepared already. review : the case's review, if it was read already.

    Raises
    ------
    DamagedCaseError : a file of the case, or a journal of its review, was changed.
    BadInputError : a journal cannot be read.
    """
    work = work or worklist(
        case.probability(), case.routing(), case.error(), case.structures, case.experts, case.geometry, case.settings
    )
    state = review or read_review(case)
    model, label = state.model.volume, state.corrected()
    regions = _regions(list(work.regions(budget)), state, label)
    holding = {entry.sha for entry in state.active}
    return Content(
        case,
        label,
        structures_of(case, model, label, regions),
        regions,
        budget,
        decisions=tuple(_decision_row(entry, entry.sha in holding) for entry in state.entries),
        has_review=bool(state.entries),
        disputed_voxels=sum(len(conflict.indices) for conflict in state.conflicts),
    )


def _regions(regions: Sequence[Region], state: ReviewState, label: NDArray[np.uint8]) -> tuple[RegionContent, ...]:
    """What became of each region, from what every reader says on its voxels."""
    if not regions:
        return ()
    statuses = state.statuses_of(regions)
    voices = state.at(np.concatenate([r.indices for r in regions])).voices
    ends = np.cumsum([len(r.indices) for r in regions])
    found = []
    for region, status, end in zip(regions, statuses, ends, strict=True):
        spoken = voices[:, end - len(region.indices) : end]
        entries = [
            layer.entries[position]
            for layer, voice in zip(state.layers, spoken, strict=True)
            for position in np.unique(voice[voice >= 0]).tolist()
        ]
        found.append(_region(region, status, entries, state, label))
    return tuple(found)


def _region(
    region: Region, status: RegionStatus, entries: Sequence[Entry], state: ReviewState, label: NDArray[np.uint8]
) -> RegionContent:
    number = 1 + [s.id for s in state.case.structures].index(region.structure)
    before, after = state.model.at(region.indices), label.reshape(-1)[region.indices]
    ml = state.case.geometry.voxel_ml
    return RegionContent(
        region=region,
        status=status.state,
        reviewed=status.state in _SETTLED,
        in_conflict=status.state == "conflict",
        readers=tuple(sorted({entry.reader.name for entry in entries if entry.decision.judges})),
        waiting_for=status.waiting_for,
        decided=max((entry.time for entry in entries), default=""),
        seconds_looked=sum(entry.decision.effort.looked for entry in entries),
        seconds_edited=sum(entry.decision.effort.edited for entry in entries),
        voxels_changed=int(np.count_nonzero(before != after)),
        before_ml=int(np.count_nonzero(before == number)) * ml,
        after_ml=int(np.count_nonzero(after == number)) * ml,
    )


def _decision_row(entry: Entry, holds: bool) -> dict[str, Any]:
    """A line of a journal as plain values, by the names of `tables.DECISION_COLUMNS`."""
    decision = entry.decision
    row: dict[str, Any] = {
        "reader": entry.reader.id,
        "reader_name": entry.reader.name,
        "role": entry.reader.role,
        "line": entry.n,
        "time": entry.time,
        "decision": decision.kind,
        "holds": holds,
        "seconds_looked": float(decision.effort.looked),
        "seconds_edited": float(decision.effort.edited),
        "note": decision.note,
        "software": str(entry.software.get("deferredseg", "")),
        "bundle": str(entry.bundle.get("id", "")),
        "sha256": entry.sha,
    }
    if isinstance(decision, Undo):
        return row | {"undoes": decision.line.n}
    return row | _what_was_decided(decision)


def _what_was_decided(decision: Decision) -> dict[str, Any]:
    region, statistics = decision.region, decision.statistics
    row: dict[str, Any] = {
        "region_id": region.id,
        "structure": region.structure,
        "expert": region.expert,
        "budget": region.budget,
        "voxels": len(decision.indices),
        "voxels_changed": statistics.changed,
        "ml_before": statistics.before_ml[region.structure],
        "ml_after": statistics.after_ml[region.structure],
    }
    if isinstance(decision, Reassign):
        row["to"] = decision.to
    if isinstance(decision, Alternative):
        row["alternative"] = decision.name
    if isinstance(decision, Skip):
        row["reason"] = decision.reason
    return row
