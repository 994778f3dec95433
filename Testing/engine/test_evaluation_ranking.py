"""Orders of deferral and the figures made of them: as core defers, and equal to closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from DeferredSegSlicerLib.core import metrics
from DeferredSegSlicerLib.core.experts import Competence, Expert
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.routing import margin_keys, routing_map
from DeferredSegSlicerLib.core.structures import Box, make_structures
from DeferredSegSlicerLib.core.worklist import Worklist, worklist
from DeferredSegSlicerLib.core.zone import decision_zone
from DeferredSegSlicerLib.engine.evaluation.curves import (
    PooledRanking,
    caught_at,
    curves_of,
    generalized_risk_area,
    roc_area,
)
from DeferredSegSlicerLib.engine.evaluation.figures import (
    calibration_rows,
    detection_rows,
    histogram_of,
    reliability_of,
    review_rows,
    zone_rows,
)
from DeferredSegSlicerLib.engine.evaluation.ranking import (
    NEVER,
    Ranking,
    oracle_ranking,
    random_ranking,
    routed_ranking,
)

GRID = Geometry((24, 20, 8), (1.0, 1.0, 2.0))
BUDGETS = (0.01, 0.05, 0.1, 0.2, 0.5)


@pytest.fixture
def a_worklist() -> Worklist:
    """Random routing of three experts, with many ties and many voxels that are never deferred."""
    generator = np.random.default_rng(4)
    probability = (generator.integers(0, 9, (1, *GRID.shape)) * 30).astype(np.uint8)
    zone = decision_zone(probability, GRID).mask()
    defer = generator.integers(0, 5, GRID.shape) / 6
    shares = generator.dirichlet(np.ones(3), GRID.shape).transpose(3, 0, 1, 2)
    names = ("a", "b", "c")
    experts = [Expert(n, n, "reader", (0.5, 0.5, 0.5), Competence(0.9, 0.9, 0.9)) for n in names]
    structures = make_structures([("ball", Box((0, 0, 0), (5, 5, 5)))])
    error = np.zeros(GRID.shape, np.uint8)
    return worklist(probability, routing_map(defer, shares, zone), error, structures, experts, GRID)


def test_voxels_are_ranked_in_the_order_in_which_core_defers_them(a_worklist: Worklist) -> None:
    count = len(a_worklist.zone)
    ranking = routed_ranking("margin", a_worklist, np.zeros(count, bool))
    order = a_worklist.deferred(1.0).indices
    keys = ranking.key[np.searchsorted(a_worklist.zone.indices, order)]
    assert np.all(np.diff(keys) <= 0), "a larger key is deferred earlier"
    found = margin_keys(a_worklist.candidates.shares, a_worklist.experts)
    assert found is not None
    blocks = np.unique(np.stack([found[0], a_worklist.candidates.doubt.astype(np.int32)]), axis=1).shape[1]
    assert len(np.unique(keys)) == blocks < len(keys), "voxels of the same margin and doubt are one block"
    left = np.setdiff1d(a_worklist.zone.indices, order)
    assert len(left) and np.all(ranking.key[np.searchsorted(a_worklist.zone.indices, left)] == NEVER)
    assert ranking.deferrable == len(order)


def test_no_budget_catches_errors_in_voxels_that_are_never_deferred() -> None:
    key = np.array([3, 2, NEVER, NEVER])
    ranking = Ranking("margin", key, np.array([True, False, True, True]))
    rows = {(row.figure, row.budget): row.value for row in detection_rows(ranking, (0.25, 1.0))}
    assert rows["errors_caught", 0.25] == pytest.approx(1 / 3)
    assert rows["errors_caught", 1.0] == pytest.approx(1 / 3), "the whole zone may be deferred, but only half ever is"
    assert rows["share_deferred", 1.0] == 0.5
    assert rows["error_rate_kept", 1.0] == 1.0


def test_random_deferral_catches_the_budget_s_share_and_the_oracle_all_that_fit() -> None:
    wrong = np.random.default_rng(1).random(10_000) < 0.13
    rate = wrong.mean()
    random = {(r.figure, r.budget): r.value for r in detection_rows(random_ranking(wrong), BUDGETS)}
    oracle = {(r.figure, r.budget): r.value for r in detection_rows(oracle_ranking(wrong, wrong), BUDGETS)}
    for budget in BUDGETS:
        assert random["errors_caught", budget] == pytest.approx(budget)
        assert oracle["errors_caught", budget] == pytest.approx(min(1, budget / rate))
        assert random["error_rate_kept", budget] == pytest.approx(rate)
    assert random["auroc", None] == 0.5 and oracle["auroc", None] == 1.0
    assert random["augrc", None] == pytest.approx(rate / 2)
    assert oracle["augrc", None] == pytest.approx(rate**2 / 2)


def test_the_oracle_mends_what_can_be_mended_before_errors_that_nobody_mends() -> None:
    wrong = np.array([True, True, False, False])
    mendable = np.array([False, True, True, False])
    assert np.argsort(-oracle_ranking(wrong, mendable).key).tolist()[:2] == [1, 0]


def test_no_ranking_beats_the_oracle_at_any_budget() -> None:
    generator = np.random.default_rng(2)
    wrong = generator.random(5000) < 0.2
    mine = Ranking("x", 1 + generator.integers(0, 30, 5000) + 20 * wrong, wrong)
    best = oracle_ranking(wrong, generator.random(5000) < 0.5)
    budgets = np.linspace(0.01, 1, 40)
    assert np.all(
        metrics.errors_caught(best.key, wrong, budgets) >= metrics.errors_caught(mine.key, wrong, budgets) - 1e-12
    )


def test_figures_from_counts_are_those_of_the_voxels_themselves() -> None:
    generator = np.random.default_rng(3)
    wrong = generator.random(4000) < 0.3
    key = generator.integers(0, 40, 4000) + 15 * wrong
    histogram = histogram_of(Ranking("x", key, wrong))
    assert histogram.voxels.sum() == 4000 and np.all(np.diff(histogram.keys) < 0)
    voxels, errors = histogram.voxels.astype(float), histogram.errors.astype(float)
    assert caught_at(voxels, errors, BUDGETS) == pytest.approx(metrics.errors_caught(key, wrong, BUDGETS))
    area = generalized_risk_area(voxels, errors)
    assert area == pytest.approx(metrics.area_under_generalized_risk(key, wrong))
    rate, auroc = wrong.mean(), roc_area(voxels, errors)
    assert auroc == pytest.approx(metrics.area_under_roc(key, wrong))
    assert area == pytest.approx((1 - auroc) * rate * (1 - rate) + rate**2 / 2), "the identity of Traub et al."
    caught, risk = curves_of(histogram, [0.0, 0.1, 1.0])
    assert caught[[0, 2]].tolist() == [0, 1] and np.isnan(risk[2])
    assert risk[1] == pytest.approx(metrics.error_rate_on_kept(key, wrong, [0.1])[0])


def test_pooled_cases_are_one_long_case_and_weights_repeat_them() -> None:
    generator = np.random.default_rng(5)
    cases = []
    for count in (700, 1500):
        wrong = generator.random(count) < 0.25
        cases.append(Ranking("x", generator.integers(0, 25, count) + 6 * wrong, wrong))
    pooled = PooledRanking([histogram_of(case) for case in cases])
    found = pooled.figures(np.array([[1, 1], [2, 1]]), BUDGETS)
    for row, chosen in ((0, cases), (1, [cases[0], *cases])):
        key, wrong = np.concatenate([c.key for c in chosen]), np.concatenate([c.wrong for c in chosen])
        never = np.count_nonzero(key == NEVER) / len(key)
        shares = [min(budget, 1 - never) for budget in BUDGETS]
        assert found["errors_caught"][row] == pytest.approx(metrics.errors_caught(key, wrong, shares))
        assert found["augrc"][row] == pytest.approx(metrics.area_under_generalized_risk(key, wrong))
        assert found["auroc"][row] == pytest.approx(metrics.area_under_roc(key, wrong))


def test_a_case_without_errors_or_without_a_zone_has_no_figures_instead_of_wrong_ones() -> None:
    rows = {r.figure: r.value for r in detection_rows(random_ranking(np.zeros(10, bool)), (0.1,))}
    assert np.isnan(rows["errors_caught"]) and np.isnan(rows["auroc"]) and rows["error_rate_kept"] == 0
    assert detection_rows(random_ranking(np.zeros(0, bool)), (0.1,)) == []
    assert all(np.isnan(row.value) for row in zone_rows(np.zeros(0, bool), 0)[1:])


def test_calibration_is_perfect_when_errors_come_as_predicted_and_off_by_the_bias_when_not() -> None:
    generator = np.random.default_rng(6)
    stored = generator.integers(0, 128, 60_000).astype(np.uint8)
    honest = generator.random(len(stored)) < stored / 255
    good = {r.figure: r.value for r in calibration_rows("x", stored, honest)}
    bad = {r.figure: r.value for r in calibration_rows("x", stored, np.zeros(len(stored), bool))}
    assert good["ece"] < 0.01
    assert bad["ece"] == pytest.approx((stored / 255).mean())
    assert bad["brier"] == pytest.approx(2 * ((stored / 255) ** 2).mean())
    bins = reliability_of(stored, honest)
    assert bins.voxels.sum() == len(stored) and bins.wrong.sum() == honest.sum()
    assert np.abs(bins.predicted - bins.wrong).sum() / len(stored) == pytest.approx(good["ece"])


def test_the_review_load_is_that_of_the_worklist(a_worklist: Worklist) -> None:
    rows = {r.figure: r.value for r in review_rows("margin", a_worklist, (0.2,))}
    assert rows["regions"] == len(a_worklist.regions(0.2))
    shares = a_worklist.deferred(0.2).share_of_experts(3) / a_worklist.deferred(0.2).share
    assert [rows[f"share:{name}"] for name in "abc"] == pytest.approx(shares)
