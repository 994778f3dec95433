"""The hippocampus of the Medical Segmentation Decathlon (Task04): small MR crops, anterior and posterior part."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ...core.errors import BadInputError
from .base import Dataset, Subject
from .files import first_folder, matching, pairs, visible
from .splits import SplitRule, divisible_by_five
from .volumes import load_case

CLASSES = ("anterior hippocampus", "posterior hippocampus")
_NAME = r"hippocampus_(\d+)\.nii(?:\.gz)?"


def open_hippocampus(folder: Path, rule: SplitRule) -> Dataset:
    """imagesTr/ and labelsTr/ as the archive unpacks, or images/ and labels/, with hippocampus_NNN.nii.gz in both.

    Files whose number is divisible by 5 test. imagesTs/, which has no labels, is passed over.

    Raises
    ------
    BadInputError : another layout, or an image without labels.
    """
    places = [first_folder(folder, names) for names in (("imagesTr", "images"), ("labelsTr", "labels"))]
    if places[0] is None or places[1] is None:
        raise BadInputError(f'folder "{folder}" has no hippocampus data, expected imagesTr and labelsTr in it')
    images, labels = (matching(visible(place), _NAME) for place in places if place is not None)
    found = pairs(images, labels, folder, "hippocampus_NNN.nii.gz in imagesTr and labelsTr")
    split = rule.divide(found, divisible_by_five({key: int(key) for key in found}))
    return Dataset(
        name="Hippocampus (Medical Segmentation Decathlon, Task04)",
        kind="hippocampus",
        classes=CLASSES,
        planar=False,
        license="CC BY-SA 4.0",
        citation="Antonelli M, et al. The Medical Segmentation Decathlon. Nature Communications 13:4128, 2022, "
        "doi 10.1038/s41467-022-30695-9",
        listed=tuple(
            Subject(f"hippocampus_{key}", key, split[key], "MR", partial(load_case, *files, "MR", len(CLASSES)))
            for key, files in found.items()
        ),
    )
