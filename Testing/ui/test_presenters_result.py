"""The result in words: whose it is, how it was made, and the legend."""

from __future__ import annotations

import pytest
from DeferredSegSlicerLib.core.experts import Expert
from DeferredSegSlicerLib.mrml.legend import LegendRow
from DeferredSegSlicerLib.ui.presenters import budget, experts, result

ROWS = (
    LegendRow("extent", "Lesion extent", (0.9, 0.6, 0.0), 4, 7.74, 1.04),
    LegendRow("normal", "Normal tissue", (0.0, 0.4, 0.7), 16, 201.2, 12.4),
    LegendRow("edge", "Boundary", (0.8, 0.5, 0.7), 0, 0.0, 0.0, on_duty=False),
)


def test_the_title_names_the_volume_even_a_long_one() -> None:
    assert result.title("CT abdomen") == "Result on \u201cCT abdomen\u201d"
    assert len(result.title("x" * 200)) < 60


def test_another_volume_than_the_selected_one_is_said_loudly() -> None:
    text = result.mismatch("CT Smith", "CT Jones")
    assert text.startswith("CAUTION") and "CT Smith" in text and "CT Jones" in text
    assert "none is selected" in result.mismatch("CT Smith", "")
    assert result.mismatch("", "CT Jones") == ""


def test_the_method_is_a_sentence_that_says_whether_it_was_learned() -> None:
    assert result.method_text("learned", "LiteMedSAM") == "Deferral: learned, by LiteMedSAM."
    for method in ("margin", "entropy", "tta", "another"):
        text = result.method_text(method, "LiteMedSAM with learned deferral")
        assert "learned" not in text and text.startswith("Deferral: by")
    assert "another" in result.method_text("another", "LiteMedSAM")


def test_warnings_of_the_case_become_notes_and_garbage_does_not() -> None:
    notes = result.notes({"warnings": ["the box is large", "another"]}, 2)
    assert notes == ("Note: The box is large.", "Note: Another.")
    assert result.notes({"warnings": "not a list"}, 2) == ()
    assert len(result.notes({}, 0)) == 1


def test_the_legend_has_a_line_for_each_expert_and_their_sum() -> None:
    lines = result.legend_lines(ROWS)
    assert [(line.name, line.regions, line.ml, line.minutes) for line in lines] == [
        ("Lesion extent", "4", "7.7 ml", "1.0 min"),
        ("Normal tissue", "16", "201 ml", "12 min"),
        ("Boundary (off duty)", "\u2013", "\u2013", "\u2013"),
        ("Together", "20", "209 ml", "13 min"),
    ]
    assert [line.color for line in lines] == [*(row.color for row in ROWS), None]


def test_a_single_expert_needs_no_sum() -> None:
    assert len(result.legend_lines(ROWS[:1])) == 1


def test_the_summary_gives_regions_volume_time_and_budget() -> None:
    assert result.summary(12, 34.1, 6.2, 0.05) == "12 regions of 34.1 ml, about 6 min of review, at a budget of 5 %"
    assert result.summary(0, 0, 0, 0.0) == "Nothing is deferred at a budget of 0 %."


def test_the_budget_says_what_it_asks_of_the_readers() -> None:
    assert budget.budget_text(12, 6.0, 3) == "12 regions, about 6 min"
    assert budget.budget_text(0, 0.0, 3) == "No region at this budget."
    assert "after segmentation" in budget.budget_text(None, None, 3)
    assert "Nobody" in budget.budget_text(12, 6.0, 0)


@pytest.mark.parametrize("unit", budget.UNITS)
def test_every_unit_of_the_budget_has_a_scale_and_a_name(unit: str) -> None:
    scale = budget.scale_of(unit)
    assert scale.maximum > scale.page > scale.step > 0
    assert len(set(budget.unit_names())) == len(budget.UNITS)
    assert (budget.unit_reason(unit, has_result=False) == "") == (unit == budget.SHARE)
    assert budget.unit_reason(unit, has_result=True) == ""


def test_the_experts_say_who_is_on_duty_and_what_they_are_good_at(three_experts: tuple[Expert, ...]) -> None:
    rows = experts.expert_rows(three_experts, {"normal"})
    assert [row.on_duty for row in rows] == [True, False, True]
    assert "97%" in rows[0].tool_tip and three_experts[0].role in rows[0].tool_tip
