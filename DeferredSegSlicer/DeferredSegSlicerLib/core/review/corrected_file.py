"""review/corrected.seg.nrrd: the corrected labels in Slicer's format, made from the journals and no more than that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..case_reader import Case
from ..case_record import SEGMENTATION_FILE
from ..errors import BadInputError, DamagedCaseError
from ..nrrd import read_map, write_nrrd
from ..nrrd_header import read_nrrd_header
from ..segmentation_file import ALGORITHM_TYPE_TAG
from .decisions import LineRef
from .names import CORRECTED_FILE
from .state import ReviewState

if TYPE_CHECKING:
    from numpy.typing import NDArray

CASE_KEY = "DeferredSeg_Case"
JOURNALS_KEY = "DeferredSeg_Journals"
TOUCHED = "SEMIAUTOMATIC"
"""Algorithm type of a structure to which a person added a voxel, or from which one was taken."""


def write_corrected(state: ReviewState) -> Path:
    """Write the corrected segmentation of a case, atomically, and return its path.

    Names, colors, codes and tags are those of segmentation.seg.nrrd, but for the algorithm type of the structures that
    a person touched. The lines of each journal that went into it are named in the header.

    Raises
    ------
    BadInputError : the disk is full or read-only.
    DamagedCaseError : segmentation.seg.nrrd was changed.
    """
    case = state.case
    path = case.folder / CORRECTED_FILE
    corrected = state.corrected()
    try:
        header = read_nrrd_header(case.folder / SEGMENTATION_FILE)
    except (BadInputError, OSError) as error:
        raise DamagedCaseError(f'case "{case.folder}": {SEGMENTATION_FILE} {error}') from error
    metadata = _retagged(header.metadata, touched_labels(state))
    heads = {layer.reader.id: [len(layer.entries), layer.entries[-1].sha] for layer in state.layers}
    metadata |= {CASE_KEY: case.id, JOURNALS_KEY: json.dumps(heads, ensure_ascii=True, sort_keys=True)}
    write_nrrd(path, corrected, case.geometry, metadata)
    return path


def read_corrected(case: Case) -> tuple[NDArray[np.uint8], tuple[LineRef, ...]]:
    """The labels of corrected.seg.nrrd, uint8 [k, j, i], and the last line of each journal that went into it.

    It is only a copy: what counts is `read_review(case).corrected()`.
    Raises BadInputError if there is none, or none of this case that can be read.
    """
    path = case.folder / CORRECTED_FILE
    try:
        if path.is_symlink():
            raise BadInputError("is a link, expected a file inside the case")
        lines = _lines_in(read_nrrd_header(path).metadata, case)
        return read_map(path, case.geometry, 1)[0], lines
    except (BadInputError, OSError) as error:
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        raise BadInputError(f'corrected segmentation "{path}" {reason}') from error


def is_current(state: ReviewState) -> bool:
    """Whether corrected.seg.nrrd is there and was made from just these lines of the journals."""
    path = state.case.folder / CORRECTED_FILE
    try:
        lines = _lines_in(read_nrrd_header(path).metadata, state.case)
    except (BadInputError, OSError):
        return False
    return lines == tuple(layer.entries[-1].ref for layer in state.layers)


def touched_labels(state: ReviewState) -> frozenset[int]:
    """Labels (s + 1) of the structures that gained or lost a voxel by a person's hand."""
    before, after = state.model.at(state.voxels), state.at(state.voxels).label
    changed = before != after
    return frozenset(np.unique([*before[changed], *after[changed]]).tolist()) - {0}


def _lines_in(metadata: Mapping[str, str], case: Case) -> tuple[LineRef, ...]:
    if metadata.get(CASE_KEY) != case.id:
        raise BadInputError("is of another case")
    try:
        heads = json.loads(metadata[JOURNALS_KEY])
        return tuple(LineRef(str(reader), int(n), str(sha)) for reader, (n, sha) in sorted(heads.items()))
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BadInputError("does not say from which journals it was made") from error


def _retagged(metadata: Mapping[str, str], touched: frozenset[int]) -> dict[str, str]:
    """Metadata of the result with another algorithm type for the segments of the touched labels."""
    changed = dict(metadata)
    for key, value in metadata.items():
        number, _, field = key.removeprefix("Segment").partition("_")
        if key.startswith("Segment") and field == "Tags" and int(metadata[f"Segment{number}_LabelValue"]) in touched:
            tags = [tag for tag in value.split("|") if tag and not tag.startswith(f"{ALGORITHM_TYPE_TAG}:")]
            changed[key] = "".join(f"{tag}|" for tag in [f"{ALGORITHM_TYPE_TAG}:{TOUCHED}", *tags])
    return changed
