"""Who can review a case: its experts, those who have a journal, and anybody with a name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ...core.case import Case
from ...core.review import Reader
from ...core.review.names import journals_in

_FIRST_BYTES = 1 << 16


@dataclass(frozen=True)
class ReaderChoice:
    """Somebody who can be chosen.

    Attributes
    ----------
    id, name, role : of the reader. color : of the expert profile, or None.
    has_journal : whether this reader has decided something in the case.
    """

    id: str
    name: str
    role: str = ""
    color: tuple[float, float, float] | None = None
    has_journal: bool = False

    @property
    def is_expert(self) -> bool:
        """Whether it is a profile of the case."""
        return self.color is not None


def choices(case: Case) -> tuple[ReaderChoice, ...]:
    """The experts of a case in their order, then the other readers who have a journal, by name."""
    known = {reader.id: reader for reader in _with_journals(case)}
    experts = [ReaderChoice(e.id, e.name, e.role, e.color, e.id in known) for e in case.experts]
    ids = {choice.id for choice in experts}
    others = [ReaderChoice(r.id, r.name, r.role, has_journal=True) for r in known.values() if r.id not in ids]
    return (*experts, *sorted(others, key=lambda choice: choice.name.casefold()))


def reader_named(case: Case, name: str) -> Reader:
    """The reader of an id or a name: an expert of the case, somebody with a journal, or somebody new.

    Raises BadInputError for a name that no reader can have.
    """
    wanted = name.strip()
    everybody = choices(case)
    for matches in (lambda c: c.id == wanted, lambda c: c.name.casefold() == wanted.casefold()):
        found = next(filter(matches, everybody), None)
        if found is not None:
            return Reader(found.id, found.name, found.role)
    return Reader(wanted)


def _with_journals(case: Case) -> list[Reader]:
    found = (_reader_in(path) for path in journals_in(case.folder))
    return [reader for reader in found if reader is not None]


def _reader_in(path: Path) -> Reader | None:
    """Who writes a journal, from the beginning of its first line; None if that cannot be told."""
    try:
        if path.is_symlink():
            return None
        with path.open("rb") as file:
            beginning = file.read(_FIRST_BYTES)
        text = beginning.decode("utf-8", "ignore")
        values, _ = json.JSONDecoder().raw_decode(text, text.index('"reader":') + len('"reader":'))
        return Reader(values["id"], values["name"], values["role"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
