"""The review of the shown case without a widget: walk through the regions, decide, edit, take offers, save, export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...core.errors import BadInputError
from ...core.review import Change, Effort, Limit
from ...core.review.decisions import DEFAULT_MARGIN_MM, AnyDecision
from .desk import Desk
from .drafts import remove_draft
from .exporting import ReviewExport, export_review, formats_of
from .life import NOBODY
from .offers import Option, Reprompt
from .open_edit import Editing, EditOutcome
from .review_walk import ReviewWalk

MARGIN_KEY = "DeferredSegSlicer/Review/MarginMm"
"""Setting: how far around its region an edit may reach."""

_EDIT_OPEN = "an edit is open; finish or cancel it first"
_UNSAVED = "a decision could not be written; make room on the disk and try again, or undo it"


class ReviewLogic(ReviewWalk):
    """See `ReviewLife` for readers, beginning and end, `ReviewWalk` for the worklist, `core.review` for decisions.

    Every method that decides raises BadInputError if that cannot be, and NotSavedError if it could not be written: the
    decision is in `unsaved` then. None moves on by itself.
    """

    # Decisions

    @property
    def hindrance(self) -> str:
        """Why nothing can be decided now, or an empty text."""
        if self._desk is None:
            return NOBODY
        if self.read_only:
            return self._refusal
        if self._desk.edit is not None:
            return _EDIT_OPEN
        if self._desk.session.unsaved:
            return _UNSAVED
        if self.region is None:
            return "nothing is deferred at this budget"
        return ""

    @property
    def spent(self) -> Effort:
        """Seconds that the reader has looked at the region and edited it since it was decided on last."""
        return self._watch.spent()

    @property
    def unsaved(self) -> tuple[AnyDecision, ...]:
        """Decisions that could not be written; `retry` writes them, `undo` forgets them."""
        return () if self._desk is None else self._desk.session.unsaved

    def accept(self, note: str = "") -> Change:
        """The model's label stands in the region."""
        return self._decide("accept", note=note)

    def reassign(self, expert_id: str, note: str = "") -> Change:
        """Another expert should look at the region."""
        return self._decide("reassign", expert_id, note=note)

    def skip(self, reason: str = "", note: str = "") -> Change:
        """The reader leaves the region undecided."""
        return self._decide("skip", reason=reason, note=note)

    def take(self, number: int, note: str = "") -> Change:
        """Take a labeling that is on offer, by its key."""
        desk = self._able_desk()
        if not desk.offers.options:
            self.alternatives(draw=False)
        return self._decide("take", desk.offers.option(number).alternative, note=note)

    def undo(self) -> bool:
        """Take back this reader's last decision and go to where it was; False if there is none.

        A decision that could not be written is forgotten first.
        """
        desk = self._able_desk(undoing=True)
        waiting = len(desk.session.unsaved)
        change = desk.session.undo()
        if change is None:
            self.changed.emit()
            return waiting > 0
        self._watch.reset()
        desk.drew_anew(change)
        row = desk.session.table.nearest_to(change.voxels)
        if row is not None:
            desk.session.go_to(row.id)
            desk.conflict = None
        self._arrive()
        return True

    def retry(self) -> tuple[Change, ...]:
        """Write the decisions that could not be written; raises NotSavedError if they still cannot."""
        desk = self._at_desk()
        changes = desk.session.retry()
        for change in changes:
            desk.drew_anew(change)
        self._arrive(jump=False)
        return changes

    # Edit

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
        """Open the corrected copy for the segment editor, around the region alone. An edit that is open stays so."""
        if self.editing is not None:
            return self.editing
        desk = self._able_desk()
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

    # Offers

    @property
    def offered(self) -> tuple[Option, ...]:
        """The labelings that are on offer now; none before they were looked for."""
        return () if self._desk is None else self._desk.offers.options

    @property
    def alternatives_shown(self) -> bool:
        """Whether labelings are looked for and drawn by themselves after a region is gone to."""
        return self._wants_offers

    def show_alternatives(self, shown: bool) -> None:
        """Look for labelings and draw them by themselves from now on, a moment after a region is gone to; or do not."""
        self._wants_offers = self._offers_due = bool(shown)
        if self._desk is not None and not shown:
            self._desk.offers.clear()
        self.changed.emit()

    def alternatives(self, draw: bool = True) -> tuple[Option, ...]:
        """Look for labelings of the region now; the first time in a case this reads a map."""
        desk = self._able_desk()
        found = desk.find_offers()
        if draw:
            desk.draw_offers()
        self._offers_due = False
        self.changed.emit()
        return found

    def set_reprompt(self, reprompt: Reprompt | None) -> None:
        """Have labelings proposed by running the network, from the next region on; or no longer."""
        self._reprompt = reprompt
        if self._desk is not None:
            self._desk.offers.set_reprompt(reprompt)

    # Keep

    @property
    def is_saved(self) -> bool:
        """Whether corrected.seg.nrrd holds what was decided. Decisions themselves are on disk in any case."""
        return self._desk is None or self._desk.session.is_saved

    def save(self) -> Path | None:
        """Write corrected.seg.nrrd, of all readers' decisions; None if nobody has decided anything."""
        path = self._at_desk().session.save()
        self.changed.emit()
        return path

    def export_formats(self) -> tuple[tuple[str, str, str], ...]:
        """What the shown case can be exported to: name, what it is, and why it cannot be now or an empty text."""
        return formats_of(self._module.shown)

    def export(
        self, folder: str | Path, formats: Sequence[str] = (), overwrite: bool = False, **details: Any
    ) -> ReviewExport:
        """Write the labels of all readers' decisions, regions and decisions to a folder; see `exporting`.

        Raises BadInputError while an edit is open, or if nothing could be written.
        """
        if self._module.shown is None:
            raise BadInputError("no case is open; segment a volume or open a case first")
        if self.editing is not None:
            raise BadInputError(_EDIT_OPEN)
        if self.unsaved:
            self.retry()
        state = None
        if self._desk is not None:
            self._desk.session.refresh()
            state = self._desk.session.state
        return export_review(self._module.scene, self._module.shown, state, Path(folder), formats, overwrite, **details)

    def _able_desk(self, undoing: bool = False) -> Desk:
        hindrance = self.hindrance
        if hindrance and not (undoing and self._desk is not None and (self.unsaved or self.region is None)):
            raise BadInputError(hindrance)
        return self._at_desk()

    def _open_edit(self) -> Any:
        edit = self._at_desk().edit
        if edit is None:
            raise BadInputError("no edit is open")
        return edit

    def _decide(self, what: str, *arguments: Any, **details: Any) -> Change:
        desk = self._able_desk()
        region = desk.needed_region()
        settle = desk.conflict is not None
        change: Change = getattr(desk.session, what)(
            *arguments, region=region, effort=self._watch.spent(), settle=settle, **details
        )
        self._watch.reset()
        desk.drew_anew(change)
        self._arrive(jump=False)
        return change

    def _close_edit(self, desk: Desk) -> None:
        desk.edit = None
        self._watch.take_brush(False)

    def _leave_edit(self) -> None:
        """Leaving a region records its edit."""
        if self.editing is not None:
            self.finish_edit()
