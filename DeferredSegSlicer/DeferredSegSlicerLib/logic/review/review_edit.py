"""Edits by hand: Slicer's segment editor on the corrected copy, around one region, until its strokes are recorded."""

from __future__ import annotations

from ...core.errors import BadInputError
from ...core.review import Limit
from ...core.review.decisions import DEFAULT_MARGIN_MM, AnyDecision
from .desk import Desk
from .drafts import remove_draft
from .life import NOBODY
from .open_edit import Editing, EditOutcome, OpenEdit
from .review_walk import ReviewWalk

MARGIN_KEY = "DeferredSegSlicer/Review/MarginMm"
"""Setting: how far around its region an edit may reach."""

EDIT_OPEN = "an edit is open; finish or cancel it first"
DRAFT_WAITS = "an edit of yours was never finished; go on with it or discard it first"
_UNSAVED = "a decision could not be written; make room on the disk and try again, or undo it"


class ReviewEdit(ReviewWalk):
    """Whether something can be decided now, and edits."""

    @property
    def hindrance(self) -> str:
        """Why nothing can be decided now, or an empty text."""
        if self._desk is None:
            return NOBODY
        if self.read_only:
            return self._refusal
        if self._desk.edit is not None:
            return EDIT_OPEN
        if self._desk.session.unsaved:
            return _UNSAVED
        if self.region is None:
            return "nothing is deferred at this budget"
        return ""

    @property
    def unsaved(self) -> tuple[AnyDecision, ...]:
        """Decisions that could not be written; `retry` writes them, `undo` forgets them."""
        return () if self._desk is None else self._desk.session.unsaved

    @property
    def editing(self) -> Editing | None:
        """What the segment editor needs while an edit is open, else None."""
        edit = None if self._desk is None else self._desk.edit
        return None if edit is None else edit.handles

    @property
    def edited_voxels(self) -> int:
        """How many voxels the open edit has changed, as of the last fifth of a second or so."""
        edit = None if self._desk is None else self._desk.edit
        return 0 if edit is None else edit.changes

    @property
    def put_back_voxels(self) -> int:
        """How many voxels the open edit has drawn beyond its limit, which were put back."""
        edit = None if self._desk is None else self._desk.edit
        return 0 if edit is None else edit.put_back

    @property
    def has_unsaved_edit(self) -> bool:
        """Whether something was drawn that is not recorded."""
        edit = None if self._desk is None else self._desk.edit
        return edit is not None and edit.is_changed()

    @property
    def margin_mm(self) -> float:
        """How far around its region an edit may reach."""
        try:
            return Limit(float(self._services.setting(MARGIN_KEY, str(DEFAULT_MARGIN_MM)))).margin_mm
        except ValueError:  # BadInputError is one too
            return DEFAULT_MARGIN_MM

    @property
    def limit_lifted(self) -> bool:
        """Whether the open edit may reach anywhere."""
        edit = None if self._desk is None else self._desk.edit
        return edit is not None and edit.limit.lifted

    def set_margin(self, millimeters: float) -> None:
        """Let this edit and those to come reach so far around their regions; raises BadInputError below 0."""
        limit = Limit(millimeters, self.limit_lifted)
        self._services.set_setting(MARGIN_KEY, str(limit.margin_mm))
        if self._desk is not None and self._desk.edit is not None:
            self._desk.edit.set_limit(limit)
        self.changed.emit()

    def lift_limit(self, lifted: bool = True) -> None:
        """Let the open edit reach anywhere, or not: then what was drawn beyond the limit is put back at its end."""
        edit = self._open_edit()
        edit.set_limit(Limit(edit.limit.margin_mm, bool(lifted)))
        self.changed.emit()

    def start_edit(self) -> Editing:
        """Open the corrected copy for the segment editor, around the region alone. An edit that is open stays so.

        Raises BadInputError if nothing can be decided (`hindrance`), or an unfinished edit waits (`draft`).
        """
        if self.editing is not None:
            return self.editing
        desk = self._able_desk()
        if self._draft is not None:  # its file would be replaced
            raise BadInputError(DRAFT_WAITS)
        edit = desk.open_edit(desk.needed_region(), Limit(self.margin_mm))
        self._watch.take_brush(True)
        self._offers_due = False
        self.changed.emit()
        return edit.handles

    def finish_edit(self, note: str = "") -> EditOutcome:
        """Record what was drawn; if it cannot be, the edit stays open with all that was drawn."""
        edit, desk = self._open_edit(), self._at_desk()
        outcome = edit.finish(self._watch.spent(), settle=desk.conflict is not None, note=note)
        self._close_edit(desk)
        if outcome.change is not None:
            self._watch.reset()
            desk.drew_anew(outcome.change)
            desk.arrive(jump=False)
        self.changed.emit()
        return outcome

    def cancel_edit(self) -> None:
        """Drop what was drawn."""
        edit, desk = self._open_edit(), self._at_desk()
        edit.cancel()
        self._close_edit(desk)
        self._offers_due = self._wants_offers
        self.changed.emit()

    def restore_draft(self) -> Editing:
        """Take an unfinished edit up again, where it was left."""
        desk, draft = self._able_desk(), self._draft
        if draft is None:
            raise BadInputError("there is no unfinished edit")
        indices = draft.voxels.indices
        row = next((r for r in desk.session.table.all_rows if r.id == draft.region.id), None)
        if row is None and draft.region.budget != desk.session.budget:
            self._module.set_budget(draft.region.budget)  # where it was a region
            row = next((r for r in desk.session.table.all_rows if r.id == draft.region.id), None)
        row = row or desk.session.table.nearest_to(indices)
        if row is None:
            raise BadInputError("the region of the unfinished edit is not in the worklist any more; discard the edit")
        self.go_to(row.id)
        edit = desk.open_edit(row.region, draft.limit)
        edit.draw(draft.drawn)
        self._watch.add(draft.effort)
        self._watch.take_brush(True)
        self._draft = None
        self.changed.emit()
        return edit.handles

    def discard_draft(self) -> None:
        """Forget an unfinished edit."""
        session = self._at_desk().session
        remove_draft(session.case, session.reader)
        self._draft = None
        self.changed.emit()

    def _able_desk(self, undoing: bool = False) -> Desk:
        hindrance = self.hindrance
        if hindrance and not (undoing and self._desk is not None and (self.unsaved or self.region is None)):
            raise BadInputError(hindrance)
        return self._at_desk()

    def _open_edit(self) -> OpenEdit:
        edit = self._at_desk().edit
        if edit is None:
            raise BadInputError("no edit is open")
        return edit

    def _close_edit(self, desk: Desk) -> None:
        desk.edit = None
        self._watch.take_brush(False)

    def _leave_edit(self) -> None:
        """Leaving a region records its edit."""
        if self.editing is not None:
            self.finish_edit()
