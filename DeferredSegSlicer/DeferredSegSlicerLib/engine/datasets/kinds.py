"""The data sets by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from ...core.errors import BadInputError
from .amos22 import open_amos22
from .base import Dataset
from .chaksu import open_chaksu
from .files import existing_folder
from .hippocampus import open_hippocampus
from .lidc import open_lidc
from .lits import open_lits
from .medsam import open_medsam
from .promise12 import open_promise12
from .splits import SplitRule
from .sts import open_sts

_OPEN: Mapping[str, Callable[[Path, SplitRule], Dataset]] = MappingProxyType(
    {
        "sts": open_sts,
        "hippocampus": open_hippocampus,
        "lidc": open_lidc,
        "medsam": open_medsam,
        "promise12": open_promise12,
        "lits": open_lits,
        "amos22": open_amos22,
        "chaksu": open_chaksu,
    }
)

DATASETS = tuple(_OPEN)
"""Names of the kinds."""


def open_dataset(kind: str, folder: Path, validation_every: int = 5, seed: int = 2023) -> Dataset:
    """List a data set's images, without reading any.

    Parameters
    ----------
    kind : one of `DATASETS`.
    folder : as the data unpacks; see `docs/datasets.md`.
    validation_every : of the patients that do not test, in sorted order, every n-th validates, from the third on.
    seed : changes no split of these kinds, so that a bundle trained with any seed is tested on patients new to it.

    Raises
    ------
    BadInputError : an unknown kind, a folder that is missing or has another layout, an image without a mask, or two
        images of one name; it names the file and what was expected.
    """
    if kind not in _OPEN:
        raise BadInputError(f'data set kind "{kind}" is unknown, expected one of {", ".join(DATASETS)}')
    rule = SplitRule(validation_every)
    return _OPEN[kind](existing_folder(Path(folder), f'the data set "{kind}"'), rule)
