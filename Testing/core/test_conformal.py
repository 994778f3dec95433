"""Conformal risk control: the rule, its refusals, and whether the promise is kept."""

import numpy as np
import pytest
from DeferredSegSlicerLib.core.conformal import calibrate, cases_needed, errors_left
from DeferredSegSlicerLib.core.errors import BadInputError
from hypothesis import given
from hypothesis import strategies as st

LEVELS = np.linspace(0, 1, 201)


def losses_of(generator, cases):
    """Cases whose errors left fall with the level, each at its own speed."""
    start = generator.beta(2, 5, cases)[:, None]
    return start * np.maximum(0, 1 - LEVELS / generator.uniform(0.2, 1, cases)[:, None])


@pytest.mark.parametrize(("alpha", "cases"), [(0.05, 20), (0.1, 9), (0.1, 40), (0.02, 100)])
def test_the_expected_risk_of_a_new_case_keeps_the_promise(alpha, cases):
    generator = np.random.default_rng(7)
    kept = []
    for _ in range(1500):
        found = calibrate(losses_of(generator, cases), LEVELS, alpha)
        kept.append(losses_of(generator, 1)[0, int(np.searchsorted(LEVELS, found.level))])
    error = np.std(kept) / np.sqrt(len(kept))
    assert np.mean(kept) <= alpha + 3 * error


def test_the_promise_is_nearly_used_up_with_many_cases():
    """A method that defers everything would keep any promise."""
    generator = np.random.default_rng(8)
    new = losses_of(generator, 4000).mean(axis=0)
    risks = [
        new[int(np.searchsorted(LEVELS, calibrate(losses_of(generator, 400), LEVELS, 0.1).level))] for _ in range(100)
    ]
    assert 0.09 < np.mean(risks) <= 0.1


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.05, 0.1, 0.3]), st.integers(20, 60))
def test_the_level_is_the_smallest_that_satisfies_the_inequality(seed, alpha, cases):
    losses = losses_of(np.random.default_rng(seed), cases)
    found = calibrate(losses, LEVELS, alpha)
    inside = [cases / (cases + 1) * losses[:, n].mean() + 1 / (cases + 1) <= alpha for n in range(len(LEVELS))]
    assert found.level == LEVELS[inside.index(True)]
    assert found.bound <= alpha + 1e-9 and found.cases == cases


@pytest.mark.parametrize(("alpha", "needed"), [(0.5, 1), (0.1, 9), (0.05, 19), (0.03, 33), (0.01, 99), (1.0, 1)])
def test_cases_needed_is_one_over_alpha_minus_one(alpha, needed):
    assert cases_needed(alpha) == needed
    assert calibrate(np.zeros((needed, 2)), [0.0, 1.0], alpha).level == 0.0
    if needed > 1:
        with pytest.raises(BadInputError, match=f"needs at least {needed} calibration cases, there are {needed - 1}"):
            calibrate(np.zeros((needed - 1, 2)), [0.0, 1.0], alpha)


@pytest.mark.parametrize(
    ("losses", "levels", "alpha", "names"),
    [
        (np.tile([0.1, 0.2], (50, 1)), [0, 1], 0.1, "rise with the deferral level"),
        (np.tile([0.5, 0.4], (50, 1)), [0, 1], 0.1, "even at deferral level 1 the risk bound is"),
        (np.tile([1.5, 0.4], (50, 1)), [0, 1], 0.1, "losses run from"),
        (np.full((50, 2), np.nan), [0, 1], 0.1, "losses run from"),
        (np.zeros((50, 2)), [0.5, 0.5], 0.1, "do not rise"),
        (np.zeros((50, 2)), [0.5, 1.5], 0.1, "expected a share from 0 to 1"),
        (np.zeros((50, 3)), [0, 1], 0.1, r"shape \(50, 3\)"),
        (np.zeros((50, 2)), [0, 1], 0.0, "promised risk is 0"),
    ],
)
def test_what_the_guarantee_does_not_cover_is_refused(losses, levels, alpha, names):
    with pytest.raises(BadInputError, match=names):
        calibrate(losses, levels, alpha)


def test_errors_left_are_counted_over_all_voxels():
    risk = errors_left([1, 1, 0, 1, 0], 10, [0, 0.1, 0.2, 0.39, 0.4, 1], never_deferred=1)
    assert risk.tolist() == [0.4, 0.3, 0.2, 0.2, 0.1, 0.1]
    assert errors_left([1, 0], 2, [0], of=100).tolist() == [0.01]
    assert errors_left([], 0, [0, 1]).tolist() == [0, 0]


@given(st.integers(0, 2**32 - 1))
def test_errors_left_never_rise_with_the_level(seed):
    generator = np.random.default_rng(seed)
    risk = errors_left(generator.random(50) < 0.3, 80, LEVELS)
    assert (np.diff(risk) <= 0).all()


def test_more_errors_than_voxels_are_refused():
    with pytest.raises(BadInputError, match="do not fit into 3 voxels"):
        errors_left([1, 1, 1], 3, [0], never_deferred=1)
