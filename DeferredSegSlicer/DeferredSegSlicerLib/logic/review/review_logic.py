"""The review of the shown case without a widget: walk through the regions, decide, edit, take offers, save, export."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...core.errors import BadInputError
from ...core.review import Change, Effort
from .exporting import ReviewExport, export_review, formats_of
from .offers import PATIENCE_SECONDS, Option, Reprompt
from .review_edit import EDIT_OPEN, ReviewEdit

_NAP = 0.005
_STRAYS = (
    "{} voxels of the corrected copy were drawn on outside of an edit: that is recorded nowhere and in none of the "
    "files; draw it again with Edit on its region"
)


class ReviewLogic(ReviewEdit):
    """See `ReviewLife` for readers, beginning and end, `ReviewWalk` for the worklist, `core.review` for decisions.

    Every method that decides raises BadInputError if that cannot be, and NotSavedError if it could not be written: the
    decision is in `unsaved` then. None moves on by itself.
    """

    # Decisions

    @property
    def spent(self) -> Effort:
        """Seconds that the reader has looked at the region and edited it since it was decided on last."""
        return self._watch.spent()

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

    def alternatives(self, draw: bool = True, wait: bool = False) -> tuple[Option, ...]:
        """Look for labelings of the region now; the first time in a case this reads a map.

        Parameters
        ----------
        draw : show their lines in the slice views.
        wait : until the network has answered, or has had its few seconds, with the window alive meanwhile; without it
            what it proposes comes later, and `changed` tells.
        """
        desk = self._able_desk()
        desk.find_offers()
        until = time.monotonic() + 2 * PATIENCE_SECONDS
        while wait and self._desk is desk and not desk.offers.settled and time.monotonic() < until:
            self._services.process_events()
            time.sleep(_NAP)
        if draw:
            desk.draw_offers()
        self._offers_due = False
        self.changed.emit()
        return desk.offers.options

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
            raise BadInputError(EDIT_OPEN)
        if self.unsaved:
            self.retry()
        state = None
        if self._desk is not None:
            self._desk.session.refresh()
            state = self._desk.session.state
        done = export_review(self._module.scene, self._module.shown, state, Path(folder), formats, overwrite, **details)
        strays = 0 if self._desk is None else self._desk.strays()
        return done if not strays else replace(done, warnings=(*done.warnings, _STRAYS.format(strays)))

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
