"""The chain of a journal: each line holds the sha256 of the one before, the first that of the case and its reader."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from ..case_reader import Case
from ..case_record import SEGMENTATION_FILE
from ..errors import BadInputError
from .decisions import AnyDecision, Entry, Reader
from .plain import decision_from_plain, decision_to_plain, reader_to_plain, texts, time_text, whole

SCHEMA = 1
MAX_LINE_BYTES = 256 << 20
"""A longer line is refused."""

_SEAL = re.compile(rb',"sha":"([0-9a-f]{64})"\}\Z')


class ChainError(ValueError):
    """What is wrong with a line; the message is the rest of a sentence that begins with "line N"."""


def root_of(case: Case, reader: Reader) -> str:
    """What the first line of a reader's journal follows: it ties the journal to the case, its scan and its labels."""
    parts = ("deferredseg review 1", case.id, case.record.image.sha256)
    segmentation = case.record.files[SEGMENTATION_FILE].sha256
    return hashlib.sha256("\n".join((*parts, segmentation, reader.id)).encode("utf-8")).hexdigest()


def make_line(
    case: Case,
    reader: Reader,
    decision: AnyDecision,
    n: int,
    prev: str,
    time: str,
    software: Mapping[str, str],
) -> tuple[bytes, Entry]:
    """A line of a journal, its line end included, and the entry that it holds.

    The sha256 is that of the line's bytes without `,"sha":"..."` and without the line end.
    """
    bundle = {key: str(case.model.get(key, "")) for key in ("id", "sha256")}
    plain: dict[str, Any] = {"schema": SCHEMA, "n": n, "case": case.id, "time": time}
    plain |= {"reader": reader_to_plain(reader)} | decision_to_plain(decision)
    plain |= {"software": dict(software), "bundle": bundle, "prev": prev}
    body = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")
    sha = hashlib.sha256(body).hexdigest()
    line = body[:-1] + f',"sha":"{sha}"}}\n'.encode()
    if len(line) > MAX_LINE_BYTES:
        raise BadInputError(f"the decision takes {len(line) >> 20} MiB, at most {MAX_LINE_BYTES >> 20} are kept")
    return line, Entry(n, sha, prev, time, reader, decision, dict(software), bundle)


def read_line(line: bytes, case: Case, reader: Reader | None, n: int, prev: str | None) -> Entry:
    """The entry of a line without its line end, which must be the n-th of the reader's journal and follow `prev`.

    For the first line of a journal whose reader is not known, `reader` and `prev` are None.

    Raises
    ------
    ChainError : the line was changed, is not in its place, or belongs to another reader or case.
    """
    seal = _SEAL.search(line)
    if seal is None or hashlib.sha256(line[: seal.start()] + b"}").hexdigest() != seal[1].decode():
        raise ChainError("was changed since it was written")
    try:
        plain = json.loads(line[: seal.start()] + b"}", object_pairs_hook=_unique, parse_constant=_no_number)
        return _entry(plain, seal[1].decode(), case, reader, n, prev)
    except ChainError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ChainError(f"cannot be understood: {reason[:200]}") from error


def _entry(plain: Any, sha: str, case: Case, reader: Reader | None, n: int, prev: str | None) -> Entry:
    if not isinstance(plain, dict) or type(plain.get("schema")) is not int:
        raise ChainError("is no line of a journal")
    if plain["schema"] != SCHEMA:
        raise ChainError(f"has schema {plain['schema']}, this software reads {SCHEMA}")
    if plain["case"] != case.id:
        raise ChainError("is of another case")
    who = Reader(**plain["reader"])
    if reader is not None and who.id != reader.id:
        raise ChainError(f'is of another reader, "{who.id}"')
    number = whole(plain["n"])
    if number != n:
        raise ChainError(f"has number {number}: lines were taken out, put in or reordered")
    if plain["prev"] != (root_of(case, who) if prev is None else prev):
        where = "the line before it" if n > 1 else "this case's scan and labels"
        raise ChainError(f"does not follow {where}")
    decision = decision_from_plain(plain, who, case)
    software, bundle = texts(plain["software"]), texts(plain["bundle"])
    return Entry(n, sha, plain["prev"], time_text(plain["time"]), who, decision, software, bundle)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadInputError("a key is there twice")
    return found


def _no_number(name: str) -> float:
    raise BadInputError(f"{name} is no number")
