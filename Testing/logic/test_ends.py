"""Jobs that end otherwise: cancelled, killed, silent, refused, or left without their volume or scene."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer.util
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.logic.failures import JobCancelledError
from DeferredSegSlicerLib.logic.module_logic import ModuleLogic
from DeferredSegSlicerLib.logic.worker_link import WorkerFailure
from DeferredSegSlicerLib.mrml.grid import array_of
from DeferredSegSlicerLib.worker.client import State
from DeferredSegSlicerLib.worker.protocol import Error
from hard_volumes import MOTION, put_under
from plain_services import PlainServices

from .conftest import nodes_of, structures_in

MakeLogic = Callable[..., ModuleLogic]


def is_running(pid: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def begun(logic: ModuleLogic, volume: Any, services: PlainServices, file: Path) -> list[int]:
    """Start a job of a slow clerk and wait until it is at work; returns the process ids of its tree."""
    logic.segment(volume, structures_in(volume), wait=False)
    services.run_until(lambda: file.exists() and logic.job.stage == "segment")
    return [int(pid) for pid in file.read_text().split()]


def told(logic: ModuleLogic) -> dict[str, list[Any]]:
    """What the signals tell from now on."""
    news: dict[str, list[Any]] = {"failed": [], "finished": [], "cancelled": []}
    logic.failed.connect(news["failed"].append)
    logic.finished.connect(news["finished"].append)
    logic.cancelled.connect(lambda: news["cancelled"].append(logic.job.reason))
    return news


def test_cancel_ends_the_tree_within_a_second_and_leaves_the_scene_as_it_was(
    a_logic: MakeLogic, a_scan: Any, scene: Any, services: PlainServices, tmp_path: Path
) -> None:
    put_under(scene, a_scan, MOTION)
    logic = a_logic("slow", tmp_path / "pids")
    news = told(logic)
    nodes, voxels = nodes_of(scene), array_of(a_scan).copy()
    pids = begun(logic, a_scan, services, tmp_path / "pids")
    assert len(pids) == 2 and all(map(is_running, pids))

    began = time.perf_counter()
    logic.cancel()
    seconds = time.perf_counter() - began

    assert seconds < 1.0
    assert not any(map(is_running, pids))
    assert nodes_of(scene) == nodes and np.array_equal(array_of(a_scan), voxels)
    assert services.requests == [] and services.cases == []
    assert news == {"failed": [], "finished": [], "cancelled": [""]} and not logic.job.busy
    services.run_until(lambda: logic.worker_state is State.READY)  # a fresh one, for the next click


@pytest.mark.parametrize("stage", ["export", "start", "open", "show"])
def test_cancel_at_any_stage_leaves_neither_nodes_nor_files(
    a_logic: MakeLogic, a_scan: Any, scene: Any, services: PlainServices, stage: str
) -> None:
    logic = a_logic()
    nodes = nodes_of(scene)
    with pytest.raises(JobCancelledError):
        logic.segment(a_scan, structures_in(a_scan), progress=lambda s: logic.cancel() if s.stage == stage else None)
    services.run_until(lambda: services.requests == [] and services.cases == [])
    assert nodes_of(scene) == nodes and logic.shown is None


def test_cancel_before_the_first_step_leaves_nothing(
    a_logic: MakeLogic, a_scan: Any, scene: Any, services: PlainServices
) -> None:
    logic = a_logic()
    news, nodes = told(logic), nodes_of(scene)
    logic.segment(a_scan, structures_in(a_scan), wait=False)
    logic.cancel()
    services.run_for(0.4)
    assert news["cancelled"] == [""] and nodes_of(scene) == nodes
    assert services.requests == [] and services.cases == [] and services.timers == 0


@pytest.mark.parametrize("stage", ["draw", "keep"])
def test_a_scene_closed_while_the_result_is_drawn_stays_empty(
    a_logic: MakeLogic, a_scan: Any, scene: Any, services: PlainServices, stage: str
) -> None:
    logic = a_logic()
    with pytest.raises(JobCancelledError, match="The scene was closed"):
        logic.segment(a_scan, structures_in(a_scan), progress=lambda s: scene.Clear(0) if s.stage == stage else None)
    services.run_for(0.2)
    kinds = {scene.GetNthNode(n).GetClassName() for n in range(scene.GetNumberOfNodes())}
    assert not kinds & {"vtkMRMLSegmentationNode", "vtkMRMLTextNode", "vtkMRMLScalarVolumeNode"}
    assert logic.shown is None and logic.state.case_id == "" and services.requests == []


def test_a_cancelled_run_keeps_the_case_of_before(a_logic: MakeLogic, a_scan: Any, scene: Any) -> None:
    logic = a_logic()
    first = logic.segment(a_scan, structures_in(a_scan))
    nodes = nodes_of(scene)
    with pytest.raises(JobCancelledError):
        logic.segment(a_scan, structures_in(a_scan), progress=lambda s: logic.cancel() if s.stage == "show" else None)
    assert nodes_of(scene) == nodes and logic.shown is first and logic.state.case_id == first.case.id


def test_cancel_comes_too_late_once_the_result_is_in_the_scene(a_logic: MakeLogic, a_scan: Any) -> None:
    logic = a_logic()
    shown = logic.segment(
        a_scan, structures_in(a_scan), progress=lambda s: logic.cancel() if s.stage == "keep" else None
    )
    assert logic.shown is shown


def test_a_worker_killed_amid_a_job_becomes_one_readable_message(
    a_logic: MakeLogic, a_scan: Any, scene: Any, services: PlainServices, tmp_path: Path
) -> None:
    logic = a_logic("slow", tmp_path / "pids")
    news = told(logic)
    nodes = nodes_of(scene)
    pid = begun(logic, a_scan, services, tmp_path / "pids")[0]
    os.kill(pid, signal.SIGKILL)
    services.run_until(lambda: not logic.job.busy)
    services.run_for(0.3)
    [error] = news["failed"]
    assert error.code == "died" and "memory ran out" in error.message and error.advice and Path(error.log).exists()
    assert nodes_of(scene) == nodes and services.requests == [] and services.cases == []
    assert logic.worker_state is State.STOPPED


def test_after_a_failure_the_next_click_works(a_logic: MakeLogic, a_scan: Any, services: PlainServices) -> None:
    logic = a_logic("kill")
    with pytest.raises(WorkerFailure, match="was ended by the system"):
        logic.segment(a_scan, structures_in(a_scan))
    logic.close()
    assert a_logic().segment(a_scan, structures_in(a_scan)).regions is not None


def test_garbage_on_stdout_does_no_harm(a_logic: MakeLogic, a_scan: Any) -> None:
    assert a_logic("garbage").segment(a_scan, structures_in(a_scan)).case


def test_a_silent_worker_is_ended_and_said_so(a_logic: MakeLogic, a_scan: Any, services: PlainServices) -> None:
    logic = a_logic("silent", silence=1.0)
    with pytest.raises(WorkerFailure, match="no sign of life"):
        logic.segment(a_scan, structures_in(a_scan))
    assert services.requests == []


def test_an_interpreter_that_lacks_packages_is_told_with_their_names(
    a_logic: MakeLogic, a_scan: Any, services: PlainServices
) -> None:
    services.chosen_python = "/opt/other/bin/python"  # not looked into from here: its worker says what it lacks
    logic = a_logic("lacking")
    news = told(logic)
    assert logic.start_worker()
    services.run_until(lambda: bool(news["failed"]))
    [error] = news["failed"]
    assert isinstance(error, Error) and error.job is None and error.packages == ("torch", "timm")
    assert logic.missing_packages == ("torch", "timm")
    with pytest.raises(WorkerFailure, match="lacks torch and timm"):
        logic.segment(a_scan, structures_in(a_scan))


def test_missing_packages_of_slicers_own_python_are_named_before_anything_starts(
    a_logic: MakeLogic, a_scan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from DeferredSegSlicerLib.logic import packages

    monkeypatch.setattr(packages, "installed_version", lambda name: None if name in ("torch", "timm") else "9")
    logic = a_logic()
    assert not logic.start_worker() and logic.worker_state is State.STOPPED
    assert logic.missing_packages == ("torch", "timm")
    with pytest.raises(BadInputError, match="Slicer's Python lacks torch, timm; install them in Set-up"):
        logic.segment(a_scan, structures_in(a_scan))


def test_an_interpreter_that_cannot_be_started_is_told(
    scene: Any, a_scan: Any, services: PlainServices, tmp_path: Path
) -> None:
    services.chosen_python = str(tmp_path / "no-such-python")
    logic = ModuleLogic(scene, services)
    news = told(logic)
    assert logic.start_worker()
    services.run_until(lambda: bool(news["failed"]))
    assert news["failed"][0].code == "not_started" and "no-such-python" in news["failed"][0].message
    job = logic.segment(a_scan, structures_in(a_scan), wait=False)
    services.run_until(lambda: not logic.job.busy)
    assert [(error.code, error.job) for error in news["failed"]] == [("not_started", None), ("not_started", job)]
    assert services.requests == [] and services.timers == 0
    logic.close()


def test_another_interpreter_gets_a_new_worker(
    a_logic: MakeLogic, a_scan: Any, services: PlainServices, tmp_path: Path
) -> None:
    logic = a_logic()
    logic.segment(a_scan, structures_in(a_scan))
    pid = logic.hello.pid
    other = tmp_path / "python"
    other.symlink_to(sys.executable)
    services.chosen_python = str(other)
    logic.segment(a_scan, structures_in(a_scan))
    assert logic.hello.pid != pid and not is_running(pid)


def test_a_volume_removed_while_it_is_segmented_cancels_with_the_reason(
    a_logic: MakeLogic, a_scan: Any, scene: Any, services: PlainServices, tmp_path: Path
) -> None:
    logic = a_logic("slow", tmp_path / "pids")
    news = told(logic)
    pids = begun(logic, a_scan, services, tmp_path / "pids")
    scene.RemoveNode(a_scan)
    assert not logic.job.busy and news["cancelled"] == ["The volume was removed from the scene."]
    assert not any(map(is_running, pids)) and services.requests == [] and services.cases == []


def test_closing_the_scene_while_it_is_segmented_cancels_cleanly(
    a_logic: MakeLogic, a_scan: Any, scene: Any, services: PlainServices, tmp_path: Path
) -> None:
    logic = a_logic("slow", tmp_path / "pids")
    news = told(logic)
    pids = begun(logic, a_scan, services, tmp_path / "pids")
    scene.Clear(0)
    assert not logic.job.busy and news["cancelled"] == ["The scene was closed."] and news["failed"] == []
    assert not any(map(is_running, pids)) and logic.shown is None
    assert logic.state.volume is None and logic.state.case_id == ""


@pytest.mark.parametrize("marked", [True, False])
def test_voxels_changed_while_they_are_segmented_refuse_the_result(
    a_logic: MakeLogic, a_scan: Any, scene: Any, services: PlainServices, tmp_path: Path, marked: bool
) -> None:
    logic = a_logic("gate", tmp_path / "go")
    news = told(logic)
    logic.segment(a_scan, structures_in(a_scan), wait=False)
    services.run_until(lambda: logic.job.stage == "segment")
    array_of(a_scan)[3, 4, 5] += 1
    if marked:
        slicer.util.arrayFromVolumeModified(a_scan)
    nodes = nodes_of(scene)
    (tmp_path / "go").touch()
    services.run_until(lambda: not logic.job.busy)
    [error] = news["failed"]
    assert error.code == "bad_input"
    assert 'Secret 1987 CT" was changed while it was being segmented' in error.message
    assert nodes_of(scene) == nodes and services.cases == [] and logic.shown is None


def test_voxels_changed_at_the_last_moment_refuse_the_result(a_logic: MakeLogic, a_scan: Any, scene: Any) -> None:
    nodes = nodes_of(scene)

    def change(status: Any) -> None:
        if status.stage == "show":
            array_of(a_scan)[3, 4, 5] += 1
            slicer.util.arrayFromVolumeModified(a_scan)
            nodes.update(nodes_of(scene))

    with pytest.raises(BadInputError, match="was changed while it was being segmented"):
        a_logic().segment(a_scan, structures_in(a_scan), progress=change)
    assert nodes_of(scene) == nodes


def test_a_volume_moved_in_its_own_space_while_it_is_segmented_refuses_the_result(
    a_logic: MakeLogic, a_scan: Any, services: PlainServices, tmp_path: Path
) -> None:
    logic = a_logic("gate", tmp_path / "go")
    news = told(logic)
    logic.segment(a_scan, structures_in(a_scan), wait=False)
    services.run_until(lambda: logic.job.stage == "segment")
    a_scan.SetOrigin(0.0, 0.0, 0.0)
    (tmp_path / "go").touch()
    services.run_until(lambda: not logic.job.busy)
    assert "was changed while it was being segmented" in news["failed"][0].message
    assert "origin" in news["failed"][0].message


def test_a_transform_changed_while_it_is_segmented_is_followed(
    a_logic: MakeLogic, a_scan: Any, scene: Any, services: PlainServices, tmp_path: Path
) -> None:
    logic = a_logic("gate", tmp_path / "go")
    logic.segment(a_scan, structures_in(a_scan), wait=False)
    services.run_until(lambda: logic.job.stage == "segment")
    transform = put_under(scene, a_scan, MOTION)
    (tmp_path / "go").touch()
    services.run_until(lambda: not logic.job.busy)
    assert logic.shown.result_node.GetParentTransformNode() is transform
    assert logic.shown.deferred_node.GetParentTransformNode() is transform


def test_a_case_without_its_nodes_is_let_go(a_logic: MakeLogic, a_scan: Any, scene: Any) -> None:
    logic = a_logic()
    shown = logic.segment(a_scan, structures_in(a_scan))
    scene.RemoveNode(shown.result_node)
    assert logic.shown is None and logic.state.case_id == ""
    logic.set_budget(0.5)
    assert logic.state.budget == 0.5


def test_stopping_the_worker_cancels_its_job(
    a_logic: MakeLogic, a_scan: Any, services: PlainServices, tmp_path: Path
) -> None:
    logic = a_logic("slow", tmp_path / "pids")
    pids = begun(logic, a_scan, services, tmp_path / "pids")
    logic.stop_worker()
    assert logic.job.reason == "The worker was stopped." and logic.worker_state is State.STOPPED
    assert not any(map(is_running, pids)) and services.timers == 0


def test_close_takes_back_observers_timers_and_processes(
    a_logic: MakeLogic, a_scan: Any, scene: Any, services: PlainServices, tmp_path: Path
) -> None:
    events = [scene.StartCloseEvent, scene.EndCloseEvent, scene.EndImportEvent, scene.StartSaveEvent]
    before = [scene.HasObserver(event) for event in (*events, scene.NodeRemovedEvent)]
    references = scene.GetReferenceCount(), a_scan.GetReferenceCount()
    for _ in range(3):  # as many module reloads
        logic = a_logic("slow", tmp_path / "pids")
        pids = begun(logic, a_scan, services, tmp_path / "pids")
        (tmp_path / "pids").unlink()
        logic.close()
        logic.close()
        assert services.timers == 0 and not any(map(is_running, pids))
    del logic
    assert [scene.HasObserver(event) for event in (*events, scene.NodeRemovedEvent)] == before
    assert abs(scene.GetReferenceCount() - references[0]) <= 3  # the logics that the fixture keeps
    assert a_scan.GetReferenceCount() == references[1]
