"""A case's worklist: deferred sets that nest, experts who come and go."""

from dataclasses import replace

import numpy as np
import pytest
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.experts import Competence, Expert
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.quantize import quantize_probability, quantize_shares
from DeferredSegSlicerLib.core.structures import make_structures
from DeferredSegSlicerLib.core.worklist import NOBODY_AVAILABLE, worklist
from hypothesis import given, settings
from hypothesis import strategies as st

GEOMETRY = Geometry((24, 20, 12), (1.0, 1.0, 2.0))
STRUCTURES = make_structures([("liver", None), ("tumor", None)])


def an_expert(name, **values):
    return Expert(name, name.title(), "reader", (0, 0, 1), Competence(0.9, 0.9, 0.9), **values)


EXPERTS = (an_expert("edge"), an_expert("inside", seconds_per_region=20), an_expert("outside", seconds_per_slice=3))


def maps_of(seed, geometry=GEOMETRY):
    """Two blurred balls and smooth-ish random shares of three experts."""
    generator = np.random.default_rng(seed)
    k, j, i = np.indices(geometry.shape)
    p = []
    for number in range(2):
        middle = [n * (0.3 + 0.3 * number) for n in geometry.shape]
        distance = np.sqrt(
            sum(((c - m) / (0.3 * max(3, n))) ** 2 for c, m, n in zip((k, j, i), middle, geometry.shape, strict=True))
        )
        p.append(1 / (1 + np.exp((distance - 0.8) * 8 + generator.normal(0, 0.3, geometry.shape))))
    p = np.stack(p)
    wrong = np.minimum(p, 1 - p).max(axis=0)
    wrong[wrong < 0.02] = 0
    q = np.exp(np.stack([np.sin((a + number) / 3) for number, a in enumerate((k, j, i))]) * 2)
    q /= q.sum(axis=0)
    routing = quantize_shares(np.concatenate([2 * wrong * q, 1 - 2 * wrong[None]]))
    return quantize_probability(p), routing, quantize_probability(wrong)


@pytest.fixture(scope="module")
def a_worklist():
    return worklist(*maps_of(0), STRUCTURES, EXPERTS, GEOMETRY, {"zone_band_mm": 3.0})


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_a_larger_budget_starts_with_a_smaller_budgets_voxels(a_worklist, first, second):
    small, large = (a_worklist.deferred(b) for b in sorted((first, second)))
    assert np.array_equal(small.indices, large.indices[: len(small)])
    assert np.array_equal(small.expert, large.expert[: len(small)])
    for budget, deferred in zip(sorted((first, second)), (small, large), strict=True):
        assert deferred.share <= budget
        one_more = (len(deferred) + 1) / len(a_worklist.zone)
        assert one_more > budget or len(deferred) == len(a_worklist.candidates)


def test_a_budget_of_nothing_defers_nothing(a_worklist):
    assert len(a_worklist.deferred(0)) == 0 and a_worklist.deferred(0).share == 0
    assert len(a_worklist.regions(0)) == 0


def test_the_whole_budget_defers_all_but_what_the_model_is_certain_of(a_worklist):
    probability, routing, _ = maps_of(0)
    everything = a_worklist.deferred(1)
    assert set(everything.indices.tolist()) == set(
        np.flatnonzero((routing[-1] < 255) & a_worklist.zone.mask()).tolist()
    )
    assert everything.share < 1
    assert (probability.max(axis=0)[np.unravel_index(everything.indices, GEOMETRY.shape)] < 255).all()


def test_deferred_voxels_have_the_smallest_margins_and_the_likeliest_expert(a_worklist):
    _, routing, _ = maps_of(0)
    margin = routing[-1].astype(int) - routing[:-1].max(axis=0)
    deferred = a_worklist.deferred(0.05)
    rest = np.setdiff1d(a_worklist.candidates.indices, deferred.indices)
    assert len(deferred) > 50
    assert margin.reshape(-1)[deferred.indices].max() <= margin.reshape(-1)[rest].min()
    best = routing[:-1].reshape(3, -1)[:, deferred.indices].argmax(axis=0)
    assert np.array_equal(deferred.expert, best)


def test_labels_show_the_expert_of_each_deferred_voxel(a_worklist):
    deferred = a_worklist.deferred(0.1)
    labels = deferred.labels(GEOMETRY.shape)
    assert np.array_equal(labels.reshape(-1)[deferred.indices], deferred.expert + 1)
    assert np.count_nonzero(labels) == len(deferred)
    assert np.allclose(deferred.share_of_experts(3).sum(), deferred.share)


