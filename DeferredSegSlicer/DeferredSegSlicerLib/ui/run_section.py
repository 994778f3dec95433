"""The button that segments and cancels, and how far a job is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.errors import DeferredSegError
from ..logic.experts import with_duty
from .context import Context
from .experts_section import ExpertsSection
from .presenters import run, structures
from .presenters.run import RunFacts, RunView
from .sentences import sentence_of
from .structures_section import StructuresSection
from .text import _
from .volume_section import VolumeSection
from .widgets import set_text


class RunSection:
    """*Segment with deferral*, progress, and what came of the last job."""

    def __init__(
        self,
        ui: Any,
        context: Context,
        volume: VolumeSection,
        structures_section: StructuresSection,
        experts: ExpertsSection,
        setup_problem: Callable[[], str],
    ) -> None:
        self._ui, self._context = ui, context
        self._volume, self._structures, self._experts = volume, structures_section, experts
        self._setup_problem = setup_problem
        self._outcome = ""
        self._log = ""
        self._clicked = False
        ui.segmentButton.connect("clicked()", self.on_click)
        ui.logLabel.connect("linkActivated(QString)", self._on_log)

    @property
    def view(self) -> RunView:
        """What is to be shown now."""
        return run.run_view(self._facts())

    def on_click(self) -> None:
        """Start, or cancel what is running."""
        (self.cancel if self._context.logic.job.busy else self.segment)()

    def segment(self) -> None:
        """Start a job; without a structure, add a box and say so; do nothing while the button is disabled."""
        logic = self._context.logic
        if logic.job.busy or not self.view.enabled:
            return
        self._outcome = self._log = ""
        if not self._structures.count:
            name = self._structures.add_box()
            if name:
                self._outcome = structures.first_box_hint(name)
                self._structures.say(self._outcome)
            self._context.refresh()
            return
        self._structures.clear_hint()
        self._experts.flush()
        state = logic.state
        try:
            self._clicked = True
            logic.segment(
                state.volume,
                state.prompts,
                with_duty(self._experts.profiles, state.off_duty),
                state.budget,
                bundle=state.bundle or None,
                device=state.device or None,
                method=state.method or None,
                wait=False,
            )
        except DeferredSegError as error:
            self._clicked = False
            self._outcome = sentence_of(error)
        self._context.refresh()

    def cancel(self) -> None:
        """Throw the running job away; nothing happens if there is none."""
        if self._context.logic.job.busy:
            self._context.logic.cancel()

    def cancelled(self) -> None:
        """A job was cancelled."""
        reason = self._context.logic.job.reason
        self._outcome, self._log = reason or run.cancelled_text(), ""

    def failed(self, message: str, advice: str, log: str) -> None:
        """A job failed."""
        self._outcome, self._log = run.failed_text(message, advice), log

    def finished(self) -> None:
        """A case is shown, segmented just now or opened again."""
        elapsed = self._context.logic.job.elapsed
        self._outcome, self._log = run.finished_text(elapsed) if self._clicked else "", ""
        self._clicked = False

    def forget(self) -> None:
        """The scene was closed."""
        self._outcome = self._log = ""

    def update(self) -> None:
        """Show the state."""
        ui, view = self._ui, self.view
        ui.segmentButton.setText(view.caption)
        ui.segmentButton.setEnabled(view.enabled)
        ui.segmentButton.setToolTip(view.tool_tip)
        ui.progressBar.setVisible(view.bar_visible)
        ui.progressBar.setMaximum(view.bar_maximum)
        ui.progressBar.setValue(view.bar_value)
        set_text(ui.timeLeftLabel, view.time_left)
        if view.cancels:
            self._outcome = ""
        set_text(ui.statusLabel, self._outcome if self._outcome and view.enabled else view.status)
        ui.logLabel.setVisible(bool(self._log) and not view.cancels)

    def _facts(self) -> RunFacts:
        logic = self._context.logic
        job = logic.job
        return RunFacts(
            job.state,
            job.stage,
            job.fraction,
            job.seconds_left,
            str(getattr(logic.worker_state, "value", logic.worker_state)),
            self._volume.problem,
            self._volume.question,
            self._structures.problem,
            self._setup_problem(),
            self._structures.count,
            self._experts.on_duty,
        )

    def _on_log(self, _link: str) -> None:
        if self._log:
            self._context.dialogs.open_file(self._log)

    @staticmethod
    def title() -> str:
        """Title of the window that tells of a failure."""
        return _("Deferred Segmentation")
