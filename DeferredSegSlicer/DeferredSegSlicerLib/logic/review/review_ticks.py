"""What a review does by itself while the reader thinks: drafts, labelings on offer, other readers, the scene's copy."""

from __future__ import annotations

from ...core.errors import BadInputError, DeferredSegError
from .desk import Desk
from .life import ReviewLife, warnings_of

OTHERS_SECONDS = 5.0
"""How often it is looked whether other readers have decided something."""


class ReviewTicks(ReviewLife):
    """The work of the review's timer; each tick takes a few ms."""

    def _tick(self) -> None:
        """What is done while the reader thinks."""
        if self._desk is None:
            return
        try:
            self._work_in_background(self._desk)
        except DeferredSegError as error:
            if error.sentence != self._told:  # the same again a moment later helps nobody
                self._told = error.sentence
                self.failed.emit(error)

    def _work_in_background(self, desk: Desk) -> None:
        if desk.edit is not None:
            if not desk.copy.in_scene:
                self._edit_lost()
            elif desk.edit.tick(self._watch.spent()):
                self.changed.emit()
            return
        desk.scene_copy.tick()
        desk.offers.tick(desk.session.labels)
        if self._offers_due and desk.offers.ready and desk.region is not None and not self.read_only:
            self._offers_due = False
            desk.find_offers()
            desk.draw_offers()
            self.changed.emit()
        if self._clock() - self._looked_at >= OTHERS_SECONDS:
            self._looked_at = self._clock()
            if desk.session.refresh():
                desk.drew_anew(None)
                self._warnings = warnings_of(desk.session)
                self.changed.emit()

    def _edit_lost(self) -> None:
        """The corrected copy was taken out of the scene during an edit."""
        assert self._desk is not None
        if self._desk.edit is not None:
            self._desk.edit.abandon()
        self._desk.edit = None
        self._watch.take_brush(False)
        self._draft = self._read_draft(self._desk.session)
        self._desk.drew_anew(None)
        self._desk.arrive(jump=False)
        self.changed.emit()
        raise BadInputError("the corrected copy was deleted during an edit; what was kept of it can be taken up again")
