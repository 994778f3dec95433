"""The way through the worklist: rows, order and filter, next and previous, disagreements, and the views that follow."""

from __future__ import annotations

from ...core.errors import BadInputError
from ...core.regions import Region
from ...core.review import Conflict, Progress, Row, RowFilter
from ...core.review.status import State
from ...mrml.review import views
from .desk import Desk
from .life import NOBODY
from .review_ticks import ReviewTicks
from .tally import Unreviewed


class ReviewWalk(ReviewTicks):
    """A reader's way through the regions of the shown case."""

    # Worklist

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows that are shown, in their order."""
        return () if self._desk is None else self._desk.session.rows

    @property
    def current(self) -> Row | None:
        """The row where the reader is."""
        return None if self._desk is None else self._desk.session.current

    @property
    def region(self) -> Region | None:
        """What is looked at: the current row's region, or the voxels of a conflict."""
        return None if self._desk is None else self._desk.region

    @property
    def order(self) -> tuple[str, bool]:
        """By what the rows are sorted, and whether in descending order."""
        return ("worst", False) if self._desk is None else self._desk.session.order

    @property
    def row_filter(self) -> RowFilter:
        """Which rows are shown."""
        return RowFilter() if self._desk is None else self._desk.session.table.row_filter

    @property
    def unreviewed(self) -> Unreviewed:
        """How many regions of the worklist nobody has settled, all readers together, and how many ml they are."""
        return Unreviewed(0, 0.0) if self._desk is None else self._desk.tally.count()

    @property
    def progress(self) -> Progress:
        """How far this reader is with all rows, shown or not."""
        return Progress(0, 0, 0.0) if self._desk is None else self._desk.session.progress

    @property
    def all_readers(self) -> bool:
        """Whether rows and labels show what all readers decided."""
        return self._desk is not None and self._desk.session.all_readers_shown

    @property
    def conflicts(self) -> tuple[Conflict, ...]:
        """Where readers disagree, largest first."""
        return () if self._desk is None else self._desk.session.conflicts

    @property
    def conflict(self) -> Conflict | None:
        """The disagreement that is looked at, or None."""
        return None if self._desk is None else self._desk.conflict

    def sort(self, key: str = "worst", descending: bool = False) -> None:
        """Sort the rows by one of `core.review.table.SORT_KEYS`."""
        self._at_desk().session.sort(key, descending)
        self.changed.emit()

    def show(self, expert: str | None = None, state: State | None = None, structure: str | None = None) -> None:
        """Show only rows of an expert, in a state, of a structure."""
        self._at_desk().session.show(expert, state, structure)
        self.changed.emit()

    def show_all_readers(self, everybody: bool) -> None:
        """Show what all readers decided, or this one alone."""
        desk = self._at_desk()
        self._leave_edit()
        desk.session.show_all_readers(everybody)
        desk.drew_anew(None)
        self._arrive(jump=False)

    def next(self) -> Row | None:
        """Go to the next shown row; None if there is no other. This and the others below record an open edit first."""
        return self._walk("next")

    def previous(self) -> Row | None:
        """Go to the shown row before; None if there is no other."""
        return self._walk("previous")

    def next_open(self) -> Row | None:
        """Go to the next shown row that this reader has not settled; None if there is no other."""
        return self._walk("next_open")

    def go_to(self, region_id: str) -> Row:
        """Go to a row; raises BadInputError if it is not in the list at this budget."""
        desk = self._at_desk()
        self._leave_edit()
        row = desk.session.go_to(region_id)
        desk.conflict = None
        self._arrive()
        return row

    def go_to_conflict(self, number: int) -> Conflict:
        """Look at a disagreement, by its position in `conflicts`; decisions are on its voxels then and settle it."""
        desk = self._at_desk()
        self._leave_edit()
        if not 0 <= number < len(self.conflicts):
            raise BadInputError("the readers do not disagree there any more")
        desk.conflict = self.conflicts[number]
        self._arrive()
        return desk.conflict

    # Views

    @property
    def follow_views(self) -> bool:
        """Whether the views jump to the region that is gone to."""
        return self._follow_views

    def set_follow_views(self, follow: bool) -> None:
        """Let the views jump to the region that is gone to, or stay."""
        self._follow_views = bool(follow)

    def look(self) -> None:
        """Let the views jump to the region again."""
        self._at_desk().jump()

    def restore_views(self) -> None:
        """Let the views show what they showed before the review began."""
        views.restore(self._module.scene, self._at_desk().before)

    def _at_desk(self) -> Desk:
        if self._desk is None:
            raise BadInputError(NOBODY)
        return self._desk

    def _walk(self, way: str) -> Row | None:
        desk = self._at_desk()
        self._leave_edit()
        row: Row | None = getattr(desk.session, way)()
        if row is not None or desk.conflict is not None:
            desk.conflict = None
            self._arrive()
        return row
