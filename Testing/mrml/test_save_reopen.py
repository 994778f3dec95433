"""Everything the module has in a scene, saved and opened again: on the same computer, on another, and twice over."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boot import HeadlessSlicer
from case_on_node import case_of_scan, node_ids, places_of_regions, places_of_segment, region_of, worklist_of
from DeferredSegSlicerLib.core.case import Case, check_case, open_case
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.mrml import display
from DeferredSegSlicerLib.mrml.deferred import DeferredDisplay, segment_id
from DeferredSegSlicerLib.mrml.embedding import embed, embedded_cases, restore
from DeferredSegSlicerLib.mrml.grid import align, world_from_local
from DeferredSegSlicerLib.mrml.prompts import add_box, entry_of_box, structure_of
from DeferredSegSlicerLib.mrml.result import show_result
from DeferredSegSlicerLib.mrml.state import PanelState, parameter_node
from hard_volumes import GRID_OF_FILE, HARD_VOLUMES, node_from_array, scan_on
from render import SliceView

BUDGET = 0.3


class Session:
    """What a user has open: a volume, a box, a case with its result and its deferred regions, and the panel's state."""

    def __init__(self, scene: Any, case: Case, volume_node: Any) -> None:
        self.scene, self.case, self.volume = scene, case, volume_node
        alignment = align(case.geometry, volume_node)
        self.deferred = DeferredDisplay(scene, case, volume_node, alignment)
        self.result = show_result(scene, case, volume_node, alignment)
        self.regions = worklist_of(case).regions(BUDGET)
        self.deferred.show(self.regions, case.experts)
        box = case.structures[0].box
        assert box is not None
        world = world_from_local(volume_node) @ (*case.geometry.ras_of(np.array(case.geometry.size) / 2), 1.0)
        roi = add_box(scene, volume_node, world[:3], (6.0, 5.0, 7.0), "Liver", (0.5, 0.5, 0.0))
        self.state = PanelState(parameter_node(scene))
        with self.state.together():
            self.state.volume, self.state.result, self.state.deferred = volume_node, self.result, self.deferred.node
            self.state.prompts = (entry_of_box(roi, "Liver", (0.5, 0.5, 0.0)),)
            self.state.budget, self.state.case_id, self.state.case_folder = BUDGET, case.id, str(case.folder)
        embed(scene, case)

    def shows(self, segmentation_node: Any, volume_node: Any) -> bool:
        """Whether a node has exactly the deferred voxels, in their places in the world."""
        for expert in self.case.experts:
            there = places_of_segment(segmentation_node, segment_id(expert))
            expected = places_of_regions(self.regions, expert.id, self.case, world_from_local(volume_node))
            if there.shape != expected.shape or not np.allclose(there, expected, atol=1e-3):
                return False
        return True

    def shows_the_model(self, segmentation_node: Any, volume_node: Any) -> bool:
        """Whether a node has exactly the model's voxels, in their places in the world."""
        label = self.case.label()
        for number, structure in enumerate(self.case.structures, 1):
            there = places_of_segment(segmentation_node, structure.id)
            region = region_of(label == number, self.case, "any")
            expected = places_of_regions((region,), "any", self.case, world_from_local(volume_node))
            if there.shape != expected.shape or not np.allclose(there, expected, atol=1e-3):
                return False
        return True

    def saved_and_reopened(self, path: Path) -> PanelState:
        assert self.scene.WriteToMRB(str(path))
        self.scene.Clear(0)
        assert self.scene.ReadFromMRB(str(path), True)
        return PanelState(parameter_node(self.scene))


def without_storage(scene: Any) -> int:
    """Number of nodes but storage nodes, which Slicer makes at the first saving."""
    return sum("StorageNode" not in node for node in node_ids(scene))


@pytest.fixture(params=list(HARD_VOLUMES))
def a_session(request: pytest.FixtureRequest, scene: Any, tmp_path: Path, write_a_case: Callable[..., Case]) -> Session:
    """A user's session on each of the hard volumes."""
    case = case_of_scan(write_a_case, tmp_path / "case", GRID_OF_FILE[request.param])
    return Session(scene, case, HARD_VOLUMES[request.param](scene, tmp_path))


def test_a_saved_scene_opens_as_it_was(a_session: Session, tmp_path: Path) -> None:
    nodes, names = without_storage(a_session.scene), [s.name for s in a_session.case.structures]
    box = structure_of(a_session.state.prompts[0], a_session.scene, a_session.volume).box
    state = a_session.saved_and_reopened(tmp_path / "saved.mrb")
    assert without_storage(a_session.scene) == nodes
    assert a_session.shows(state.deferred, state.volume)
    assert a_session.shows_the_model(state.result, state.volume)
    result = state.result.GetSegmentation()
    assert [result.GetNthSegment(n).GetName() for n in range(2)] == names
    assert structure_of(state.prompts[0], a_session.scene, state.volume).box == box
    assert (state.budget, state.case_id) == (BUDGET, a_session.case.id)


