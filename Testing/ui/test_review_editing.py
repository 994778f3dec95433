"""The edit area: the editor is opened on the corrected copy, limited, and closed again; on nodes of a real scene."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from fakes import ScriptedUser
from review_fakes import FakeReview
from review_fixtures import *  # noqa: F403
from review_fixtures import draw, fire, press

LIMIT = "limit"


@pytest.fixture
def nodes(scene: Any, a_volume_node: Any) -> Any:
    """A segmentation with two structures and a hidden limit, its editor node, and the scan."""
    import slicer

    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "CT Smith (corrected)")
    for segment_id, name in (("Spleen", "Spleen"), ("Liver", "Liver"), (LIMIT, "Edit limit")):
        segment = slicer.vtkSegment()
        segment.SetName(name)
        node.GetSegmentation().AddSegment(segment, segment_id)
    editor = scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
    volume = a_volume_node(name="CT Smith")
    return SimpleNamespace(
        editor_node=editor, segmentation_node=node, segment_id="Liver", volume_node=volume, mask_segment_id=LIMIT
    )


@pytest.fixture
def editable(a_reader: FakeReview, nodes: Any) -> FakeReview:
    """A review whose edits are on real nodes, as the logic makes them."""

    def handles() -> Any:
        nodes.editor_node.SetAndObserveSegmentationNode(nodes.segmentation_node)
        nodes.editor_node.SetAndObserveSourceVolumeNode(nodes.volume_node)
        nodes.editor_node.SetSelectedSegmentID("Liver")
        return SimpleNamespace(**vars(nodes))

    a_reader.handles = handles  # type: ignore[method-assign]
    return a_reader


def _editor(sections: Any) -> Any:
    return sections.review.editing.editor


def test_the_editor_is_made_with_the_first_edit(sections: Any, ui: Any, editable: FakeReview) -> None:
    assert _editor(sections) is None and not ui.editFrame.visible
    ui.editButton.click()
    draw()
    editor = _editor(sections)
    assert ui.editFrame.visible and not ui.decideWidget.visible and not ui.listWidget.visible
    assert editor.mrmlSegmentEditorNode() is editable.editing.editor_node
    assert editor.maximumNumberOfUndoStates == 10 and editor.effectNameOrder()[0] == "Paint"
    ui.doneEditButton.click()
    draw()
    ui.editButton.click()
    draw()
    assert _editor(sections) is editor


def test_the_regions_structure_is_selected_and_not_the_first_segment(
    sections: Any, ui: Any, editable: FakeReview, nodes: Any
) -> None:
    ui.editButton.click()
    draw()
    assert nodes.editor_node.GetSelectedSegmentID() == "Liver"
    assert ui.editTitleLabel.text == "Editing \u201cLiver\u201d"


def test_nothing_but_the_region_can_be_chosen_in_the_editor(sections: Any, ui: Any, editable: FakeReview) -> None:
    import slicer.util

    ui.editButton.click()
    draw()
    editor = _editor(sections)
    for name in ("segmentationNodeSelector", "sourceVolumeNodeSelector", "maskingSection", "addRemoveSegmentButtons"):
        assert getattr(editor, f"{name}Visible") is False, name
    (table,) = slicer.util.findChildren(editor, className="qMRMLSegmentsTableView")
    rows = table.tableWidget()
    assert [rows.item(row, 1).text() for row in range(rows.rowCount)] == ["Spleen", "Liver"]


def test_the_brush_is_in_hand_at_once_and_the_editors_keys_live_while_it_is_open(
    sections: Any, ui: Any, a_host: Any, editable: FakeReview, nodes: Any
) -> None:
    ui.editButton.click()
    draw()
    editor = _editor(sections)
    assert nodes.editor_node.GetActiveEffectName() == "Paint" and editor.bench_shortcuts
    editable.calls.clear()
    press(a_host, "AERSNP1234")
    assert editable.calls == [], "the keys of the review are the editor's now"
    ui.doneEditButton.click()
    draw()
    assert nodes.editor_node.GetActiveEffectName() == "" and not editor.bench_shortcuts
    press(a_host, "A")
    assert editable.named("accept") == [("",)]


def test_another_module_takes_brush_and_keys_away_and_the_edit_stays_open(
    sections: Any, ui: Any, editable: FakeReview, nodes: Any
) -> None:
    ui.editButton.click()
    draw()
    sections.exit()
    assert nodes.editor_node.GetActiveEffectName() == "" and not _editor(sections).bench_shortcuts
    assert editable.editing is not None
    sections.enter()
    draw()
    assert _editor(sections).bench_shortcuts and ui.editFrame.visible


def test_done_records_and_goes_on(sections: Any, ui: Any, editable: FakeReview) -> None:
    ui.editButton.click()
    editable.edited_voxels = 231
    editable.changed.emit()
    draw()
    assert ui.editCountLabel.text == "231 voxels changed."
    editable.put_back = 12
    ui.doneEditButton.click()
    draw()
    assert editable.named("finish_edit") == [("",)] and not ui.editFrame.visible and ui.listWidget.visible
    assert ui.decisionLabel.text == (
        "Region 1: Liver corrected, 231 voxels differ from the model. 12 voxels drawn beyond the limit were put back."
    )
    assert editable.current is not None and editable.current.rank == 1
    assert _editor(sections).mrmlSegmentEditorNode() is None


def test_done_without_a_stroke_records_nothing_and_stays(ui: Any, editable: FakeReview) -> None:
    ui.editButton.click()
    draw()
    ui.doneEditButton.click()
    draw()
    assert "Nothing was drawn" in ui.decisionLabel.text
    assert editable.current is not None and editable.current.rank == 0


def test_an_edit_that_cannot_be_written_stays_open_with_its_keys(sections: Any, ui: Any, editable: FakeReview) -> None:
    ui.editButton.click()
    editable.edited_voxels, editable.full = 231, True
    ui.doneEditButton.click()
    draw()
    assert ui.editFrame.visible and "disk is full" in ui.decisionLabel.text
    assert _editor(sections).bench_shortcuts


def test_discarding_asks_if_something_was_drawn(ui: Any, editable: FakeReview, user: ScriptedUser) -> None:
    ui.editButton.click()
    editable.edited_voxels = 231
    user.answers["consent"] = False
    ui.discardEditButton.click()
    draw()
    assert "231 voxels" in user.asked[-1][1][1] and ui.editFrame.visible
    user.answers["consent"] = True
    ui.discardEditButton.click()
    draw()
    assert editable.named("cancel_edit") == [()] and not ui.editFrame.visible
    assert "as it was before" in ui.decisionLabel.text


def test_discarding_an_untouched_edit_asks_nothing(ui: Any, editable: FakeReview, user: ScriptedUser) -> None:
    ui.editButton.click()
    draw()
    ui.discardEditButton.click()
    draw()
    assert editable.named("cancel_edit") == [()] and not user.asked


def test_the_margin_is_kept_and_a_lifted_limit_is_a_warning(ui: Any, editable: FakeReview) -> None:
    ui.editButton.click()
    draw()
    assert ui.marginSpinBox.value == 5.0 and "5 mm" in ui.limitLabel.text
    ui.marginSpinBox.setValue(8.0)
    draw()
    assert editable.named("set_margin") == [(8.0,)] and "8 mm" in ui.limitLabel.text
    ui.liftLimitBox.click()
    draw()
    assert editable.named("lift_limit") == [(True,)]
    assert ui.limitLabel.text.startswith("CAUTION") and "bold" in ui.limitLabel.styleSheet
    assert not ui.marginSpinBox.enabled and ui.marginSpinBox.toolTip == "The limit is lifted."


def test_next_while_editing_records_the_edit(sections: Any, ui: Any, editable: FakeReview) -> None:
    ui.editButton.click()
    editable.edited_voxels = 5
    ui.noteEdit.setText("vessel")
    draw()
    ui.nextButton.click()
    draw()
    assert editable.named("finish_edit") == [("vessel",)] and not ui.editFrame.visible
    assert not _editor(sections).bench_shortcuts
    assert ui.noteEdit.text == "" and ui.decisionLabel.text.startswith("Region 1: Liver corrected")
    assert ui.regionLabel.text.startswith("Region 2")


def test_next_stays_where_the_edit_cannot_be_written(sections: Any, ui: Any, editable: FakeReview) -> None:
    ui.editButton.click()
    editable.edited_voxels, editable.full = 5, True
    ui.nextButton.click()
    draw()
    assert not editable.named("next") and ui.editFrame.visible and _editor(sections).bench_shortcuts
    assert "disk is full" in ui.decisionLabel.text


def test_ctrl_shift_e_ends_an_edit(ui: Any, a_host: Any, editable: FakeReview) -> None:
    from PySide6 import QtCore
    from PySide6.QtTest import QTest

    ui.editButton.click()
    draw()
    QTest.keyClick(a_host, QtCore.Qt.Key_E, QtCore.Qt.ControlModifier | QtCore.Qt.ShiftModifier)
    draw()
    assert editable.named("finish_edit") == [("",)]


def test_an_unfinished_edit_opens_the_editor(sections: Any, ui: Any, editable: FakeReview) -> None:
    editable.draft = SimpleNamespace(
        region=SimpleNamespace(structure="Liver"),
        drawn=range(3),
        effort=SimpleNamespace(edited=1.0),
        saved="2025-11-25T18:10:00+00:00",
    )
    editable.changed.emit()
    draw()
    ui.restoreDraftButton.click()
    draw()
    assert editable.named("restore_draft") == [()] and ui.editFrame.visible and not ui.draftFrame.visible
    assert _editor(sections).mrmlSegmentEditorNode() is not None


def test_closing_the_panel_while_editing_lets_the_editor_go(
    sections: Any, ui: Any, editable: FakeReview, nodes: Any
) -> None:
    ui.editButton.click()
    draw()
    editor = _editor(sections)
    sections.close()
    assert not editor.bench_shortcuts and nodes.editor_node.GetActiveEffectName() == ""
    assert sections.review.editing.editor is None
    fire(ui.doneEditButton, "clicked()")  # a late click does no harm


def test_an_edit_that_ends_by_itself_is_let_go_of_at_once(
    sections: Any, ui: Any, editable: FakeReview, nodes: Any
) -> None:
    ui.editButton.click()
    draw()
    editable.editing = None  # as when the scene is closed: its nodes go before anything is drawn
    editable.changed.emit()
    assert _editor(sections).mrmlSegmentEditorNode() is None and not _editor(sections).bench_shortcuts
    draw()
    assert not ui.editFrame.visible
