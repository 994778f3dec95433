"""The two files of a re-prompt: the voxels of a region on the way to the worker, labelings of it on the way back.

Both are JSON objects in UTF-8. Voxels are runs of flat indices into the [k, j, i] volume, see `core.review.runs`.

region   {"schema": 1, "voxels": [gap, length, ...]}
answer   {"schema": 1, "case": id, "structure": id,
          "alternatives": [{"name": text, "changed": voxels, "labels": [gap, length, label, ...]}, ...],
          "refused": {name: reason}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.atomic import write_text
from ..core.case import Case
from ..core.errors import BadInputError
from ..core.review.alternatives import LabelAlternative
from ..core.review.decisions import MAX_NAME
from ..core.review.runs import LabelRuns, VoxelRuns, position_in

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCHEMA = 1
LARGEST = 256 << 20
"""Bytes; a larger file is refused unread."""
MOST_ALTERNATIVES = 16


@dataclass(frozen=True, eq=False)
class AnswerFile:
    """The labelings that the worker found, and by name why other answers of the network were none."""

    alternatives: tuple[LabelAlternative, ...]
    refused: dict[str, str] = field(default_factory=dict)


def write_region(path: Path, indices: NDArray[Any]) -> None:
    """Write the voxels of a region: (n,) ascending flat indices. Raises BadInputError if the disk is full."""
    _write(path, {"voxels": VoxelRuns.of(indices).to_list()})


def read_region(path: Path, case: Case) -> VoxelRuns:
    """The voxels of a region of a case; raises BadInputError naming the file for anything else."""
    content = _read(path)
    try:
        return VoxelRuns.from_list(content.get("voxels"), case.geometry.voxel_count)
    except BadInputError as error:
        raise BadInputError(f'region file "{path}": {error}') from error


def write_answer(
    path: Path,
    case: Case,
    structure: str,
    alternatives: Sequence[LabelAlternative],
    refused: Mapping[str, str],
) -> None:
    """Write labelings of a region of a case, atomically. Raises BadInputError if it cannot be written."""
    labelings = [{"name": a.name, "changed": a.changed, "labels": a.after.to_list()} for a in alternatives]
    _write(path, {"case": case.id, "structure": structure, "alternatives": labelings, "refused": dict(refused)})


def read_answer(path: Path, case: Case, structure: str, indices: NDArray[Any]) -> AnswerFile:
    """Labelings of a region, (n,) ascending flat indices, of a structure of a case.

    Raises BadInputError, naming the file, for one of another case or structure, or labelings that do not cover the
    region.
    """
    content = _read(path)
    if (content.get("case"), content.get("structure")) != (case.id, structure):
        raise BadInputError(f'"{path}" is of another case or structure')
    listed, refused = content.get("alternatives"), content.get("refused")
    if not isinstance(listed, list) or len(listed) > MOST_ALTERNATIVES:
        raise BadInputError(f'"{path}" has no list of at most {MOST_ALTERNATIVES} alternatives')
    if not isinstance(refused, dict) or not all(isinstance(v, str) for v in refused.values()):
        raise BadInputError(f'"{path}" does not say what was refused')
    return AnswerFile(tuple(_alternative(path, one, case, indices) for one in listed), refused)


def _alternative(path: Path, entry: Any, case: Case, indices: NDArray[Any]) -> LabelAlternative:
    name = entry.get("name") if isinstance(entry, dict) else None
    changed = entry.get("changed") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or type(changed) is not int or changed < 0:
        raise BadInputError(f'"{path}" has an alternative without a name or a count')
    try:
        after = LabelRuns.from_list(entry.get("labels"), case.geometry.voxel_count, len(case.structures))
    except BadInputError as error:
        raise BadInputError(f'"{path}": alternative "{name}": {error}') from error
    if not position_in(after.indices, indices)[1].all():
        raise BadInputError(f'"{path}": alternative "{name}" does not cover the region')
    return LabelAlternative(name, after, changed)


def _write(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, json.dumps({"schema": SCHEMA, **content}, ensure_ascii=False, allow_nan=False))


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
        content = json.loads(raw.decode("utf-8")) if len(raw) <= LARGEST else None
    except OSError as error:
        raise BadInputError(f'"{path}" cannot be read: {error.strerror or error}') from error
    except (ValueError, RecursionError) as error:
        raise BadInputError(f'"{path}" is not JSON: {error}') from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise BadInputError(f'"{path}" is no file of schema {SCHEMA}, or larger than {LARGEST} bytes')
    return content
