"""Volumes, structures, experts and cases that the tests of several folders share."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from DeferredSegSlicerLib.core.case import Case, write_case
from DeferredSegSlicerLib.core.experts import Competence, Expert
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.structures import Box, Structure, make_structures
from DeferredSegSlicerLib.core.volume import Volume, sha256_of_voxels


def _oblique_direction(mirrored: bool = False) -> tuple[float, ...]:
    """Turned by 0.3 rad about the body's axis and 0.5 rad about its left-right axis."""
    about_s = np.array([[math.cos(0.3), -math.sin(0.3), 0], [math.sin(0.3), math.cos(0.3), 0], [0, 0, 1]])
    about_l = np.array([[1, 0, 0], [0, math.cos(0.5), -math.sin(0.5)], [0, math.sin(0.5), math.cos(0.5)]])
    return tuple((about_s @ about_l * (1, 1, -1 if mirrored else 1)).ravel())


@pytest.fixture
def an_oblique_grid() -> Geometry:
    """9 x 8 x 7 voxels, anisotropic, turned about two axes."""
    return Geometry((9, 8, 7), (0.8, 1.1, 2.5), (-120.5, 33.0, 410.25), _oblique_direction())


@pytest.fixture
def a_left_handed_grid() -> Geometry:
    """As `an_oblique_grid`, its slices stacked the other way."""
    return Geometry((9, 8, 7), (0.8, 1.1, 2.5), (-120.5, 33.0, 410.25), _oblique_direction(mirrored=True))


def _volume_on(grid: Geometry) -> Volume:
    image = np.random.default_rng(7).integers(-1000, 1000, grid.shape).astype(np.int16)
    return Volume(image, grid, "CT", sha256_of_voxels(image), "")


@pytest.fixture
def an_oblique_volume(an_oblique_grid: Geometry) -> Volume:
    """A CT of noise on an oblique grid."""
    return _volume_on(an_oblique_grid)


@pytest.fixture
def a_left_handed_volume(a_left_handed_grid: Geometry) -> Volume:
    """A CT of noise on a left-handed grid."""
    return _volume_on(a_left_handed_grid)


@pytest.fixture
def two_structures() -> list[Structure]:
    """Liver and right kidney, with boxes in RAS mm."""
    liver = Box((100.0, -50.0, 400.0), (125.0, -20.0, 420.0))
    return make_structures([("Liver", liver), ("right kidney", Box((90.0, -60.0, 390.0), (99.0, -40.0, 410.0)))])


@pytest.fixture
def three_experts() -> tuple[Expert, ...]:
    """Experts of all three profiles; the last is off duty."""
    return (
        Expert("extent", "Lesion extent", "radiologist", (0.9, 0.6, 0.0), Competence(0.97, 0.9, 0.9)),
        Expert("normal", "Normal tissue", "radiologist", (0.0, 0.4, 0.7), Competence(0.88, 0.99, 0.9), cost=0.05),
        Expert("edge", "Boundary", "specialist", (0.8, 0.5, 0.7), Competence(0.9, 0.9, 0.98), available=False),
    )


@pytest.fixture
def write_a_case(
    an_oblique_volume: Volume, two_structures: list[Structure], three_experts: tuple[Expert, ...]
) -> Callable[..., Case]:
    """A function that writes a case of random maps to a path; keyword arguments go to `write_case`."""

    def write(path: Path, volume: Volume | None = None, **changes: Any) -> Case:
        scan = volume or an_oblique_volume
        random = np.random.default_rng(11)
        shape = scan.geometry.shape
        handed_over = random.integers(0, 86, (len(three_experts), *shape)).astype(np.uint8)
        model = 255 - handed_over.sum(axis=0, dtype=np.uint16).astype(np.uint8)[None]
        values: dict[str, Any] = {
            "volume": scan,
            "structures": two_structures,
            "experts": three_experts,
            "probability": random.integers(0, 256, (len(two_structures), *shape)).astype(np.uint8),
            "routing": np.concatenate([handed_over, model]),
            "error": random.integers(0, 128, shape).astype(np.uint8),
            "method": "margin",
            "settings": {"window": {"level": 40, "width": 400}, "zone_floor": 0.02, "zone_band_mm": 10},
            "model": {"id": "test-net", "sha256": "0" * 64, "name": "Test net", "license": "Apache-2.0"},
            "versions": {"deferredseg": "0.1.0"},
        }
        return write_case(path, **(values | changes))

    return write


@pytest.fixture
def a_case(tmp_path: Path, write_a_case: Callable[..., Case]) -> Case:
    """A whole case on an oblique grid, two structures and three experts."""
    return write_a_case(tmp_path / "case")
