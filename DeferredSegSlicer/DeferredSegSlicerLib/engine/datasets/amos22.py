"""AMOS22: fifteen abdominal organs in CT and MR."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import BadInputError
from .base import Dataset, Subject
from .files import first_folder, matching, pairs, visible
from .splits import SplitRule
from .volumes import load_case

if TYPE_CHECKING:
    from ...core.volume import Modality

CLASSES = (
    "spleen",
    "right kidney",
    "left kidney",
    "gallbladder",
    "esophagus",
    "liver",
    "stomach",
    "aorta",
    "inferior vena cava",
    "pancreas",
    "right adrenal gland",
    "left adrenal gland",
    "duodenum",
    "urinary bladder",
    "prostate or uterus",
)
"""In the order of dataset.json, which calls some of them otherwise ("arota", "postcava")."""

LAST_CT = 500
"""Scans up to this number are CT, the others MR. The data's readme says "less than 500", but there are 500 CT."""

_NAME = r"amos_(\d+)\.nii(?:\.gz)?"


def open_amos22(folder: Path, rule: SplitRule) -> Dataset:
    """amos_NNNN.nii.gz in imagesTr/ with labelsTr/ (200 CT, 40 MR) and imagesVa/ with labelsVa/ (100 CT, 20 MR).

    The challenge's training scans train and validate here; its validation scans test, since the labels of imagesTs/
    are not public. Either pair of folders may be missing, and imagesTs/ is passed over. The data names scans and no
    patients: each scan is taken for a patient.

    Raises
    ------
    BadInputError : neither pair of folders, a scan without labels, or one number twice.
    """
    training, testing = _pairs(folder, "Tr"), _pairs(folder, "Va")
    if not training and not testing:
        raise BadInputError(f'folder "{folder}" has no AMOS22 data, expected imagesTr and labelsTr in it')
    twice = sorted(set(training) & set(testing))
    if twice:
        raise BadInputError(f'"{testing[twice[0]][0]}" is in imagesTr too, expected a scan in one of the folders')
    found = {**training, **testing}
    split = rule.divide(found, set(testing))
    subjects = []
    for key, files in found.items():
        modality: Modality = "CT" if int(key) <= LAST_CT else "MR"
        load = partial(load_case, *files, modality, len(CLASSES))
        subjects.append(Subject(f"amos_{key}", f"amos_{key}", split[key], modality, load))
    return Dataset(
        name="AMOS22",
        kind="amos22",
        classes=CLASSES,
        planar=False,
        license="CC BY 4.0 by redistributors of the Zenodo record; the paper's page names a CC BY-NC license",
        citation="Ji Y, et al. AMOS: A Large-Scale Abdominal Multi-Organ Benchmark for Versatile Medical Image "
        "Segmentation. NeurIPS Datasets and Benchmarks, 2022, arXiv 2206.08023",
        listed=tuple(subjects),
    )


def _pairs(folder: Path, end: str) -> dict[str, tuple[Path, Path]]:
    images, labels = first_folder(folder, [f"images{end}"]), first_folder(folder, [f"labels{end}"])
    if images is None and labels is None:
        return {}
    if images is None or labels is None:
        raise BadInputError(f'folder "{folder}" has one of images{end} and labels{end}, expected both')
    naming = f"amos_NNNN.nii.gz in images{end} and labels{end}"
    return pairs(matching(visible(images), _NAME), matching(visible(labels), _NAME), folder, naming)
