"""The table of structures as plain rows."""

from __future__ import annotations

from dataclasses import replace

from DeferredSegSlicerLib.core.structures import PALETTE, Code, Terminology, terminology_of
from DeferredSegSlicerLib.ui.presenters import structures
from DeferredSegSlicerLib.ui.presenters.structures import MOVED, SEGMENTED, StructureFacts

LIVER = StructureFacts("k1", "liver", PALETTE[0], terminology_of("liver"), "box", (120.4, 80.0, 60.0))


def _row(facts: StructureFacts) -> structures.StructureRow:
    return structures.structure_rows([facts])[0]


def test_a_box_says_its_size_and_that_it_is_ready() -> None:
    row = _row(LIVER)
    assert (row.code, row.prompt, row.state, row.wrong) == ("Liver", "120 \u00d7 80 \u00d7 60", "ready", False)


def test_the_side_of_a_paired_organ_is_part_of_the_code() -> None:
    row = _row(replace(LIVER, name="right kidney", terminology=terminology_of("right kidney")))
    assert row.code == "Kidney, right"
    assert "SCT 64033007" in row.code_tip and "SCT 24028007" in row.code_tip


def test_a_segment_says_where_it_comes_from() -> None:
    row = _row(replace(LIVER, kind="segment", source=("liver", "TotalSegmentator"), visible=None))
    assert "\u201cliver\u201d of \u201cTotalSegmentator\u201d" in row.prompt_tip


def test_a_problem_is_the_state_and_its_tool_tip() -> None:
    row = _row(replace(LIVER, problem="The box lies outside the volume."))
    assert (row.state, row.state_tip, row.wrong, row.emphasis) == (
        "check",
        "The box lies outside the volume.",
        True,
        True,
    )


def test_what_the_result_has_is_done_and_what_was_moved_since_is_changed() -> None:
    assert _row(replace(LIVER, standing=SEGMENTED)).state == "done"
    assert _row(replace(LIVER, standing=MOVED)).state == "changed"


def test_a_box_of_another_scan_is_pointed_out_but_may_be_used() -> None:
    row = _row(replace(LIVER, other_volume="CT Smith", standing=MOVED))
    assert row.state == "other scan" and "CT Smith" in row.state_tip
    assert row.emphasis and not row.wrong


def test_the_second_of_two_names_is_wrong_whatever_its_capitals() -> None:
    rows = structures.structure_rows([LIVER, replace(LIVER, key="k2", name=" LIVER ")])
    assert [row.wrong for row in rows] == [False, True]
    assert "liver" in structures.first_problem(rows).lower()


def test_a_structure_needs_a_name() -> None:
    rows = structures.structure_rows([replace(LIVER, name="  ")])
    assert structures.first_problem(rows) == "Give the structure a name."


def test_without_a_problem_there_is_none() -> None:
    assert structures.first_problem(structures.structure_rows([LIVER])) == ""


def test_new_names_and_colors_differ_from_those_that_are_there() -> None:
    assert structures.next_name(["Structure 1", "liver"]) == "structure 2"
    assert structures.next_color([PALETTE[0], PALETTE[1]]) == PALETTE[2]
    assert structures.next_color([*PALETTE, PALETTE[0]]) == PALETTE[1]


def test_a_new_name_brings_its_code_unless_the_code_was_chosen_by_hand() -> None:
    assert structures.renamed("structure 1", "spleen", terminology_of("structure 1")) == terminology_of("spleen")
    chosen = Terminology(type=Code("SCT", "1", "Something"))
    assert structures.renamed("structure 1", "spleen", chosen) == chosen
