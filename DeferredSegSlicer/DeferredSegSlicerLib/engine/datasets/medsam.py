"""Slices as MedSAM's preprocessing writes them: one .npy image and one .npy label map a slice."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...core.errors import BadInputError
from .base import Dataset, LoadedSlice, Subject
from .files import matching, pairs, visible
from .splits import SplitRule, every_fifth
from .volumes import as_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...core.volume import Modality

CLASSES_FILE = "classes.txt"
"""Names of the labels 1, 2, ..., one a line; without it there is one class, "target"."""

_MODALITIES: tuple[tuple[str, Modality], ...] = (("CT_", "CT"), ("MR_", "MR"))


def open_medsam(folder: Path, rule: SplitRule) -> Dataset:
    """imgs/*.npy, float (H, W, 3) in 0..1, and gts/*.npy of the same names, labels (H, W).

    A name is the patient's up to its last "-", then the number of the slice: CT_Abd_FLARE22_Tr_0001-012.npy. One that
    begins with "CT_" or "MR_" says the modality. Every fifth patient tests.

    Raises
    ------
    BadInputError : another layout, an image without labels, or an unusable classes.txt.
    """
    for name in ("imgs", "gts"):
        if not (folder / name).is_dir():
            raise BadInputError(f'folder "{folder}" has no "{name}" folder, expected imgs/*.npy and gts/*.npy')
    images, labels = (matching(visible(folder / name), r"(.+)\.npy") for name in ("imgs", "gts"))
    found = pairs(images, labels, folder, "imgs/NAME-NNN.npy with gts/NAME-NNN.npy")
    classes = _classes(folder / CLASSES_FILE)
    patients = {key: key.rpartition("-")[0] or key for key in found}
    split = rule.divide(patients.values(), every_fifth(patients.values()))
    return Dataset(
        name=f"MedSAM slices ({folder.resolve().name})",
        kind="medsam",
        classes=classes,
        planar=True,
        license="that of the images from which the slices were made",
        citation="Ma J, et al. Segment anything in medical images. Nature Communications 15:654, 2024, "
        "doi 10.1038/s41467-024-44824-z (format); cite the images' own source",
        listed=tuple(
            Subject(key, patients[key], split[patients[key]], _modality(key), partial(_load, *files, len(classes)))
            for key, files in found.items()
        ),
    )


def _modality(name: str) -> Modality:
    return next((modality for start, modality in _MODALITIES if name.upper().startswith(start)), "other")


def _classes(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return ("target",)
    try:
        names = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f'"{path}" cannot be read: {error}') from error
    if not 0 < len(names) <= 255 or len({name.casefold() for name in names}) < len(names):
        raise BadInputError(f'"{path}" has {len(names)} names, expected 1 to 255 different ones, one a line')
    return names


def _load(image: Path, labels: Path, classes: int) -> LoadedSlice:
    pixels, marks = _array(image), _array(labels)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype.kind != "f":
        raise BadInputError(f'"{image}" is {pixels.dtype.name} of shape {pixels.shape}, expected float of (H, W, 3)')
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0.0 and high <= 1.0):
        raise BadInputError(f'"{image}" has pixels of {low:g} to {high:g}, expected 0 to 1')
    if marks.shape != pixels.shape[:2]:
        raise BadInputError(f'"{labels}" has the shape {marks.shape}, expected that of its image, {pixels.shape[:2]}')
    hint = "" if classes > 1 else f' (names in "{labels.parent.parent / CLASSES_FILE}" allow for more)'
    try:
        truth = as_labels(marks, classes, f'"{labels}"')
    except BadInputError as error:
        raise BadInputError(f"{error}{hint}") from error
    return LoadedSlice(np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32), truth)


def _array(path: Path) -> NDArray[np.generic]:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadInputError(f'"{path}" cannot be read as a .npy array: {error}') from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf" or not array.size:
        raise BadInputError(f'"{path}" is no array of numbers, expected one .npy array')
    return array
