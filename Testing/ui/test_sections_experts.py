"""Duty, budget, model and device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from DeferredSegSlicerLib.core.experts import Expert
from DeferredSegSlicerLib.logic.job import JobStatus
from fakes import MemoryServices, QuietLogic, ScriptedUser
from panel_fixtures import *  # noqa: F403
from panel_fixtures import click_cell, settle


def _tick(panel: Any, row: int, on: bool) -> None:
    import qt

    panel.ui.expertsTable.item(row, 0).setCheckState(qt.Qt.Checked if on else qt.Qt.Unchecked)
    settle()


def test_the_built_in_experts_are_listed_on_duty(a_panel: Any) -> None:
    table = a_panel.ui.expertsTable
    assert [table.item(row, 1).text() for row in range(table.rowCount)] == [
        "Lesion extent",
        "Normal tissue",
        "Boundary",
    ]
    assert a_panel.experts.on_duty == 3


def test_unticking_an_expert_reaches_the_logic_and_comes_back(a_panel: Any, logic: QuietLogic) -> None:
    _tick(a_panel, 1, False)
    assert logic.named("set_off_duty") == [(frozenset({"normal-tissue"}),)]
    assert a_panel.experts.on_duty == 2
    _tick(a_panel, 1, True)
    assert logic.state.off_duty == frozenset()


def test_with_nobody_on_duty_the_button_says_so(a_panel: Any, logic: QuietLogic, ct: Any) -> None:
    a_panel.structures.on_add_box()
    for row in range(3):
        _tick(a_panel, row, False)
    assert not a_panel.ui.segmentButton.enabled and "expert" in a_panel.ui.segmentButton.toolTip
    assert "Nobody" in a_panel.ui.budgetLabel.text


def test_without_a_result_the_budget_is_a_share_and_says_so(a_panel: Any, logic: QuietLogic) -> None:
    assert not a_panel.ui.budgetUnitBox.enabled and "after segmentation" in a_panel.ui.budgetUnitBox.toolTip
    a_panel.ui.budgetSlider.setValue(12.0)
    settle()
    assert logic.named("set_budget")[-1] == (0.12,)


def test_the_slider_follows_the_state(a_panel: Any, logic: QuietLogic) -> None:
    logic.state.budget = 0.2
    settle()
    assert a_panel.ui.budgetSlider.value == 20.0
    assert logic.named("set_budget") == []


def test_a_dragged_slider_updates_regions_live_and_not_at_every_pixel(
    a_panel: Any, logic: QuietLogic, a_shown_case: Any
) -> None:
    before = a_panel.ui.budgetLabel.text
    for value in (15.0, 10.0, 5.0, 2.0):
        a_panel.ui.budgetSlider.bench_drag(value)
    settle()
    assert a_panel.ui.budgetLabel.text != before and "region" in a_panel.ui.budgetLabel.text
    assert len(logic.named("set_budget")) < 4
    assert abs(logic.state.budget - 0.02) < 0.002
    assert len(a_shown_case.regions) == len(a_shown_case.regions_at(a_shown_case.budget))
    a_panel.ui.budgetSlider.bench_release()


def test_a_budget_in_minutes_is_kept_to(a_panel: Any, logic: QuietLogic, a_shown_case: Any) -> None:
    whole = a_shown_case.forecast(1.0).minutes
    assert whole > 1, "the case asks for too little time to test this"
    a_panel.ui.budgetUnitBox.setCurrentIndex(1)
    settle()
    a_panel.ui.budgetSlider.setValue(1.0)
    settle()
    assert a_shown_case.forecast(logic.state.budget).minutes <= 1.0
    assert a_panel.ui.budgetSlider.suffix == " min" and "%" in a_panel.ui.budgetLabel.text


def test_a_budget_in_regions_is_kept_to(a_panel: Any, logic: QuietLogic, a_shown_case: Any) -> None:
    a_panel.ui.budgetUnitBox.setCurrentIndex(2)
    settle()
    a_panel.ui.budgetSlider.setValue(1.0)
    settle()
    assert a_shown_case.forecast(logic.state.budget).regions <= 1


def test_the_unit_falls_back_to_the_share_when_the_result_is_gone(
    a_panel: Any, logic: QuietLogic, a_shown_case: Any
) -> None:
    a_panel.ui.budgetUnitBox.setCurrentIndex(1)
    settle()
    logic.shown = None
    logic.changed.emit()
    settle()
    assert a_panel.ui.budgetUnitBox.currentIndex == 0
    assert (a_panel.ui.budgetSlider.suffix, a_panel.ui.budgetSlider.maximum) == (" %", 100.0)
    assert abs(a_panel.ui.budgetSlider.value - logic.state.budget * 100) < 0.051


def test_models_and_devices_are_kept_in_the_state(a_panel: Any, logic: QuietLogic) -> None:
    box = a_panel.ui.bundleBox
    names = [box.itemText(n) for n in range(box.count)]
    assert names[0] == "LiteMedSAM with learned deferral" and "LiteMedSAM" in names
    box.setCurrentIndex(names.index("LiteMedSAM"))
    a_panel.ui.deviceBox.setCurrentIndex(3)
    settle()
    assert (logic.state.bundle, logic.state.device) == ("litemedsam", "cpu")
    assert (box.currentIndex, a_panel.ui.deviceBox.currentIndex) == (names.index("LiteMedSAM"), 3)


def _profiles(path: Path, experts: tuple[Expert, ...]) -> Path:
    path.write_text(json.dumps({"schema": 1, "experts": [e.to_json() for e in experts]}), encoding="utf-8")
    return path


def test_other_profiles_bring_their_own_duty(
    a_panel: Any, logic: QuietLogic, user: ScriptedUser, services: MemoryServices, three_experts: tuple[Expert, ...]
) -> None:
    user.answers["file"] = str(_profiles(services.folder / "readers.json", three_experts))
    a_panel.ui.profilesButton.click()
    settle()
    assert a_panel.ui.expertsTable.item(0, 1).text() == three_experts[0].name
    assert logic.state.off_duty == {"edge"} and "readers.json" in a_panel.ui.profilesLabel.text
    a_panel.ui.defaultProfilesButton.click()
    settle()
    assert logic.state.experts_file == "" and logic.state.off_duty == frozenset()
    assert not a_panel.ui.defaultProfilesButton.enabled


def test_a_file_that_holds_no_profiles_is_refused_and_nothing_changes(
    a_panel: Any, logic: QuietLogic, user: ScriptedUser, services: MemoryServices
) -> None:
    path = services.folder / "notes.json"
    path.write_text("{}", encoding="utf-8")
    user.answers["file"] = str(path)
    a_panel.ui.profilesButton.click()
    settle()
    assert user.asked[-1][0] == "failure" and "notes.json" in user.asked[-1][1][1]
    assert logic.state.experts_file == "" and a_panel.experts.on_duty == 3


def test_duty_is_locked_while_a_job_runs_and_says_so_but_stays_readable(a_panel: Any, logic: QuietLogic) -> None:
    import qt

    logic.at(JobStatus("running", "segment"))
    settle()
    item = a_panel.ui.expertsTable.item(0, 0)
    assert a_panel.ui.expertsTable.enabled and not item.flags() & qt.Qt.ItemIsUserCheckable
    assert "job is running" in item.toolTip()
    click_cell(a_panel.ui.expertsTable, 0, 0)
    assert logic.named("set_off_duty") == []
    logic.at(JobStatus())
    settle()
    assert a_panel.ui.expertsTable.item(0, 0).flags() & qt.Qt.ItemIsUserCheckable


def test_a_role_is_short_in_the_table_and_whole_in_its_tool_tip(a_panel: Any) -> None:
    item = a_panel.ui.expertsTable.item(0, 2)
    assert item.text() == "Organ radiologist" and "how far the structure" in item.toolTip()
