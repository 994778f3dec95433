"""The line at the top: a way to Set-up while something is missing, else to a sample that is ready to click."""

from __future__ import annotations

from typing import Any

from ..core.errors import DeferredSegError
from . import sample_data
from .context import Context
from .presenters.run import busy_reason
from .presenters.try_it import SET_UP, replace_consent, top_line
from .sentences import sentence_of
from .setup_section import SetupSection
from .text import _
from .volume_section import VolumeSection
from .widgets import Switch, set_text


class TopLine:
    """The label with its links, and what they do."""

    def __init__(self, ui: Any, context: Context, volume: VolumeSection, setup: SetupSection) -> None:
        self._ui, self._context, self._volume, self._setup = ui, context, volume, setup
        self._switch = Switch(ui.tryItLabel)
        ui.tryItLabel.connect("linkActivated(QString)", self._on_link)

    def update(self) -> None:
        """Show the state."""
        logic = self._context.logic
        set_text(self._ui.tryItLabel, top_line(self._setup.missing, logic.state.volume is not None))
        self._switch.set(busy_reason(logic.job.state))

    def try_it(self) -> None:
        """Load the sample CT and place its boxes, ready to click; structures are replaced with consent alone."""
        state, dialogs = self._context.logic.state, self._context.dialogs
        if self._context.logic.job.busy:
            return
        if state.prompts and not dialogs.consent(_("Try it"), replace_consent()):
            return
        try:
            node = sample_data.load_sample(self._context.scene)
            with state.together():
                self._volume.choose(node)
                state.prompts = sample_data.place_boxes(self._context.scene, node)
        except DeferredSegError as error:
            dialogs.failure(_("Try it"), sentence_of(error))
        self._context.refresh()

    def _on_link(self, link: str) -> None:
        if link == SET_UP:
            self._ui.setupCollapsibleButton.collapsed = False
            self._ui.installButton.setFocus()  # Slicer's panel scrolls to what has the focus
        else:
            self.try_it()
