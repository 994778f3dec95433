"""A case with known regions, open in the scene, and somebody who reviews it: for the tests of the review.

    from review_bench import a_bench  # a fixture: a function that makes a `Bench`

Regions are blocks of 6 x 8 x 3 voxels (i, j, k), six in a row for each of two experts. In a block the probability of
the liver falls along i, so that tighter, wider, fill and drop all differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boot import HeadlessSlicer
from DeferredSegSlicerLib.core.case import Case, write_case
from DeferredSegSlicerLib.core.experts import Competence, Expert
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.structures import make_structures
from DeferredSegSlicerLib.core.volume import Volume, sha256_of_voxels
from DeferredSegSlicerLib.logic.module_logic import ModuleLogic
from DeferredSegSlicerLib.logic.review import ReviewLogic
from DeferredSegSlicerLib.mrml.grid import align
from editor_hand import Hand
from hard_volumes import ORIGIN_LPS, node_from_array, turned
from plain_services import PlainServices

SIZE = (60, 40, 14)
OBLIQUE = Geometry(SIZE, (1.0, 1.1, 2.5), ORIGIN_LPS, tuple(turned(0.3, 0.5).ravel().tolist()))
LEFT_HANDED = Geometry(SIZE, (1.0, 1.1, 2.5), ORIGIN_LPS, tuple((turned(0.3, 0.5) * (1, 1, -1)).ravel().tolist()))

EXPERTS = (
    Expert("extent", "Lesion extent", "radiologist", (0.9, 0.6, 0.0), Competence(0.97, 0.9, 0.9)),
    Expert("normal", "Normal tissue", "radiologist", (0.0, 0.4, 0.7), Competence(0.88, 0.99, 0.9)),
    Expert("boundary", "Boundary", "specialist", (0.8, 0.5, 0.7), Competence(0.9, 0.9, 0.98)),
)
BLOCKS = [
    (slice(4, 7), slice(6 + 16 * row, 14 + 16 * row), slice(4 + 9 * n, 10 + 9 * n)) for row in (0, 1) for n in range(6)
]
"""Slices (k, j, i); the first six are the first expert's."""


def write_blocks_case(folder: Path, grid: Geometry = OBLIQUE) -> Case:
    """The case on disk."""
    shape = grid.shape
    image = np.random.default_rng(3).integers(-200, 200, shape).astype(np.int16)
    probability = np.zeros((2, *shape), np.uint8)
    probability[0, 2:12, 3:37, 2:58] = 255
    probability[0, 2:12, 3:37, 2:58:19] = 0
    probability[1, 9:12, 30:36, 50:56] = 255
    probability[0, 9:12, 30:36, 50:56] = 0
    routing = np.zeros((len(EXPERTS) + 1, *shape), np.uint8)
    routing[-1] = 255
    error = np.zeros(shape, np.uint8)
    for number, block in enumerate(BLOCKS):
        probability[0][block] = np.linspace(230, 20, 6).astype(np.uint8)
        share = 200 - 5 * number  # the first blocks are deferred first
        routing[number // 6][block] = share
        routing[-1][block] = 255 - share
        error[block] = 120 - 3 * number
    return write_case(
        folder,
        Volume(image, grid, "CT", sha256_of_voxels(image), ""),
        make_structures([("Liver", None), ("right kidney", None)]),
        EXPERTS,
        probability,
        routing,
        error,
        "margin",
        {"zone_floor": 0.02, "zone_band_mm": 10, "budget": 0.05},
        {"id": "test-net", "sha256": "0" * 64, "name": "Test net", "license": "Apache-2.0"},
        {"deferredseg": "0.1.0"},
    )


class Bench:
    """A case that is shown in the scene, and its review."""

    def __init__(self, app: HeadlessSlicer, module: ModuleLogic, services: PlainServices, case: Case) -> None:
        self.app, self.scene, self.module, self.services, self.case = app, app.mrmlScene(), module, services, case
        volume = case.volume()
        self.volume = node_from_array(self.scene, volume.image, volume.geometry, "Scan")
        self.alignment = align(case.geometry, self.volume)
        self.time = 1000.0
        self.told: list[str] = []
        self.review = self.a_review()
        self.open()

    def a_review(self) -> ReviewLogic:
        """Another review of the same module, as after a restart."""
        review = ReviewLogic(self.module, self.services, software={"slicer": "5.13"}, clock=lambda: self.time)
        review.failed.connect(lambda error: self.told.append(error.sentence))
        return review

    def open(self) -> None:
        """Show the case, with everything deferred that can be."""
        self.module.open_case(self.case.folder, self.volume, budget=1.0)

    def wait(self, seconds: float = 0.25) -> None:
        """Let time pass for the program and for the reader."""
        self.services.run_for(seconds)
        self.time += seconds

    @property
    def labels(self) -> np.ndarray:
        assert self.review.session is not None
        return self.review.session.labels

    def mask(self, *where: Any) -> np.ndarray:
        """A mask on the case's grid."""
        mask = np.zeros(self.case.geometry.shape, bool)
        mask[where] = True
        return mask

    def hand(self) -> Hand:
        """A hand on the open edit."""
        assert self.review.editing is not None
        return Hand(self.app, self.review.editing.editor_node)

    def paint(self, mask: np.ndarray, erase: bool = False) -> None:
        """A stroke of the open edit, on the case's grid."""
        hand = self.hand()
        (hand.erase if erase else hand.paint)(self.alignment.to_node(mask))


@pytest.fixture
def a_bench(
    a_slicer: HeadlessSlicer, scene: Any, a_logic: Callable[..., ModuleLogic], services: PlainServices, tmp_path: Path
) -> Iterator[Callable[..., Bench]]:
    """A function that makes a `Bench` on a grid."""
    made: list[Bench] = []

    def make(grid: Geometry = OBLIQUE) -> Bench:
        made.append(Bench(a_slicer, a_logic(), services, write_blocks_case(tmp_path / f"case{len(made)}", grid)))
        return made[-1]

    yield make
    for bench in made:
        bench.review.close()
