"""Decisions as plain values for JSON, and back without trusting them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ..case_reader import Case
from ..errors import BadInputError
from .decisions import (
    KINDS,
    Accept,
    Alternative,
    AnyDecision,
    Edit,
    Effort,
    Limit,
    LineRef,
    Reader,
    Reassign,
    RegionRef,
    Skip,
    Statistics,
    Undo,
)
from .runs import LabelRuns, VoxelRuns

_LINE_KEYS = {
    "schema",
    "n",
    "case",
    "time",
    "reader",
    "decision",
    "seconds",
    "note",
    "software",
    "bundle",
    "prev",
}
_VOXEL_KEYS = {"region", "voxels", "changed", "before_ml", "after_ml", "answers"}
_OWN_KEYS: dict[str, set[str]] = {
    Accept.kind: set(),
    Edit.kind: {"after", "limit"},
    Alternative.kind: {"after", "limit", "alternative"},
    Reassign.kind: {"to"},
    Skip.kind: {"reason"},
    Undo.kind: {"undo"},
}


def decision_to_plain(decision: AnyDecision) -> dict[str, Any]:
    """The part of a line that says what was decided."""
    plain: dict[str, Any] = {"decision": decision.kind}
    if isinstance(decision, Undo):
        plain["undo"] = {"n": decision.line.n, "sha": decision.line.sha}
    else:
        region, statistics = decision.region, decision.statistics
        plain["region"] = {
            "structure": region.structure,
            "expert": region.expert,
            "budget": region.budget,
            "id": region.id,
        }
        plain["voxels"] = decision.voxels.to_list()
        if isinstance(decision, Edit):
            plain["after"] = decision.after.to_list()
            plain["limit"] = {"margin_mm": decision.limit.margin_mm, "lifted": decision.limit.lifted}
        if isinstance(decision, Alternative):
            plain["alternative"] = decision.name
        elif isinstance(decision, Reassign):
            plain["to"] = decision.to
        elif isinstance(decision, Skip):
            plain["reason"] = decision.reason
        plain["changed"] = statistics.changed
        plain["before_ml"], plain["after_ml"] = dict(statistics.before_ml), dict(statistics.after_ml)
        plain["answers"] = [{"reader": a.reader, "n": a.n, "sha": a.sha} for a in decision.answers]
    plain["seconds"] = {"looked": decision.effort.looked, "edited": decision.effort.edited}
    return plain | {"note": decision.note}


def decision_from_plain(plain: Mapping[str, Any], reader: Reader, case: Case) -> AnyDecision:
    """The decision of a line of that reader's journal.

    Raises BadInputError, KeyError, TypeError or ValueError for whatever does not follow docs/review_format.md.
    """
    kind = plain["decision"]
    if kind not in _OWN_KEYS:
        raise BadInputError(f'decision "{kind}" is not known')
    expected = _LINE_KEYS | _OWN_KEYS[kind] | (_VOXEL_KEYS if kind != Undo.kind else set())
    if set(plain) != expected:
        odd = sorted(set(plain) ^ expected)[0]
        raise BadInputError(f'"{odd}" is {"missing" if odd in expected else "not known"}')
    effort = Effort(**plain["seconds"])
    if kind == Undo.kind:
        undone = plain["undo"]
        return Undo(
            line=LineRef(reader.id, whole(undone["n"]), sha_text(undone["sha"])), effort=effort, note=plain["note"]
        )
    voxels, structures = case.geometry.voxel_count, len(case.structures)
    values: dict[str, Any] = {
        "region": _region(plain["region"], case),
        "voxels": VoxelRuns.from_list(plain["voxels"], voxels),
        "statistics": Statistics(
            whole(plain["changed"]), _volumes(plain["before_ml"], case), _volumes(plain["after_ml"], case)
        ),
        "effort": effort,
        "note": plain["note"],
        "answers": tuple(_line(a) for a in plain["answers"]),
    }
    if "after" in plain:
        values["after"] = LabelRuns.from_list(plain["after"], voxels, structures)
        values["limit"] = Limit(**plain["limit"])
    for key, name in (("alternative", "name"), ("to", "to"), ("reason", "reason")):
        if key in plain:
            values[name] = plain[key]
    return next(k for k in KINDS if k.kind == kind)(**values)  # type: ignore[return-value]


def reader_to_plain(reader: Reader) -> dict[str, str]:
    """Id, name and role."""
    return {"id": reader.id, "name": reader.name, "role": reader.role}


def time_text(text: Any) -> str:
    """A time as lines have it; raises BadInputError for anything but ISO 8601 with an offset."""
    if not isinstance(text, str) or datetime.fromisoformat(text).tzinfo is None:
        raise BadInputError(f"time {text!r} has no offset from UTC")
    return text


def whole(value: Any) -> int:
    """A whole number from 0; raises BadInputError for anything else."""
    if type(value) is not int or value < 0:
        raise BadInputError(f"{value!r} is no whole number of 0 or more")
    return value


def sha_text(value: Any) -> str:
    """A SHA-256 in hex; raises BadInputError for anything else."""
    if not isinstance(value, str) or len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        raise BadInputError(f"{value!r} is no sha256")
    return value


def texts(values: Any) -> dict[str, str]:
    """A JSON object of texts; raises BadInputError for anything else."""
    if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
        raise BadInputError("versions are not an object of texts")
    return values


def _region(values: Any, case: Case) -> RegionRef:
    region = RegionRef(**values)
    if region.structure not in {s.id for s in case.structures}:
        raise BadInputError(f'structure "{region.structure}" is not of this case')
    if not (isinstance(region.id, str) and isinstance(region.expert, str)):
        raise BadInputError("region has no id or no expert")
    if isinstance(region.budget, bool) or not isinstance(region.budget, int | float) or not 0 <= region.budget <= 1:
        raise BadInputError(f"budget is {region.budget!r}, expected a share from 0 to 1")
    return region


def _volumes(values: Any, case: Case) -> dict[str, float]:
    if set(values) != {s.id for s in case.structures} or not all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in values.values()
    ):
        raise BadInputError("ml are not one number for each structure")
    return dict(values)


def _line(values: Any) -> LineRef:
    if not isinstance(values["reader"], str):
        raise BadInputError("an answered line is of no reader")
    return LineRef(values["reader"], whole(values["n"]), sha_text(values["sha"]))
