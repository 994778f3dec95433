"""Metrics against independent formulas and closed forms."""

import itertools
import math

import numpy as np
import pytest
from DeferredSegSlicerLib.core import metrics
from DeferredSegSlicerLib.core.errors import BadInputError
from hypothesis import assume, given, settings
from hypothesis import strategies as st

SEEDS = st.integers(0, 2**32 - 1)


def random_masks(seed, shape=(5, 6, 7)):
    generator = np.random.default_rng(seed)
    truth = generator.random(shape) < generator.choice([0.05, 0.4, 0.9])
    return truth ^ (generator.random(shape) < 0.2), truth


@given(SEEDS)
def test_overlap_follows_the_sets(seed):
    mask, truth = random_masks(seed)
    a, b = set(np.flatnonzero(mask)), set(np.flatnonzero(truth))
    assume(a and b)
    assert metrics.dice(mask, truth) == pytest.approx(2 * len(a & b) / (len(a) + len(b)))
    assert metrics.intersection_over_union(mask, truth) == pytest.approx(len(a & b) / len(a | b))
    assert metrics.sensitivity(mask, truth) == pytest.approx(1 - len(b - a) / len(b))


def test_empty_masks_have_defined_figures():
    none, some = np.zeros((3, 3, 3), bool), np.eye(3, dtype=bool)[None].repeat(3, 0)
    spacing = (1.0, 1.0, 1.0)
    assert metrics.dice(none, none) == 1 and metrics.dice(some, none) == metrics.dice(none, some) == 0
    assert metrics.intersection_over_union(none, none) == 1 and metrics.intersection_over_union(some, none) == 0
    assert math.isnan(metrics.sensitivity(some, none)) and metrics.sensitivity(none, some) == 0
    assert math.isnan(metrics.hausdorff_95(none, none, spacing))
    assert metrics.hausdorff_95(some, none, spacing) == metrics.hausdorff_95(none, some, spacing) == math.inf
    assert metrics.surface_dice(none, none, spacing, 1) == 1
    assert metrics.surface_dice(some, none, spacing, 1) == metrics.surface_dice(none, some, spacing, 1) == 0


def surface_by_definition(mask):
    """Index (k, j, i) of the voxels with a face neighbor outside the mask or the volume."""
    found = []
    for voxel in np.argwhere(mask):
        for axis, step in itertools.product(range(3), (-1, 1)):
            near = voxel.copy()
            near[axis] += step
            if near[axis] < 0 or near[axis] >= mask.shape[axis] or not mask[tuple(near)]:
                found.append(voxel)
                break
    return np.array(found)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.sampled_from([(1.0, 1.0, 1.0), (0.7, 0.9, 3.0), (4.0, 1.0, 0.5)]))
def test_surface_figures_follow_all_pairs_of_surface_voxels(seed, spacing):
    mask, truth = random_masks(seed)
    assume(mask.any() and truth.any())
    a, b = (surface_by_definition(m) * np.asarray(spacing)[::-1] for m in (mask, truth))
    gaps = np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))
    there, back = gaps.min(axis=1), gaps.min(axis=0)
    found = metrics.surface_distances(mask, truth, spacing)
    assert np.allclose(np.sort(found.to_truth), np.sort(there), atol=1e-4)
    assert np.allclose(np.sort(found.to_mask), np.sort(back), atol=1e-4)
    expected = max(np.percentile(there, 95), np.percentile(back, 95))
    assert metrics.hausdorff_95(mask, truth, spacing) == pytest.approx(expected, abs=1e-4)
    for tolerance in (0.0, 1.0, 2.05):
        near = ((there <= tolerance + 1e-6).sum() + (back <= tolerance + 1e-6).sum()) / (len(there) + len(back))
        assert metrics.surface_dice(mask, truth, spacing, tolerance) == pytest.approx(near)


