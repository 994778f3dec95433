"""Cases that are opened, closed, saved with the scene and found again, here and on another computer."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer.util
from boot import quiet_vtk
from DeferredSegSlicerLib.core.case import Case, open_case
from DeferredSegSlicerLib.core.errors import BadInputError, DamagedCaseError
from DeferredSegSlicerLib.core.volume import Volume
from DeferredSegSlicerLib.logic.module_logic import ModuleLogic
from DeferredSegSlicerLib.mrml import embedding
from DeferredSegSlicerLib.mrml.grid import array_of, geometry_of
from DeferredSegSlicerLib.mrml.names import ROLE_ATTRIBUTE
from hard_volumes import MOTION, node_from_file, put_under
from plain_services import PlainServices

from .conftest import a_scan_in, nodes_of, structures_in

MakeLogic = Callable[..., ModuleLogic]


def painted(shown: Any) -> np.ndarray:
    """What the deferred node shows on the volume: 0, or the number of the expert [k, j, i]."""
    labels = np.zeros(array_of(shown.volume_node).shape, np.uint8)
    for number, expert in enumerate(shown.case.experts, 1):
        ids = f"expert.{expert.id}"
        labels[slicer.util.arrayFromSegmentBinaryLabelmap(shown.deferred_node, ids, shown.volume_node) > 0] = number
    return labels


def ours(scene: Any) -> list[str]:
    """Roles of the module's nodes in a scene, sorted."""
    nodes = [scene.GetNthNode(n) for n in range(scene.GetNumberOfNodes())]
    return sorted(node.GetAttribute(ROLE_ATTRIBUTE) for node in nodes if node.GetAttribute(ROLE_ATTRIBUTE))


def saved(scene: Any, path: Path) -> Path:
    """The scene as an .mrb."""
    with quiet_vtk():
        assert scene.WriteToMRB(str(path))
    return path


def opened(scene: Any, path: Path) -> None:
    """An .mrb in the place of the scene."""
    with quiet_vtk():
        scene.Clear(0)
        assert scene.ReadFromMRB(str(path), True)


def test_a_case_opens_on_its_volume_without_any_worker(a_logic: MakeLogic, a_scan: Any, scene: Any) -> None:
    logic = a_logic()
    first = logic.segment(a_scan, structures_in(a_scan), budget=0.1)
    expected, folder = painted(first), first.case.folder
    logic.close_case()
    assert ours(scene) == [] and logic.shown is None and logic.state.case_folder == ""
    logic.stop_worker()
    shown = logic.open_case(folder, a_scan)
    assert np.array_equal(painted(shown), expected) and ours(scene) == ["case", "deferred", "result"]
    assert logic.worker_state.value == "stopped"


def test_a_case_brings_its_own_scan(a_logic: MakeLogic, a_scan: Any, scene: Any, services: PlainServices) -> None:
    logic = a_logic()
    first = logic.segment(a_scan, structures_in(a_scan))
    expected, voxels, grid = painted(first), array_of(a_scan).copy(), geometry_of(a_scan)
    with quiet_vtk():
        scene.Clear(0)
    shown = logic.open_case(first.case.folder)
    assert np.array_equal(array_of(shown.volume_node), voxels) and not grid.differences_from(
        geometry_of(shown.volume_node)
    )
    assert np.array_equal(painted(shown), expected) and logic.state.volume is shown.volume_node
    assert "Secret" not in shown.volume_node.GetName()


@pytest.mark.parametrize("volume_name", ["an_oblique_volume", "a_left_handed_volume"])
def test_a_case_of_the_command_line_opens_on_the_scan_as_slicer_reads_it(
    a_logic: MakeLogic,
    scene: Any,
    tmp_path: Path,
    write_a_case: Callable[..., Case],
    request: pytest.FixtureRequest,
    volume_name: str,
) -> None:
    scan: Volume = request.getfixturevalue(volume_name)
    case = write_a_case(tmp_path / "case", scan)
    node = node_from_file(case.folder / "image.nrrd")
    logic = a_logic()
    on_node = logic.open_case(case.folder, node, budget=0.3)
    by_place = {tuple(np.round(p, 2)) for p in geometry_of(node).ras_of(np.argwhere(painted(on_node) > 0)[:, ::-1])}
    voxels = np.concatenate([region.indices for region in on_node.regions])
    ijk = np.stack(np.unravel_index(voxels, case.geometry.shape)[::-1], axis=1)
    assert by_place == {tuple(np.round(p, 2)) for p in case.geometry.ras_of(ijk)} and len(by_place) > 5
    logic.close_case()
    own = logic.open_case(case.folder, budget=0.3)
    assert np.array_equal(array_of(own.volume_node), array_of(node))
    assert not geometry_of(own.volume_node).differences_from(geometry_of(node))


