"""The one big button: what it says, whether it can be clicked and why not, and how far a job is."""

from __future__ import annotations

from dataclasses import dataclass

from ...logic.job import IDLE, RUNNING
from ..text import _
from .wording import time_left_text

STEPS = 1000
"""Resolution of the progress bar."""


@dataclass(frozen=True)
class RunFacts:
    """What the button depends on.

    Attributes
    ----------
    state, stage : as `logic.job.JobStatus` has them.
    fraction : done part of the job, 0..1, or None while nothing could be counted.
    seconds_left : s, or None.
    worker : "stopped", "starting", "ready" or "busy".
    volume_problem : why the volume cannot be segmented, a sentence, or empty.
    question : a question that must be answered first, or empty.
    structure_problem : why the structures cannot be segmented, or empty.
    setup_problem : what is not installed, or empty.
    structures : how many there are.
    on_duty : experts on duty.
    """

    state: str = IDLE
    stage: str = ""
    fraction: float | None = None
    seconds_left: float | None = None
    worker: str = "stopped"
    volume_problem: str = ""
    question: str = ""
    structure_problem: str = ""
    setup_problem: str = ""
    structures: int = 0
    on_duty: int = 1


@dataclass(frozen=True)
class RunView:
    """What the run section shows. A bar of maximum 0 is busy without an end in sight."""

    caption: str
    enabled: bool
    tool_tip: str
    cancels: bool
    status: str
    bar_visible: bool
    bar_maximum: int
    bar_value: int
    time_left: str


def run_view(facts: RunFacts) -> RunView:
    """The view that fits the facts."""
    return _running(facts) if facts.state != IDLE else _idle(facts)


def blocked(facts: RunFacts) -> str:
    """Why the button cannot start a job: the first reason in the order in which the user would clear them."""
    nobody = _("Nobody is on duty: tick at least one expert.") if facts.on_duty == 0 else ""
    return facts.setup_problem or facts.volume_problem or facts.question or facts.structure_problem or nobody


def _idle(facts: RunFacts) -> RunView:
    reason = blocked(facts)
    if reason:
        tool_tip = status = reason
    elif not facts.structures:
        tool_tip = _("Starts with a box: there is no structure yet.")
        status = _("Add a box around what is to be segmented.")
    else:
        tool_tip = _("Segments the structures of the table and defers doubtful voxels to the experts on duty.")
        status = _worker_text(facts.worker)
    return RunView(_("Segment with deferral"), not reason, tool_tip, False, status, False, 1, 0, "")


def _running(facts: RunFacts) -> RunView:
    status = stage_text(facts.stage)
    known = facts.fraction is not None and facts.state == RUNNING
    maximum = STEPS if known else 0
    value = round(min(1.0, max(0.0, facts.fraction or 0.0)) * STEPS) if known else 0
    left = time_left_text(facts.seconds_left) if facts.state == RUNNING else ""
    tool_tip = _("Stops the job and leaves the scene as it was.")
    return RunView(_("Cancel"), True, tool_tip, True, status, True, maximum, value, left)


def stage_text(stage: str) -> str:
    """A stage of `logic.job.STAGE_TEXTS` in the reader's language; an unknown one as it is."""
    return {
        "": _("Starting"),
        "export": _("Reading the volume"),
        "start": _("Starting the worker"),
        "read": _("Handing the volume over"),
        "load": _("Loading the model"),
        "segment": _("Segmenting"),
        "defer": _("Deciding what to defer"),
        "route": _("Choosing the experts"),
        "write": _("Writing the case"),
        "open": _("Opening the case"),
        "show": _("Checking the volume"),
        "draw": _("Showing the result"),
        "keep": _("Keeping the case in the scene"),
    }.get(stage, stage)


def _worker_text(worker: str) -> str:
    return {
        "starting": _("Getting ready; you may click already."),
        "ready": _("Ready."),
    }.get(worker, "")


def busy_reason(state: str) -> str:
    """Why an input cannot be changed now, or an empty text."""
    return "" if state == IDLE else _("Not while a job is running; cancel it first.")


def cancelled_text() -> str:
    """After a cancel."""
    return _("Cancelled; nothing was changed.")


def failed_text(message: str, advice: str) -> str:
    """A failure on one line: the sentence, then what to do."""
    return f"{message.strip()} {advice.strip()}".strip()


def finished_text(seconds: float) -> str:
    """After a job; s that it took."""
    if seconds <= 0:
        return _("Done.")
    if seconds < 90:
        return _("Done in {seconds:.0f} s.").format(seconds=max(1.0, seconds))
    return _("Done in {minutes:.0f} min {seconds:.0f} s.").format(minutes=seconds // 60, seconds=seconds % 60)
