"""The two sections of the review in the panel's places for them, and what makes them show anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt
import slicer.util

from ...resources import find_resources
from ..context import Context
from ..presenters.shortcuts import Key
from ..sentences import sentence_of
from .export_section import ExportSection
from .facts import FactsReader
from .presenters import keys
from .review_section import ReviewSection

if TYPE_CHECKING:
    from ...core.errors import DeferredSegError
    from ...logic.review import ReviewLogic

REVIEW_FILE, EXPORT_FILE = "UI/Review.ui", "UI/Export.ui"

_SET_UP = ("structuresCollapsibleButton", "expertsCollapsibleButton", "resultCollapsibleButton")
"""Sections that are closed when somebody begins to review: the worklist is what is needed then."""


class ReviewSections:
    """*Review* and *Save and export*.

    Parameters
    ----------
    panel : the panel's top widget. widgets : the panel's named widgets, with the two places.
    review : does the work; the sections do not close it.
    window : gives the widget in whose window the keys work.
    """

    def __init__(
        self, panel: Any, widgets: Any, context: Context, review: ReviewLogic, window: Callable[[], Any]
    ) -> None:
        self._widgets, self._context, self._review = widgets, context, review
        self._closed = False
        self._facts = FactsReader(review, lambda: context.logic.shown)
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.connect("timeout()", self.update)
        review_ui = _placed(REVIEW_FILE, widgets.reviewLayout)
        export_ui = _placed(EXPORT_FILE, widgets.exportLayout)
        self.review = ReviewSection(
            review_ui,
            widgets.reviewCollapsibleButton,
            context,
            review,
            self.update,
            self._on_start,
            window,
            panel,
        )
        widgets.exportCollapsibleButton.collapsed = True
        self.export = ExportSection(export_ui, widgets.exportCollapsibleButton, context, review, self.update)
        for button in (widgets.reviewCollapsibleButton, widgets.exportCollapsibleButton):
            button.setVisible(True)
        self._disconnect = [
            review.changed.connect(self._on_changed),
            review.failed.connect(self._on_failed),
            context.logic.finished.connect(self._on_case),
            context.logic.failed.connect(self._on_no_case),
        ]
        self.update()

    @staticmethod
    def all_keys() -> tuple[Key, ...]:
        """Every key of the review, as the panel lists them."""
        return (*keys.review_keys(), keys.done_key(), keys.undo_key())

    def enter(self) -> None:
        """The module is in front."""
        self._facts.forget()
        self.review.enter()
        self.update()

    def exit(self) -> None:
        """Another module is in front."""
        self.review.exit()

    def close(self) -> None:
        """The panel goes for good; a second call changes nothing."""
        if self._closed:
            return
        self._closed = True
        for disconnect in self._disconnect:
            disconnect()
        self._timer.stop()
        self.review.close()

    def refresh_soon(self) -> None:
        """Show the state anew when the present events are dealt with."""
        if not self._closed and not self._timer.active:
            self._timer.start()

    def update(self) -> None:
        """Show the state anew, now."""
        if self._closed:
            return
        self._timer.stop()
        facts = self._facts.read()
        self.review.update(facts)
        self.export.update(facts)

    def _on_changed(self) -> None:
        self.review.editing.let_go_if_over()
        self.refresh_soon()

    def _on_case(self, _shown: Any) -> None:
        self.review.reading.case_shown()
        self._widgets.reviewCollapsibleButton.collapsed = False
        self.refresh_soon()

    def _on_no_case(self, error: Any) -> None:
        if self.review.reading.case_failed():
            self.review.asking.say(f"{error.message} {error.advice}".strip(), refused=True)
            self.refresh_soon()

    def _on_failed(self, error: DeferredSegError) -> None:
        """Something that went on in the background: nobody is interrupted by a window."""
        self.review.asking.say(sentence_of(error), refused=True)
        self.refresh_soon()

    def _on_start(self) -> None:
        self._widgets.reviewCollapsibleButton.collapsed = False
        for name in _SET_UP:
            getattr(self._widgets, name).collapsed = True


def _placed(file: str, layout: Any) -> Any:
    """Put a `.ui` file into a layout; its named widgets."""
    widget = slicer.util.loadUI(str(find_resources() / file))
    layout.addWidget(widget)
    return slicer.util.childWidgetVariables(widget)