def test_the_wrong_volume_is_refused_and_nothing_is_touched(a_logic: MakeLogic, a_scan: Any, scene: Any) -> None:
    logic = a_logic()
    folder = logic.segment(a_scan, structures_in(a_scan)).case.folder
    logic.close_case()
    other = a_scan_in(scene, "Other", seed=2)
    nodes = nodes_of(scene)
    with pytest.raises(BadInputError, match="other voxels"):
        logic.open_case(folder, other)
    other.SetOrigin(1.0, 2.0, 3.0)
    nodes = nodes_of(scene)
    with pytest.raises(BadInputError, match="is another volume than the one"):
        logic.open_case(folder, other)
    assert nodes_of(scene) == nodes and logic.shown is None


def test_damage_and_absence_are_told(a_logic: MakeLogic, a_scan: Any, tmp_path: Path) -> None:
    logic = a_logic()
    folder = logic.segment(a_scan, structures_in(a_scan)).case.folder
    logic.close_case()
    with pytest.raises(BadInputError, match="does not exist"):
        logic.open_case(tmp_path / "nowhere", a_scan)
    routing = folder / "routing.nrrd"
    data = bytearray(routing.read_bytes())
    data[-20] ^= 1
    routing.write_bytes(bytes(data))
    errors: list[Any] = []
    logic.failed.connect(errors.append)
    with pytest.raises(DamagedCaseError, match=r"routing\.nrrd was changed"):
        logic.open_case(folder, a_scan)
    assert errors[0].code == "damaged_case" and logic.shown is None


def test_closing_a_case_can_leave_its_nodes(a_logic: MakeLogic, a_scan: Any, scene: Any) -> None:
    logic = a_logic()
    logic.segment(a_scan, structures_in(a_scan))
    logic.close_case(keep_nodes=True)
    assert [role for role in ours(scene) if role != "case"] == ["deferred", "result"] and logic.shown is None


def test_an_mrb_brings_panel_and_case_back(
    a_logic: MakeLogic, a_scan: Any, scene: Any, services: PlainServices, tmp_path: Path
) -> None:
    put_under(scene, a_scan, MOTION)
    logic = a_logic()
    first = logic.segment(a_scan, structures_in(a_scan), budget=0.1)
    logic.set_budget(0.15)
    logic.set_off_duty({"boundary"})
    expected, case_id, roles = painted(first), first.case.id, ours(scene)
    path = saved(scene, tmp_path / "scene.mrb")

    finished: list[Any] = []
    logic.finished.connect(finished.append)
    opened(scene, path)
    services.run_until(lambda: bool(finished))

    shown = logic.shown
    assert shown.case.id == case_id and shown.case.folder == first.case.folder
    assert (shown.budget, shown.off_duty) == (0.15, {"boundary"})
    assert np.array_equal(painted(shown), expected)
    assert ours(scene) == roles, "the nodes of the saved scene are used, none is doubled"
    assert logic.state.result is shown.result_node and logic.state.deferred is shown.deferred_node
    assert shown.result_node.GetParentTransformNode() is shown.volume_node.GetParentTransformNode() is not None
    logic.set_budget(0.02)
    assert 0 < (painted(shown) > 0).sum() < (expected > 0).sum()


