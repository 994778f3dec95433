"""Segmenting from the click to the overlay, with a clerk in the place of the network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer.util
from DeferredSegSlicerLib.core.case import open_case
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.experts import without
from DeferredSegSlicerLib.logic.failures import JobCancelledError
from DeferredSegSlicerLib.logic.job import JobStatus
from DeferredSegSlicerLib.logic.module_logic import ModuleLogic
from DeferredSegSlicerLib.logic.worker_link import WorkerFailure
from DeferredSegSlicerLib.mrml.embedding import embedded_cases
from DeferredSegSlicerLib.mrml.grid import array_of
from DeferredSegSlicerLib.mrml.prompts import add_box, entry_of_box
from DeferredSegSlicerLib.worker.client import State
from hard_volumes import MOTION, put_under
from plain_services import PlainServices

from .conftest import a_scan_in, nodes_of, structures_in

MakeLogic = Callable[..., ModuleLogic]
ROOT = Path(__file__).resolve().parents[2]


def voxels_of(node: Any, segment_id: str, volume_node: Any) -> np.ndarray:
    """A segment on the volume's grid."""
    return slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, volume_node) > 0


def test_a_click_ends_in_a_result_and_its_deferred_regions_on_the_volume(a_logic: MakeLogic, a_scan: Any) -> None:
    logic = a_logic()
    shown = logic.segment(a_scan, structures_in(a_scan), budget=0.1)
    assert logic.shown is shown and not logic.job.busy
    label = shown.alignment.to_node(shown.case.label())
    for value, structure in enumerate(shown.case.structures, 1):
        there = voxels_of(shown.result_node, structure.id, a_scan)
        assert there.any() and np.array_equal(there, label == value)
    assert len(shown.regions) > 3
    for expert in shown.experts:
        expected = np.zeros(label.size, bool)
        for region in shown.regions:
            if region.expert == expert.id:
                expected[region.indices] = True
        there = voxels_of(shown.deferred_node, f"expert.{expert.id}", a_scan)
        assert np.array_equal(there, shown.alignment.to_node(expected.reshape(label.shape)))


def test_the_state_names_what_is_shown(a_logic: MakeLogic, a_scan: Any) -> None:
    logic = a_logic()
    shown = logic.segment(a_scan, structures_in(a_scan), budget=0.03)
    state = logic.state
    assert state.volume is a_scan and state.result is shown.result_node and state.deferred is shown.deferred_node
    assert (state.case_folder, state.case_id, state.budget) == (str(shown.case.folder), shown.case.id, 0.03)


def test_what_is_not_given_is_taken_from_the_state(a_logic: MakeLogic, a_scan: Any, scene: Any) -> None:
    logic = a_logic()
    roi = add_box(scene, a_scan, (0.0, 0.0, 0.0), 20.0, "Spleen", (1.0, 0.0, 0.0))
    center = np.array(structures_in(a_scan)[0].box.low) + 14
    roi.SetCenter(*center)
    with logic.state.together():
        logic.state.prompts = [entry_of_box(roi, "Spleen", (1.0, 0.0, 0.0))]
        logic.state.budget, logic.state.off_duty = 0.07, frozenset({"boundary"})
        logic.state.device, logic.state.method = "cpu", "margin"
    shown = logic.segment(a_scan)
    assert [s.name for s in shown.case.structures] == ["Spleen"]
    assert shown.budget == 0.07 and shown.off_duty == {"boundary"}
    assert [e.available for e in shown.case.experts] == [True, True, False]
    options = shown.case.settings["options"]
    assert (options["device"], options["method"], options["modality"]) == ("cpu", "margin", "CT")
    assert shown.case.model["id"] == "litemedsam-deferral"


def test_boxes_rows_and_names_with_rois_may_be_mixed(a_logic: MakeLogic, a_scan: Any, scene: Any) -> None:
    put_under(scene, a_scan, MOTION)  # boxes are in the volume's own space, wherever it was moved to
    liver = structures_in(a_scan)[0]
    center = (np.array(liver.box.low) + liver.box.high) / 2
    rois = []
    for number, name in enumerate(("Spleen", "right kidney")):
        rois.append(add_box(scene, a_scan, (0, 0, 0), 12.0, name, (1.0, 0.0, 0.0)))
        rois[-1].SetCenter(*(center + 6 * number))
    row = entry_of_box(rois[0], "Spleen", (1.0, 0.0, 0.0))
    shown = a_logic().segment(a_scan, [liver, row, ("right kidney", rois[1])])
    assert [s.name for s in shown.case.structures] == ["Liver", "Spleen", "right kidney"]
    kidney = shown.case.structures[2]
    assert np.allclose(kidney.box.low, center, atol=0.01) and np.allclose(kidney.box.high, center + 12, atol=0.01)
    assert kidney.terminology.type.meaning == "Kidney"
    assert shown.result_node.GetParentTransformNode() is a_scan.GetParentTransformNode()


