"""The table of structures: boxes, segments, names, colors, codes, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from DeferredSegSlicerLib.core.structures import Code, Terminology, terminology_of
from DeferredSegSlicerLib.mrml.prompts import structures_of
from fakes import QuietLogic, ScriptedUser
from panel_fixtures import *  # noqa: F403
from panel_fixtures import click_cell, settle

SHOW, COLOR, NAME, CODE, BOX, STATE, REMOVE = range(7)


def _text(panel: Any, row: int, column: int) -> str:
    return str(panel.ui.structuresTable.item(row, column).text())


def _click(panel: Any, row: int, column: int) -> None:
    click_cell(panel.ui.structuresTable, row, column)


def _rename(panel: Any, row: int, name: str) -> None:
    panel.ui.structuresTable.item(row, NAME).setText(name)
    settle()


@pytest.fixture
def a_box(a_panel: Any, logic: QuietLogic, ct: Any, scene: Any) -> Any:
    """A box that *Add box* has made, the ROI node."""
    a_panel.ui.addBoxButton.click()
    settle()
    return scene.GetNodeByID(logic.state.prompts[0].node_id)


@pytest.fixture
def a_segmentation(scene: Any, ct: Any) -> Any:
    """A segmentation of somebody else's on the CT: "liver", "lesion", and one that is empty."""
    import slicer.util

    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "TotalSegmentator")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(ct)
    shape = slicer.util.arrayFromVolume(ct).shape
    for name, corner in (("liver", 1), ("lesion", 2), ("nothing", None)):
        segment_id = node.GetSegmentation().AddEmptySegment(name, name)
        voxels = np.zeros(shape, np.uint8)
        if corner is not None:
            voxels[corner : corner + 3, corner : corner + 3, corner : corner + 3] = 1
            slicer.util.updateSegmentBinaryLabelmapFromArray(voxels, node, segment_id, ct)
    return node


def test_add_box_puts_a_box_inside_the_volume_and_a_row_into_the_table(
    a_panel: Any, logic: QuietLogic, ct: Any, scene: Any, a_box: Any
) -> None:
    assert a_panel.ui.structuresTable.rowCount == 1
    assert (_text(a_panel, 0, NAME), _text(a_panel, 0, STATE)) == ("structure 1", "ready")
    bounds, box = [0.0] * 6, [0.0] * 6
    ct.GetRASBounds(bounds)
    a_box.GetRASBounds(box)
    assert all(bounds[2 * a] - 0.01 <= box[2 * a] < box[2 * a + 1] <= bounds[2 * a + 1] + 0.01 for a in range(3))
    assert structures_of(logic.state.prompts, scene, ct)[0].name == "structure 1"


