"""The result: whose it is, the legend, and how the overlays look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fakes import QuietLogic
from panel_fixtures import *  # noqa: F403
from panel_fixtures import fire, settle


def _legend(panel: Any) -> list[list[str]]:
    table = panel.ui.legendTable
    return [[table.item(row, column).text() for column in range(4)] for row in range(table.rowCount)]


def test_without_a_result_there_is_nothing_to_set(a_panel: Any) -> None:
    assert a_panel.ui.resultCollapsibleButton.text == "Result"
    assert not a_panel.ui.emptyResultLabel.isHidden()
    assert a_panel.ui.legendTable.isHidden() and a_panel.ui.displayWidget.isHidden()


def test_the_title_names_the_volume_and_the_legend_has_every_expert(a_panel: Any, a_shown_case: Any) -> None:
    assert a_panel.ui.resultCollapsibleButton.text == "Result on \u201cCT Smith\u201d"
    names = [line[0] for line in _legend(a_panel)]
    assert names == ["Lesion extent", "Normal tissue", "Boundary (off duty)", "Together"]
    regions = [int(line[1]) for line in _legend(a_panel) if line[1].isdigit()]
    assert sum(regions[:-1]) == regions[-1] == len(a_shown_case.regions) > 0
    assert f"{len(a_shown_case.regions)} regions" in a_panel.ui.summaryLabel.text
    assert "softmax margin" in a_panel.ui.methodLabel.text and "Test net" in a_panel.ui.methodLabel.toolTip


def test_a_result_of_another_volume_than_the_selected_one_is_said_loudly(
    a_panel: Any, a_shown_case: Any, a_patient: Callable[[str], Any]
) -> None:
    assert a_panel.ui.mismatchLabel.isHidden()
    a_panel.volume.choose(a_patient("CT Jones"))
    settle()
    assert not a_panel.ui.mismatchLabel.isHidden()
    assert "CT Smith" in a_panel.ui.mismatchLabel.text and "CT Jones" in a_panel.ui.mismatchLabel.text
    a_panel.volume.choose(a_shown_case.volume_node)
    settle()
    assert a_panel.ui.mismatchLabel.isHidden()


def test_unticking_an_expert_changes_legend_and_overlay_at_once(a_panel: Any, a_shown_case: Any) -> None:
    import qt

    a_panel.experts._profiles = (a_panel.logic.state.experts_file, a_shown_case.case.experts)
    a_panel.refresh()
    a_panel.ui.expertsTable.item(0, 0).setCheckState(qt.Qt.Unchecked)
    settle()
    assert _legend(a_panel)[0] == ["Lesion extent (off duty)", "\u2013", "\u2013", "\u2013"]
    assert {region.expert for region in a_shown_case.regions} <= {"normal", "edge"}


def test_a_smaller_budget_shrinks_legend_and_overlay_at_once(a_panel: Any, a_shown_case: Any) -> None:
    before = a_shown_case.regions.voxels
    a_panel.ui.budgetSlider.setValue(1.0)
    settle()
    assert 0 <= a_shown_case.regions.voxels < before
    assert "1 %" in a_panel.ui.summaryLabel.text


@pytest.mark.parametrize(
    ("box", "state", "node"),
    [("showModelBox", "show_model", "result_node"), ("showDeferredBox", "show_deferred", "deferred_node")],
)
def test_an_overlay_is_hidden_and_shown(
    a_panel: Any, logic: QuietLogic, a_shown_case: Any, box: str, state: str, node: str
) -> None:
    display = getattr(a_shown_case, node).GetDisplayNode()
    getattr(a_panel.ui, box).setChecked(False)
    settle()
    assert not display.GetVisibility() and getattr(logic.state, state) is False
    getattr(a_panel.ui, box).setChecked(True)
    settle()
    assert display.GetVisibility() and getattr(logic.state, state) is True


def test_opacities_reach_the_nodes_and_the_state(a_panel: Any, logic: QuietLogic, a_shown_case: Any) -> None:
    a_panel.ui.modelOutlineSlider.setValue(50.0)
    a_panel.ui.deferredFillSlider.setValue(30.0)
    a_panel.ui.deferredOutlineSlider.setValue(80.0)
    settle()
    deferred = a_shown_case.deferred_node.GetDisplayNode()
    assert a_shown_case.result_node.GetDisplayNode().GetOpacity2DOutline() == 0.5
    assert (deferred.GetOpacity2DFill(), deferred.GetOpacity2DOutline()) == (0.3, 0.8)
    assert (logic.state.model_outline, logic.state.deferred_fill, logic.state.deferred_outline) == (0.5, 0.3, 0.8)


def test_the_opacity_of_what_is_hidden_is_locked_with_the_reason(a_panel: Any, a_shown_case: Any) -> None:
    a_panel.ui.showDeferredBox.setChecked(False)
    settle()
    for slider in (a_panel.ui.deferredFillSlider, a_panel.ui.deferredOutlineSlider):
        assert not slider.enabled and "Show it first" in slider.toolTip
    assert a_panel.ui.modelOutlineSlider.enabled


def test_surfaces_follow_the_regions_once_the_slider_rests(a_panel: Any, logic: QuietLogic, a_shown_case: Any) -> None:
    import time

    a_panel.ui.show3DBox.setChecked(True)
    settle()
    asked = len(logic.named("refresh_3d"))
    assert asked >= 1 and logic.state.show_3d
    a_panel.ui.budgetSlider.setValue(3.0)
    settle()
    assert len(logic.named("refresh_3d")) == asked, "surfaces were made while the slider may still be moving"
    time.sleep(0.45)
    settle()
    assert len(logic.named("refresh_3d")) == asked + 1
    time.sleep(0.45)
    settle()
    assert len(logic.named("refresh_3d")) == asked + 1, "surfaces were made again though nothing has changed"


def test_what_a_script_sets_is_shown_without_an_echo(a_panel: Any, logic: QuietLogic, a_shown_case: Any) -> None:
    logic.state.deferred_fill = 0.25
    logic.state.show_model = False
    settle()
    assert a_panel.ui.deferredFillSlider.value == 25.0 and not a_panel.ui.showModelBox.checked


def test_the_keys_toggle_the_overlays(a_panel: Any, logic: QuietLogic, a_shown_case: Any) -> None:
    for action, state in (("toggle_model", "show_model"), ("toggle_deferred", "show_deferred")):
        fire(a_panel.shortcuts.alive[action], "activated()")
        assert getattr(logic.state, state) is False
        fire(a_panel.shortcuts.alive[action], "activated()")
        assert getattr(logic.state, state) is True


def test_the_keys_do_nothing_without_a_result(a_panel: Any, logic: QuietLogic) -> None:
    fire(a_panel.shortcuts.alive["toggle_model"], "activated()")
    assert logic.state.show_model is True
