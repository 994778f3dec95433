"""PROMISE12: the prostate in T2-weighted MR of four centers, 50 cases with a reference."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from .base import Dataset, Subject
from .files import files_below, matching, pairs
from .splits import SplitRule, every_fifth
from .volumes import load_case

CLASSES = ("prostate",)
_WITHOUT_REFERENCE = ("test", "livechallenge")


def open_promise12(folder: Path, rule: SplitRule) -> Dataset:
    """CaseNN.mhd and CaseNN_segmentation.mhd with their .raw, in any subfolders.

    That is training_data/ of the archive on Zenodo, and TrainingData_Part1..3/ of the challenge's own. Subfolders
    whose names begin with "test" or "livechallenge" have no reference and are passed over. There is no published
    split of the 50 cases: every fifth tests.

    Raises
    ------
    BadInputError : no case, a case without its segmentation, or one number twice.
    """
    files = [file for file in files_below(folder) if not _is_test(file.relative_to(folder))]
    images, masks = matching(files, r"(case\d+)\.mhd"), matching(files, r"(case\d+)_segmentation\.mhd")
    found = pairs(images, masks, folder, "CaseNN.mhd with CaseNN_segmentation.mhd")
    split = rule.divide(found, every_fifth(found))
    return Dataset(
        name="PROMISE12",
        kind="promise12",
        classes=CLASSES,
        planar=False,
        license="terms of the challenge, promise12.grand-challenge.org (not confirmed here)",
        citation="Litjens G, et al. Evaluation of prostate segmentation algorithms for MRI: the PROMISE12 challenge. "
        "Medical Image Analysis 18:359-373, 2014, doi 10.1016/j.media.2013.12.002",
        listed=tuple(
            Subject(key, key, split[key], "MR", partial(load_case, *files, "MR", len(CLASSES)))
            for key, files in found.items()
        ),
    )


def _is_test(inside: Path) -> bool:
    return any(part.casefold().startswith(_WITHOUT_REFERENCE) for part in inside.parts[:-1])
