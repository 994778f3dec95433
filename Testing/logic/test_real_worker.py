"""The real worker with the real network, on a piece of the sample CT."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer.util
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.segmentation_file import read_segmentation
from DeferredSegSlicerLib.core.structures import Box, Structure, make_structures
from DeferredSegSlicerLib.core.volume import Volume, read_volume
from DeferredSegSlicerLib.logic.failures import JobCancelledError
from DeferredSegSlicerLib.logic.job import JobStatus
from DeferredSegSlicerLib.logic.module_logic import ModuleLogic
from DeferredSegSlicerLib.logic.worker_link import WorkerFailure
from DeferredSegSlicerLib.mrml.grid import array_of
from DeferredSegSlicerLib.resources import find_resources
from DeferredSegSlicerLib.worker.client import State
from hard_volumes import node_from_array
from plain_services import PlainServices

from .conftest import nodes_of
from .test_ends import is_running

SECONDS = 240.0
"""Loading torch and compiling the encoder takes 10 s on an idle machine and a minute on a busy one."""


@pytest.fixture
def real(scene: Any, services: PlainServices) -> Iterator[ModuleLogic]:
    """A logic with the worker that users have."""
    logic = ModuleLogic(scene, services)
    yield logic
    logic.close()


def a_piece(scene: Any, slices: slice) -> tuple[Any, list[Structure]]:
    """Some axial slices of the sample CT through the liver, as a node, and the liver's box in them."""
    scan: Volume = read_volume(find_resources() / "SampleData" / "body_ct.nrrd")
    image = scan.image[slices]
    origin = scan.geometry.ijk_to_lps[:3] @ (0, 0, slices.start, 1)
    grid = Geometry(image.shape[::-1], scan.geometry.spacing, tuple(origin), scan.geometry.direction_lps)
    low, high = grid.bounds_ras
    box = Box((-73.456, 79.819, float(low[2]) + 1), (140.544, 275.819, float(high[2]) - 1))
    return node_from_array(scene, image, grid, "Body CT"), make_structures([("liver", box)])


def the_liver() -> np.ndarray:
    """The liver of the sample CT by its reference labels [k, j, i]."""
    found = read_segmentation(find_resources() / "SampleData" / "body_ct_reference.seg.nrrd")
    [segment] = [segment for segment in found.segments if segment.name.casefold() == "liver"]
    return np.asarray(found.layers[segment.layer] == segment.label)


def test_two_clicks_with_the_real_network_on_one_warm_worker(
    real: ModuleLogic, scene: Any, services: PlainServices
) -> None:
    volume, structures = a_piece(scene, slice(100, 108))
    assert real.start_worker()
    services.run_until(lambda: real.worker_state is State.READY, SECONDS)
    pid, told = real.hello.pid, []
    assert real.hello.self_test.passed
    services.longest_turn = 0.0
    first = real.segment(volume, structures, budget=0.05, device="cpu", progress=told.append)
    second = real.segment(volume, structures, budget=0.05, device="cpu")
    assert real.hello.pid == pid and second.case.id != first.case.id
    label = slicer.util.arrayFromSegmentBinaryLabelmap(second.result_node, "liver", volume) > 0
    assert np.array_equal(label, second.alignment.to_node(second.case.label()) == 1)
    reference = the_liver()[100:108]
    assert 2 * (label & reference).sum() / (label.sum() + reference.sum()) > 0.85, "it is the liver, in its place"
    assert len(second.regions) > 0 and second.case.method == "margin"
    stages = [status.stage for status in told if isinstance(status, JobStatus)]
    assert {"export", "start", "segment", "write", "open", "draw"} <= set(stages)
    assert any(status.seconds_left is not None for status in told)


def test_cancel_ends_the_real_worker_within_a_second(real: ModuleLogic, scene: Any, services: PlainServices) -> None:
    volume, structures = a_piece(scene, slice(52, 112))
    real.start_worker()
    services.run_until(lambda: real.worker_state is State.READY, SECONDS)
    pid, nodes, voxels = real.hello.pid, nodes_of(scene), array_of(volume).copy()
    real.segment(volume, structures, device="cpu", wait=False)
    services.run_until(lambda: real.job.stage == "segment" and real.job.done > 0, SECONDS)

    began = time.perf_counter()
    real.cancel()
    assert time.perf_counter() - began < 1.0

    assert not is_running(pid) and not real.job.busy
    assert nodes_of(scene) == nodes and np.array_equal(array_of(volume), voxels)
    assert services.requests == [] and services.cases == []
    with pytest.raises(WorkerFailure, match="memory ran out") as caught:
        real.segment(volume, structures, device="cpu", progress=lambda status: _kill_when_at_work(real, status))
    assert caught.value.error.code == "died" and Path(caught.value.error.log).exists()
    assert nodes_of(scene) == nodes and services.requests == [] and services.cases == []
    assert not isinstance(caught.value, JobCancelledError)


def _kill_when_at_work(logic: ModuleLogic, status: JobStatus) -> None:
    if status.stage == "segment" and status.done > 0 and logic.hello is not None:
        os.kill(logic.hello.pid, signal.SIGKILL)
