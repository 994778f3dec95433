"""Write a case folder: built whole beside its place, then renamed into it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .atomic import TEMPORARY_PREFIX, clear_write_errors, sync_folder, temporary_beside, write_json
from .case_reader import Case, check_file
from .case_record import (
    ERROR_MAP_FOLDER,
    IMAGE_FILE,
    PROBABILITY_FILE,
    RECORD_FILE,
    REVIEW_FOLDER,
    ROUTING_FILE,
    SEGMENTATION_FILE,
    CaseRecord,
    ImageRecord,
    error_map_file,
    read_record,
)
from .errors import BadInputError, DamagedCaseError
from .experts import Expert, check_experts
from .image_file import narrowed
from .nrrd import write_nrrd
from .segmentation_file import write_segmentation
from .structures import Structure
from .volume import Volume, sha256_of_voxels

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOREGROUND = 128
"""Stored probability (of 255) from which a voxel is labeled."""


def label_of(probability: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The model's label uint8 [k, j, i] from probabilities uint8 [s, k, j, i].

    A voxel gets s + 1 for the structure of the largest probability among those of at least one half; the first of
    them if they tie; else 0.
    """
    label = np.zeros(probability.shape[1:], dtype=np.uint8)
    for k, plane in enumerate(label):  # slice by slice: no further volume in memory
        best = np.full(plane.shape, FOREGROUND - 1, dtype=np.uint8)
        for number, p in enumerate(probability[:, k]):
            wins = p > best
            plane[wins] = number + 1
            np.copyto(best, p, where=wins)
    return label


def check_target(path: str | Path, overwrite: bool = False) -> None:
    """Refuse early, before a long run, a folder into which the case could not be written.

    Raises
    ------
    BadInputError : something is there already and `overwrite` is off, what is there is no case or holds a review,
        or the folder that would hold the case is not writable.
    """
    target = Path(path)
    with clear_write_errors(target):
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            raise BadInputError(f'"{target}" is a file or a link, expected a new folder for the case')
        if target.is_dir() and any(target.iterdir()):
            _check_replaceable(target, overwrite)
        ancestor = target.absolute().parent
        while not ancestor.exists():
            ancestor = ancestor.parent
        if not ancestor.is_dir():
            raise BadInputError(f'"{target}" cannot be written: "{ancestor}" is a file')
        if not os.access(ancestor, os.W_OK | os.X_OK):
            raise BadInputError(f'"{target}" cannot be written: "{ancestor}" is read-only or not yours')


def _check_replaceable(target: Path, overwrite: bool) -> None:
    """Raise BadInputError unless a folder holds a case, nothing but a case, and no reader's work."""
    if not (target / RECORD_FILE).is_file():
        raise BadInputError(f'folder "{target}" is not empty and no case; give a new folder')
    if not overwrite:
        raise BadInputError(f'case "{target}" exists already; give another folder or --overwrite')
    if has_review(target):
        raise BadInputError(f'case "{target}" holds a review by readers and is not overwritten; give another folder')
    try:
        record = read_record(target)
    except DamagedCaseError as error:
        raise BadInputError(f'"{target}" is not overwritten, since it may be no case: {error.sentence}') from error
    foreign = strangers(target, record)
    if foreign:
        raise BadInputError(
            f'case "{target}" is not overwritten: it holds "{foreign[0]}", which is not part of a case; move that first'
        )


def has_review(folder: Path) -> bool:
    """True if readers have left anything in a case's review folder."""
    review = folder / REVIEW_FOLDER
    return os.path.lexists(review) and (not review.is_dir() or any(review.iterdir()))


def strangers(folder: Path, record: CaseRecord) -> list[str]:
    """Names of files that do not belong to a case; what readers keep in review/ and cut-off writes do."""
    known = {RECORD_FILE, *record.files}
    return [
        name
        for name in sorted(
            place.relative_to(folder).as_posix()
            for place in folder.rglob("*")
            if place.is_symlink() or not place.is_dir()
        )
        if name not in known and not name.startswith(f"{REVIEW_FOLDER}/") and TEMPORARY_PREFIX not in name
    ]


