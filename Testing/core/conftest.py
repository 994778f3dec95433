"""A case with a worklist that can be reviewed, for the tests of core/review."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from DeferredSegSlicerLib.core.case import Case, write_case
from DeferredSegSlicerLib.core.experts import Competence, Expert
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.quantize import quantize_probability, quantize_shares
from DeferredSegSlicerLib.core.review import AnyDecision, Effort, Journal, Reader, ReviewSession, Undo, read_review
from DeferredSegSlicerLib.core.review.deciding import Deciding
from DeferredSegSlicerLib.core.review.runs import LabelRuns
from DeferredSegSlicerLib.core.structures import make_structures
from DeferredSegSlicerLib.core.volume import Volume, sha256_of_voxels
from DeferredSegSlicerLib.core.worklist import Worklist, worklist

EDGE = Reader("edge", "Dr. Edge", "radiologist")
GRID = Geometry((24, 20, 12), (1.0, 1.0, 2.0), (-10.0, 5.0, 40.0))
EXPERTS = tuple(
    Expert(name, name.title(), "reader", (0, 0, 1), Competence(0.9, 0.9, 0.9)) for name in ("edge", "inside", "outside")
)
SETTINGS: dict[str, Any] = {"zone_band_mm": 3.0, "budget": 0.2, "min_region_ml": 0.0, "min_region_voxels": 4}


@lru_cache
def _maps(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two blurred balls and shares of three experts that vary along the axes: uint8 probability, routing, error."""
    generator = np.random.default_rng(seed)
    k, j, i = np.indices(GRID.shape)
    found = []
    for number in range(2):
        middle = [n * (0.3 + 0.3 * number) for n in GRID.shape]
        distance = np.sqrt(
            sum(((c - m) / (0.3 * n)) ** 2 for c, m, n in zip((k, j, i), middle, GRID.shape, strict=True))
        )
        found.append(1 / (1 + np.exp((distance - 0.8) * 8 + generator.normal(0, 0.3, GRID.shape))))
    p = np.stack(found)
    wrong = np.minimum(p, 1 - p).max(axis=0)
    wrong[wrong < 0.02] = 0
    q = np.exp(np.stack([np.sin((a + number) / 3) for number, a in enumerate((k, j, i))]) * 2)
    routing = quantize_shares(np.concatenate([2 * wrong * q / q.sum(axis=0), 1 - 2 * wrong[None]]))
    return quantize_probability(p), routing, quantize_probability(wrong)


def _write(path: Path, seed: int = 0) -> Case:
    probability, routing, error = _maps(seed)
    image = np.random.default_rng(seed).integers(-1000, 1000, GRID.shape).astype(np.int16)
    return write_case(
        path,
        Volume(image, GRID, "CT", sha256_of_voxels(image), ""),
        make_structures([("liver", None), ("tumor", None)]),
        EXPERTS,
        probability,
        routing,
        error,
        "margin",
        SETTINGS,
        {"id": "test-net", "sha256": "0" * 64, "name": "Test net", "license": "Apache-2.0"},
        {"deferredseg": "0.1.0"},
    )


@pytest.fixture(scope="session")
def write_review_case() -> Callable[..., Case]:
    """A function (path, seed=0) that writes a case of 24 x 20 x 12 voxels, two structures and three experts."""
    return _write


@pytest.fixture(scope="session")
def a_worklist() -> Worklist:
    """The worklist of the cases of `write_review_case` with seed 0: dozens of regions at larger budgets."""
    return worklist(*_maps(0), make_structures([("liver", None), ("tumor", None)]), EXPERTS, GRID, SETTINGS)


@pytest.fixture
def a_review_case(tmp_path: Path) -> Case:
    """A case that nobody has reviewed."""
    return _write(tmp_path / "case")


@pytest.fixture
def open_session(a_review_case: Case, a_worklist: Worklist) -> Any:
    """A function (reader id, ...) that opens a session on `a_review_case`; all are closed in the end."""
    opened: list[ReviewSession] = []

    def open_one(reader: str = "edge", **how: Any) -> ReviewSession:
        values = {"clock": time.monotonic} | how
        opened.append(ReviewSession(a_review_case, a_worklist, Reader(reader), **values))
        return opened[-1]

    yield open_one
    for session in opened:
        session.close()


@pytest.fixture
def decisions(a_review_case: Case, a_worklist: Worklist) -> list[AnyDecision]:
    """One decision of each kind but undoing, on regions of their own."""
    regions = list(a_worklist.regions(0.2))
    making = Deciding(read_review(a_review_case), EDGE, 0.2, Effort(12.5, 3.0), "größer als gedacht")
    labels = [LabelRuns.of(r.indices, np.full(r.voxels, 2, np.uint8)) for r in regions]
    return [
        making.accept(regions[0]),
        making.edit(regions[1], labels[1]),
        making.alternative(regions[2], "fill", labels[2]),
        making.reassign(regions[3], "inside"),
        making.skip(regions[4], "no contrast phase"),
    ]


@pytest.fixture
def a_journal(a_review_case: Case, decisions: list[AnyDecision]) -> Path:
    """The closed journal of five decisions and an undoing."""
    with Journal.open(a_review_case, EDGE) as book:
        entries = [book.append(d) for d in decisions]
        book.append(Undo(line=entries[1].ref))
        return book.path
