"""An edit that is not finished yet, kept beside the reader's journal: if Slicer dies, the strokes are still there.

`review/<reader>.draft` is JSON: {"schema": 1, "case", "reader", "saved", "region": {structure, expert, budget, id},
"voxels": runs of the region, "drawn": runs with labels of what differs from the labels before the edit, "limit":
{"margin_mm", "lifted"}, "looked", "edited"}. It is replaced in one step and goes when the edit is recorded or dropped;
what counts are the journals alone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ...core.atomic import write_text
from ...core.case import Case
from ...core.errors import BadInputError
from ...core.review import Effort, Limit, Reader, RegionRef
from ...core.review.names import journal_file
from ...core.review.runs import LabelRuns, VoxelRuns

SCHEMA = 1
SUFFIX = ".draft"
_MAX_BYTES = 256 << 20


@dataclass(frozen=True)
class Draft:
    """An unfinished edit.

    Attributes
    ----------
    region : the region as the worklist had it. voxels : of the region. drawn : what the reader changed, at least one
        voxel. limit, effort : as with an edit. saved : when, UTC, ISO 8601.
    """

    region: RegionRef
    voxels: VoxelRuns
    drawn: LabelRuns
    limit: Limit
    effort: Effort
    saved: str

    @classmethod
    def now(cls, region: RegionRef, voxels: VoxelRuns, drawn: LabelRuns, limit: Limit, effort: Effort) -> Draft:
        """A draft of this moment."""
        return cls(region, voxels, drawn, limit, effort, datetime.now(timezone.utc).isoformat(timespec="seconds"))


def draft_file(case: Case, reader: Reader) -> Path:
    """Where a reader's unfinished edit is kept."""
    return journal_file(case.folder, reader).with_suffix(SUFFIX)


def write_draft(case: Case, reader: Reader, draft: Draft) -> None:
    """Keep a draft in place of the one before, in one step; raises BadInputError if the disk is full or read-only."""
    plain = {
        "schema": SCHEMA,
        "case": case.id,
        "reader": reader.id,
        "saved": draft.saved,
        "region": asdict(draft.region),
        "voxels": draft.voxels.to_list(),
        "drawn": draft.drawn.to_list(),
        "limit": asdict(draft.limit),
        "looked": draft.effort.looked,
        "edited": draft.effort.edited,
    }
    write_text(draft_file(case, reader), json.dumps(plain, ensure_ascii=False, separators=(",", ":")) + "\n")


def read_draft(case: Case, reader: Reader) -> Draft | None:
    """The unfinished edit of a reader, or None if there is none.

    Raises BadInputError for one that cannot be read, or is of another case or reader.
    """
    path = draft_file(case, reader)
    try:
        if path.is_symlink() or path.stat().st_size > _MAX_BYTES:
            raise ValueError("it is a link or too large")
        return _from_plain(json.loads(path.read_text(encoding="utf-8")), case, reader)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInputError(f'the unfinished edit "{path}" cannot be used: {error}') from error


def remove_draft(case: Case, reader: Reader) -> None:
    """There is no unfinished edit any more; raises BadInputError if the file cannot be removed."""
    path = draft_file(case, reader)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise BadInputError(f'"{path}" cannot be removed: {error.strerror or error}') from error


def _from_plain(plain: Any, case: Case, reader: Reader) -> Draft:
    if plain["schema"] != SCHEMA or plain["case"] != case.id or plain["reader"] != reader.id:
        raise ValueError("it is of another case, reader or version")
    count, structures = case.geometry.voxel_count, len(case.structures)
    region = plain["region"]
    if region["structure"] not in {s.id for s in case.structures}:
        raise ValueError(f"its structure {region['structure']!r} is not in the case")
    return Draft(
        RegionRef(str(region["structure"]), str(region["expert"]), float(region["budget"]), str(region["id"])),
        VoxelRuns.from_list(plain["voxels"], count),
        LabelRuns.from_list(plain["drawn"], count, structures),
        Limit(**plain["limit"]),
        Effort(plain["looked"], plain["edited"]),
        str(plain["saved"]),
    )
