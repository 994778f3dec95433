"""The section of the review: its parts, the line that says what came of the last action, and the keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..context import Context
from ..shortcuts import Shortcuts
from ..widgets import set_text
from .alternatives_part import AlternativesPart
from .asking import Asking
from .conflicts_part import ConflictsPart
from .deciding_part import DecidingPart
from .editing_part import EditingPart
from .facts import Facts
from .presenters import keys, worklist
from .reading_part import ReadingPart
from .worklist_part import WorklistPart

if TYPE_CHECKING:
    from ...logic.review import ReviewLogic

_REFUSED = "color: #b3261e; font-weight: bold;"

_WALKING = ("next", "previous")
"""Actions that need no leave to decide."""


class ReviewSection:
    """Everything that a reader does with the regions.

    Parameters
    ----------
    ui : the widgets of Review.ui. button : the panel's collapsible button around them.
    refresh : shows the section and the export anew. on_start : called when somebody has chosen to review.
    window : gives the widget in whose window the keys work. panel : the widget in which Ctrl+Z works.
    """

    def __init__(
        self,
        ui: Any,
        button: Any,
        context: Context,
        review: ReviewLogic,
        refresh: Callable[[], None],
        on_start: Callable[[], None],
        window: Callable[[], Any],
        panel: Any,
    ) -> None:
        self._ui, self._button, self._review = ui, button, review
        self._empty_caption = button.text
        self.asking = Asking(refresh)
        self.reading = ReadingPart(ui, context, review, self.asking, on_start)
        self.deciding = DecidingPart(ui, review, self.asking, self._start_edit)
        self.alternatives = AlternativesPart(ui, context.services, review, self.asking, self.deciding)
        self.conflicts = ConflictsPart(ui, review, self.asking)
        self.editing = EditingPart(ui, context, review, self.asking, self.deciding)
        self.worklist = WorklistPart(ui, review, self.asking, self.editing.leave)
        actions: dict[str, Callable[[], None]] = {
            "accept": self.deciding.accept,
            "edit": self._start_edit,
            "reassign": self.deciding.ask_whom,
            "skip": self.deciding.skip,
            "next": self.worklist.next,
            "previous": self.worklist.previous,
            "done": self.editing.done,
        }
        for number, action in enumerate(keys.ALTERNATIVES, 1):
            actions[action] = self.alternatives.taker(number)
        self.keys = Shortcuts(window, actions, (*keys.review_keys(), keys.done_key()))
        self.undo_key = Shortcuts(lambda: panel, {"undo": self.deciding.undo}, (keys.undo_key(),), inside=True)

    def enter(self) -> None:
        """The module is in front."""
        self.keys.enter()
        self.undo_key.enter()
        self.editing.enter()
        self._review.go_on()

    def exit(self) -> None:
        """Another module is in front: no key of the review works there, and no second is counted."""
        self.keys.exit()
        self.undo_key.exit()
        self.editing.exit()
        self._review.pause()

    def close(self) -> None:
        """The panel goes for good."""
        self.exit()
        self.editing.close()

    def update(self, facts: Facts) -> None:
        """Show the state."""
        ui, active = self._ui, self._review.active
        self._button.text = worklist.caption(facts.progress) if active else self._empty_caption
        self.reading.update(facts)
        ui.workWidget.setVisible(active)
        set_text(ui.decisionLabel, self.asking.text)
        ui.decisionLabel.setStyleSheet(_REFUSED if self.asking.refused else "")
        if active:
            for part in (self.worklist, self.conflicts, self.deciding, self.alternatives):
                part.update(facts)
        self.editing.update(facts)
        self._enable_keys(facts, active)

    def _enable_keys(self, facts: Facts, active: bool) -> None:
        """A key that cannot do anything now is left to the rest of Slicer."""
        for key in keys.review_keys():
            able = not facts.editing if key.action in _WALKING else not facts.hindrance
            self.keys.enable(key.action, active and able)
        self.keys.enable("done", facts.editing)
        self.undo_key.enable("undo", bool(self._ui.undoDecisionButton.enabled) and active and not facts.editing)

    def _start_edit(self) -> None:
        self.editing.start()
