"""What the parts of the sections ask of the review and the case again and again, found once for each showing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...core.experts import Expert
from ...core.review import Progress, Row
from .presenters.names import Names

if TYPE_CHECKING:
    from ...logic.review import ReaderChoice, ReviewLogic


@dataclass(frozen=True)
class Facts:
    """The review at one moment.

    Attributes
    ----------
    shown : the case, or None. rows : of the table. current : where the reader is, or None.
    progress : of the reader. names : of the case's structures, experts and readers. experts : with their duty.
    readers : who one can be. reader : id of who reviews, or empty.
    hindrance : why nothing can be decided, or empty. editing : whether an edit is open.
    """

    shown: Any
    rows: Sequence[Row]
    current: Row | None
    progress: Progress
    names: Names
    experts: tuple[Expert, ...]
    readers: tuple[ReaderChoice, ...]
    reader: str
    hindrance: str
    editing: bool

    @property
    def has_journals(self) -> bool:
        """Whether somebody has decided something."""
        return any(choice.has_journal for choice in self.readers)


class FactsReader:
    """Asks; who has a journal is asked of the disk only when somebody else may have one.

    shown : gives the case that is shown, or None.
    """

    def __init__(self, review: ReviewLogic, shown: Callable[[], Any]) -> None:
        self._review, self._shown = review, shown
        self._readers: tuple[ReaderChoice, ...] = ()
        self._readers_of: tuple[Any, ...] = ()

    def forget(self) -> None:
        """Ask the disk the next time."""
        self._readers_of = ()

    def read(self) -> Facts:
        """The facts of now."""
        review, shown, reader = self._review, self._shown(), self._review.reader
        session = review.session
        known = {r.id: r.name for r in session.state.readers} if session is not None else {}
        if reader is not None:
            known[reader.id] = reader.name
        return Facts(
            shown,
            review.rows,
            review.current,
            review.progress,
            Names() if shown is None else Names.of(shown.case, known),
            () if shown is None else shown.experts,
            self._choices(shown, tuple(known)),
            "" if reader is None else reader.id,
            review.hindrance,
            review.editing is not None,
        )

    def _choices(self, shown: Any, known: tuple[str, ...]) -> tuple[ReaderChoice, ...]:
        key = (None if shown is None else shown.case.id, *known)
        if key != self._readers_of:
            self._readers_of, self._readers = key, self._review.readers
        return self._readers