def test_nothing_of_the_patient_is_written(a_logic: MakeLogic, a_scan: Any, services: PlainServices) -> None:
    shown = a_logic().segment(a_scan, structures_in(a_scan))
    record = (shown.case.folder / "case.json").read_text(encoding="utf-8")
    names = [str(p) for p in services.folder.rglob("*")]
    assert "Secret" not in record and not any("Secret" in name for name in names)
    assert shown.case.folder.parent == services.cases_folder() and shown.case.folder.name.startswith("case-2")


def test_the_request_with_the_scan_is_removed_after_the_job(
    a_logic: MakeLogic, a_scan: Any, services: PlainServices
) -> None:
    seen: list[list[Path]] = []
    a_logic().segment(a_scan, structures_in(a_scan), progress=lambda status: seen.append(services.requests))
    assert max(map(len, seen)) == 1 and services.requests == []


def test_progress_goes_forward_through_all_stages(a_logic: MakeLogic, a_scan: Any) -> None:
    told: list[JobStatus] = []
    logic = a_logic()
    logic.segment(a_scan, structures_in(a_scan), progress=told.append)
    stages = list(dict.fromkeys(status.stage for status in told))
    assert stages == ["export", "start", "segment", "write", "open", "show", "draw", "keep"]
    fractions = [status.fraction for status in told if status.fraction is not None]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert all(status.stage_text and status.busy and status.job for status in told)
    assert {status.state for status in told} == {"starting", "running", "showing"}
    assert logic.job.state == "idle" and logic.job.elapsed > 0


def test_without_waiting_the_call_returns_at_once_and_signals_follow(
    a_logic: MakeLogic, a_scan: Any, services: PlainServices
) -> None:
    logic = a_logic()
    finished: list[Any] = []
    logic.finished.connect(finished.append)
    began = time.perf_counter()
    job = logic.segment(a_scan, structures_in(a_scan), wait=False)
    assert time.perf_counter() - began < 0.1
    assert logic.job.busy and logic.job.job == job
    services.run_until(lambda: bool(finished))
    assert finished == [logic.shown]


def test_the_worker_stays_warm_for_the_next_click(a_logic: MakeLogic, a_scan: Any, services: PlainServices) -> None:
    logic = a_logic()
    assert logic.start_worker()
    services.run_until(lambda: logic.worker_state is State.READY)
    pid = logic.hello.pid
    for _ in range(2):
        logic.segment(a_scan, structures_in(a_scan))
        assert logic.worker_state is State.READY and logic.hello.pid == pid


def test_a_second_run_on_the_same_volume_fills_the_same_nodes(a_logic: MakeLogic, a_scan: Any, scene: Any) -> None:
    logic = a_logic()
    first = logic.segment(a_scan, structures_in(a_scan))
    first.deferred_node.GetDisplayNode().SetOpacity3D(0.25)
    nodes = {n for n in nodes_of(scene) if "Text" not in n}
    second = logic.segment(a_scan, structures_in(a_scan)[:1])
    assert {n for n in nodes_of(scene) if "Text" not in n} == nodes
    assert embedded_cases(scene) == (second.case.id,)
    assert second.result_node is first.result_node and second.deferred_node is first.deferred_node
    assert second.result_node.GetSegmentation().GetNumberOfSegments() == 1
    assert second.deferred_node.GetDisplayNode().GetOpacity3D() == 0.25
    assert open_case(first.case.folder).id != second.case.id


def test_results_of_another_volume_stay(a_logic: MakeLogic, a_scan: Any, scene: Any) -> None:
    logic = a_logic()
    first = logic.segment(a_scan, structures_in(a_scan))
    other = a_scan_in(scene, "Other", seed=2)
    second = logic.segment(other, structures_in(other))
    assert first.result_node.GetScene() is scene and first.deferred_node.GetScene() is scene
    assert second.result_node is not first.result_node and second.deferred_node is not first.deferred_node
    assert logic.shown is second


