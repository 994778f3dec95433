"""Regions and decisions as CSV with a header, and all of an export's figures as JSON."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..core.atomic import write_json, write_text
from .content import Content, RegionContent

SCHEMA = 1
"""Version of the JSON file."""

REGION_COLUMNS = (
    "case_id", "region_id", "structure", "structure_name", "expert", "expert_name", "status", "reviewed", "conflict",
    "readers", "waiting_for", "decided", "seconds_looked", "seconds_edited", "voxels", "ml", "voxels_changed",
    "ml_before", "ml_after", "first_slice", "last_slice", "center_r_mm", "center_a_mm", "center_s_mm",
    "expected_error_ml", "expected_seconds",
)  # fmt: skip

DECISION_COLUMNS = (
    "case_id", "reader", "reader_name", "role", "line", "time", "decision", "holds", "region_id", "structure", "expert",
    "budget", "seconds_looked", "seconds_edited", "voxels", "voxels_changed", "ml_before", "ml_after", "to",
    "alternative", "reason", "undoes", "note", "software", "bundle", "sha256",
)  # fmt: skip


def write_regions_csv(path: str | Path, content: Content) -> None:
    """One row a deferral region, worst first. Raises BadInputError if the path cannot be written."""
    rows = [region_row(content, item) for item in content.regions]
    write_text(path, csv_text(REGION_COLUMNS, rows))


def write_decisions_csv(path: str | Path, content: Content) -> None:
    """One row a line of a reader's journal. Raises BadInputError if the path cannot be written."""
    rows = [{"case_id": content.case.id, **decision} for decision in content.decisions]
    write_text(path, csv_text(DECISION_COLUMNS, rows))


def write_review_json(path: str | Path, content: Content) -> None:
    """Everything but the voxels as one JSON file. Raises BadInputError if the path cannot be written."""
    regions = []
    for item in content.regions:
        row = region_row(content, item)
        regions.append({key: value for key, value in row.items() if key != "case_id"})
    write_json(
        path,
        {"schema": SCHEMA, **content.to_json(), "regions": regions, "decisions": [dict(d) for d in content.decisions]},
    )


def region_row(content: Content, item: RegionContent) -> dict[str, Any]:
    """A region by the names of `REGION_COLUMNS`."""
    region = item.region
    names = {s.structure.id: s.structure.name for s in content.structures}
    experts = {e.id: e.name for e in content.case.experts}
    right, anterior, superior = region.centroid_ras
    return {
        "case_id": content.case.id,
        "region_id": region.id,
        "structure": region.structure,
        "structure_name": names[region.structure],
        "expert": region.expert,
        "expert_name": experts[region.expert],
        "status": item.status,
        "reviewed": item.reviewed,
        "conflict": item.in_conflict,
        "readers": list(item.readers),
        "waiting_for": list(item.waiting_for),
        "decided": item.decided,
        "seconds_looked": item.seconds_looked,
        "seconds_edited": item.seconds_edited,
        "voxels": region.voxels,
        "ml": region.volume_ml,
        "voxels_changed": item.voxels_changed,
        "ml_before": item.before_ml,
        "ml_after": item.after_ml,
        "first_slice": region.slice_range[0],
        "last_slice": region.slice_range[1],
        "center_r_mm": right,
        "center_a_mm": anterior,
        "center_s_mm": superior,
        "expected_error_ml": region.expected_error_ml,
        "expected_seconds": region.seconds,
    }


def csv_text(columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> str:
    """Rows as CSV (RFC 4180, UTF-8, header first); a column that a row lacks is left empty."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return stream.getvalue()


def _cell(value: Any) -> Any:
    """A value as a cell: yes and no in words, lists with semicolons, and no text that a spreadsheet would compute."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else ""
    if isinstance(value, list | tuple):
        value = "; ".join(map(str, value))
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value
