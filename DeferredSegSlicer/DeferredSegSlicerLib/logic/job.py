"""Where a job stands, in a form that a progress bar and a status line can show."""

from __future__ import annotations

from dataclasses import dataclass

IDLE, STARTING, RUNNING, SHOWING = "idle", "starting", "running", "showing"
STATES = (IDLE, STARTING, RUNNING, SHOWING)

STAGE_TEXTS = {
    "": "",
    "export": "Reading the volume",
    "start": "Starting the worker",
    "read": "Handing the volume over",
    "load": "Loading the model",
    "segment": "Segmenting",
    "defer": "Deciding what to defer",
    "route": "Choosing the experts",
    "write": "Writing the case",
    "open": "Opening the case",
    "show": "Checking the volume",
    "draw": "Showing the result",
    "keep": "Keeping the case in the scene",
}
"""What the user reads of each stage: those of the logic (export, start, open, show, draw, keep) and of the worker."""


@dataclass(frozen=True)
class JobStatus:
    """A job at one moment.

    Attributes
    ----------
    state : "idle" (no job), "starting" (the volume is read, or the worker not ready), "running" (the worker is at
        work), "showing" (the finished case is opened and drawn).
    stage : a key of `STAGE_TEXTS`, or a name that only the worker knows.
    stage_text : the stage in words.
    done, total : pieces of work of the whole run as the worker counts them; 0 of 0 while not known.
    fraction : share of the whole run, 0..1, or None while not known.
    seconds_left : an estimate, or None.
    elapsed : seconds since the job was asked for; of an idle status, those of the job that ended last.
    job : id of the job, empty if there was none.
    reason : of an idle status after a cancelled job: why, if it was not the user's wish.
    """

    state: str = IDLE
    stage: str = ""
    stage_text: str = ""
    done: int = 0
    total: int = 0
    fraction: float | None = None
    seconds_left: float | None = None
    elapsed: float = 0.0
    job: str = ""
    reason: str = ""

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        return self.state != IDLE


def text_of_stage(stage: str) -> str:
    """The stage in words; an unknown name as it is."""
    return STAGE_TEXTS.get(stage, stage)


def share_done(done: int, total: int) -> float | None:
    """`done` of `total` as 0..1, or None if the total is not known."""
    return min(1.0, max(0.0, done / total)) if total > 0 else None