def test_segments_of_the_user_are_never_touched(a_logic: MakeLogic, a_scan: Any, scene: Any) -> None:
    mine = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Mine")
    mine.SetReferenceImageGeometryParameterFromVolumeNode(a_scan)
    mine.GetSegmentation().AddEmptySegment("hand", "By hand", (0, 1, 0))
    mask = np.zeros(array_of(a_scan).shape, np.uint8)
    mask[5:9, 6:20, 7:30] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, mine, "hand", a_scan)
    before = mine.GetMTime()
    logic = a_logic()
    logic.segment(a_scan, structures_in(a_scan))
    logic.set_budget(0.2)
    logic.close_case()
    assert mine.GetMTime() == before and np.array_equal(voxels_of(mine, "hand", a_scan), mask > 0)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"structures": []}, "no structure"),
        ({"budget": 1.5}, "expected a share from 0 to 1"),
        ({"bundle": "no-such-model"}, 'model "no-such-model" is not installed'),
        ({"volume_node": None}, "no volume is chosen"),
    ],
)
def test_what_cannot_be_segmented_is_refused_before_anything_begins(
    a_logic: MakeLogic, a_scan: Any, services: PlainServices, change: dict[str, Any], sentence: str
) -> None:
    logic = a_logic()
    arguments = {"volume_node": a_scan, "structures": structures_in(a_scan)} | change
    with pytest.raises(BadInputError, match=sentence):
        logic.segment(**arguments)
    assert not logic.job.busy and logic.worker_state is State.STOPPED and services.requests == []


def test_two_structures_of_one_name_and_nobody_on_duty_are_refused(a_logic: MakeLogic, a_scan: Any) -> None:
    logic = a_logic()
    structures = structures_in(a_scan)
    with pytest.raises(BadInputError, match='two structures are called "Liver"'):
        logic.segment(a_scan, [structures[0], structures[0]])
    with pytest.raises(BadInputError, match="no expert is on duty"):
        logic.segment(a_scan, structures, without(logic.experts, [e.id for e in logic.experts]))


def test_a_case_folder_that_is_taken_is_refused_and_left_alone(
    a_logic: MakeLogic, a_scan: Any, services: PlainServices, tmp_path: Path
) -> None:
    taken = tmp_path / "mine"
    taken.mkdir()
    (taken / "thesis.txt").write_text("years of work")
    with pytest.raises(BadInputError, match="not empty"):
        a_logic().segment(a_scan, structures_in(a_scan), case_folder=taken)
    assert (taken / "thesis.txt").read_text() == "years of work"


def test_a_chosen_case_folder_is_used(a_logic: MakeLogic, a_scan: Any, tmp_path: Path) -> None:
    shown = a_logic().segment(a_scan, structures_in(a_scan), case_folder=tmp_path / "chosen" / "case")
    assert shown.case.folder == tmp_path / "chosen" / "case"


def test_a_second_volume_is_refused_while_one_is_segmented(
    a_logic: MakeLogic, a_scan: Any, scene: Any, services: PlainServices, tmp_path: Path
) -> None:
    logic = a_logic("gate", tmp_path / "go")
    logic.segment(a_scan, structures_in(a_scan), wait=False)
    other = a_scan_in(scene, "Other", seed=2)
    with pytest.raises(BadInputError, match=r'Secret 1987 CT" is still being segmented; wait for it or'):
        logic.segment(other, structures_in(other))
    (tmp_path / "go").touch()
    services.run_until(lambda: not logic.job.busy)
    assert logic.shown.volume_node is a_scan


def test_two_logics_work_side_by_side(a_logic: MakeLogic, a_scan: Any, services: PlainServices) -> None:
    one, two = a_logic(), a_logic()
    for logic in (one, two):
        logic.segment(a_scan, structures_in(a_scan), wait=False)
    services.run_until(lambda: not (one.job.busy or two.job.busy))
    assert one.shown.case.id != two.shown.case.id
    assert len(services.cases) == 2 and services.requests == []


def test_a_script_segments_with_a_logic_of_its_own_while_the_panel_shows_a_case(
    a_logic: MakeLogic, a_scan: Any
) -> None:
    of_the_panel = a_logic()
    of_the_panel.segment(a_scan, structures_in(a_scan))
    of_the_script = a_logic()
    assert of_the_script.job.busy  # it opens the case that the scene shows
    shown = of_the_script.segment(a_scan, structures_in(a_scan))
    assert of_the_script.shown is shown and not of_the_script.job.busy


def test_slicers_process_never_imports_torch(tmp_path: Path) -> None:
    script = ROOT / "Testing" / "logic" / "whole_way.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, env=os.environ, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["regions"] > 0 and answer["heavy"] == []


def test_a_listener_that_fails_does_not_harm_the_job(
    a_logic: MakeLogic, a_scan: Any, caplog: pytest.LogCaptureFixture
) -> None:
    logic = a_logic()
    logic.finished.connect(lambda shown: 1 / 0)
    assert logic.segment(a_scan, structures_in(a_scan)) is logic.shown
    assert "ZeroDivisionError" in caplog.text


def test_errors_of_a_job_name_their_type(a_logic: MakeLogic, a_scan: Any) -> None:
    with pytest.raises(WorkerFailure, match="memory ran out") as caught:
        a_logic("memory").segment(a_scan, structures_in(a_scan))
    assert caught.value.error.code == "out_of_memory"
    assert issubclass(JobCancelledError, Exception)
