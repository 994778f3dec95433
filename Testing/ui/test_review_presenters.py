"""What the sections of the review say, in plain Python."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from DeferredSegSlicerLib.core.review import Progress, Row, RowFilter
from DeferredSegSlicerLib.core.review.table import SORT_KEYS
from DeferredSegSlicerLib.export.formats import DEFAULT_FORMATS
from DeferredSegSlicerLib.export.formats import FORMATS as WRITTEN
from DeferredSegSlicerLib.logic.review import ReaderChoice
from DeferredSegSlicerLib.ui.presenters.shortcuts import SLICER_KEYS, panel_keys
from DeferredSegSlicerLib.ui.review.presenters import (
    alternatives,
    deciding,
    editing,
    export,
    keys,
    reading,
    worklist,
)
from DeferredSegSlicerLib.ui.review.presenters.names import Names
from review_fakes import EXPERTS, STRUCTURES, FakeCase, conflict, option, region, status

NAMES = Names.of(FakeCase(Path("case")), {"Dr. Smith": "Dr. Smith"})  # type: ignore[arg-type]


def _row(state: str = "open", waiting: tuple[str, ...] = (), readers: tuple[str, ...] = (), rank: int = 2) -> Row:
    return Row(rank, region(1, "Liver", "normal", ml=2.345, slices=7), status(state, waiting, readers))


# The table


def test_a_row_says_place_structure_expert_size_and_state() -> None:
    cells = worklist.cells_of(_row(), NAMES, "extent")
    assert cells.texts == ("3", "Liver", "Normal tissue", "2.3", "7", "0.94", "open")
    assert cells.color == EXPERTS[1].color and not cells.settled and not cells.loud
    assert "Nobody has decided" in cells.tool_tip and "24 s" in cells.tool_tip


def test_a_reassigned_row_is_the_new_experts_and_settled_for_others_alone() -> None:
    row = _row("reassigned", ("edge",), ("extent",))
    cells = worklist.cells_of(row, NAMES, "extent")
    assert cells.texts[worklist.EXPERT] == "Boundary" and cells.settled
    assert "Waits for Boundary" in cells.tool_tip
    assert not worklist.cells_of(row, NAMES, "edge").settled


def test_a_conflict_is_loud_and_names_who_disagrees() -> None:
    cells = worklist.cells_of(_row("conflict", readers=("extent", "Dr. Smith")), NAMES, "extent")
    assert cells.loud and not cells.settled and "Lesion extent, Dr. Smith" in cells.tool_tip


@pytest.mark.parametrize("state", ["open", "skipped", "reassigned", "accepted", "edited", "conflict", "partly"])
def test_every_state_has_a_word_and_a_sentence(state: str) -> None:
    row = _row(state, ("edge",), ("extent",))
    assert worklist.state_text(state) and worklist.state_sentence(row, NAMES).endswith(".")


def test_the_columns_are_sorted_by_keys_that_the_review_knows() -> None:
    assert set(worklist.SORT_KEYS) <= set(SORT_KEYS)
    assert len(worklist.headers()) == len(worklist.SORT_KEYS)
    assert all(caption and tool_tip for caption, tool_tip in worklist.headers())


def test_a_click_sorts_sizes_largest_first_and_a_second_one_turns_the_order() -> None:
    once = worklist.clicked(worklist.ML, ("worst", False))
    assert once == ("ml", True)
    assert worklist.clicked(worklist.ML, once) == ("ml", False)
    assert worklist.clicked(worklist.STRUCTURE, once) == ("structure", False)
    assert worklist.clicked(worklist.NUMBER, ("worst", False)) == ("worst", True)


def test_progress_is_said_in_regions_and_minutes() -> None:
    assert worklist.progress_text(Progress(7, 23, 240.0)) == "7 of 23 regions, about 4 min left"
    assert worklist.progress_text(Progress(22, 23, 0.2)) == "22 of 23 regions, under a minute left"
    assert worklist.progress_text(Progress(23, 23, 0.0)) == "All 23 regions are done."
    assert worklist.progress_text(Progress(1, 1, 0.0)) == "The region is done."
    assert "Nothing is deferred" in worklist.progress_text(Progress(0, 0, 0.0))
    assert worklist.caption(Progress(7, 23, 240.0)) == "Review (7 of 23)"


def test_an_empty_table_says_whether_the_filter_or_the_budget_empties_it() -> None:
    assert worklist.nothing_shown(3, 23, RowFilter("edge")) == ""
    assert "filter" in worklist.nothing_shown(0, 23, RowFilter("edge"))
    assert "budget" in worklist.nothing_shown(0, 0, RowFilter("edge"))


def test_filters_begin_with_all() -> None:
    for choices in (worklist.expert_choices(NAMES), worklist.state_choices(), worklist.structure_choices(NAMES)):
        assert choices[0][0] == "" and choices[0][1].startswith("All")
    assert [value for value, _ in worklist.structure_choices(NAMES)[1:]] == [s.id for s in STRUCTURES]


def test_one_cannot_walk_where_there_is_no_other_region() -> None:
    assert worklist.walk_reason(0) and worklist.walk_reason(1) and worklist.walk_reason(2) == ""


# Who reads


def test_one_can_be_an_expert_somebody_with_a_journal_or_another_name() -> None:
    role = "radiologist: how far the lesion goes"
    known = [ReaderChoice("extent", "Lesion extent", role, (1.0, 0.0, 0.0)), ReaderChoice("Wu", "Wu")]
    choices = reading.reader_choices(known, None)
    assert [value for value, _ in choices] == [reading.NOBODY, "extent", "Wu", reading.OTHER]
    assert choices[1][1] == "Lesion extent (radiologist)"


def test_a_reader_without_a_journal_yet_is_among_the_choices_and_nobody_is_not() -> None:
    choices = reading.reader_choices([ReaderChoice("Wu", "Wu")], ("new", "Newcomer"))
    assert choices[0] == ("Wu", "Wu") and ("new", "Newcomer") in choices


def test_what_is_not_saved_is_said_loudly() -> None:
    assert reading.unsaved_text(0) == ""
    assert "1 decision is NOT SAVED" in reading.unsaved_text(1)
    assert "3 decisions are NOT SAVED" in reading.unsaved_text(3)
    assert reading.look_only("") == "" and reading.look_only("the disk is read-only").startswith("LOOKING ONLY: The")


def test_times_of_today_have_no_date_and_others_have() -> None:
    now = datetime.now(timezone.utc)
    assert len(reading.clock_text(now.isoformat())) == 5
    assert len(reading.clock_text((now - timedelta(days=2)).isoformat())) == 16
    assert reading.clock_text("no time") == "no time"


def test_a_draft_says_what_it_is_of() -> None:
    text = reading.draft_text("Liver", 321, 41.2, "2020-01-02T03:04:05+00:00")
    assert "Liver" in text and "321 voxels" in text and "41 s" in text and "2020-01-0" in text


# Deciding


def test_the_region_that_is_looked_at_is_named() -> None:
    assert deciding.region_title(_row(), 23, NAMES) == "Region 3 of 23: Liver, for Normal tissue"
    facts = deciding.region_facts(_row(), NAMES)
    assert "2.3 ml in 7 slices" in facts and "0.94 ml are probably wrong" in facts
    assert deciding.region_title(None, 0, NAMES) == deciding.region_facts(None, NAMES) == ""


def test_a_conflict_says_who_did_what_and_that_a_decision_settles_it() -> None:
    found = conflict("Liver", 250, ("Lesion extent", "accept"), ("Dr. Smith", "alternative"))
    assert deciding.conflict_title(1, 2, found, NAMES) == "Conflict 1 of 2: Liver"
    text = deciding.conflict_facts(found, 0.004)
    assert "1.0 ml" in text and "Lesion extent accepted, Dr. Smith took another labeling" in text and "settles" in text
    assert deciding.conflicts_text(0) == "" and "1 place" in deciding.conflicts_text(1)


def test_one_reassigns_to_others_and_sees_who_is_off_duty() -> None:
    found = deciding.targets(EXPERTS, "extent")
    assert [target.id for target in found] == ["normal", "edge"]
    assert found[1].caption == "Boundary (off duty)"
    assert deciding.target_captions(found) == ("&1 Normal tissue", "&2 Boundary (off duty)")
    assert len(deciding.targets(EXPERTS, "Wu")) == 3
    assert deciding.reassign_reason("", ()) and deciding.reassign_reason("", found) == ""


def test_undo_says_why_it_cannot() -> None:
    assert deciding.undo_reason("", 0, 0, False) == "You have not decided anything yet."
    assert deciding.undo_reason("", 1, 0, False) == ""
    assert deciding.undo_reason("the folder is read-only", 1, 0, False) == "The folder is read-only."
    assert deciding.undo_reason("a decision could not be written", 0, 1, False) == ""


def test_what_came_of_a_decision_names_the_region() -> None:
    text = deciding.about(_row(), deciding.accepted_text())
    assert text == "Region 3: accepted, the model's label stands."
    assert deciding.all_done(text).endswith("any more.")


# Alternatives


def test_a_labeling_has_key_name_and_change() -> None:
    assert alternatives.caption(option(2, "wider", 1.306, (0.0, 1.0, 1.0))) == "2  Wider  +1.3 ml"
    assert alternatives.caption(option(1, "tighter", -0.424, (1.0, 1.0, 0.0))) == "1  Tighter  \u22120.42 ml"
    assert alternatives.delta_text(0.001) == "\u00b10 ml"
    assert alternatives.name_text("mask token 2") == "mask token 2"
    assert "Key 3" in alternatives.tool_tip(option(3, "fill", 1.0, (1.0, 0.0, 1.0)))


def test_an_empty_row_of_labelings_says_why() -> None:
    assert alternatives.hint(True, 2, "") == "" and alternatives.hint(True, 0, "read-only") == ""
    assert "Looking" in alternatives.hint(True, 0, "") and "hidden" in alternatives.hint(False, 0, "")


# Editing


def test_a_lifted_limit_is_a_warning_and_a_margin_is_said() -> None:
    assert "5 mm" in editing.limit_text(5.0, False) and "2.5 mm" in editing.limit_text(2.5, False)
    assert "alone" in editing.limit_text(0.0, False)
    assert editing.limit_text(5.0, True).startswith("CAUTION")


def test_an_edit_says_what_was_changed_and_what_was_put_back() -> None:
    assert editing.count_text(0) == "Nothing is changed yet." and editing.count_text(1) == "1 voxel changed."
    assert editing.outcome_text("Liver", 231, 0) == "Liver corrected, 231 voxels differ from the model."
    assert editing.outcome_text("Liver", 231, 12).endswith("12 voxels drawn beyond the limit were put back.")
    assert "Nothing was drawn" in editing.outcome_text("Liver", None, 0)


# Keys


def test_the_reviews_keys_are_single_and_all_different() -> None:
    found = [key.keys for key in keys.review_keys()]
    assert found == ["A", "E", "R", "S", "N", "P", "1", "2", "3", "4"]
    others = {key.keys for key in panel_keys()} | SLICER_KEYS
    assert keys.done_key().keys not in others
    assert all(key.text.startswith("Review") for key in (*keys.review_keys(), keys.undo_key(), keys.done_key()))


# Export


def test_the_panel_offers_every_format_and_ticks_the_usual_ones() -> None:
    assert tuple(WRITTEN) == export.FORMATS == tuple(export.captions())
    assert export.USUAL == DEFAULT_FORMATS


def test_what_is_not_reviewed_is_said_loudly() -> None:
    assert export.unreviewed_text(0, 23, 0.0) == ""
    assert export.unreviewed_text(5, 23, 12.34).startswith("NOT REVIEWED: 5 of 23 deferred regions, 12.3 ml")
    assert export.reviewed_text(23) == "All 23 deferred regions are reviewed."
    assert "Nothing is deferred" in export.reviewed_text(0)


def test_the_state_of_the_corrected_labels_is_said() -> None:
    assert export.saved_text(None) == ""
    assert export.saved_text(export.SavedAt(True, "12:03")) == "saved 12:03"
    assert export.saved_text(export.SavedAt(True)) == "up to date"
    assert "not written" in export.saved_text(export.SavedAt(False, "12:03"))


def test_save_and_export_say_why_not() -> None:
    assert export.save_reason(False, False, False) and export.save_reason(True, True, False)
    assert export.save_reason(True, False, True) and export.save_reason(True, False, False) == ""
    assert export.export_reason((), "/x", False, "") == "Tick at least one format."
    assert export.export_reason(("csv",), "", False, "") == "Choose a folder first."
    assert "edit" in export.export_reason(("csv",), "/x", True, "")
    assert export.export_reason(("csv",), "/x", False, "Not while a job is running.") == "Not while a job is running."
    assert export.export_reason(("csv",), "/x", False, "") == ""


def test_what_was_written_links_to_the_folder_and_no_name_can_break_the_text(tmp_path: Path) -> None:
    folder = tmp_path / 'a <b> & "c" \u00fc'
    text = export.exported_text([folder / "x<y>.csv"], folder)
    assert text.startswith("1 file written to <a href=") and "x&lt;y&gt;.csv" in text
    assert "<b>" not in text and folder.as_uri().replace("&", "&amp;") in text
    assert export.exported_text([], folder) == ""


def test_a_format_that_failed_is_named() -> None:
    text = export.failures_text([("dicom-seg", "no series was found"), ("stl", "the disk is full")])
    assert text.splitlines() == [
        "NOT WRITTEN: DICOM SEG. No series was found.",
        "NOT WRITTEN: Surfaces (.stl). The disk is full.",
    ]
