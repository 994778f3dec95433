"""The logic on a real scene, with a clerk for a worker."""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HERE = Path(__file__).parent
for folder in (str(HERE), str(HERE.parent / "headless")):
    if folder not in sys.path:
        sys.path.insert(0, folder)

from DeferredSegSlicerLib.core.structures import Box, Structure, make_structures  # noqa: E402
from DeferredSegSlicerLib.logic.module_logic import ModuleLogic  # noqa: E402
from DeferredSegSlicerLib.worker.client import Patience, WorkerClient  # noqa: E402
from hard_volumes import OBLIQUE, node_from_array  # noqa: E402
from plain_services import PlainServices  # noqa: E402
from slicer_fixtures import a_hard_volume, a_slicer, a_volume_node, scene  # noqa: E402, F401  fixtures

CLERK = HERE / "clerk.py"


@pytest.fixture
def services(tmp_path: Path) -> PlainServices:
    """Services that keep everything in the test's folder."""
    return PlainServices(tmp_path)


@pytest.fixture
def a_logic(scene: Any, services: PlainServices) -> Iterator[Callable[..., ModuleLogic]]:  # noqa: F811
    """Makes logics whose worker is a clerk that behaves as told; all are closed at the end."""
    made: list[ModuleLogic] = []

    def make(behavior: str = "work", argument: object = "", **patience: float) -> ModuleLogic:
        command = [sys.executable, str(CLERK), behavior, str(argument)]
        limits = Patience(**({"startup": 60.0, "silence": 20.0, "leave": 2.0} | patience))
        made.append(ModuleLogic(scene, services, functools.partial(WorkerClient, command=command, patience=limits)))
        return made[-1]

    yield make
    for logic in made:
        logic.close()


@pytest.fixture
def a_scan(scene: Any) -> Any:  # noqa: F811
    """A volume node of 48 x 40 x 24 voxels on an oblique grid, a bright ball in noise."""
    return a_scan_in(scene)


def a_scan_in(scene: Any, name: str = "Patient^Secret 1987 CT", seed: int = 1) -> Any:  # noqa: F811
    """Such a volume in any scene; its name must not leave it."""
    grid = OBLIQUE.__class__((48, 40, 24), (1.0, 1.1, 2.0), OBLIQUE.origin_lps, OBLIQUE.direction_lps)
    k, j, i = np.indices(grid.shape)
    noise = np.random.default_rng(seed).normal(0, 30, grid.shape)
    ball = (i - 24) ** 2 + (j - 20) ** 2 + (2 * (k - 12)) ** 2 < 14**2
    return node_from_array(scene, (noise - 900 + 950 * ball).astype(np.int16), grid, name)


def structures_in(node: Any) -> list[Structure]:
    """Two structures in the middle of such a volume, boxes in its local RAS mm."""
    from DeferredSegSlicerLib.mrml.grid import geometry_of

    center = geometry_of(node).ras_of((24, 20, 12))
    big = Box(tuple(center - 14), tuple(center + 14))
    small = Box(tuple(center - 20), tuple(center - 8))
    return make_structures([("Liver", big), ("tumor", small)])


def nodes_of(scene: Any) -> dict[str, tuple[str, int]]:  # noqa: F811
    """Every node of a scene by id, with its name and modification time."""
    nodes = [scene.GetNthNode(n) for n in range(scene.GetNumberOfNodes())]
    return {node.GetID(): (node.GetName(), node.GetMTime()) for node in nodes}


@pytest.fixture
def a_small_bundle() -> Callable[..., Path]:
    """Makes a model folder, named after its id, with a few bytes of weights; keywords change its bundle.json."""

    def make(folder: Path, **changes: Any) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        weights = b"not really weights"
        (folder / "weights.safetensors").write_bytes(weights)
        content = {
            "schema": 1,
            "id": folder.name,
            "name": "Mine",
            "family": "litemedsam",
            "license": "Apache-2.0",
            "file": "weights.safetensors",
            "sha256": hashlib.sha256(weights).hexdigest(),
        }
        (folder / "bundle.json").write_text(json.dumps(content | changes))
        return folder

    return make
