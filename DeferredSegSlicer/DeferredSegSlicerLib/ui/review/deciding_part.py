"""The region that is looked at, and the buttons that decide on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt

from ..tables import swatch
from ..widgets import Switch, set_text
from .asking import Asking
from .facts import Facts
from .presenters import deciding

if TYPE_CHECKING:
    from ...logic.review import ReviewLogic


class DecidingPart:
    """*Accept*, *Edit*, *Reassign*, *Skip*, *Undo*, and the note.

    start_edit : opens the edit area.
    """

    def __init__(self, ui: Any, review: ReviewLogic, asking: Asking, start_edit: Callable[[], None]) -> None:
        self._ui, self._review, self._asking = ui, review, asking
        self._targets: tuple[deciding.Target, ...] = ()
        self._menu = qt.QMenu(ui.reassignButton)
        self._actions: list[Any] = []
        ui.acceptButton.connect("clicked()", self.accept)
        ui.editButton.connect("clicked()", start_edit)
        ui.reassignButton.connect("clicked()", self.ask_whom)
        ui.skipButton.connect("clicked()", self.skip)
        ui.undoDecisionButton.connect("clicked()", self.undo)
        self._switches = [Switch(ui.acceptButton), Switch(ui.editButton), Switch(ui.skipButton)]
        self._reassign, self._undo = Switch(ui.reassignButton), Switch(ui.undoDecisionButton)
        self._note = Switch(ui.noteEdit)

    @property
    def menu(self) -> Any:
        """The menu of those to whom a region can be reassigned."""
        return self._menu

    def accept(self) -> None:
        """The model's label stands; go on."""
        with self._asking.asked():
            self._review.accept(note=self.note())
            self.went(deciding.accepted_text())

    def skip(self) -> None:
        """Leave the region undecided; go on."""
        with self._asking.asked():
            self._review.skip(note=self.note())
            self.went(deciding.skipped_text())

    def ask_whom(self) -> None:
        """Let the menu of experts come up."""
        if not self._ui.reassignButton.enabled:
            return
        self._fill_menu()
        button = self._ui.reassignButton
        self._menu.popup(button.mapToGlobal(qt.QPoint(0, button.height)))

    def reassign(self, target: deciding.Target) -> None:
        """Another expert should look; go on."""
        with self._asking.asked():
            self._review.reassign(target.id, note=self.note())
            self.went(deciding.reassigned_text(target.caption))

    def undo(self) -> None:
        """Take the last decision back."""
        with self._asking.asked():
            self._asking.say(deciding.undone_text(self._review.undo()))

    def note(self) -> str:
        """What the reader has typed for the next decision."""
        return str(self._ui.noteEdit.text).strip()

    def recorded(self, text: str) -> str:
        """A decision on the region was recorded, with its note: say so."""
        self._ui.noteEdit.setText("")
        current = None if self._review.conflict is not None else self._review.current
        text = deciding.about(current, text)
        self._asking.say(text)
        return text

    def went(self, text: str) -> None:
        """A decision was recorded: say so and go to the next region that is open."""
        text = self.recorded(text)
        if self._review.next_open() is None:
            self._asking.say(deciding.all_done(text))

    def update(self, facts: Facts) -> None:
        """Show the state."""
        ui, review = self._ui, self._review
        conflict = review.conflict
        if conflict is not None:
            conflicts = review.conflicts
            number = 1 + deciding.position_of(conflict, conflicts)
            title = deciding.conflict_title(number, len(conflicts), conflict, facts.names)
            text = deciding.conflict_facts(conflict, facts.shown.case.geometry.voxel_ml)
        else:
            title = deciding.region_title(facts.current, facts.progress.total, facts.names)
            text = deciding.region_facts(facts.current, facts.names)
        set_text(ui.regionLabel, title)
        set_text(ui.regionFactsLabel, text)
        ui.decideWidget.setVisible(not facts.editing)
        for switch in self._switches:
            switch.set(deciding.reason_text(facts.hindrance))
        self._note.set("" if facts.editing else deciding.reason_text(facts.hindrance))
        self._targets = deciding.targets(facts.experts, facts.reader)
        self._reassign.set(deciding.reassign_reason(facts.hindrance, self._targets))
        self._undo.set(deciding.undo_reason(facts.hindrance, self._decisions(), len(review.unsaved), facts.editing))

    def _decisions(self) -> int:
        """How many decisions of this reader hold."""
        session, reader = self._review.session, self._review.reader
        return 0 if session is None or reader is None else len(session.state.of(reader.id).active)

    def _fill_menu(self) -> None:
        self._menu.clear()
        self._actions = []
        for target, caption in zip(self._targets, deciding.target_captions(self._targets), strict=True):
            action = qt.QAction(swatch(target.color), caption, self._menu)
            action.setToolTip(target.tool_tip)
            action.connect("triggered()", _with(self.reassign, target))
            self._menu.addAction(action)
            self._actions.append(action)


def _with(function: Callable[[deciding.Target], None], target: deciding.Target) -> Callable[[], None]:
    def call() -> None:
        function(target)

    return call
