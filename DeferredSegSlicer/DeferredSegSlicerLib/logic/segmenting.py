"""The way of one segmentation: copy the volume, write the request, let the worker work, open and show its case."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ..core.atomic import clear_write_errors
from ..core.case_record import IMAGE_FILE
from ..core.errors import BadInputError
from ..mrml.case_files import EXPERTS_FILE, PROMPTS_FILE, write_request
from ..worker import staging
from ..worker.protocol import Options
from .experts import off_duty_of
from .opening import OnStage, Previous, ShowSteps, open_steps
from .snapshot import snapshot_of
from .steps import Background, Steps
from .wanted import Wanted
from .worker_link import WorkerLink


def segment_steps(scene: Any, wanted: Wanted, link: WorkerLink, previous: Previous, stage: OnStage) -> ShowSteps:
    """Steps of a whole segmentation; the scene is not touched before the last of them.

    If it is given up or fails, what the job has written is removed.

    Raises
    ------
    WorkerFailure : the worker said no, died or hung.
    BadInputError : the volume was changed or is another one.
    """
    job, folder = "", None
    try:
        stage("export")
        with clear_write_errors(wanted.case_folder):
            folder = wanted.make_folder()
        yield from _export(wanted, folder)
        stage("start")
        job = yield from _work(wanted, folder, link)
        _remove(folder)
        off_duty = off_duty_of(wanted.experts)
        try:
            shown = yield from open_steps(
                scene, wanted.case_folder, wanted.volume_node, wanted.budget, off_duty, previous, stage
            )
        except BadInputError as error:
            raise BadInputError(
                f'volume "{wanted.volume_node.GetName()}" was changed while it was being segmented, so the result does '
                f"not belong to it and was thrown away; segment it again ({error.sentence})"
            ) from error
        job = ""
        return shown
    finally:
        _remove(folder)
        if job:
            staging.discard(wanted.case_folder, job)


def _export(wanted: Wanted, folder: Path) -> Steps[None]:
    """Write the request; the copy of the volume is let go of at the end."""
    snapshot = yield from snapshot_of(wanted.volume_node)
    yield Background(
        lambda: write_request(folder, snapshot, wanted.structures, wanted.experts, wanted.modality),
        abandoned=lambda: _remove(folder),
    )


def _work(wanted: Wanted, folder: Path, link: WorkerLink) -> Steps[str]:
    """Wait for the worker; returns its id of the job."""
    promise = link.segment(
        folder / IMAGE_FILE,
        folder / PROMPTS_FILE,
        folder / EXPERTS_FILE,
        wanted.case_folder,
        wanted.bundle,
        Options(wanted.method, wanted.device, modality=wanted.modality),
    )
    try:
        result = yield promise
    except GeneratorExit:
        link.cancel()
        raise
    return str(result.job)


def _remove(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