def test_the_reopened_regions_are_taken_over_and_follow_the_budget(a_session: Session, tmp_path: Path) -> None:
    state = a_session.saved_and_reopened(tmp_path / "saved.mrb")
    case = open_case(state.case_folder)
    nodes = node_ids(a_session.scene)
    deferred = DeferredDisplay(a_session.scene, case, state.volume, align(case.geometry, state.volume))
    assert deferred.node is state.deferred and node_ids(a_session.scene) == nodes
    deferred.show(a_session.regions, case.experts)
    assert a_session.shows(deferred.node, state.volume)
    a_session.regions = worklist_of(case).regions(0.05)
    deferred.show(a_session.regions, case.experts)
    assert a_session.shows(deferred.node, state.volume)


def test_on_another_computer_the_case_comes_out_of_the_scene(a_session: Session, tmp_path: Path) -> None:
    state = a_session.saved_and_reopened(tmp_path / "saved.mrb")
    shutil.rmtree(a_session.case.folder)
    case = restore(a_session.scene, state.volume, tmp_path / "elsewhere", state.case_id)
    assert check_case(case.folder) == []
    deferred = DeferredDisplay(a_session.scene, case, state.volume, align(case.geometry, state.volume))
    deferred.show(worklist_of(case).regions(state.budget), case.experts)
    assert deferred.node is state.deferred and a_session.shows(deferred.node, state.volume)


def test_saving_again_and_again_changes_nothing(a_session: Session, tmp_path: Path) -> None:
    state = a_session.saved_and_reopened(tmp_path / "first.mrb")
    nodes = len(node_ids(a_session.scene))
    for name in ("second.mrb", "third.mrb"):
        state = a_session.saved_and_reopened(tmp_path / name)
        assert len(node_ids(a_session.scene)) == nodes
    assert a_session.shows(state.deferred, state.volume) and embedded_cases(a_session.scene) == (a_session.case.id,)
    shutil.rmtree(a_session.case.folder)
    assert check_case(restore(a_session.scene, state.volume, tmp_path / "back").folder) == []


def test_it_may_be_added_to_a_scene_with_another_case(
    scene: Any, tmp_path: Path, write_a_case: Callable[..., Case]
) -> None:
    sessions = {}
    for name in ("plain", "oblique"):
        case = case_of_scan(write_a_case, tmp_path / name, GRID_OF_FILE[name])
        sessions[name] = Session(scene, case, HARD_VOLUMES[name](scene, tmp_path))
        assert scene.WriteToMRB(str(tmp_path / f"{name}.mrb"))
        scene.Clear(0)
    assert scene.ReadFromMRB(str(tmp_path / "plain.mrb"), False)
    assert scene.ReadFromMRB(str(tmp_path / "oblique.mrb"), False)
    state = PanelState(parameter_node(scene))
    session = sessions["oblique"]
    assert state.case_id == session.case.id and session.shows(state.deferred, state.volume)
    assert len(embedded_cases(scene)) == 2
    assert restore(scene, state.volume, tmp_path / "back", state.case_id).id == session.case.id


def test_the_looks_come_back_and_the_models_line_is_still_on_top(
    a_slicer: HeadlessSlicer, scene: Any, tmp_path: Path, write_a_case: Callable[..., Case]
) -> None:
    grid = Geometry((40, 36, 8), (1.0, 1.0, 3.0), (-20.0, -18.0, -12.0))
    at = np.indices(grid.shape)
    inside = (at[1] > 8) & (at[1] < 28) & (at[2] > 10) & (at[2] < 30)
    crossing = (at[1] > 14) & (at[1] < 22)
    everything = np.stack([inside, np.zeros_like(inside)]).astype(np.uint8) * 255
    routing = np.zeros((4, *grid.shape), np.uint8)
    routing[0] = np.where(crossing, 255, 0)
    routing[3] = 255 - routing[0]
    case = case_of_scan(write_a_case, tmp_path / "case", grid, probability=everything, routing=routing)
    session = Session(scene, case, node_from_array(scene, scan_on(grid), grid))
    display.set_opacity(session.deferred.node, fill=0.45)
    display.set_opacity(session.result, outline=1.0)
    scene.RemoveNode(scene.GetNodeByID(session.state.prompts[0].node_id))
    state = session.saved_and_reopened(tmp_path / "saved.mrb")
    assert state.deferred.GetDisplayNode().GetOpacity2DFill() == 0.45
    assert not state.result.GetDisplayNode().GetVisibility2DFill()

    view = SliceView(a_slicer)
    try:
        view.show(state.volume, (0.0, 0.0, 0.0))
        picture = view.picture()
    finally:
        view.close()
    line = (np.array(case.structures[0].color) * 255).round().astype(int)
    rows, _ = np.nonzero(np.abs(picture.astype(int) - line).max(axis=2) <= 1)
    assert np.ptp(rows) > 150 and len(np.unique(rows)) == np.ptp(rows) + 1, "no gap where the fill crosses the line"
