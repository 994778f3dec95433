"""A small scan, a small stored case, and the command line to use on them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from DeferredSegSlicerLib.cli import main
from DeferredSegSlicerLib.core.case import write_case
from DeferredSegSlicerLib.core.experts import load_experts
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.routing import routing_map
from DeferredSegSlicerLib.core.structures import Box, make_structures
from DeferredSegSlicerLib.core.volume import Volume
from DeferredSegSlicerLib.resources import find_resources

SMALL = Geometry((40, 36, 20), (1.5, 1.5, 3.0), (-30.0, -27.0, -30.0))
"""The grid of the small scan: about 60 x 54 x 60 mm around the origin."""


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one complaint on stderr; fails unless there is exactly one line and no traceback."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ") and "Traceback" not in self.err
        return lines[0].removeprefix("error: ")


@pytest.fixture
def deferredseg(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs a command line in this process."""

    def run(*arguments: object) -> Ran:
        capfd.readouterr()
        code = main([str(a) for a in arguments])
        captured = capfd.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


def ball(center: tuple[float, float, float], radius: float) -> np.ndarray:
    """Distance in mm inside (positive) or outside (negative) of a ball in RAS mm, on the small grid [k, j, i]."""
    k, j, i = np.indices(SMALL.shape)
    return radius - np.linalg.norm(SMALL.ras_of(np.stack([i, j, k], axis=-1)) - center, axis=-1)


@pytest.fixture(scope="session")
def a_scan() -> Volume:
    """Two balls of 60 HU in fat and noise."""
    inside = np.maximum(ball((12, 0, 0), 9), ball((-12, 0, 0), 6))
    noise = np.random.default_rng(3).normal(0, 8, SMALL.shape)
    return Volume((np.where(inside > 0, 60, -90) + noise).astype(np.int16), SMALL, "CT", source="scan.nrrd")


@pytest.fixture
def an_image_file(tmp_path: Path, a_scan: Volume) -> Path:
    """The scan as a file."""
    path = tmp_path / "scan.nrrd"
    sitk.WriteImage(SMALL.apply_to(sitk.GetImageFromArray(a_scan.image)), str(path))
    return path


@pytest.fixture(scope="session")
def _stored_case(tmp_path_factory: pytest.TempPathFactory, a_scan: Volume) -> Path:
    structures = make_structures(
        [("right ball", Box((2, -10, -10), (22, 10, 10))), ("left ball", Box((-19, -7, -7), (-5, 7, 7)))]
    )
    probability = [1 / (1 + np.exp(-ball(c, r) / 1.5)) for c, r in (((12, 0, 0), 9), ((-12, 0, 0), 6))]
    best = np.max(probability, axis=0)
    defer = (1 - np.abs(2 * best - 1)).astype(np.float32)
    defer[defer < 0.02] = 0
    experts = load_experts(find_resources() / "Experts" / "default.json")
    height = ball((0, 0, 1000), 1000) / 60  # the upper part goes to the first expert, the lower one to the second
    first = np.clip(0.5 + height, 0.05, 0.9)
    shares = np.stack([first, 0.95 - first, np.full_like(first, 0.05)]).astype(np.float32)
    path = tmp_path_factory.mktemp("stored") / "case"
    write_case(
        path, a_scan, structures, experts,
        np.rint(255 * np.stack(probability)).astype(np.uint8),
        routing_map(defer, shares, np.ones(SMALL.shape, bool)),
        np.rint(255 * np.minimum(best, 1 - best)).astype(np.uint8),
        "margin",
        {"method": "margin", "budget": 0.05, "window": {"level": 40.0, "width": 400.0}, "warnings": []},
        {"id": "test", "name": "a formula", "sha256": "0" * 64, "license": "none"},
        {"python": "3"},
    )  # fmt: skip
    return path


@pytest.fixture
def a_case(tmp_path: Path, _stored_case: Path) -> Path:
    """A stored case of the scan, with two structures and three experts, free to be spoiled."""
    path = tmp_path / "case"
    shutil.copytree(_stored_case, path)
    return path


@pytest.fixture
def everything_in() -> Callable[[Path], dict[str, bytes | None]]:
    """Names and contents of all files and folders under a folder: to show that nothing was written."""

    def look(folder: Path) -> dict[str, bytes | None]:
        found: dict[str, bytes | None] = {}
        for root, folders, files in os.walk(folder):
            found.update({os.path.join(root, name): None for name in folders})
            found.update({os.path.join(root, name): (Path(root) / name).read_bytes() for name in files})
        return found

    return look