def test_a_shifted_slab_is_as_far_as_its_shift_in_mm():
    truth = np.zeros((12, 4, 4), bool)
    truth[2:6] = True
    mask = np.roll(truth, 2, axis=0)
    assert metrics.hausdorff_95(mask, truth, (1.0, 1.0, 2.5)) == pytest.approx(5.0)
    assert metrics.hausdorff_95(truth, truth, (1.0, 1.0, 2.5)) == 0
    assert metrics.surface_dice(truth, truth, (1.0, 1.0, 2.5), 0) == 1


def test_a_mask_that_fills_the_volume_has_the_faces_as_its_surface():
    full = np.ones((5, 5, 5), bool)
    found = metrics.surface_distances(full, full, (1, 1, 1))
    assert len(found.to_truth) == 5**3 - 3**3 and not found.to_truth.any()


def test_masks_that_do_not_fit_are_refused():
    with pytest.raises(BadInputError, match="masks have shapes"):
        metrics.dice(np.zeros(3), np.zeros(4))
    with pytest.raises(BadInputError, match="2 dimensions, expected 3"):
        metrics.hausdorff_95(np.ones((2, 2)), np.ones((2, 2)), (1, 1, 1))
    with pytest.raises(BadInputError, match="tolerance"):
        metrics.surface_dice(np.ones((2, 2, 2)), np.ones((2, 2, 2)), (1, 1, 1), -1)


def random_scores(seed, count=80, distinct=12):
    """Scores with many ties, and errors that are likelier where the score is large."""
    generator = np.random.default_rng(seed)
    score = generator.integers(0, distinct, count) / distinct
    return score, generator.random(count) < 0.1 + 0.7 * score


@given(SEEDS)
def test_auroc_is_the_share_of_pairs_in_order(seed):
    score, wrong = random_scores(seed)
    assume(wrong.any() and not wrong.all())
    difference = score[wrong][:, None] - score[~wrong][None]
    expected = ((difference > 0) + 0.5 * (difference == 0)).mean()
    assert metrics.area_under_roc(score, wrong) == pytest.approx(expected)
    assert metrics.area_under_roc(-score, wrong) == pytest.approx(1 - expected)


@given(SEEDS)
def test_auprc_adds_up_precision_over_thresholds(seed):
    score, wrong = random_scores(seed)
    assume(wrong.any())
    expected, recall = 0.0, 0.0
    for threshold in sorted(set(score), reverse=True):
        taken = score >= threshold
        now = wrong[taken].sum() / wrong.sum()
        expected += wrong[taken].mean() * (now - recall)
        recall = now
    assert metrics.area_under_precision_recall(score, wrong) == pytest.approx(expected)


@given(SEEDS, st.sampled_from([2, 12, 100_000]))
def test_augrc_of_binary_errors_follows_from_auroc(seed, distinct):
    score, wrong = random_scores(seed, distinct=distinct)
    assume(wrong.any() and not wrong.all())
    rate = wrong.mean()
    expected = (1 - metrics.area_under_roc(score, wrong)) * rate * (1 - rate) + rate**2 / 2
    assert metrics.area_under_generalized_risk(score, wrong) == pytest.approx(expected, abs=1e-12)


@given(SEEDS)
def test_risk_and_coverage_are_those_of_the_kept_units(seed):
    score, wrong = random_scores(seed)
    coverage, selective, generalized = metrics.risk_coverage(score, wrong)
    thresholds = sorted(set(score))
    assert len(coverage) == len(thresholds)
    for n, threshold in enumerate(thresholds):
        kept = score <= threshold
        assert coverage[n] == pytest.approx(kept.mean())
        assert selective[n] == pytest.approx(wrong[kept].mean())
        assert generalized[n] == pytest.approx(wrong[kept].sum() / len(wrong))


def test_areas_have_their_closed_forms_for_a_perfect_score():
    count, rate = 200_000, 0.2
    wrong = np.zeros(count)
    wrong[: int(rate * count)] = 1
    score = wrong + np.linspace(0, 0.5, count)
    best = rate + (1 - rate) * math.log(1 - rate)
    assert metrics.area_under_risk_coverage(score, wrong) == pytest.approx(best, abs=1e-4)
    assert metrics.excess_area_under_risk_coverage(score, wrong) == pytest.approx(0, abs=1e-4)
    assert metrics.area_under_generalized_risk(score, wrong) == pytest.approx(rate**2 / 2, abs=1e-9)
    assert metrics.area_under_roc(score, wrong) == metrics.area_under_precision_recall(score, wrong) == 1


