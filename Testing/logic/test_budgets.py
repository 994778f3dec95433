"""Budget and duty on a shown case: at once, without the network, nothing left behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import slicer.util
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.experts import without
from DeferredSegSlicerLib.core.worklist import worklist
from DeferredSegSlicerLib.logic.module_logic import ModuleLogic
from DeferredSegSlicerLib.logic.shown_case import Forecast
from DeferredSegSlicerLib.mrml.grid import array_of

from .conftest import nodes_of, structures_in

MakeLogic = Callable[..., ModuleLogic]


def painted(shown: Any, expert_id: str) -> np.ndarray:
    """What an expert's segment covers on the volume."""
    node, volume = shown.deferred_node, shown.volume_node
    return slicer.util.arrayFromSegmentBinaryLabelmap(node, f"expert.{expert_id}", volume) > 0


def expected(shown: Any, budget: float, off: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """The same from the case on disk alone."""
    case = shown.case
    experts = without([e.__class__(**(vars(e) | {"available": True})) for e in case.experts], off)
    work = worklist(
        case.probability(), case.routing(), case.error(), case.structures, experts, case.geometry, case.settings
    )
    found = {e.id: np.zeros(case.geometry.voxel_count, bool) for e in experts}
    for region in work.regions(budget):
        found[region.expert][region.indices] = True
    return {e: shown.alignment.to_node(mask.reshape(case.geometry.shape)) for e, mask in found.items()}


def test_a_new_budget_is_drawn_at_once_without_the_network(a_logic: MakeLogic, a_scan: Any) -> None:
    logic = a_logic()
    shown = logic.segment(a_scan, structures_in(a_scan), budget=0.05)
    logic.stop_worker()
    for budget in (0.2, 0.01, 0.0, 0.1):
        logic.set_budget(budget)
        for expert, mask in expected(shown, budget).items():
            assert np.array_equal(painted(shown, expert), mask), (budget, expert)
        assert shown.budget == logic.state.budget == budget
    assert logic.worker_state.value == "stopped"


def test_an_expert_off_duty_gets_nothing_and_others_take_over(a_logic: MakeLogic, a_scan: Any) -> None:
    logic = a_logic()
    shown = logic.segment(a_scan, structures_in(a_scan), budget=0.1)
    assert painted(shown, "boundary").any()
    logic.set_off_duty({"boundary"})
    for expert, mask in expected(shown, 0.1, ("boundary",)).items():
        assert np.array_equal(painted(shown, expert), mask)
    assert not painted(shown, "boundary").any() and logic.state.off_duty == {"boundary"}
    logic.set_off_duty({e.id for e in shown.experts})
    assert len(shown.regions) == 0
    logic.set_off_duty(())
    assert np.array_equal(painted(shown, "boundary"), expected(shown, 0.1)["boundary"])


def test_legend_and_forecast_agree_with_what_is_drawn(a_logic: MakeLogic, a_scan: Any) -> None:
    logic = a_logic()
    shown = logic.segment(a_scan, structures_in(a_scan), budget=0.1)
    for row in shown.legend():
        assert row.ml == pytest.approx(painted(shown, row.expert_id).sum() * shown.case.geometry.voxel_ml)
    assert sum(row.regions for row in shown.legend()) == len(shown.regions)
    ahead = shown.forecast(0.02)
    logic.set_budget(0.02)
    minutes = sum(region.seconds for region in shown.regions) / 60
    assert ahead == Forecast(len(shown.regions), pytest.approx(minutes), pytest.approx(0.02, abs=1e-3))


def test_forecasts_are_reckoned_once(a_logic: MakeLogic, a_scan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = a_logic().segment(a_scan, structures_in(a_scan))
    reckoned: list[float] = []
    kind = type(shown.worklist)
    real = kind.regions
    monkeypatch.setattr(kind, "regions", lambda self, share: reckoned.append(share) or real(self, share))
    for share in (0.1, 0.2, 0.1, 0.2, 0.1):
        shown.forecast(share)
    shown.set_budget(0.2)
    assert reckoned == [0.1, 0.2]
    for share in np.linspace(0, 1, 100):
        shown.forecast(float(share))
    assert len(shown._lists) <= 32


def test_a_budget_outside_0_to_1_is_refused(a_logic: MakeLogic, a_scan: Any) -> None:
    logic = a_logic()
    shown = logic.segment(a_scan, structures_in(a_scan), budget=0.1)
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(BadInputError, match="expected a share from 0 to 1"):
            logic.set_budget(wrong)
    assert shown.budget == logic.state.budget == 0.1


def test_a_thousand_budgets_leave_no_node_no_observer_and_no_memory(
    a_logic: MakeLogic, a_scan: Any, scene: Any
) -> None:
    logic = a_logic()
    shown = logic.segment(a_scan, structures_in(a_scan))
    nodes, node = set(nodes_of(scene)), shown.deferred_node
    segmentation, voxels = node.GetSegmentation(), array_of(a_scan).copy()
    layers, references = segmentation.GetNumberOfLayers(), node.GetReferenceCount()
    began = time.perf_counter()
    for number in range(1000):
        logic.set_budget(number % 100 / 200)
    seconds = time.perf_counter() - began
    assert seconds / 1000 < 0.1
    assert set(nodes_of(scene)) == nodes and shown.deferred_node is node
    assert segmentation.GetNumberOfLayers() == layers == 1 and node.GetReferenceCount() == references
    assert np.array_equal(array_of(a_scan), voxels)


def test_without_a_case_budget_and_duty_are_kept_for_the_next_one(a_logic: MakeLogic, a_scan: Any) -> None:
    logic = a_logic()
    logic.set_budget(0.08)
    logic.set_off_duty({"boundary"})
    shown = logic.segment(a_scan, structures_in(a_scan))
    assert shown.budget == 0.08 and shown.off_duty == {"boundary"}
