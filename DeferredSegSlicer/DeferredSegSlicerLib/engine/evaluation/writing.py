"""The tables of an evaluation as CSV: every figure of every case, and every figure of every group."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ...core.atomic import write_text
from ...core.metrics import Interval
from .record import CaseRecord
from .settings import REFERENCES, EvaluationSettings
from .summary import GroupSummary

CASE_COLUMNS = (
    "dataset", "case", "patient", "modality", "split", "experts",
    "method", "to_whom", "budget", "figure", "value",
)  # fmt: skip
SUMMARY_COLUMNS = (
    "group", "experts", "method", "to_whom", "budget", "figure", "pooling",
    "estimate", "low", "high", "cases", "patients",
)  # fmt: skip


def write_cases(path: Path, records: Sequence[CaseRecord], settings: EvaluationSettings) -> None:
    """One line for each figure of each case; column `experts` says whether they are simulated."""
    _write(
        path,
        CASE_COLUMNS,
        (
            [
                record.dataset, record.id, record.patient, record.modality, record.split, settings.experts,
                row.method, row.to_whom, _number(row.budget), row.figure, _number(row.value),
            ]
            for record in records
            for row in record.rows
        ),
    )  # fmt: skip


def write_summary(path: Path, groups: Sequence[GroupSummary], settings: EvaluationSettings) -> None:
    """One line for each figure of each group, then comparisons and permutation tests."""
    _write(path, SUMMARY_COLUMNS, (line for group in groups for line in _lines(group, settings)))


def _lines(group: GroupSummary, settings: EvaluationSettings) -> Iterable[list[Any]]:
    for row in group.rows:
        yield [
            group.group, settings.experts, row.method, row.to_whom, _number(row.budget), row.figure, row.pooling,
            *_interval(row.interval), row.cases, row.patients,
        ]  # fmt: skip
    for one in group.comparisons:
        for name, interval in (("ratio", one.ratio), ("difference", one.difference)):
            yield [
                group.group, settings.experts, one.method, "", _number(one.budget),
                f"{one.figure}:{name} to best of the others ({one.best})", one.pooling,
                *_interval(interval), group.cases, group.patients,
            ]  # fmt: skip
    for whom in group.whom:
        if whom.test is not None and whom.method not in REFERENCES:
            for name, value in (("rate", whom.test.rate), ("chance", whom.test.chance), ("p", whom.test.p_value)):
                yield [
                    group.group, settings.experts, whom.method, "routing", _number(whom.budget),
                    f"right_expert_split:permutation {name}", "pooled voxels",
                    _number(value), "", "", group.cases, whom.test.groups,
                ]  # fmt: skip


def _write(path: Path, columns: Sequence[str], lines: Iterable[Sequence[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(lines)
    write_text(path, text.getvalue())


def _interval(interval: Interval) -> list[str]:
    return [_number(interval.estimate), _number(interval.low), _number(interval.high)]


def _number(value: float | None) -> str:
    """Six significant digits; empty for what is not defined."""
    return "" if value is None or math.isnan(value) else f"{value:.6g}"
