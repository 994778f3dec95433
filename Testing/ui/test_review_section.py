"""Who reviews, the worklist, decisions, keys: the section on the bench, over a review that only remembers."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import QuietLogic, ScriptedUser
from panel_fixtures import click_cell
from review_fakes import FakeReview, FakeShown, conflict, many_regions, option, status
from review_fixtures import *  # noqa: F403
from review_fixtures import draw, fire, press, shown_rows, type_into


def _choose(ui: Any, caption: str) -> None:
    """Choose a line of *I am*."""
    at = next(n for n in range(ui.readerBox.count) if ui.readerBox.itemText(n).startswith(caption))
    ui.readerBox.setCurrentIndex(at)
    fire(ui.readerBox, "activated(int)", at)
    draw()


# Who reads


def test_without_a_case_one_can_only_open_one(
    sections: Any, ui: Any, logic: QuietLogic, review: FakeReview, user: ScriptedUser
) -> None:
    logic.shown = review.shown = None
    sections.update()
    assert "open a case" in ui.emptyReviewLabel.text and not ui.readerWidget.visible and not ui.workWidget.visible
    user.answers["folder"] = ""
    ui.openCaseButton.click()
    assert user.asked[-1][0] == "folder"


def test_nobody_reviews_until_somebody_says_who_it_is(sections: Any, ui: Any, review: FakeReview) -> None:
    assert ui.readerBox.currentText == "Choose who you are" and not ui.workWidget.visible
    assert "own journal" in ui.readerHintLabel.text
    _choose(ui, "Normal tissue")
    assert review.named("begin") == [("normal", False)] and ui.workWidget.visible
    assert ui.readerBox.currentText == "Normal tissue (radiologist)" and not ui.readerHintLabel.visible
    assert sections.test_widgets.reviewCollapsibleButton.text == "Review (0 of 23)"


def test_choosing_a_reader_closes_the_sections_that_are_done_with(sections: Any, ui: Any) -> None:
    widgets = sections.test_widgets
    assert not widgets.expertsCollapsibleButton.collapsed
    _choose(ui, "Normal tissue")
    assert widgets.structuresCollapsibleButton.collapsed and widgets.expertsCollapsibleButton.collapsed
    assert not widgets.reviewCollapsibleButton.collapsed


def test_anybody_can_review_under_an_own_name(sections: Any, ui: Any, review: FakeReview) -> None:
    _choose(ui, "Other name")
    assert ui.newReaderWidget.visible and not review.named("begin")
    assert not ui.newReaderButton.enabled and "name" in ui.newReaderButton.toolTip
    type_into(ui.newReaderEdit, "  Dr. O'Neill ")
    ui.newReaderButton.click()
    draw()
    assert review.named("begin") == [("Dr. O'Neill", False)]
    assert ui.readerBox.currentText == "Dr. O'Neill" and not ui.newReaderWidget.visible


def test_a_case_that_comes_back_goes_on_with_its_reader(sections: Any, logic: QuietLogic, review: FakeReview) -> None:
    review.remembered, review.journals = "normal", ("normal",)
    logic.finished.emit(logic.shown)
    assert review.named("begin") == [("normal", False)]


def test_a_new_result_is_shown_first_and_reviewed_when_somebody_wants_to(
    sections: Any, logic: QuietLogic, review: FakeReview
) -> None:
    review.remembered = "normal"  # of another case
    logic.finished.emit(logic.shown)
    assert not review.named("begin") and not sections.test_widgets.resultCollapsibleButton.collapsed


def test_a_damaged_journal_of_a_colleague_is_asked_about(
    sections: Any, ui: Any, review: FakeReview, user: ScriptedUser
) -> None:
    review.damaged, user.answers["consent"] = "journal of Wu: line 3 was changed since it was written", False
    _choose(ui, "Normal tissue")
    assert not review.active and "line 3 was changed" in user.asked[-1][1][1]
    assert "line 3 was changed" in ui.decisionLabel.text and "bold" in ui.decisionLabel.styleSheet
    user.answers["consent"] = True
    _choose(ui, "Normal tissue")
    assert review.active and review.named("begin")[-1] == ("normal", True)


def test_looking_only_says_why_on_every_button(sections: Any, ui: Any, review: FakeReview) -> None:
    review.elsewhere = "the journal is open in another Slicer"
    _choose(ui, "Normal tissue")
    assert ui.refusalLabel.text == "LOOKING ONLY: The journal is open in another Slicer."
    for name in ("acceptButton", "editButton", "skipButton", "reassignButton", "undoDecisionButton", "noteEdit"):
        widget = getattr(ui, name)
        assert not widget.enabled and "another Slicer" in widget.toolTip, name
    ui.nextButton.click()
    draw()
    assert review.named("next") == [()] and review.current is not None and review.current.rank == 1


def test_an_edit_that_a_crash_left_can_be_taken_up_or_forgotten(
    ui: Any, a_reader: FakeReview, user: ScriptedUser
) -> None:
    draft = SimpleNamespace(
        region=SimpleNamespace(structure="Liver"),
        drawn=range(321),
        effort=SimpleNamespace(edited=41.0),
        saved="2025-11-25T18:10:00+00:00",
    )
    a_reader.draft = draft
    a_reader.changed.emit()
    draw()
    assert ui.draftFrame.visible and "321 voxels" in ui.draftLabel.text
    user.answers["consent"] = False
    ui.discardDraftButton.click()
    assert not a_reader.named("discard_draft")
    user.answers["consent"] = True
    ui.discardDraftButton.click()
    draw()
    assert a_reader.named("discard_draft") == [()] and not ui.draftFrame.visible


# The worklist


def test_the_worst_region_is_first_and_marked(ui: Any, a_reader: FakeReview) -> None:
    table = ui.worklistTable
    assert table.rowCount == 23 and table.currentRow() == 0
    first = a_reader.rows[0]
    assert shown_rows(table)[0][0] == "1" and shown_rows(table)[0][6] == "open"
    assert ui.regionLabel.text.startswith("Region 1 of 23") and "Nobody has decided" in ui.regionFactsLabel.text
    assert first.region.seconds > 0 and ui.progressLabel.text.startswith("0 of 23 regions")


def test_a_click_into_the_table_goes_to_the_region(ui: Any, a_reader: FakeReview) -> None:
    table = ui.worklistTable
    click_cell(table, 3, 1)
    assert a_reader.named("go_to") == [(a_reader.rows[3].id,)]
    assert ui.regionLabel.text.startswith("Region 4 of 23") and table.currentRow() == 3
    fire(table, "cellDoubleClicked(int,int)", 3, 1)
    assert a_reader.named("look") == [()]


def test_arrow_keys_in_the_table_go_from_region_to_region(ui: Any, a_reader: FakeReview) -> None:
    ui.worklistTable.setFocus()
    press(ui.worklistTable, ["Down", "Down", "Up"])  # type: ignore[arg-type]
    assert [call[0] for call in a_reader.named("go_to")] == [a_reader.rows[n].id for n in (1, 2, 1)]


def test_headers_sort_and_show_how(ui: Any, a_reader: FakeReview) -> None:
    header = ui.worklistTable.horizontalHeader()
    fire(header, "sectionClicked(int)", 3)
    draw()
    assert a_reader.named("sort") == [("ml", True)] and header.sortIndicatorSection() == 3
    fire(header, "sectionClicked(int)", 3)
    draw()
    assert a_reader.named("sort")[-1] == ("ml", False)
    sizes = [row.region.volume_ml for row in a_reader.rows]
    assert sizes == sorted(sizes) and shown_rows(ui.worklistTable)[-1][0] == "1"


def test_filters_narrow_the_table_and_an_empty_one_says_so(ui: Any, a_reader: FakeReview) -> None:
    ui.expertFilterBox.setCurrentIndex(1)
    fire(ui.expertFilterBox, "activated(int)", 1)
    draw()
    assert a_reader.named("show") == [("extent", None, None)]
    assert ui.worklistTable.rowCount == len(a_reader.rows) < 23
    ui.stateFilterBox.setCurrentIndex(1)
    fire(ui.stateFilterBox, "activated(int)", 1)
    draw()
    assert a_reader.named("show")[-1] == ("extent", "conflict", None)
    assert ui.worklistTable.rowCount == 0 and "filter" in ui.worklistHintLabel.text
    assert not ui.nextButton.enabled and "no region" in ui.nextButton.toolTip


def test_a_row_outside_the_filter_is_still_the_region_that_is_looked_at(ui: Any, a_reader: FakeReview) -> None:
    other = next(row for row in a_reader.rows if row.expert != a_reader.rows[0].expert)
    a_reader.show(expert=other.expert)
    draw()
    assert ui.regionLabel.text.startswith("Region 1 of 23") and not ui.worklistTable.selectedItems()
    assert ui.nextButton.enabled


def test_states_colors_and_tool_tips_are_in_the_rows(ui: Any, a_reader: FakeReview) -> None:
    a_reader.set_states(
        {
            1: status("accepted", readers=("extent",)),
            2: status("conflict", readers=("extent", "Wu")),
            3: status("reassigned", ("edge",), ("extent",)),
        }
    )
    draw()
    rows = shown_rows(ui.worklistTable)
    assert [row[6] for row in rows[:4]] == ["open", "accepted", "conflict", "reassigned"]
    assert rows[3][2] == "Boundary" and "Waits for Boundary" in ui.worklistTable.item(3, 0).toolTip()
    settled, loud = (ui.worklistTable.item(at, 6).foreground().color().name() for at in (1, 2))
    assert settled == "#808080" and loud == "#c72921"
    assert ui.progressLabel.text.startswith("2 of 23")


def test_all_readers_and_follow_views_reach_the_review(ui: Any, a_reader: FakeReview) -> None:
    ui.allReadersBox.click()
    ui.followViewsBox.click()
    draw()
    assert a_reader.named("show_all_readers") == [(True,)] and a_reader.named("set_follow_views") == [(False,)]


def test_five_thousand_regions_stay_fluid(
    sections: Any, ui: Any, logic: QuietLogic, review: FakeReview, tmp_path: Any
) -> None:
    logic.shown = review.shown = FakeShown(tmp_path / "case-0013", many_regions(5000))
    review.begin("extent")
    draw()
    table = ui.worklistTable
    assert table.rowCount == 5000 and sections.review.worklist._table.filled < 50
    header = table.horizontalHeader()
    times = {}
    for name, act in {
        "next": ui.nextButton.click,
        "sort": lambda: fire(header, "sectionClicked(int)", 1),
        "sort back": lambda: fire(header, "sectionClicked(int)", 0),
        "accept": ui.acceptButton.click,
        "to the last": lambda: review.go_to(review.rows[-1].id),
    }.items():
        tries = []
        for _ in range(3):  # a busy machine may be slow once
            begun = time.perf_counter()
            act()
            draw()
            tries.append(time.perf_counter() - begun)
        times[name] = min(tries)
    assert max(times.values()) < 0.1, times
    review.sort()
    review.go_to(review.rows[-1].id)
    draw()
    assert table.item(4999, 0).text() == "5000" and sections.review.worklist._table.filled < 100


def test_rows_are_filled_when_they_are_scrolled_to(ui: Any, a_reader: FakeReview) -> None:
    table = ui.worklistTable
    assert table.item(22, 0) is None
    table.verticalScrollBar().setValue(table.verticalScrollBar().maximum)
    draw()
    assert table.item(22, 0).text() == "23"
    a_reader.set_states({22: status("skipped", readers=("extent",))})
    draw()
    assert table.item(22, 6).text() == "skipped"


# Deciding


def test_accepting_keeps_the_note_and_goes_to_the_next_open_region(ui: Any, a_reader: FakeReview) -> None:
    ui.noteEdit.setText(" vessel, not lesion ")
    ui.acceptButton.click()
    draw()
    assert a_reader.named("accept") == [("vessel, not lesion",)] and ui.noteEdit.text == ""
    assert a_reader.current is not None and a_reader.current.rank == 1
    assert ui.decisionLabel.text == "Region 1: accepted, the model's label stands."
    assert shown_rows(ui.worklistTable)[0][6] == "accepted" and ui.worklistTable.currentRow() == 1


def test_the_last_decision_says_that_nothing_is_left(ui: Any, a_reader: FakeReview) -> None:
    a_reader.set_states({rank: status("accepted", readers=("extent",)) for rank in range(1, 23)})
    draw()
    ui.skipButton.click()
    draw()
    assert "skipped" in ui.decisionLabel.text and "Nothing is open" in ui.decisionLabel.text
    assert ui.progressLabel.text == "All 23 regions are done."


def test_a_region_is_reassigned_by_a_menu_of_the_other_experts(sections: Any, ui: Any, a_reader: FakeReview) -> None:
    ui.reassignButton.click()
    draw()
    menu = sections.review.deciding.menu
    assert menu.visible
    actions = sections.review.deciding._actions
    assert [action.text for action in actions] == ["&1 Normal tissue", "&2 Boundary (off duty)"]
    actions[1].trigger()
    menu.hide()
    draw()
    assert a_reader.named("reassign") == [("edge", "")]
    assert "reassigned to Boundary" in ui.decisionLabel.text


def test_undo_takes_the_last_decision_back_and_goes_there(ui: Any, a_reader: FakeReview) -> None:
    assert not ui.undoDecisionButton.enabled and "not decided anything" in ui.undoDecisionButton.toolTip
    ui.acceptButton.click()
    draw()
    ui.undoDecisionButton.click()
    draw()
    assert a_reader.current is not None and a_reader.current.rank == 0
    assert shown_rows(ui.worklistTable)[0][6] == "open" and "taken back" in ui.decisionLabel.text


def test_a_full_disk_is_a_banner_with_retry_and_nothing_is_lost(ui: Any, a_reader: FakeReview) -> None:
    a_reader.full = True
    ui.acceptButton.click()
    draw()
    assert ui.unsavedFrame.visible and "1 decision is NOT SAVED" in ui.unsavedLabel.text
    assert "disk is full" in ui.decisionLabel.text and a_reader.current is not None and a_reader.current.rank == 0
    assert not ui.acceptButton.enabled and ui.undoDecisionButton.enabled
    ui.retryButton.click()
    draw()
    assert ui.unsavedFrame.visible and "disk is full" in ui.decisionLabel.text
    a_reader.full = False
    ui.retryButton.click()
    draw()
    assert not ui.unsavedFrame.visible and ui.decisionLabel.text == "Saved." and ui.acceptButton.enabled


def test_conflicts_are_listed_gone_to_and_settled_there(ui: Any, a_reader: FakeReview) -> None:
    assert not ui.conflictsWidget.visible
    a_reader.conflicts = (
        conflict("Liver", 1320, ("Lesion extent", "accept"), ("Dr. Smith", "edit")),
        conflict("Spleen", 88, ("Lesion extent", "accept"), ("Dr. Smith", "edit")),
    )
    a_reader.changed.emit()
    draw()
    assert ui.conflictsWidget.visible and "2 places" in ui.conflictsLabel.text
    assert shown_rows(ui.conflictsTable)[1] == ["Spleen", "Lesion extent accepted, Dr. Smith edited", "0.35"]
    fire(ui.conflictsTable, "cellClicked(int,int)", 1, 0)
    draw()
    assert a_reader.named("go_to_conflict") == [(1,)]
    assert ui.regionLabel.text == "Conflict 2 of 2: Spleen" and "settles it" in ui.regionFactsLabel.text
    a_reader.conflicts = (  # found anew when another reader decides
        conflict("Spleen", 88, ("Lesion extent", "accept"), ("Dr. Smith", "edit")),
        conflict("Liver", 1320, ("Lesion extent", "accept"), ("Dr. Smith", "edit")),
        conflict("Liver", 7, ("Lesion extent", "accept"), ("Wu", "edit")),
    )
    a_reader.changed.emit()
    draw()
    assert ui.regionLabel.text == "Conflict 1 of 3: Spleen" and ui.conflictsTable.currentRow() == 0
    ui.acceptButton.click()
    draw()
    assert ui.decisionLabel.text == "Conflict: accepted, the model's label stands."


def test_labelings_are_buttons_with_their_lines_color(ui: Any, a_reader: FakeReview) -> None:
    a_reader.offered = (option(1, "tighter", -0.42, (1.0, 0.85, 0.0)), option(2, "wider", 1.31, (0.0, 0.9, 1.0)))
    a_reader.changed.emit()
    draw()
    assert ui.alternative1Button.text == "1  Tighter  \u22120.42 ml" and not ui.alternative3Button.visible
    assert ui.alternative2Button.icon.pixmap(14, 14).toImage().pixelColor(7, 7).name() == "#00e6ff"
    ui.alternative2Button.click()
    draw()
    assert a_reader.named("take") == [(2, "")] and "Wider" in ui.decisionLabel.text


def test_their_lines_can_be_hidden_and_that_is_remembered(ui: Any, a_reader: FakeReview, services: Any) -> None:
    assert a_reader.alternatives_shown, "lines are drawn until the reader says no"
    ui.previewBox.click()
    draw()
    assert a_reader.named("show_alternatives") == [(False,)]
    assert services.setting("DeferredSegSlicer/Review/Preview") == "off"
    assert "Keys 1 to 4" in ui.alternativesHintLabel.text


# Keys


def test_single_letters_decide_and_walk(ui: Any, a_host: Any, a_reader: FakeReview) -> None:
    press(a_host, "N")
    press(a_host, "P")
    press(a_host, "A")
    press(a_host, "S")
    assert [call[0] for call in a_reader.calls] == ["next", "previous", "accept", "skip"]
    a_reader.offered = (option(1, "tighter", -0.4, (1.0, 1.0, 0.0)),)
    press(a_host, "1")
    assert a_reader.named("take") == [(1, "")]


def test_letters_that_are_typed_into_a_field_decide_nothing(ui: Any, a_reader: FakeReview) -> None:
    type_into(ui.noteEdit, "aerps1n")
    assert ui.noteEdit.text == "aerps1n"
    assert a_reader.calls == []


def test_no_key_works_while_another_module_is_in_front(sections: Any, a_host: Any, a_reader: FakeReview) -> None:
    sections.exit()
    a_reader.calls.clear()
    press(a_host, "A")
    assert a_reader.calls == []
    sections.enter()
    draw()
    press(a_host, "A")
    assert a_reader.named("accept") == [("",)]


def test_no_key_works_before_somebody_reviews(sections: Any, a_host: Any, review: FakeReview) -> None:
    assert not any(shortcut.enabled for shortcut in sections.review.keys.alive.values())


@pytest.mark.parametrize("inside", [True, False], ids=["in the panel", "elsewhere"])
def test_ctrl_z_takes_back_in_the_panel_alone(
    inside: bool, ui: Any, a_host: Any, a_reader: FakeReview, bench: Any
) -> None:
    import qt
    from PySide6 import QtCore
    from PySide6.QtTest import QTest

    elsewhere = qt.QPushButton("view")
    a_host.layout().addWidget(elsewhere)
    ui.acceptButton.click()
    draw()
    focused = ui.worklistTable if inside else elsewhere
    focused.setFocus()
    QTest.keyClick(focused, QtCore.Qt.Key_Z, QtCore.Qt.ControlModifier)
    draw()
    assert len(a_reader.named("undo")) == int(inside)


def test_seconds_are_counted_only_in_front(sections: Any, review: FakeReview) -> None:
    review.calls.clear()
    sections.exit()
    sections.enter()
    assert [call[0] for call in review.calls] == ["pause", "go_on"]


def test_what_fails_in_the_background_is_said_without_a_window(
    sections: Any, ui: Any, a_reader: FakeReview, user: ScriptedUser
) -> None:
    from DeferredSegSlicerLib.core.errors import BadInputError

    a_reader.failed.emit(BadInputError("the draft cannot be written: the disk is full"))
    draw()
    assert "draft cannot be written" in ui.decisionLabel.text and not user.asked


def test_a_closed_panel_hears_nothing_any_more(sections: Any, ui: Any, a_reader: FakeReview) -> None:
    before = ui.progressLabel.text
    sections.close()
    a_reader.set_states({0: status("accepted", readers=("extent",))})
    draw()
    assert ui.progressLabel.text == before and sections.review.keys.alive == {}
