"""Fixtures for every test folder that needs a scene: `from slicer_fixtures import a_slicer, scene` in its conftest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from boot import HeadlessSlicer, boot, quiet_vtk
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.volume import Volume
from hard_volumes import HARD_VOLUMES, OBLIQUE, node_from_array, scan_on


@pytest.fixture(scope="session")
def a_slicer() -> HeadlessSlicer:
    """The application stand-in, one in a process."""
    return boot()


@pytest.fixture
def scene(a_slicer: HeadlessSlicer) -> Iterator[Any]:
    """The application's scene, empty before and after the test but for Slicer's own singletons."""
    empty(a_slicer.mrmlScene())
    yield a_slicer.mrmlScene()
    empty(a_slicer.mrmlScene())


def empty(scene: Any) -> None:
    """Close the scene as Slicer does, remove the parameter nodes, which outlive that, and give it its hierarchy."""
    with quiet_vtk():
        scene.Clear(0)
        while (node := scene.GetFirstNodeByClass("vtkMRMLScriptedModuleNode")) is not None:
            scene.RemoveNode(node)
        slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)


@pytest.fixture
def a_volume_node(scene: Any) -> Callable[..., Any]:
    """A function that makes a scalar volume node of a core Volume, or of an array [k, j, i] and a Geometry.

    Without arguments it is a CT of noise on an oblique grid.
    """

    def make(scan: Volume | np.ndarray | None = None, grid: Geometry = OBLIQUE, name: str = "CT") -> Any:
        if isinstance(scan, Volume):
            return node_from_array(scene, scan.image, scan.geometry, name)
        return node_from_array(scene, scan_on(grid) if scan is None else scan, grid, name)

    return make


@pytest.fixture(params=list(HARD_VOLUMES))
def a_hard_volume(request: pytest.FixtureRequest, scene: Any, tmp_path: Path) -> Any:
    """Each of `hard_volumes.HARD_VOLUMES` in turn."""
    return HARD_VOLUMES[request.param](scene, tmp_path)