def write_case(
    path: str | Path,
    volume: Volume,
    structures: Sequence[Structure],
    experts: Sequence[Expert],
    probability: NDArray[np.uint8],
    routing: NDArray[np.uint8],
    error: NDArray[np.uint8],
    method: str,
    settings: Mapping[str, Any],
    model: Mapping[str, Any],
    versions: Mapping[str, Any],
    overwrite: bool = False,
    reference_image: bool = False,
) -> Case:
    """Write a case folder and return it opened.

    The folder is built under a hidden name beside `path` and renamed when everything in it is on disk: a run that is
    cut off leaves no half case, and an old case that is replaced is there until the new one is.

    Parameters
    ----------
    probability : uint8 [s, k, j, i]; routing : uint8 [a, k, j, i]; error : uint8 [k, j, i], all times 255.
    method : name of the deferral method; its error map is stored as uncertainty/<method>.nrrd.
    settings, model, versions : plain values for JSON. They must hold no patient's data.
    overwrite : replace a case at `path`, unless readers have begun to review it or it holds foreign files.
    reference_image : store only path and checksum of the scan. The path may name a patient.

    Raises
    ------
    BadInputError : see `check_target`; or the disk is full.
    ValueError : maps that do not fit the volume, the structures or the experts.
    """
    target = Path(path)
    check_target(target, overwrite)
    structures, experts = tuple(structures), check_experts(experts)
    shape = volume.geometry.shape
    for name, array, expected in (
        ("probability", probability, (len(structures), *shape)),
        ("routing", routing, (len(experts) + 1, *shape)),
        ("error", error, shape),
    ):
        if array.dtype != np.uint8 or array.shape != expected:
            raise ValueError(f"{name} map is {array.dtype} {array.shape}, expected uint8 {expected}")
    if reference_image and not volume.source:
        raise BadInputError("the volume was not read from a file, so the case cannot refer to it")
    error_file = error_map_file(method)
    image = narrowed(volume.image)  # as a reader of the file will have it, and its checksum
    digest = volume.sha256 if volume.sha256 and image is volume.image else sha256_of_voxels(image)
    made: list[Path] = []
    building = temporary_beside(target.absolute())
    with clear_write_errors(target):
        try:
            _make_parents(target.absolute().parent, made)
            building.mkdir()
            (building / ERROR_MAP_FOLDER).mkdir()
            files = {
                PROBABILITY_FILE: write_nrrd(building / PROBABILITY_FILE, probability, volume.geometry),
                ROUTING_FILE: write_nrrd(building / ROUTING_FILE, routing, volume.geometry),
                error_file: write_nrrd(building / error_file, error, volume.geometry),
                SEGMENTATION_FILE: write_segmentation(
                    building / SEGMENTATION_FILE,
                    label_of(probability),
                    volume.geometry,
                    structures,
                    str(model.get("name", "DeferredSegSlicer")),
                ),
            }
            if not reference_image:
                files[IMAGE_FILE] = write_nrrd(building / IMAGE_FILE, image, volume.geometry)
            record = CaseRecord(
                uuid.uuid4().hex,
                datetime.now(timezone.utc).isoformat(timespec="seconds"),
                volume.geometry,
                structures,
                experts,
                method,
                ImageRecord(
                    volume.modality,
                    digest,
                    None if reference_image else IMAGE_FILE,
                    str(Path(volume.source).absolute()) if reference_image else None,
                ),
                json.loads(json.dumps(dict(settings), allow_nan=False)),
                json.loads(json.dumps(dict(model), allow_nan=False)),
                json.loads(json.dumps(dict(versions), allow_nan=False)),
                files,
            )
            write_json(building / RECORD_FILE, record.to_json())
            sync_folder(building / ERROR_MAP_FOLDER)
            sync_folder(building)
            for name, written in files.items():
                check_file(building, name, written.bytes)
            _move_into_place(building, target)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            for folder in reversed(made):
                with suppress(OSError):  # somebody else put something there: it stays
                    folder.rmdir()
            raise
    return Case(target, record)


def _make_parents(folder: Path, made: list[Path]) -> None:
    """Make a folder and its parents; appends those that were made, outermost first."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for place in reversed(missing):
        place.mkdir()
        made.append(place)


def _move_into_place(building: Path, target: Path) -> None:
    """Rename the finished folder to `target`; a case that is there is moved aside first and removed last."""
    aside = None
    if target.exists():
        # Not a name of TEMPORARY_PREFIX, which may be deleted: cut off here, this is the only copy in a whole state.
        aside = target.absolute().with_name(f".replaced-{secrets.token_hex(6)}")
        os.rename(target, aside)
    try:
        if aside is not None and has_review(aside):
            raise BadInputError(f'case "{target}" was reviewed meanwhile and is not overwritten; give another folder')
        os.rename(building, target)
    except BaseException:
        if aside is not None:
            os.rename(aside, target)
        raise
    sync_folder(target.absolute().parent)
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)
