"""The region that is looked at, what can be decided on it, and what came of the last decision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ....core.experts import Expert
from ....core.regions import Region
from ....core.review import Conflict, Row
from ...presenters.wording import as_sentence, ml_text, quoted
from ...text import _
from .names import Color, Names
from .worklist import state_sentence


@dataclass(frozen=True)
class Target:
    """Somebody to whom a region can be reassigned; `reason` says why not now, or is empty."""

    id: str
    caption: str
    color: Color
    tool_tip: str


def region_title(row: Row | None, total: int, names: Names) -> str:
    """The region in a line: "Region 3 of 23: Liver, for Boundary"."""
    if row is None:
        return ""
    return _("Region {number} of {total}: {structure}, for {expert}").format(
        number=row.rank + 1,
        total=total,
        structure=names.structure(row.region.structure),
        expert=names.expert(row.expert),
    )


def region_facts(row: Row | None, names: Names) -> str:
    """Size, expected error and state of the region."""
    if row is None:
        return ""
    return _("{size}, of which {error} are probably wrong. {state}").format(
        size=size_text(row.region),
        error=ml_text(row.region.expected_error_ml),
        state=state_sentence(row, names),
    )


def size_text(region: Region) -> str:
    """Volume and slices of a region."""
    if region.slice_count == 1:
        return _("{ml} in 1 slice").format(ml=ml_text(region.volume_ml))
    return _("{ml} in {slices} slices").format(ml=ml_text(region.volume_ml), slices=region.slice_count)


def conflict_title(number: int, total: int, conflict: Conflict, names: Names) -> str:
    """The conflict that is looked at; `number` from 1."""
    return _("Conflict {number} of {total}: {structure}").format(
        number=number, total=total, structure=names.structure(conflict.structure)
    )


def conflict_facts(conflict: Conflict, voxel_ml: float) -> str:
    """How large it is, who says what, and that a decision settles it."""
    size = ml_text(len(conflict.indices) * voxel_ml)
    return _("{size}. {sides}. What you decide here settles it.").format(size=size, sides=sides_text(conflict))


def sides_text(conflict: Conflict) -> str:
    """Who disagrees: "Lesion extent accepted, Boundary edited"."""
    return ", ".join(
        _("{name} {did}").format(name=entry.reader.name, did=_did(entry.decision.kind)) for entry in conflict.entries
    )


def _did(kind: str) -> str:
    return {
        "accept": _("accepted"),
        "edit": _("edited"),
        "alternative": _("took another labeling"),
    }.get(kind, kind)


def position_of(conflict: Conflict | None, conflicts: Sequence[Conflict]) -> int:
    """Where a conflict is in a list that may have been found anew: its voxels tell; -1 if it is not there."""
    if conflict is None:
        return -1
    same = (n for n, other in enumerate(conflicts) if np.array_equal(other.indices, conflict.indices))
    return next(same, -1)


def conflicts_text(count: int) -> str:
    """Caption of the list of conflicts, or an empty text."""
    if not count:
        return ""
    return _("Readers disagree in 1 place:") if count == 1 else _("Readers disagree in {n} places:").format(n=count)


def targets(experts: Iterable[Expert], reader: str) -> tuple[Target, ...]:
    """To whom a reader can reassign: every other expert of the case."""
    others = [expert for expert in experts if expert.id != reader]
    return tuple(
        Target(
            e.id,
            e.name if e.available else _("{name} (off duty)").format(name=e.name),
            e.color,
            e.role,
        )
        for e in others
    )


def target_captions(found: Sequence[Target]) -> tuple[str, ...]:
    """Captions of a menu whose lines are chosen by a digit too."""
    return tuple(f"&{n} {target.caption}" if n < 10 else target.caption for n, target in enumerate(found, 1))


def reassign_reason(hindrance: str, found: Sequence[Target]) -> str:
    """Why a region cannot be reassigned, or an empty text."""
    return reason_text(hindrance) or ("" if found else _("The case has no other expert."))


def reason_text(hindrance: str) -> str:
    """A hindrance of the logic as a sentence, or an empty text."""
    return as_sentence(hindrance)


def undo_reason(hindrance: str, decisions: int, unsaved: int, editing: bool) -> str:
    """Why nothing can be taken back, or an empty text; `decisions` of this reader that hold."""
    if unsaved and not editing:
        return ""
    return reason_text(hindrance) or ("" if decisions else _("You have not decided anything yet."))


def about(row: Row | None, text: str) -> str:
    """Say which region a text is about; None for a conflict."""
    if row is None:
        return _("Conflict: {text}").format(text=text)
    return _("Region {number}: {text}").format(number=row.rank + 1, text=text)


def accepted_text() -> str:
    """After accepting."""
    return _("accepted, the model's label stands.")


def reassigned_text(name: str) -> str:
    """After reassigning."""
    return _("reassigned to {name}.").format(name=name)


def skipped_text() -> str:
    """After skipping."""
    return _("skipped, left undecided.")


def taken_text(name: str) -> str:
    """After taking an alternative."""
    return _("taken as {name}.").format(name=quoted(name))


def undone_text(done: bool) -> str:
    """After an undo."""
    return _("The last decision was taken back.") if done else _("There is nothing to take back.")


def all_done(text: str) -> str:
    """What is added to a decision's line when no open region is left in the table."""
    return _("{text} Nothing is open in the table any more.").format(text=text).strip()