def test_an_expert_on_leave_gets_nothing_and_the_others_take_over(a_worklist):
    absent = a_worklist.with_experts([replace(EXPERTS[0], available=False), *EXPERTS[1:]])
    before, after = a_worklist.deferred(1), absent.deferred(1)
    assert (before.expert == 0).sum() > 0
    assert (after.expert == 0).sum() == 0 and len(after) == len(before)
    assert not [r for r in absent.regions(0.1) if r.expert == "edge"]


def test_nobody_available_defers_nothing_and_says_so(a_worklist):
    empty = a_worklist.with_experts([replace(e, available=False) for e in EXPERTS])
    deferred = empty.deferred(0.5)
    assert len(deferred) == 0 and deferred.share == 0 and deferred.note == NOBODY_AVAILABLE
    assert len(empty.regions(0.5)) == 0
    assert len(empty.with_experts(EXPERTS).deferred(0.5)) == len(a_worklist.deferred(0.5))


def test_changed_experts_give_what_a_fresh_worklist_gives(a_worklist):
    changed = [EXPERTS[0], replace(EXPERTS[1], available=False), replace(EXPERTS[2], cost=0.2)]
    fresh = worklist(*maps_of(0), STRUCTURES, changed, GEOMETRY, {"zone_band_mm": 3.0})
    again = a_worklist.with_experts(changed)
    assert np.array_equal(fresh.deferred(0.2).indices, again.deferred(0.2).indices)
    assert [r.id for r in fresh.regions(0.2)] == [r.id for r in again.regions(0.2)]
    assert [r.id for r in again.regions(0.2)] != [r.id for r in a_worklist.regions(0.2)]


def test_experts_in_another_order_are_refused(a_worklist):
    with pytest.raises(BadInputError, match="inside, edge, outside, but the routing map is of edge, inside, outside"):
        a_worklist.with_experts([EXPERTS[1], EXPERTS[0], EXPERTS[2]])


def test_a_case_without_foreground_has_nothing_to_defer():
    shape = GEOMETRY.shape
    routing = np.zeros((4, *shape), np.uint8)
    routing[-1] = 255
    work = worklist(np.zeros((2, *shape), np.uint8), routing, np.zeros(shape, np.uint8), STRUCTURES, EXPERTS, GEOMETRY)
    assert len(work.zone) == 0
    assert len(work.deferred(1)) == 0 and work.deferred(1).share == 0 and len(work.regions(1)) == 0


def test_a_model_that_stands_by_every_label_defers_nothing():
    probability, routing, error = maps_of(0)
    routing = np.zeros_like(routing)
    routing[-1] = 255
    work = worklist(probability, routing, error, STRUCTURES, EXPERTS, GEOMETRY)
    assert len(work.zone) > 0 and len(work.deferred(1)) == 0 and len(work.regions(1)) == 0


def test_minutes_and_regions_become_a_share_that_fits(a_worklist):
    everything = a_worklist.minutes(1)
    minutes = a_worklist.minutes(0.05)
    share = a_worklist.budget_for_minutes(minutes)
    assert 0 < share < 1 and a_worklist.minutes(share) <= minutes
    assert a_worklist.budget_for_minutes(everything * 10) == 1
    assert a_worklist.budget_for_minutes(0) == 0 or a_worklist.minutes(a_worklist.budget_for_minutes(0)) == 0
    share = a_worklist.budget_for_regions(2)
    assert len(a_worklist.regions(share)) <= 2
    assert a_worklist.budget_for_regions(10_000) == 1
    assert len(a_worklist.regions(a_worklist.budget_for_regions(0))) == 0


@pytest.mark.parametrize("budget", [-0.01, 1.01, float("nan"), "much"])
def test_a_budget_outside_0_to_1_is_refused(a_worklist, budget):
    with pytest.raises(BadInputError, match="expected a share from 0 to 1"):
        a_worklist.deferred(budget)
    with pytest.raises(BadInputError, match="expected a share from 0 to 1"):
        a_worklist.regions(budget)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"structures": STRUCTURES[:1]}, "2 components, expected 1 structures"),
        ({"experts": EXPERTS[:2]}, "4 agents, expected 2 experts"),
        ({"geometry": Geometry((20, 24, 12), (1, 1, 2))}, "probability map has shape"),
        ({"settings": {"zone_band_mm": "wide"}}, "zone_band_mm is 'wide'"),
        ({"settings": {"min_region_ml": -1}}, "smallest region is -1"),
        ({"settings": {"min_region_voxels": 0}}, "smallest region is 0 voxels"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, names):
    arguments = {"structures": STRUCTURES, "experts": EXPERTS, "geometry": GEOMETRY, "settings": {}} | change
    with pytest.raises(BadInputError, match=names):
        worklist(*maps_of(0), **arguments)
