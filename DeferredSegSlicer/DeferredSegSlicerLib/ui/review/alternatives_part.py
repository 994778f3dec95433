"""Labelings that one key takes, and their lines in the views."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..tables import swatch
from ..widgets import Switch, quiet, set_text
from .asking import Asking
from .deciding_part import DecidingPart
from .facts import Facts
from .presenters import alternatives, deciding

if TYPE_CHECKING:
    from ...logic.review import ReviewLogic
    from ...logic.services import Services

PREVIEW_KEY = "DeferredSegSlicer/Review/Preview"
"""Setting: whether labelings are looked for and drawn by themselves."""

_ON, _OFF = "on", "off"


class AlternativesPart:
    """Four buttons and *Show their lines*.

    deciding_part : has the reader's note, and goes on when one was taken.
    """

    def __init__(
        self, ui: Any, services: Services, review: ReviewLogic, asking: Asking, deciding_part: DecidingPart
    ) -> None:
        self._ui, self._services, self._review, self._asking = ui, services, review, asking
        self._deciding = deciding_part
        self._buttons = (ui.alternative1Button, ui.alternative2Button, ui.alternative3Button, ui.alternative4Button)
        for number, button in enumerate(self._buttons, 1):
            button.connect("clicked()", self.taker(number))
        ui.previewBox.connect("toggled(bool)", self._on_preview)
        self._preview = Switch(ui.previewBox)
        review.show_alternatives(services.setting(PREVIEW_KEY, _ON) == _ON)

    def taker(self, number: int) -> Callable[[], None]:
        """A function that takes the labeling of a key."""

        def take() -> None:
            with self._asking.asked():
                name = next((option.name for option in self._review.offered if option.number == number), "")
                change = self._review.take(number, note=self._deciding.note())
                name = name or getattr(change.entry.decision, "name", "")
                self._deciding.went(deciding.taken_text(alternatives.name_text(name)))

        return take

    def update(self, facts: Facts) -> None:
        """Show the state."""
        ui, review = self._ui, self._review
        offered = {option.number: option for option in review.offered}
        for number, button in enumerate(self._buttons, 1):
            option = offered.get(number)
            button.setVisible(option is not None)
            button.setEnabled(not facts.hindrance)
            if option is not None:
                button.setText(alternatives.caption(option))
                button.setIcon(swatch(option.color))
                button.setToolTip(deciding.reason_text(facts.hindrance) or alternatives.tool_tip(option))
        with quiet(ui.previewBox):
            ui.previewBox.setChecked(review.alternatives_shown)
        self._preview.set(deciding.reason_text(facts.hindrance))
        set_text(ui.alternativesHintLabel, alternatives.hint(review.alternatives_shown, len(offered), facts.hindrance))

    def _on_preview(self, on: bool) -> None:
        self._services.set_setting(PREVIEW_KEY, _ON if on else _OFF)
        with self._asking.asked():
            self._review.show_alternatives(on)
