"""Who decides on the command line, and at which budget: as the panel would have it."""

from __future__ import annotations

from ..core.budgets import check_share
from ..core.case import Case
from ..core.review import Reader, read_review
from ..core.review.names import journal_file
from ..core.review.scanning import read_bookmark
from .options import budget_of


def reader_named(case: Case, name: str) -> Reader:
    """The reader of an id or a name: an expert of the case, somebody with a journal, or somebody new.

    Raises BadInputError for a name that no reader can have, DamagedCaseError for a journal that was changed.
    """
    wanted = name.strip()
    everybody = [*(Reader(e.id, e.name, e.role) for e in case.experts), *read_review(case).readers]
    for reader in everybody:
        if reader.id == wanted:
            return reader
    for reader in everybody:
        if reader.name.casefold() == wanted.casefold():
            return reader
    return Reader(wanted)


def budget_of_reader(case: Case, reader: Reader, asked: float | None) -> float:
    """The budget asked for, else the reader's last one, else the one that the case was made with."""
    last = (read_bookmark(journal_file(case.folder, reader)).place or {}).get("budget")
    if asked is None and isinstance(last, int | float) and not isinstance(last, bool) and 0 <= last <= 1:
        return check_share(last)
    return budget_of(case, asked)
