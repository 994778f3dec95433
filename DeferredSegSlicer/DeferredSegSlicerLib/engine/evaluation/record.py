"""What is kept of one evaluated case: figures, and the counts from which figures over several cases are made."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.atomic import write_text
from ...core.errors import BadInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCHEMA = 1
BY_ROUTING, BY_CHANCE, BY_ORACLE, NOBODY = "routing", "random", "oracle", ""
"""To whom deferred voxels go: whom the routing picks, anyone, the best there is; nobody for figures without experts."""


@dataclass(frozen=True)
class Row:
    """One figure of one case.

    Attributes
    ----------
    method : of deferral, or "model" (nothing deferred), or "expert:<id>" (everything is that expert's).
    to_whom : "routing", "random", "oracle", or "" if no expert is part of the figure.
    budget : share of the decision zone, or None. figure : its name. value : NaN if the case does not have it.
    """

    method: str
    to_whom: str
    budget: float | None
    figure: str
    value: float


@dataclass(frozen=True, eq=False)
class Histogram:
    """Voxels and errors of the decision zone by key of deferral, largest key first; a key of 0 is never deferred."""

    keys: NDArray[np.int64]
    voxels: NDArray[np.int64]
    errors: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Reliability:
    """Zone voxels by bin of predicted error probability: how many, the sum of the predictions, how many are wrong."""

    voxels: NDArray[np.int64]
    predicted: NDArray[np.float64]
    wrong: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Choice:
    """Deferred voxels on which the experts disagree in being right.

    right[c, r] : voxels that went to expert c and on which expert r is right. chosen[c] : voxels that went to c.
    """

    right: NDArray[np.int64]
    chosen: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CaseRecord:
    """One evaluated image.

    Attributes
    ----------
    key : fingerprint of what it was made with. dataset : kind of data set. experts : ids, in order.
    histograms, reliability : by method. choices : by method and budget.
    notes : sentences for the reader of the report. seconds : by method, of segmenting.
    """

    key: str
    id: str
    patient: str
    modality: str
    dataset: str
    split: str
    experts: tuple[str, ...]
    rows: tuple[Row, ...]
    histograms: Mapping[str, Histogram]
    reliability: Mapping[str, Reliability] = field(default_factory=dict)
    choices: Mapping[tuple[str, float], Choice] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def table(self) -> dict[tuple[str, str, float | None, str], float]:
        """Values of the rows by method, to whom, budget and figure."""
        return {(row.method, row.to_whom, row.budget, row.figure): row.value for row in self.rows}

    def to_json(self) -> dict[str, Any]:
        """Plain values; NaN becomes null and infinity "inf"."""
        return {
            "schema": SCHEMA,
            **{name: getattr(self, name) for name in ("key", "id", "patient", "modality", "dataset", "split")},
            "experts": list(self.experts),
            "notes": list(self.notes),
            "seconds": dict(self.seconds),
            "rows": [[r.method, r.to_whom, r.budget, r.figure, _plain(r.value)] for r in self.rows],
            "histograms": {m: _lists(h, "keys", "voxels", "errors") for m, h in self.histograms.items()},
            "reliability": {m: _lists(r, "voxels", "predicted", "wrong") for m, r in self.reliability.items()},
            "choices": [[m, budget, c.right.tolist(), c.chosen.tolist()] for (m, budget), c in self.choices.items()],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> CaseRecord:
        """From plain values; raises KeyError, TypeError or ValueError for what is no record of this schema."""
        if values["schema"] != SCHEMA:
            raise ValueError(f"schema is {values['schema']}, expected {SCHEMA}")
        return cls(
            **{name: str(values[name]) for name in ("key", "id", "patient", "modality", "dataset", "split")},
            experts=tuple(values["experts"]),
            notes=tuple(values["notes"]),
            seconds=dict(values["seconds"]),
            rows=tuple(Row(m, w, b, f, math.nan if v is None else float(v)) for m, w, b, f, v in values["rows"]),
            histograms={
                method: Histogram(*(np.asarray(h[name], dtype=np.int64) for name in ("keys", "voxels", "errors")))
                for method, h in values["histograms"].items()
            },
            reliability={
                method: Reliability(
                    np.asarray(r["voxels"], np.int64),
                    np.asarray(r["predicted"], float),
                    np.asarray(r["wrong"], np.int64),
                )
                for method, r in values["reliability"].items()
            },
            choices={
                (method, budget): Choice(np.asarray(right, np.int64), np.asarray(chosen, np.int64))
                for method, budget, right, chosen in values["choices"]
            },
        )


def write_record(path: Path, record: CaseRecord) -> None:
    """Keep a record as compact JSON, atomically."""
    write_text(path, json.dumps(record.to_json(), ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n")


def read_record(path: Path, key: str) -> CaseRecord | None:
    """A kept record if it is there, whole, and was made with the same fingerprint; else None."""
    try:
        record = CaseRecord.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, OSError):
            raise BadInputError(f'kept case "{path}" cannot be read: {error}') from error
        return None  # cut off or of another version: it is evaluated afresh
    return record if record.key == key else None


def _lists(value: Any, *names: str) -> dict[str, list[Any]]:
    return {name: getattr(value, name).tolist() for name in names}


def _plain(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return float(value) if math.isfinite(value) else ("inf" if value > 0 else "-inf")
