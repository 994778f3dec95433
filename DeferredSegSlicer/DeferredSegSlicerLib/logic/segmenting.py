"""The way of one segmentation: copy the volume, write the request, let the worker work, open and show its case."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.case_record import IMAGE_FILE
from ..core.errors import BadInputError
from ..core.experts import Expert
from ..core.structures import PALETTE, Structure, check_inside
from ..core.volume import Modality
from ..mrml.case_files import EXPERTS_FILE, PROMPTS_FILE, write_request
from ..mrml.grid import geometry_of
from ..mrml.prompts import PromptEntry, entry_of_box, structures_of
from ..worker import staging
from ..worker.protocol import Options
from . import opening
from .experts import off_duty_of
from .shown_case import ShownCase
from .snapshot import snapshot_of
from .steps import Background, Steps
from .worker_link import WorkerLink

AnyStructure = Structure | PromptEntry | tuple[str, Any]
"""A structure with its box in the volume's local RAS, a row of the panel's table, or a name and a markups ROI node."""


@dataclass(frozen=True)
class Wanted:
    """Everything that is settled before a segmentation begins.

    `folder` is for the request and goes after the job; `case_folder` is a new one for the case.
    """

    volume_node: Any
    structures: tuple[Structure, ...]
    experts: tuple[Expert, ...]
    budget: float
    bundle: str
    device: str
    method: str
    modality: Modality
    folder: Path
    case_folder: Path


def structures_on(scene: Any, volume_node: Any, structures: Iterable[AnyStructure]) -> tuple[Structure, ...]:
    """Structures of any kind, mixed, with boxes in the volume's local RAS mm.

    Raises BadInputError naming the structure that cannot be used, or if there are none or two of one name.
    """
    found: list[Structure] = []
    for number, item in enumerate(structures):
        if isinstance(item, Structure):
            found.append(item)
        elif isinstance(item, PromptEntry):
            found += structures_of([item], scene, volume_node)
        else:
            name, roi = item
            found += structures_of([entry_of_box(roi, name, PALETTE[number % len(PALETTE)])], scene, volume_node)
    if not found:
        raise BadInputError("no structure to segment: add a box or take a segment first")
    names = [s.name.strip().casefold() for s in found]
    for name, structure in zip(names, found, strict=True):
        if names.count(name) > 1:
            raise BadInputError(f'two structures are called "{structure.name}"; give each a name of its own')
    check_inside(found, geometry_of(volume_node))
    return tuple(found)


def check_boxes(structures: Sequence[Structure], model: str) -> None:
    """Raise BadInputError, naming the structure, if one has no box for a model that needs it."""
    for structure in structures:
        if structure.box is None:
            raise BadInputError(f'structure "{structure.name}" has no box, which model "{model}" needs')


def segment_steps(
    scene: Any, wanted: Wanted, link: WorkerLink, previous: ShownCase | None, stage: Callable[[str], None]
) -> Steps[ShownCase]:
    """Steps of a whole segmentation; the scene is not touched before the last of them.

    If it is given up or fails, what the job has written is removed.

    Raises
    ------
    WorkerFailure : the worker said no, died or hung.
    BadInputError : the volume was changed or is another one.
    """
    job = ""
    try:
        stage("export")
        yield from _export(wanted)
        stage("start")
        job = yield from _work(wanted, link)
        _remove(wanted.folder)
        try:
            shown = yield from opening.open_steps(
                scene,
                wanted.case_folder,
                wanted.volume_node,
                wanted.budget,
                off_duty_of(wanted.experts),
                previous,
                stage,
            )
        except BadInputError as error:
            raise BadInputError(
                f'volume "{wanted.volume_node.GetName()}" was changed while it was being segmented, so the result does '
                f"not belong to it and was thrown away; segment it again ({error.sentence})"
            ) from error
        job = ""
        return shown
    finally:
        _remove(wanted.folder)
        if job:
            staging.discard(wanted.case_folder, job)


def _export(wanted: Wanted) -> Steps[None]:
    """Write the request; the copy of the volume is let go of at the end."""
    snapshot = yield from snapshot_of(wanted.volume_node)
    yield Background(
        lambda: write_request(wanted.folder, snapshot, wanted.structures, wanted.experts, wanted.modality),
        abandoned=lambda: _remove(wanted.folder),
    )


def _work(wanted: Wanted, link: WorkerLink) -> Steps[str]:
    """Wait for the worker; returns its id of the job."""
    promise = link.segment(
        wanted.folder / IMAGE_FILE,
        wanted.folder / PROMPTS_FILE,
        wanted.folder / EXPERTS_FILE,
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


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
