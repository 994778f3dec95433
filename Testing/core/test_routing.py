"""Margins, availability, cost and the order of deferral."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.experts import Competence, Expert
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.routing import (
    MARGIN_SCALE,
    Candidates,
    deferral_order,
    find_candidates,
    margin_keys,
    routing_map,
)
from DeferredSegSlicerLib.core.zone import decision_zone
from hypothesis import given, settings
from hypothesis import strategies as st

SEEDS = st.integers(0, 2**32 - 1)


def make_experts(count, available=None, costs=None):
    return [
        Expert(
            f"e{n}",
            f"Expert {n}",
            "reader",
            (0, 0, 1),
            Competence(0.9, 0.9, 0.9),
            available=True if available is None else bool(available[n]),
            cost=0.0 if costs is None else float(costs[n]),
        )
        for n in range(count)
    ]


def random_shares(generator, experts, count):
    """Routing bytes of random voxels, experts first, model last; some with nothing for some experts."""
    weights = generator.random((experts + 1, count)) * (generator.random((experts + 1, count)) < 0.8)
    weights[-1] += 0.3
    shares = np.floor(weights / weights.sum(axis=0) * 255).astype(int)
    shares[-1] += 255 - shares.sum(axis=0)
    return shares.astype(np.uint8)


def candidates_of(shares, seed=0):
    count = shares.shape[1]
    doubt = np.random.default_rng(seed).integers(0, 128, count).astype(np.uint8)
    zeros = np.zeros(count, np.uint8)
    return Candidates(np.arange(count, dtype=np.int32), zeros, shares, zeros, doubt)


def margin_by_definition(column, experts):
    """Exact margin and expert of one voxel from the formulas."""
    *parts, model = (Fraction(int(v), 255) for v in column)
    present = [j for j, e in enumerate(experts) if e.available]
    mass = sum(parts[j] for j in present)
    defer = 1 - model
    values = {
        j: defer * (parts[j] / mass if mass else Fraction(1, len(present))) - Fraction(experts[j].cost) for j in present
    }
    best = max(present, key=lambda j: (values[j], -j))
    return float(model - values[best]), best, values


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 5))
def test_margin_and_expert_follow_the_formulas(seed, count):
    generator = np.random.default_rng(seed)
    available = generator.random(count) < 0.7
    available[generator.integers(count)] = True
    experts = make_experts(count, available, generator.choice([0.0, 0.0, 0.05, 0.3], count))
    shares = random_shares(generator, count, 40)
    keys, chosen = margin_keys(shares, experts)
    for n in range(40):
        margin, best, values = margin_by_definition(shares[:, n], experts)
        assert abs(keys[n] / (255 * MARGIN_SCALE) - margin) < 1e-6
        # Two experts whose values are the same to within the resolution may swap.
        assert chosen[n] == best or abs(values[best] - values[int(chosen[n])]) < 1e-6


def test_an_absent_expert_gets_nothing_and_the_mass_moves_in_proportion():
    shares = np.array([[60], [30], [15], [150]], dtype=np.uint8)
    keys, chosen = margin_keys(shares, make_experts(3))
    assert keys[0] / MARGIN_SCALE == 150 - 60 and chosen[0] == 0
    keys, chosen = margin_keys(shares, make_experts(3, [False, True, True]))
    assert keys[0] / MARGIN_SCALE == 150 - 105 * 30 / 45 and chosen[0] == 1


def test_mass_of_experts_who_are_all_absent_is_shared_equally_by_the_others():
    shares = np.array([[100], [0], [0], [155]], dtype=np.uint8)
    keys, chosen = margin_keys(shares, make_experts(3, [False, True, True]))
    assert keys[0] / MARGIN_SCALE == 155 - 50 and chosen[0] == 1


def test_nobody_available_means_no_order():
    shares = random_shares(np.random.default_rng(0), 2, 10)
    assert margin_keys(shares, make_experts(2, [False, False])) is None
    assert deferral_order(candidates_of(shares), make_experts(2, [False, False])) is None


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 200), st.floats(0, 1), st.floats(0, 1))
def test_raising_the_cost_of_an_expert_never_raises_that_experts_share(seed, budget, cost, rise):
    generator = np.random.default_rng(seed)
    available = generator.random(4) < 0.75
    available[1] = True
    costs = generator.choice([0.0, 0.01, 0.2], 4)
    costs[1] = min(cost, 1.0)
    before = make_experts(4, available, costs)
    after = list(before)
    after[1] = replace(before[1], cost=min(1.0, costs[1] + rise))
    candidates = candidates_of(random_shares(generator, 4, 200), seed % 1000)
    sets = []
    for experts in (before, after):
        order = deferral_order(candidates, experts)
        first = order.ranked[:budget]
        sets.append(set(first[order.expert[first] == 1].tolist()))
    assert sets[1] <= sets[0]


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.permutations(range(4)))
def test_permuting_the_experts_permutes_the_outcome(seed, permutation):
    generator = np.random.default_rng(seed)
    shares = random_shares(generator, 4, 150)
    ordered = np.sort(shares[:-1], axis=0)
    shares = shares[:, (np.diff(ordered, axis=0) > 0).all(axis=0)]  # a tie goes to the first expert, by definition
    experts = make_experts(4)
    order = deferral_order(candidates_of(shares), experts)
    swapped = deferral_order(candidates_of(shares[[*permutation, 4]]), [experts[p] for p in permutation])
    assert np.array_equal(order.ranked, swapped.ranked)
    assert np.array_equal(order.expert, np.asarray(permutation)[swapped.expert])


def test_ties_are_broken_by_doubt_and_then_by_place():
    shares = np.tile(np.array([[60], [195]], np.uint8), 5)
    shares[:, 4] = 61, 194
    zeros = np.zeros(5, np.uint8)
    doubt = np.array([7, 100, 7, 127, 0], np.uint8)
    order = deferral_order(Candidates(np.arange(5, dtype=np.int32), zeros, shares, zeros, doubt), make_experts(1))
    assert order.ranked.tolist() == [4, 3, 1, 0, 2]
    assert order.rank[order.ranked].tolist() == [0, 1, 2, 3, 4]


def test_order_is_that_of_an_exact_sort():
    generator = np.random.default_rng(5)
    shares = random_shares(generator, 3, 400)
    experts = make_experts(3, [True, False, True], [0.0, 0.0, 0.02])
    candidates = candidates_of(shares)
    keys, _ = margin_keys(shares, experts)
    expected = sorted(range(400), key=lambda n: (keys[n], -int(candidates.doubt[n]), n))
    assert deferral_order(candidates, experts).ranked.tolist() == expected


def test_candidates_are_the_zone_voxels_that_the_model_may_hand_over():
    geometry = Geometry((5, 1, 1), (1, 1, 1))
    probability = np.array([[[[0, 100, 128, 250, 0]]], [[[0, 0, 20, 0, 0]]]], np.uint8)
    routing = np.array([[[[9, 0, 100, 5, 9]]], [[[246, 255, 155, 250, 246]]]], np.uint8)
    error = np.array([[[1, 2, 3, 4, 5]]], np.uint8)
    zone = decision_zone(probability, geometry, band_mm=0)
    found = find_candidates(zone, probability, routing, error, geometry)
    assert found.indices.tolist() == [2, 3]
    assert found.shares.tolist() == [[100, 5], [155, 250]]
    assert found.error.tolist() == [3, 4]
    assert found.doubt.tolist() == [127, 5]


def test_a_routing_map_that_does_not_add_up_is_refused():
    geometry = Geometry((2, 1, 1), (1, 1, 1))
    probability = np.full((1, 1, 1, 2), 128, np.uint8)
    routing = np.array([[[[100, 100]]], [[[155, 154]]]], np.uint8)
    zone = decision_zone(probability, geometry)
    with pytest.raises(BadInputError, match="add up to 255"):
        find_candidates(zone, probability, routing, probability[0], geometry)
    with pytest.raises(BadInputError, match="error map"):
        find_candidates(zone, probability, routing, probability[0, :, :, :1], geometry)


def test_a_routing_map_of_other_experts_is_refused():
    with pytest.raises(BadInputError, match="4 agents, expected 2 experts and the model"):
        margin_keys(random_shares(np.random.default_rng(0), 3, 4), make_experts(2))


def test_the_stored_routing_map_splits_deferral_among_experts_and_leaves_the_rest_to_the_model():
    generator = np.random.default_rng(3)
    defer = generator.random((2, 3, 4)).astype(np.float32)
    shares = generator.random((3, 2, 3, 4)).astype(np.float32)
    shares /= shares.sum(axis=0)
    zone = generator.random((2, 3, 4)) < 0.5
    zone[1] = False
    stored = routing_map(defer, shares, zone)
    assert (stored.sum(axis=0, dtype=int) == 255).all()
    assert (stored[-1][~zone] == 255).all()
    wanted = np.concatenate([defer * shares, 1 - defer[None]])
    assert np.abs(stored / 255 - wanted)[:, zone].max() <= 1 / 255 + 1e-6
    with pytest.raises(BadInputError, match="disagree"):
        routing_map(defer, shares[:, :1], zone)