def test_an_mrb_on_another_computer_brings_the_case_itself(
    a_logic: MakeLogic, a_scan: Any, scene: Any, services: PlainServices, tmp_path: Path
) -> None:
    logic = a_logic()
    first = logic.segment(a_scan, structures_in(a_scan), budget=0.1)
    expected, record = painted(first), first.case.record
    path = saved(scene, tmp_path / "scene.mrb")
    logic.close()
    shutil.rmtree(services.cases_folder())
    with quiet_vtk():
        scene.Clear(0)
    opened(scene, path)

    logic = a_logic()  # the module is entered after the scene was opened
    services.run_until(lambda: not logic.job.busy)

    assert logic.shown.case.id == record.id and logic.shown.case.folder.parent == services.cases_folder()
    assert np.array_equal(painted(logic.shown), expected)
    assert logic.state.case_folder == str(logic.shown.case.folder)
    assert open_case(logic.shown.case.folder).volume().sha256 == record.image.sha256


@pytest.mark.parametrize("lost", ["case", "volume"])
def test_what_is_missing_of_a_saved_case_is_told(
    a_logic: MakeLogic, a_scan: Any, scene: Any, services: PlainServices, tmp_path: Path, lost: str
) -> None:
    logic = a_logic()
    shown = logic.segment(a_scan, structures_in(a_scan))
    state = {"folder": str(shown.case.folder), "id": shown.case.id}
    if lost == "case":
        embedding.remove(scene, shown.case.id)
        shutil.rmtree(shown.case.folder)
    else:
        scene.RemoveNode(a_scan)  # which lets the case go; a hand-edited scene may still name it
        logic.state.case_folder, logic.state.case_id = state["folder"], state["id"]
    path = saved(scene, tmp_path / "scene.mrb")
    errors: list[Any] = []
    logic.failed.connect(errors.append)
    opened(scene, path)
    services.run_until(lambda: bool(errors))
    expected = (
        "is not on this computer and the scene holds no copy" if lost == "case" else "its volume is not in the scene"
    )
    assert expected in errors[0].message and logic.shown is None


def test_a_scene_added_to_another_shows_its_own_case(
    a_logic: MakeLogic, a_scan: Any, scene: Any, services: PlainServices, tmp_path: Path
) -> None:
    logic = a_logic()
    first = logic.segment(a_scan, structures_in(a_scan))
    path = saved(scene, tmp_path / "scene.mrb")
    with quiet_vtk():
        scene.Clear(0)
    mine = a_scan_in(scene, "Mine", seed=3)
    logic.segment(mine, structures_in(mine))
    with quiet_vtk():
        assert scene.ReadFromMRB(str(path), False)
    services.run_until(lambda: not logic.job.busy)
    assert logic.shown.case.id == first.case.id and logic.shown.volume_node is not mine
    assert mine.GetScene() is scene


def test_the_copy_in_the_scene_is_what_embedding_makes(a_logic: MakeLogic, a_scan: Any, scene: Any) -> None:
    logic = a_logic()
    shown = logic.segment(a_scan, structures_in(a_scan))
    [node] = [n for n in slicer.util.getNodesByClass("vtkMRMLTextNode", scene) if n.GetAttribute(ROLE_ATTRIBUTE)]
    modified = node.GetMTime()
    assert embedding.embed(scene, shown.case) is node and node.GetMTime() == modified
    assert node.GetHideFromEditors() and node.GetStorageNode() is not None
    (shown.case.folder / "review").mkdir()
    (shown.case.folder / "review" / "anna.jsonl").write_text("{}\n")
    logic.on_scene_start_save()
    assert node.GetMTime() > modified and "anna.jsonl" in node.GetText()


def test_a_new_run_does_not_leave_the_copy_of_the_case_before(a_logic: MakeLogic, a_scan: Any, scene: Any) -> None:
    logic = a_logic()
    logic.segment(a_scan, structures_in(a_scan))
    second = logic.segment(a_scan, structures_in(a_scan))
    assert embedding.embedded_cases(scene) == (second.case.id,)


def test_a_case_is_opened_while_the_window_stays_alive(
    a_logic: MakeLogic, a_scan: Any, services: PlainServices
) -> None:
    logic = a_logic()
    folder = logic.segment(a_scan, structures_in(a_scan)).case.folder
    logic.close_case()
    job = logic.open_case(folder, a_scan, wait=False)
    assert logic.job.job == job and logic.job.state in ("starting", "showing")
    with pytest.raises(BadInputError, match="is still being opened"):
        logic.open_case(folder, a_scan)
    services.run_until(lambda: logic.shown is not None)
