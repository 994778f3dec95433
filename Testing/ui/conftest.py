"""The Qt bench and the headless Slicer, for the tests of the panel."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

TESTING = Path(__file__).parents[1]
for folder in (TESTING / "headless", Path(__file__).parent):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
sys.path.append(str(TESTING))
import qtbench  # noqa: E402  before anything imports PySide6

sys.path.remove(str(TESTING))  # the package `slicer` takes in every folder of its name on the path
from slicer_fixtures import a_slicer, a_volume_node, scene  # noqa: E402, F401  fixtures


@pytest.fixture(scope="session")
def bench_application() -> Any:
    """The stand-in of `slicer.app`, one in a process."""
    return qtbench.install()


@pytest.fixture
def bench(bench_application: Any, scene: Any) -> Iterator[ModuleType]:  # noqa: F811
    """The bench with the views of an empty scene. Afterwards: no slot raised, every scripted answer was asked for."""
    import slicer

    before, slicer.app = slicer.app, bench_application
    qtbench.reset()
    slicer.app.layoutManager().bench_open()
    yield qtbench
    problems = qtbench.problems()
    qtbench.reset()
    slicer.app = before
    assert not problems, problems