def test_a_score_that_says_nothing_has_the_error_rate_as_its_risk():
    wrong = np.array([1, 0, 0, 1, 0])
    flat = np.zeros(5)
    assert metrics.area_under_risk_coverage(flat, wrong) == pytest.approx(0.4)
    assert metrics.area_under_generalized_risk(flat, wrong) == pytest.approx(0.2)
    assert metrics.area_under_roc(flat, wrong) == 0.5
    assert metrics.area_under_precision_recall(flat, wrong) == pytest.approx(0.4)
    assert metrics.excess_area_under_risk_coverage(flat, np.ones(5)) == pytest.approx(0)


@given(SEEDS)
def test_areas_of_fractional_errors_are_those_of_the_expected_curves(seed):
    generator = np.random.default_rng(seed)
    score, wrong = generator.permutation(30), generator.random(30)
    left = np.append(0, np.cumsum(wrong[np.argsort(score)])) / 30
    assert metrics.area_under_generalized_risk(score, wrong) == pytest.approx((left[1:] + left[:-1]).sum() / 60)


def test_errors_caught_and_left_at_budgets():
    score = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0])
    wrong = np.array([1, 0, 1, 0, 0, 1, 0, 0, 0, 1])
    budgets = [0, 0.1, 0.3, 0.35, 1]
    assert metrics.errors_caught(score, wrong, budgets).tolist() == [0, 0.25, 0.5, 0.5, 1]
    left = metrics.error_rate_on_kept(score, wrong, budgets)
    assert left[:4] == pytest.approx([4 / 10, 3 / 9, 2 / 7, 2 / 7]) and math.isnan(left[4])
    assert np.isnan(metrics.errors_caught(score, np.zeros(10), budgets)).all()
    order = np.random.default_rng(0).permutation(10)
    assert np.array_equal(
        metrics.errors_caught(score[order], wrong[order], budgets), metrics.errors_caught(score, wrong, budgets)
    )


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_ties_give_the_mean_over_their_orders(seed):
    generator = np.random.default_rng(seed)
    score, wrong = generator.integers(0, 3, 40), (generator.random(40) < 0.4).astype(float)
    drawn = []
    for _ in range(600):
        mixed = score + generator.random(40) * 0.5
        drawn.append(metrics.errors_caught(mixed, wrong, [0.1, 0.4]))
    assert metrics.errors_caught(score, wrong, [0.1, 0.4]) == pytest.approx(np.mean(drawn, axis=0), abs=0.05)


def test_scores_and_errors_that_make_no_sense_are_refused():
    with pytest.raises(BadInputError, match="3 scores and 2 errors"):
        metrics.area_under_roc([1, 2, 3], [0, 1])
    with pytest.raises(BadInputError, match="at least 1"):
        metrics.area_under_generalized_risk([], [])
    with pytest.raises(BadInputError, match="NaN"):
        metrics.area_under_roc([1, math.nan], [0, 1])
    with pytest.raises(BadInputError, match="errors run from 0 to 2"):
        metrics.risk_coverage([1, 2], [0, 2])
    with pytest.raises(BadInputError, match=r"right \(0\) or wrong \(1\)"):
        metrics.area_under_roc([1, 2], [0, 0.5])
    assert math.isnan(metrics.area_under_roc([1, 2], [1, 1]))
    assert math.isnan(metrics.area_under_precision_recall([1, 2], [0, 0]))


@given(SEEDS, st.sampled_from([1, 2, 15]))
def test_expected_calibration_error_goes_bin_by_bin(seed, bins):
    generator = np.random.default_rng(seed)
    confidence = generator.random(60)
    confidence[:3] = 0, 1, 1 / bins
    correct = generator.random(60) < confidence
    expected = 0.0
    for n in range(bins):
        inside = (confidence > n / bins) & (confidence <= (n + 1) / bins) | ((n == 0) & (confidence == 0))
        if inside.any():
            expected += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    assert metrics.expected_calibration_error(confidence, correct, bins) == pytest.approx(expected)


