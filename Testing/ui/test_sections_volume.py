"""The input volume: nothing is chosen behind the user's back, and nothing is kept behind it either."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fakes import QuietLogic
from panel_fixtures import *  # noqa: F403
from panel_fixtures import settle, watched


def _new_panel(a_host: Any, logic: Any, services: Any, user: Any, set_up: Any) -> Any:
    from DeferredSegSlicerLib.ui.panel import Panel

    return watched(Panel(a_host, logic, services, user, set_up))


def test_the_only_volume_is_chosen_when_the_module_is_entered(
    a_patient: Any, a_host: Any, logic: Any, services: Any, user: Any, set_up: Any
) -> None:
    node = a_patient("CT Smith")
    panel = _new_panel(a_host, logic, services, user, set_up)
    panel.enter()
    assert logic.state.volume is node
    assert panel.ui.volumeSelector.currentNode() is node
    panel.cleanup()


def test_of_several_volumes_none_is_chosen(
    a_patient: Any, a_host: Any, logic: Any, services: Any, user: Any, set_up: Any
) -> None:
    a_patient("CT Smith"), a_patient("CT Jones")
    panel = _new_panel(a_host, logic, services, user, set_up)
    panel.enter()
    assert logic.state.volume is None
    assert panel.ui.volumeSelector.currentNode() is None
    assert "2 are loaded" in panel.ui.volumeLabel.text
    panel.cleanup()


def test_a_volume_that_is_loaded_into_an_empty_scene_is_chosen(a_panel: Any, logic: QuietLogic, a_patient: Any) -> None:
    node = a_patient("CT Smith")
    settle()
    assert logic.state.volume is node


def test_the_users_choice_is_kept_in_the_state_and_described(a_panel: Any, logic: QuietLogic, a_patient: Any) -> None:
    first, second = a_patient("CT Smith"), a_patient("CT Jones")
    settle()
    a_panel.ui.volumeSelector.bench_choose(second)
    settle()
    assert logic.state.volume is second
    assert "voxels of" in a_panel.ui.volumeLabel.text
    a_panel.ui.volumeSelector.bench_choose(first)
    assert logic.state.volume is first


def test_the_user_can_choose_none_and_it_stays_none(a_panel: Any, logic: QuietLogic, ct: Any) -> None:
    a_panel.ui.volumeSelector.bench_choose(None)
    settle()
    assert logic.state.volume is None
    assert not a_panel.ui.segmentButton.enabled


def test_the_next_patient_stops_the_work_until_the_user_says_who_is_meant(
    a_panel: Any, logic: QuietLogic, ct: Any, a_patient: Callable[[str], Any]
) -> None:
    a_panel.structures.on_add_box()
    a_panel.refresh()
    assert a_panel.ui.segmentButton.enabled
    a_patient("CT Jones")
    settle()
    assert not a_panel.ui.volumeQuestionFrame.isHidden()
    assert "CT Jones" in a_panel.ui.volumeQuestionLabel.text and "CT Smith" in a_panel.ui.volumeQuestionLabel.text
    assert not a_panel.ui.segmentButton.enabled and "which volume" in a_panel.ui.segmentButton.toolTip
    a_panel.run.segment()
    assert logic.named("segment") == []
    a_panel.ui.keepVolumeButton.click()
    settle()
    assert a_panel.ui.volumeQuestionFrame.isHidden()
    assert a_panel.ui.segmentButton.enabled and logic.state.volume is ct


def test_the_next_patient_can_be_taken_by_one_click(
    a_panel: Any, logic: QuietLogic, ct: Any, a_patient: Callable[[str], Any]
) -> None:
    node = a_patient("CT Jones")
    settle()
    a_panel.ui.takeNewVolumeButton.click()
    settle()
    assert logic.state.volume is node
    assert a_panel.ui.volumeSelector.currentNode() is node
    assert a_panel.ui.volumeQuestionFrame.isHidden()


def test_a_deleted_volume_is_not_replaced_by_its_neighbor(
    a_panel: Any, logic: QuietLogic, scene: Any, a_patient: Callable[[str], Any]
) -> None:
    second = [a_patient(name) for name in ("CT Smith", "CT Jones", "CT Brown")][1]
    settle()
    a_panel.ui.volumeSelector.bench_choose(second)
    settle()
    scene.RemoveNode(second)
    settle()
    assert logic.state.volume is None
    assert a_panel.ui.volumeSelector.currentNode() is None


def test_a_volume_that_cannot_be_segmented_says_why(a_panel: Any, logic: QuietLogic, scene: Any, ct: Any) -> None:
    grid = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "bent")
    ct.SetAndObserveTransformNodeID(grid.GetID())
    settle()
    assert "bent" in a_panel.ui.volumeLabel.text
    assert not a_panel.ui.segmentButton.enabled and "bent" in a_panel.ui.segmentButton.toolTip
    assert not a_panel.ui.addBoxButton.enabled and "bent" in a_panel.ui.addBoxButton.toolTip
    ct.SetAndObserveTransformNodeID(None)
    settle()
    assert "voxels of" in a_panel.ui.volumeLabel.text and a_panel.ui.addBoxButton.enabled


def test_what_is_chosen_is_what_is_seen(a_panel: Any, a_patient: Any, scene: Any) -> None:
    import slicer.util

    a_patient("CT Smith")
    node = a_patient("CT Jones")
    settle()
    a_panel.ui.volumeSelector.bench_choose(node)
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode", scene)
    assert {c.GetBackgroundVolumeID() for c in composites} <= {node.GetID()}


@pytest.mark.parametrize("name", ["volumeSelector", "addBoxButton", "fromSegmentButton", "bundleBox", "budgetSlider"])
def test_inputs_are_locked_while_a_job_runs_and_say_so(a_panel: Any, logic: QuietLogic, ct: Any, name: str) -> None:
    from DeferredSegSlicerLib.logic.job import JobStatus

    widget = getattr(a_panel.ui, name)
    before = widget.toolTip
    logic.at(JobStatus("running", "segment"))
    settle()
    assert not widget.enabled and "job is running" in widget.toolTip
    logic.at(JobStatus())
    settle()
    assert widget.enabled and widget.toolTip == before
