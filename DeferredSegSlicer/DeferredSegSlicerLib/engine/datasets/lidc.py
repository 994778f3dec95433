"""LIDC-IDRI: a lung nodule in a DICOM series, marked by up to four radiologists who were not the same for all."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from ...core.errors import BadInputError
from ...core.volume import read_volume
from .base import Dataset, LoadedCase, Reading, Subject
from .files import NIFTI, visible
from .splits import SplitRule
from .volumes import marked_by_half, read_labels

CLASSES = ("nodule",)


def open_lidc(folder: Path, rule: SplitRule) -> Dataset:
    """LIDC-IDRI-*/ with dicom/ (one series) and rater1.nii.gz, rater2.nii.gz, ...; everybody tests.

    The readings are called like the files. Readers are anonymous: rater 1 of two patients need not be one person. The
    truth is what at least half of the readers marked (two of four), so each reader has a part in it.

    Raises
    ------
    BadInputError : no patient, or one without a series or without a reading.
    """
    places = [place for place in visible(folder) if place.is_dir() and place.name.upper().startswith("LIDC")]
    if not places:
        raise BadInputError(f'folder "{folder}" has no patients, expected folders LIDC-IDRI-0001, LIDC-IDRI-0003, ...')
    names = {place.name for place in places}
    split = rule.divide(names, names)
    return Dataset(
        name="LIDC-IDRI, nodules with four readers",
        kind="lidc",
        classes=CLASSES,
        planar=False,
        license="CC BY 3.0",
        citation="Armato SG III, et al. The Lung Image Database Consortium (LIDC) and Image Database Resource "
        "Initiative (IDRI). Medical Physics 38:915-931, 2011; data: The Cancer Imaging Archive, "
        "doi 10.7937/K9/TCIA.2015.LO9QL9SX",
        listed=tuple(
            Subject(place.name, place.name, split[place.name], "CT", partial(_load, place / "dicom", *_raters(place)))
            for place in places
        ),
    )


def _raters(place: Path) -> list[Path]:
    if not (place / "dicom").is_dir():
        raise BadInputError(f'folder "{place}" has no "dicom" folder, expected the DICOM series in it')
    files = [f for f in visible(place) if re.fullmatch(r"rater\d+\.nii(\.gz)?", f.name, re.IGNORECASE)]
    if not files:
        raise BadInputError(f'folder "{place}" has no readings, expected rater1.nii.gz, rater2.nii.gz, ...')
    return sorted(files, key=lambda file: int(re.findall(r"\d+", file.name)[0]))


def _load(series: Path, *raters: Path) -> LoadedCase:
    volume = read_volume(series, modality="CT")
    readings = tuple(Reading(_stem(path), read_labels(path, volume, len(CLASSES))) for path in raters)
    truth = marked_by_half([reading.labels > 0 for reading in readings]).astype(np.uint8)
    return LoadedCase(volume, truth, readings)


def _stem(path: Path) -> str:
    return next(path.name[: -len(end)] for end in NIFTI if path.name.lower().endswith(end))
