"""LiTS: liver and liver tumors in contrast-enhanced CT, 131 scans with labels."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ...core.errors import BadInputError
from .base import Dataset, Subject
from .files import files_below, matching, pairs
from .splits import SplitRule, every_fifth
from .volumes import load_case

CLASSES = ("liver", "liver tumor")


def open_lits(folder: Path, rule: SplitRule) -> Dataset:
    """volume-N.nii[.gz] and segmentation-N.nii[.gz] in any subfolders ("Training Batch 1", "Training Batch 2").

    Label 1 is the liver without its tumors. test-volume-N.nii, which have no labels, are passed over. There is no
    published split of the 131 scans: every fifth tests. The numbers get three digits in ids.

    Raises
    ------
    BadInputError : no scan, a scan without its segmentation, or one number twice.
    """
    files = list(files_below(folder))
    images, masks = (matching(files, rf"{kind}-(\d+)\.nii(?:\.gz)?") for kind in ("volume", "segmentation"))
    found = pairs(images, masks, folder, "volume-N.nii with segmentation-N.nii")
    named = {f"volume-{int(key):03d}": files for key, files in found.items()}
    if len(named) < len(found):
        raise BadInputError(f'folder "{folder}" has a number twice, with and without zeros before it, expected it once')
    split = rule.divide(named, every_fifth(named))
    return Dataset(
        name="LiTS",
        kind="lits",
        classes=CLASSES,
        planar=False,
        license="terms of the challenge, competitions.codalab.org/competitions/17094 (not confirmed here)",
        citation="Bilic P, et al. The Liver Tumor Segmentation Benchmark (LiTS). Medical Image Analysis 84:102680, "
        "2023, doi 10.1016/j.media.2022.102680",
        listed=tuple(
            Subject(name, name, split[name], "CT", partial(load_case, *files, "CT", len(CLASSES)))
            for name, files in named.items()
        ),
    )