def test_a_new_box_stands_where_the_slice_views_stand_a_quarter_of_their_field(
    a_panel: Any, a_volume_node: Callable[..., Any], scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from DeferredSegSlicerLib.core.geometry import Geometry
    from DeferredSegSlicerLib.ui import slice_views

    grid = Geometry((60, 60, 60), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    volume = a_volume_node(np.arange(60**3, dtype=np.int16).reshape(60, 60, 60) % 50, grid)
    point, views = (-70.0, -50.0, 60.0), []
    for orientation in ("Axial", "Sagittal", "Coronal"):
        view = scene.AddNewNodeByClass("vtkMRMLSliceNode", orientation)
        getattr(view, f"SetOrientationTo{orientation}")()
        view.SetFieldOfView(80.0, 60.0, 1.0)
        view.JumpSliceByCentering(*point)
        views.append(view)
    monkeypatch.setattr(slice_views, "_slice_nodes", lambda scene: views)
    center, size = slice_views.box_in_view(scene, volume)
    assert np.allclose(center, point)
    assert np.allclose(size, (20.0, 15.0, 15.0)), "a quarter of the smallest field along each axis"
    monkeypatch.setattr(slice_views, "_slice_nodes", lambda scene: views[:1])
    assert np.allclose(slice_views.box_in_view(scene, volume)[0], point), "a single view will do"
    monkeypatch.setattr(slice_views, "_slice_nodes", lambda scene: [])
    assert np.allclose(slice_views.box_in_view(scene, volume)[1], (30.0, 30.0, 30.0)), "without views, of the volume"


def test_the_name_of_a_new_box_can_be_typed_at_once(a_panel: Any, logic: QuietLogic, a_box: Any) -> None:
    from PySide6 import QtCore, QtWidgets
    from PySide6.QtTest import QTest
    from qtbench.signals import unwrapped

    assert "Drag the handles" in a_panel.ui.structuresHintLabel.text
    editor = QtCore.QObject.findChild(unwrapped(a_panel.ui.structuresTable), QtWidgets.QLineEdit)
    QTest.keyClicks(editor, "spleen")
    QTest.keyClick(editor, QtCore.Qt.Key_Return)
    settle()
    assert logic.state.prompts[0].name == "spleen"


def test_a_name_brings_its_code_and_names_the_box_in_the_scene(a_panel: Any, logic: QuietLogic, a_box: Any) -> None:
    _rename(a_panel, 0, "right kidney")
    entry = logic.state.prompts[0]
    assert (entry.name, entry.terminology) == ("right kidney", terminology_of("right kidney"))
    assert a_box.GetName() == "right kidney"
    assert _text(a_panel, 0, CODE) == "Kidney, right"


def test_two_structures_of_one_name_disable_the_button_and_say_so(a_panel: Any, a_box: Any) -> None:
    a_panel.ui.addBoxButton.click()
    settle()
    _rename(a_panel, 0, "liver"), _rename(a_panel, 1, "Liver")
    assert _text(a_panel, 1, STATE) == "check"
    assert not a_panel.ui.segmentButton.enabled and "Liver" in a_panel.ui.segmentButton.toolTip
    _rename(a_panel, 1, "spleen")
    assert a_panel.ui.segmentButton.enabled


def test_a_box_outside_the_volume_is_said_and_moving_it_back_clears_it(a_panel: Any, a_box: Any) -> None:
    center = list(a_box.GetCenter())
    a_box.SetCenter(5000.0, 0.0, 0.0)
    settle()
    assert _text(a_panel, 0, STATE) == "check"
    assert "outside the volume" in a_panel.ui.structuresTable.item(0, STATE).toolTip()
    a_box.SetCenter(*center)
    settle()
    assert _text(a_panel, 0, STATE) == "ready"


def test_a_deleted_box_stays_in_the_table_and_says_that_it_is_gone(a_panel: Any, scene: Any, a_box: Any) -> None:
    scene.RemoveNode(a_box)
    settle()
    assert a_panel.ui.structuresTable.rowCount == 1 and _text(a_panel, 0, STATE) == "check"
    assert not a_panel.ui.segmentButton.enabled


def test_color_and_code_are_chosen_by_a_click(a_panel: Any, logic: QuietLogic, user: ScriptedUser, a_box: Any) -> None:
    user.answers["color"] = (0.1, 0.2, 0.3)
    _click(a_panel, 0, COLOR)
    assert logic.state.prompts[0].color == (0.1, 0.2, 0.3)
    assert np.allclose(a_box.GetDisplayNode().GetSelectedColor(), (0.1, 0.2, 0.3))
    cyst = Terminology(type=Code("SCT", "441457006", "Cyst"))
    user.answers["terminology"] = cyst
    _click(a_panel, 0, CODE)
    assert logic.state.prompts[0].terminology == cyst and _text(a_panel, 0, CODE) == "Cyst"


def test_a_dialog_that_is_cancelled_changes_nothing(
    a_panel: Any, logic: QuietLogic, user: ScriptedUser, a_box: Any, a_segmentation: Any
) -> None:
    before = logic.state.prompts
    user.answers |= {"color": None, "terminology": None, "segments": None}
    _click(a_panel, 0, COLOR), _click(a_panel, 0, CODE)
    a_panel.ui.fromSegmentButton.click()
    assert logic.state.prompts == before and len(user.asked) == 3


def test_removing_a_row_removes_the_box_that_was_drawn_here(
    a_panel: Any, logic: QuietLogic, scene: Any, a_box: Any
) -> None:
    _click(a_panel, 0, REMOVE)
    assert logic.state.prompts == () and a_box.GetScene() is None
    assert a_panel.ui.structuresTable.rowCount == 0


def test_a_box_is_hidden_and_shown_by_its_check_box(a_panel: Any, a_box: Any) -> None:
    import qt

    a_panel.ui.structuresTable.item(0, SHOW).setCheckState(qt.Qt.Unchecked)
    settle()
    assert not a_box.GetDisplayNode().GetVisibility()
    a_box.GetDisplayNode().SetVisibility(True)
    settle()
    assert a_panel.ui.structuresTable.item(0, SHOW).checkState() == qt.Qt.Checked


def test_segments_become_structures_and_stay_as_they_are(
    a_panel: Any, logic: QuietLogic, user: ScriptedUser, scene: Any, ct: Any, a_segmentation: Any
) -> None:
    user.answers["segments"] = (a_segmentation, ("liver", "lesion"))
    a_panel.ui.fromSegmentButton.click()
    settle()
    assert [_text(a_panel, row, NAME) for row in range(2)] == ["liver", "lesion"]
    assert [_text(a_panel, row, STATE) for row in range(2)] == ["ready", "ready"]
    assert "TotalSegmentator" in a_panel.ui.structuresTable.item(0, BOX).toolTip()
    _click(a_panel, 0, REMOVE)
    assert a_segmentation.GetSegmentation().GetNumberOfSegments() == 3 and len(logic.state.prompts) == 1


def test_a_segment_is_taken_once(a_panel: Any, logic: QuietLogic, user: ScriptedUser, a_segmentation: Any) -> None:
    user.answers["segments"] = (a_segmentation, ("liver",))
    a_panel.ui.fromSegmentButton.click()
    user.answers["segments"] = (a_segmentation, ("liver", "lesion"))
    a_panel.ui.fromSegmentButton.click()
    assert [entry.name for entry in logic.state.prompts] == ["liver", "lesion"]


def test_an_empty_segment_says_so(a_panel: Any, user: ScriptedUser, a_segmentation: Any) -> None:
    user.answers["segments"] = (a_segmentation, ("nothing",))
    a_panel.ui.fromSegmentButton.click()
    settle()
    assert _text(a_panel, 0, STATE) == "check"
    assert not a_panel.ui.segmentButton.enabled


def test_a_segment_that_is_edited_is_measured_again(
    a_panel: Any, logic: QuietLogic, user: ScriptedUser, scene: Any, ct: Any, a_segmentation: Any
) -> None:
    import slicer.util

    user.answers["segments"] = (a_segmentation, ("liver",))
    a_panel.ui.fromSegmentButton.click()
    settle()
    before = _text(a_panel, 0, BOX)
    voxels = np.zeros(slicer.util.arrayFromVolume(ct).shape, np.uint8)
    voxels[1:6, 1:6, 1:6] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(voxels, a_segmentation, "liver", ct)
    settle()
    assert _text(a_panel, 0, BOX) != before


def test_a_large_segmentation_is_not_looked_through_at_every_refresh(
    a_panel: Any, user: ScriptedUser, a_segmentation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from DeferredSegSlicerLib.ui import structure_facts

    user.answers["segments"] = (a_segmentation, ("liver",))
    a_panel.ui.fromSegmentButton.click()
    settle()
    looked: list[str] = []

    def look(entry: Any, *rest: Any) -> Any:
        looked.append(entry.name)
        return structures_of((entry,), *rest)[0]

    monkeypatch.setattr(structure_facts, "structure_of", look)
    a_panel.refresh(), a_panel.refresh()
    assert looked == []


def test_boxes_of_another_scan_are_pointed_out(a_panel: Any, a_patient: Callable[[str], Any], a_box: Any) -> None:
    node = a_patient("CT Jones")
    a_panel.volume.choose(node)
    settle()
    assert _text(a_panel, 0, STATE) == "other scan"
    assert "CT Smith" in a_panel.ui.structuresTable.item(0, STATE).toolTip()


def test_what_the_result_has_is_done_and_a_moved_box_is_changed(
    a_panel: Any, a_shown_case: Any, logic: Any, scene: Any
) -> None:
    from DeferredSegSlicerLib.mrml.prompts import add_box, entry_of_box

    liver = a_shown_case.case.structures[0]
    middle = [(a + b) / 2 for a, b in zip(liver.box.low, liver.box.high, strict=True)]
    size = [b - a for a, b in zip(liver.box.low, liver.box.high, strict=True)]
    roi = add_box(scene, a_shown_case.volume_node, middle, size, liver.name, liver.color)
    logic.state.prompts = (entry_of_box(roi, liver.name, liver.color),)
    settle()
    assert _text(a_panel, 0, STATE) == "done"
    roi.SetSize(size[0] + 1, size[1], size[2])
    settle()
    assert _text(a_panel, 0, STATE) == "changed"


def test_rows_are_locked_while_a_job_runs_and_say_so_but_stay_readable(
    a_panel: Any, logic: QuietLogic, user: ScriptedUser, a_box: Any
) -> None:
    import qt
    from DeferredSegSlicerLib.logic.job import JobStatus

    logic.at(JobStatus("running", "segment"))
    settle()
    table = a_panel.ui.structuresTable
    assert table.enabled and not table.item(0, NAME).flags() & qt.Qt.ItemIsEditable
    for column in (SHOW, COLOR, NAME, CODE, REMOVE):
        assert "job is running" in table.item(0, column).toolTip()
        click_cell(table, 0, column)
    assert user.asked == [] and len(logic.state.prompts) == 1
    logic.at(JobStatus())
    settle()
    assert table.item(0, NAME).flags() & qt.Qt.ItemIsEditable
