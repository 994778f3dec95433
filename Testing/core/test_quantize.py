"""Bytes that stand for probabilities."""

import numpy as np
import pytest
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.quantize import dequantize, quantize_probability, quantize_shares
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays


def shares_from(weights):
    return weights / weights.sum(axis=0)


@given(
    arrays(np.float64, st.tuples(st.integers(1, 17), st.integers(1, 12)), elements=st.floats(0, 1)),
    st.sampled_from([np.float32, np.float64]),
)
def test_quantized_shares_add_up_to_255_and_come_back_within_one_step(weights, kind):
    weights[0] += 1e-3
    shares = shares_from(weights).astype(kind)
    stored = quantize_shares(shares)
    assert stored.dtype == np.uint8
    assert (stored.sum(axis=0, dtype=int) == 255).all()
    assert np.abs(dequantize(stored) - shares).max() <= 1 / 255 + 1e-6


def test_the_largest_remainder_gets_what_is_missing():
    shares = np.array([10.4, 20.35, 224.25]) / 255
    assert quantize_shares(shares).tolist() == [11, 20, 224]
    assert quantize_shares(shares[::-1]).tolist() == [224, 20, 11]


def test_shares_that_are_whole_steps_are_kept_exactly():
    generator = np.random.default_rng(1)
    stored = generator.multinomial(255, [0.1, 0.2, 0.7], size=500).T.astype(np.uint8)
    for kind in (np.float32, np.float64):
        assert np.array_equal(quantize_shares(stored.astype(kind) / 255), stored)


def test_permuted_agents_give_permuted_bytes():
    shares = shares_from(np.random.default_rng(2).random((5, 300)))
    order = [3, 0, 4, 1, 2]
    assert np.array_equal(quantize_shares(shares[order]), quantize_shares(shares)[order])


def test_probability_comes_back_within_half_a_step():
    p = np.linspace(0, 1, 4001, dtype=np.float32).reshape(1, -1)
    assert np.abs(dequantize(quantize_probability(p)) - p).max() <= 0.5 / 255 + 1e-6
    every = np.arange(256, dtype=np.uint8)
    assert np.array_equal(quantize_probability(dequantize(every)), every)
    assert quantize_probability(np.array([True, False])).tolist() == [255, 0]


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.1, np.inf])
def test_probabilities_outside_0_to_1_are_refused(bad):
    with pytest.raises(BadInputError, match=r"expected 0\.\.1"):
        quantize_probability(np.array([0.5, bad]))


@pytest.mark.parametrize("bad", [[0.5, 0.4], [0.7, 0.7], [1.2, -0.2], [np.nan, 1.0], [0.0, 0.0]])
def test_shares_that_do_not_add_up_to_1_are_refused(bad):
    with pytest.raises(BadInputError, match="routing shares"):
        quantize_shares(np.array([bad, [0.5, 0.5]]).T)


def test_an_empty_map_stays_empty():
    assert quantize_shares(np.empty((3, 0))).shape == (3, 0)
    assert quantize_probability(np.empty((0, 2))).shape == (0, 2)
