"""Slices of the training and validation images, cut once and kept on disk, so that a step reads only what it needs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ....core.atomic import clear_write_errors, sync_folder, temporary_beside, write_json
from ....core.errors import BadInputError
from ...slice_protocol.slices import CutSlice, cut_slices
from ..config import TrainingConfig
from ..task import Report

if TYPE_CHECKING:
    from ...bundles import Bundle
    from ...datasets import Subject

VERSION = 1
"""Of how slices are cut; slices of another version are cut anew."""

_ARRAYS = ("images", "truth", "readings")


@dataclass(frozen=True)
class KeptSlice:
    """One slice on disk.

    id : stable name, the seed of its simulated experts. folder, place : of the arrays, and the row in them.
    """

    id: str
    folder: Path
    place: int
    number: int
    spacing: tuple[float, float]
    readers: tuple[str, ...]

    def read(self) -> CutSlice:
        """The slice, from memory-mapped files."""
        image, truth, readings = (np.load(self.folder / f"{name}.npy", mmap_mode="r")[self.place] for name in _ARRAYS)
        named = {reader: np.array(labels) for reader, labels in zip(self.readers, readings, strict=True)}
        return CutSlice(self.number, np.array(image), np.array(truth), named, self.spacing)


@dataclass(frozen=True)
class SliceSets:
    """training, validation : slices. subjects : the images that they are from, for the model card."""

    training: tuple[KeptSlice, ...]
    validation: tuple[KeptSlice, ...]
    subjects: tuple[Subject, ...]


def keep_slices(config: TrainingConfig, size: int, bundle: Bundle | None, cache: Path, report: Report) -> SliceSets:
    """Cut what is not in the cache yet; the test split is never opened.

    An image's slices are found again by data set, folder and image id: after changing the data, empty the cache.
    BadInputError if a split has no slice with a label, or the disk is full.
    """
    windows = {} if bundle is None else bundle.windows
    work: list[tuple[str, str, Subject]] = []
    for data in config.data:
        for subject in data.open(config.seed).subjects():
            wanted = data.modalities is None or subject.modality in data.modalities
            if wanted and subject.split in ("train", "validation"):
                work.append((data.kind, str(data.folder.resolve()), subject))
    found: dict[str, list[KeptSlice]] = {"train": [], "validation": []}
    for done, (kind, folder, subject) in enumerate(work):
        report("cutting slices", done, len(work))
        key = _key(kind, folder, subject.id, size, windows)
        if not (cache / key / "slices.json").is_file():
            _write(cache / key, list(cut_slices(subject.load(), size, windows)))
        found[subject.split] += _read(cache / key, f"{kind}/{subject.id}")
    report("cutting slices", len(work), len(work))
    for split, slices in found.items():
        if not slices:
            raise BadInputError(f"the data has no slice with a label in split {split}; nothing can be trained")
    return SliceSets(tuple(found["train"]), tuple(found["validation"]), tuple(subject for _, _, subject in work))


def _key(*parts: Any) -> str:
    text = json.dumps([VERSION, *parts], sort_keys=True, default=dict)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _read(folder: Path, name: str) -> list[KeptSlice]:
    content = json.loads((folder / "slices.json").read_text(encoding="utf-8"))
    rows, columns = content["spacing"]
    readers = tuple(content["readers"])
    return [
        KeptSlice(f"{name}/{number}", folder, place, int(number), (float(rows), float(columns)), readers)
        for place, number in enumerate(content["numbers"])
    ]


def _write(folder: Path, slices: Sequence[CutSlice]) -> None:
    """Write an image's slices beside their place, then rename the folder into it."""
    building = temporary_beside(folder)
    readers = list(slices[0].readings) if slices else []
    with clear_write_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            building.mkdir()
            if slices:
                readings = [[cut.readings[name] for name in readers] for cut in slices]
                shape = (len(slices), len(readers), *slices[0].truth.shape)
                _save(building / "images.npy", np.stack([cut.image for cut in slices]))
                _save(building / "truth.npy", np.stack([cut.truth for cut in slices]))
                _save(building / "readings.npy", np.array(readings, dtype=np.uint8).reshape(shape))
            spacing = slices[0].spacing if slices else (1.0, 1.0)
            content = {"numbers": [cut.number for cut in slices], "spacing": list(spacing), "readers": readers}
            write_json(building / "slices.json", content)
            sync_folder(building)
            _into_place(building, folder)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise


def _save(path: Path, array: np.ndarray[Any, Any]) -> None:
    with path.open("xb") as file:
        np.save(file, array)
        file.flush()
        os.fsync(file.fileno())


def _into_place(building: Path, folder: Path) -> None:
    """Rename; another training that shares the cache may have been first, then its folder stays."""
    try:
        os.rename(building, folder)
    except OSError:
        if not (folder / "slices.json").is_file():
            raise
        shutil.rmtree(building, ignore_errors=True)
    sync_folder(folder.parent)