def test_calibration_errors_of_constant_confidence_are_its_distance_from_the_truth():
    label = np.array([1] * 6 + [0] * 4)
    assert metrics.expected_calibration_error(np.full(10, 0.9), label) == pytest.approx(0.3)
    assert metrics.adaptive_calibration_error(metrics.two_class(np.full(10, 0.9)), label, 1) == pytest.approx(0.3)
    assert metrics.brier_score(metrics.two_class(np.full(10, 0.9)), label) == pytest.approx(
        2 * (0.6 * 0.01 + 0.4 * 0.81)
    )
    assert metrics.brier_score(metrics.two_class(label), label) == 0


def test_adaptive_calibration_error_has_bins_of_equal_mass():
    p = np.array([0.0, 0.1, 0.2, 0.9, 0.95, 1.0])
    label = np.array([0, 0, 1, 1, 1, 0])
    low, high = abs(1 / 3 - 0.1), abs(2 / 3 - 2.85 / 3)
    assert metrics.adaptive_calibration_error(metrics.two_class(p), label, 2) == pytest.approx((low + high) / 2)


def test_brier_score_of_three_classes_sums_over_classes():
    p = np.array([[0.7, 0.2], [0.2, 0.2], [0.1, 0.6]])
    expected = ((0.3**2 + 0.2**2 + 0.1**2) + (0.2**2 + 0.8**2 + 0.6**2)) / 2
    assert metrics.brier_score(p, [0, 1]) == pytest.approx(expected)


def test_probabilities_and_labels_that_make_no_sense_are_refused():
    with pytest.raises(BadInputError, match="probabilities run from"):
        metrics.expected_calibration_error([1.2], [1])
    with pytest.raises(BadInputError, match="1 probabilities and 2 labels"):
        metrics.expected_calibration_error([0.2], [1, 0])
    with pytest.raises(BadInputError, match=r"labels run from 0 to 2, expected 0\.\.1"):
        metrics.brier_score(metrics.two_class([0.2, 0.3]), [0, 2])
    with pytest.raises(BadInputError, match="expected"):
        metrics.brier_score([0.2], [0])


def test_bootstrap_is_repeatable_and_as_wide_as_the_standard_error():
    values = np.random.default_rng(3).normal(0.8, 0.1, 100)
    found = metrics.bootstrap_over_cases(values, seed=1)
    assert found == metrics.bootstrap_over_cases(values, seed=1) != metrics.bootstrap_over_cases(values, seed=2)
    error = values.std(ddof=1) / 10
    assert found.estimate == pytest.approx(values.mean()) and found.cases == 100
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert str(found).count("to") == 1


def test_bootstrap_draws_whole_cases():
    """Two cases with very different rows: a mean of drawn cases is one of three values."""
    rows = np.array([[0.0, 0.0], [1.0, 1.0]])
    seen = set()
    metrics.bootstrap_over_cases(rows, lambda drawn: seen.add(float(drawn.mean())) or float(drawn.mean()), draws=200)
    assert seen == {0.0, 0.5, 1.0}


def test_bootstrap_leaves_out_cases_without_the_figure_and_keeps_infinite_ones():
    found = metrics.bootstrap_over_cases([0.2, math.nan, 0.4])
    assert found.cases == 2 and found.estimate == pytest.approx(0.3)
    endless = metrics.bootstrap_over_cases([1.0, math.inf, 2.0])
    assert endless.estimate == math.inf and endless.high == math.inf and not math.isnan(endless.low)
    with pytest.raises(BadInputError, match="no case has a defined value"):
        metrics.bootstrap_over_cases([math.nan])
    with pytest.raises(BadInputError, match="no case has a defined value"):
        metrics.bootstrap_over_cases([])
    with pytest.raises(BadInputError, match="level"):
        metrics.bootstrap_over_cases([1.0], level=1.0)
