"""The whole loop in the panel, with the real review on a real case: open, decide, edit, save, export, come back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from DeferredSegSlicerLib.core.case import Case
from DeferredSegSlicerLib.core.review import Journal, Reader, read_corrected, read_review
from DeferredSegSlicerLib.core.segmentation_file import read_segmentation
from editor_hand import Hand
from review_fixtures import draw, fire, press
from review_workplace import *  # noqa: F403
from review_workplace import Workplace, many_regions


def test_a_reader_goes_from_the_case_folder_to_files_for_others(
    bench: Any,
    at_work: Callable[[], Workplace],
    case: Case,
    tmp_path: Path,
) -> None:
    import slicer

    desk = at_work()
    desk.panel.ui.exportCollapsibleButton.collapsed = False
    desk.open(case)
    assert desk.logic.shown is not None and desk.logic.shown.volume_node.GetName().startswith("Image of case")
    assert "NOT REVIEWED: 12 of 12" in desk.out.unreviewedLabel.text
    desk.be("Lesion extent")
    assert len(desk.review.rows) == 12 and desk.rows()[0][1] == "Liver"

    # Keys: accept, walk, undo
    press(desk.window, "A")
    assert [row[6] for row in desk.rows()[:2]] == ["accepted", "open"] and desk.ui.worklistTable.currentRow() == 1
    at = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    before = at.GetSliceToRAS().GetElement(2, 3), at.GetSliceToRAS().GetElement(0, 3)
    press(desk.window, "N")
    assert (at.GetSliceToRAS().GetElement(2, 3), at.GetSliceToRAS().GetElement(0, 3)) != before
    press(desk.window, "S")
    desk.ui.undoDecisionButton.click()
    draw()
    assert desk.review.current is not None and desk.review.current.rank == 2 and desk.rows()[2][6] == "open"

    # One key instead of a brush
    desk.wait(lambda: desk.review.offered)
    draw()
    assert desk.ui.alternative1Button.visible and "Tighter" in desk.ui.alternative1Button.text
    press(desk.window, "1")
    assert desk.rows()[2][6] == "edited" and "Tighter" in desk.ui.decisionLabel.text

    # The brush: limited, erased too far, recorded
    region = desk.review.region
    assert region is not None
    press(desk.window, "E")
    assert desk.ui.editFrame.visible and desk.review.editing is not None
    hand = Hand(slicer.app, desk.review.editing.editor_node)
    mask = np.zeros(case.geometry.shape, bool)
    mask.reshape(-1)[region.indices] = True
    hand.erase(desk.logic.shown.alignment.to_node(mask))
    far = np.zeros(case.geometry.shape, bool)
    far[9, 4:8, 40:44] = True
    hand.erase(desk.logic.shown.alignment.to_node(far))
    desk.wait(lambda: desk.review.edited_voxels)
    draw()
    assert "voxels changed" in desk.ui.editCountLabel.text
    desk.ui.doneEditButton.click()
    draw()
    assert "Liver corrected" in desk.ui.decisionLabel.text and not desk.ui.editFrame.visible
    assert desk.rows()[3][6] == "edited"

    # Somebody else should look
    desk.sections.review.deciding.reassign(desk.sections.review.deciding._targets[0])
    draw()
    assert "reassigned to Normal tissue" in desk.ui.decisionLabel.text

    # Save and export
    assert "NOT REVIEWED: 9 of 12" in desk.out.unreviewedLabel.text
    desk.out.saveButton.click()
    draw()
    assert desk.out.savedLabel.text.startswith("saved ")
    desk.out.exportFolderButton.directory = str(tmp_path / "out")
    desk.out.jsonBox.click()
    desk.out.exportButton.click()
    draw()
    assert desk.out.exportFailuresLabel.text == "" and "NOT reviewed" in desk.out.exportWarningsLabel.text
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == [
        f"case \u00fc{end}"
        for end in (".json", ".nii.gz", ".seg.nrrd", "_decisions.csv", "_regions.csv", "_review.json")
    ]
    assert (
        json.loads((tmp_path / "out" / "case \u00fc_review.json").read_text("utf-8"))["review"]["unreviewed_regions"]
        == 9
    )

    # What is on disk is what was decided, and nothing else
    state = read_review(case)
    labels, _ = read_corrected(case)
    assert np.array_equal(labels, state.corrected())
    assert not labels.reshape(-1)[region.indices].any(), "erased"
    assert np.array_equal(labels[9, 4:8, 40:44], case.label()[9, 4:8, 40:44]), "too far: put back"
    assert np.array_equal(read_segmentation(tmp_path / "out" / "case \u00fc.seg.nrrd").layers[0], labels)
    assert desk.user.asked == [("folder", desk.user.asked[0][1])], "no window but the choice of the folder"


def test_the_reader_comes_back_to_where_the_work_was_left(
    bench: Any, at_work: Callable[[], Workplace], case: Case
) -> None:
    desk = at_work()
    desk.open(case)
    desk.be("Normal tissue")
    fire(desk.ui.worklistTable.horizontalHeader(), "sectionClicked(int)", 3)
    press(desk.window, "ANN")
    where = desk.review.current
    assert where is not None
    desk = at_work()  # Slicer is started again, and the scene still shows the case
    desk.wait(lambda: desk.review.active)
    draw()
    assert desk.ui.readerBox.currentText.startswith("Normal tissue")
    assert desk.review.current is not None and desk.review.current.id == where.id
    assert sum(row[6] == "accepted" for row in desk.rows()) == 1
    assert desk.ui.worklistTable.horizontalHeader().sortIndicatorSection() == 3


def test_two_readers_who_disagree_are_led_to_the_conflict_and_settle_it(
    bench: Any, at_work: Callable[[], Workplace], case: Case
) -> None:
    desk = at_work()
    desk.open(case)
    desk.be("Lesion extent")
    press(desk.window, "A")
    desk.be("Normal tissue")
    desk.ui.worklistTable.setCurrentCell(0, 1)
    draw()
    desk.wait(lambda: desk.review.offered)
    press(desk.window, "1")
    assert desk.ui.conflictsWidget.visible and "1 place" in desk.ui.conflictsLabel.text
    fire(desk.ui.conflictsTable, "cellClicked(int,int)", 0, 0)
    assert desk.ui.regionLabel.text == "Conflict 1 of 1: Liver"
    desk.ui.acceptButton.click()
    draw()
    assert not desk.ui.conflictsWidget.visible and read_review(case).conflicts == ()


def test_a_case_of_another_scan_is_not_opened_on_the_chosen_volume(
    bench: Any, at_work: Callable[[], Workplace], case: Case, a_volume_node: Any
) -> None:
    other = a_volume_node(name="CT Smith")  # another grid
    desk = at_work()
    desk.panel.volume.choose(other)
    desk.open(case)
    assert desk.logic.shown is not None and desk.logic.shown.volume_node is not other


def test_a_folder_that_holds_no_case_is_refused_in_a_line(
    bench: Any, at_work: Callable[[], Workplace], case: Case, tmp_path: Path
) -> None:
    desk = at_work()
    desk.user.answers["folder"] = str(tmp_path)
    desk.ui.openCaseButton.click()
    draw()
    assert str(tmp_path) in desk.ui.decisionLabel.text and "bold" in desk.ui.decisionLabel.styleSheet
    (case.folder / "routing.nrrd").write_bytes(b"cut off")
    desk.user.answers["folder"] = str(case.folder)
    desk.ui.openCaseButton.click()
    desk.wait(lambda: not desk.logic.job.busy)
    draw()
    assert "routing.nrrd" in desk.ui.decisionLabel.text and not desk.ui.workWidget.visible


def test_closing_the_scene_while_editing_records_the_edit_and_ends_the_review(
    bench: Any, at_work: Callable[[], Workplace], case: Case, scene: Any
) -> None:
    import slicer

    desk = at_work()
    desk.open(case)
    desk.be("Lesion extent")
    region = desk.review.region
    press(desk.window, "E")
    assert region is not None and desk.review.editing is not None and desk.logic.shown is not None
    mask = np.zeros(case.geometry.shape, bool)
    mask.reshape(-1)[region.indices] = True
    Hand(slicer.app, desk.review.editing.editor_node).erase(desk.logic.shown.alignment.to_node(mask))
    scene.Clear(0)
    draw()
    assert not desk.review.active and not desk.ui.editFrame.visible and not desk.ui.workWidget.visible
    assert not read_review(case).corrected().reshape(-1)[region.indices].any()


def test_closing_the_panel_leaves_no_observer_and_lets_others_review(
    bench: Any, at_work: Callable[[], Workplace], case: Case, scene: Any
) -> None:
    desk = at_work()
    desk.open(case)
    desk.be("Lesion extent")
    press(desk.window, "E")
    node = desk.logic.shown.volume_node  # type: ignore[union-attr]
    desk.close()
    assert not desk.review.active and desk.sections.review.keys.alive == {}
    assert (
        scene.GetFirstNodeByClass("vtkMRMLSegmentEditorNode") is None
        or not scene.GetFirstNodeByClass("vtkMRMLSegmentEditorNode").GetSegmentationNode()
    )
    Journal.open(case, Reader("extent", "Lesion extent")).close()
    assert node.GetScene() is scene


def test_five_thousand_real_regions_stay_fluid_in_the_panel(
    bench: Any, at_work: Callable[[], Workplace], tmp_path: Path
) -> None:
    desk = at_work()
    desk.panel.ui.exportCollapsibleButton.collapsed = False
    desk.open(many_regions(tmp_path / "cases" / "many"))
    desk.be("Lesion extent")
    assert desk.ui.worklistTable.rowCount == 5000
    header = desk.ui.worklistTable.horizontalHeader()
    acts: dict[str, Callable[[], Any]] = {
        "next": desk.ui.nextButton.click,
        "sort": lambda: fire(header, "sectionClicked(int)", 3),
        "accept": desk.ui.acceptButton.click,
        "undo": desk.ui.undoDecisionButton.click,
    }

    def seconds(act: Callable[[], Any]) -> float:
        began = time.perf_counter()
        act()
        draw()
        return time.perf_counter() - began

    spent = {name: min(seconds(act) for _ in range(5)) for name, act in acts.items()}
    assert max(spent.values()) < 0.1, spent
