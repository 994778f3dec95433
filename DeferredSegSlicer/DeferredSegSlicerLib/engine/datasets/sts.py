"""Soft-tissue sarcoma: CT and T1-weighted MR of the same patients, one human contour of the tumor in each."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import BadInputError
from .base import Dataset, Subject
from .files import nifti, visible
from .splits import SplitRule, divisible_by_five
from .volumes import load_case

if TYPE_CHECKING:
    from ...core.volume import Modality

CLASSES = ("tumor",)
SERIES: tuple[tuple[str, Modality], ...] = (("CT", "CT"), ("MR_T1", "MR"))
"""What the files' names begin with, and the modality."""


def open_sts(folder: Path, rule: SplitRule) -> Dataset:
    """STS_*/{CT,MR_T1}_{image,mask}.nii.gz; patients whose number is divisible by 5 test.

    Any folder called STS and a number is taken, so patients that nobody has seen may be added. A patient may have one
    of the two scans alone.

    Raises
    ------
    BadInputError : no such folder, one without a number, or a scan without its mask.
    """
    places = {place.name: place for place in visible(folder) if place.is_dir() and place.name.upper().startswith("STS")}
    if not places:
        raise BadInputError(f'folder "{folder}" has no patients, expected folders STS_001, STS_002, ...')
    split = rule.divide(places, divisible_by_five({name: _number(place) for name, place in places.items()}))
    subjects = []
    for name, place in places.items():
        found = [
            Subject(f"{name}/{modality}", name, split[name], modality, partial(load_case, *files, modality, 1))
            for prefix, modality in SERIES
            if (files := _scan(place, prefix)) is not None
        ]
        if not found:
            raise BadInputError(f'folder "{place}" has no scan, expected CT_image.nii.gz or MR_T1_image.nii.gz')
        subjects += found
    return Dataset(
        name="Soft-tissue sarcoma, CT and T1 MR",
        kind="sts",
        classes=CLASSES,
        planar=False,
        license="CC BY 3.0",
        citation="Vallieres M, et al. A radiomics model from joint FDG-PET and MRI texture features for the prediction "
        "of lung metastases in soft-tissue sarcomas of the extremities. Phys Med Biol 60:5471-5496, 2015; data: The "
        "Cancer Imaging Archive, doi 10.7937/K9/TCIA.2015.7GO2GSKS, converted by the IBSI validation set",
        listed=tuple(subjects),
    )


def _number(place: Path) -> int:
    match = re.search(r"\d+", place.name)
    if match is None:
        raise BadInputError(f'folder "{place}" has no patient number in its name, expected STS_ and a number')
    return int(match[0])


def _scan(place: Path, prefix: str) -> tuple[Path, Path] | None:
    """Image and mask, or None if there is neither."""
    image, mask = nifti(place, f"{prefix}_image"), nifti(place, f"{prefix}_mask")
    if image is None and mask is None:
        return None
    if image is None:
        raise BadInputError(f'mask "{mask}" has no image, expected "{place / (prefix + "_image.nii.gz")}"')
    if mask is None:
        raise BadInputError(f'image "{image}" has no mask, expected "{place / (prefix + "_mask.nii.gz")}"')
    return image, mask
