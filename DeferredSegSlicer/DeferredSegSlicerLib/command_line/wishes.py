"""What is to be decided: one wish for each decision, from options or from a file of them."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import BadInputError

SCHEMA = 1
LARGEST = 64 << 20
"""Bytes; a larger file is refused unread."""

DECISIONS = ("accept", "skip", "reassign", "alternative", "labels", "undo")
FIELDS = ("region", "decision", "to", "alternative", "labels", "reason", "note", "seconds")
"""Of an entry of a decisions file; columns of a CSV, keys of JSON."""

_NEEDED = {"reassign": "to", "alternative": "alternative", "labels": "labels"}
_ALLOWED = {
    "accept": (), "skip": ("reason",), "reassign": ("to",), "alternative": ("alternative",), "labels": ("labels",),
    "undo": (),
}  # fmt: skip


@dataclass(frozen=True)
class Wish:
    """One decision that somebody wants to be recorded.

    Attributes
    ----------
    decision : one of `DECISIONS`. region : id, or number in the worklist; None to undo the last decision of all.
    value : the expert to reassign to, the name of the alternative, or the file with the labels.
    reason : of a skip. note : free text. seconds : that the reader looked at the region.

    Raises BadInputError for a decision that lacks something, or has too much.
    """

    decision: str
    region: str | None = None
    value: str = ""
    reason: str = ""
    note: str = ""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.decision not in DECISIONS:
            raise BadInputError(f'decision is "{self.decision}", expected one of {", ".join(DECISIONS)}')
        if self.region is None and self.decision != "undo":
            raise BadInputError(f'decision "{self.decision}" names no region')
        if self.decision in _NEEDED and not self.value:
            raise BadInputError(f'decision "{self.decision}" lacks "{_NEEDED[self.decision]}"')
        if not (math.isfinite(self.seconds) and self.seconds >= 0):
            raise BadInputError(f"seconds are {self.seconds:g}, expected 0 or more")


def read_wishes(path: Path) -> list[Wish]:
    """The wishes of a JSON or CSV file, in order.

    JSON is `{"schema": 1, "decisions": [{"region": 3, "decision": "accept"}, ...]}`; CSV has a header with the same
    names. A path of labels is taken from the file's own folder.

    Raises
    ------
    BadInputError : the file cannot be read, or an entry is no decision; the sentence names it.
    """
    text = _text_of(path)
    entries = _of_json(text, path) if path.suffix.lower() == ".json" else _of_csv(text, path)
    if not entries:
        raise BadInputError(f'decisions file "{path}" has no decisions')
    found = []
    for number, entry in enumerate(entries, 1):
        try:
            found.append(_wish_of(entry, path.parent))
        except BadInputError as error:
            raise BadInputError(f'decisions file "{path}", decision {number}: {error}') from error
    return found


def _wish_of(entry: Mapping[str, Any], folder: Path) -> Wish:
    texts = {key: _text(key, value) for key, value in entry.items() if value is not None and value != ""}
    decision = texts.get("decision", "")
    surplus = [key for key in ("to", "alternative", "labels", "reason") if key in texts]
    for key in surplus:
        if decision in _ALLOWED and key not in _ALLOWED[decision]:
            raise BadInputError(f'"{key}" does not belong to decision "{decision}"')
    value = texts.get(_NEEDED.get(decision, ""), "")
    if decision == "labels" and value:
        value = str(folder / Path(value).expanduser())
    return Wish(decision, texts.get("region"), value, texts.get("reason", ""), texts.get("note", ""), _seconds(texts))


def _text(key: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadInputError(f'"{key}" is {value!r:.60}, expected a text or a number')
    return str(value).strip()


def _seconds(texts: Mapping[str, str]) -> float:
    try:
        return float(texts.get("seconds", "0"))
    except ValueError as error:
        raise BadInputError(f'"seconds" is "{texts["seconds"]}", expected a number') from error


def _text_of(path: Path) -> str:
    if path.suffix.lower() not in (".json", ".csv"):
        raise BadInputError(f'decisions file "{path}" should end in .json or .csv')
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
        if len(raw) > LARGEST:
            raise BadInputError(f'decisions file "{path}" is larger than {LARGEST} bytes')
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise BadInputError(f'decisions file "{path}" cannot be read: {error.strerror or error}') from error
    except UnicodeDecodeError as error:
        raise BadInputError(f'decisions file "{path}" is not UTF-8') from error


def _of_json(text: str, path: Path) -> Sequence[Mapping[str, Any]]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInputError(f'decisions file "{path}" is not JSON: {error}') from error
    entries = content.get("decisions") if isinstance(content, dict) and content.get("schema") == SCHEMA else None
    if not isinstance(entries, list):
        raise BadInputError(f'decisions file "{path}" is not {{"schema": {SCHEMA}, "decisions": [...]}}')
    for number, entry in enumerate(entries, 1):
        unknown = [key for key in entry if key not in FIELDS] if isinstance(entry, dict) else [repr(entry)[:40]]
        if unknown:
            raise BadInputError(f'decisions file "{path}", decision {number}: "{unknown[0]}" is unknown')
    return entries


def _of_csv(text: str, path: Path) -> Sequence[Mapping[str, Any]]:
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise BadInputError(f'decisions file "{path}" is no CSV: {error}') from error
    head = [name.strip() for name in rows[0]] if rows else []
    unknown = [name for name in head if name not in FIELDS]
    if not head or unknown or len(set(head)) < len(head) or "decision" not in head:
        raise BadInputError(
            f'decisions file "{path}" has the columns {", ".join(head) or "none"}; expected some of {", ".join(FIELDS)}'
        )
    entries = []
    for number, row in enumerate((r for r in rows[1:] if any(cell.strip() for cell in r)), 1):
        if len(row) != len(head):
            raise BadInputError(
                f'decisions file "{path}", decision {number}: {len(row)} cells under {len(head)} columns'
            )
        entries.append(dict(zip(head, row, strict=True)))
    return entries
