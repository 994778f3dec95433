"""The decision zone against its definition, voxel by voxel."""

import itertools

import numpy as np
import pytest
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.zone import decision_zone, index_type
from hypothesis import given, settings
from hypothesis import strategies as st


def zone_by_definition(probability, geometry, floor, band_mm):
    """Owner of every voxel, -1 outside the zone, by looking at every voxel and every seed."""
    count, *shape = probability.shape
    spacing = np.asarray(geometry.spacing)[::-1]
    owner = np.full(shape, -1)
    seeds = [np.argwhere(p >= max(1, round(floor * 255))) for p in probability]
    for voxel in itertools.product(*map(range, shape)):
        reached = [
            s for s in range(count) if len(seeds[s]) and (np.abs(seeds[s] - voxel) * spacing <= band_mm).all(1).any()
        ]
        if reached:
            owner[voxel] = max(reached, key=lambda s: (probability[(s, *voxel)], -s))
    return owner


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.0, 2.5, 4.0, 40.0]), st.integers(1, 3), st.integers(1, 4))
def test_zone_is_what_its_definition_says(seed, band_mm, structures, slices):
    generator = np.random.default_rng(seed)
    geometry = Geometry((6, 5, slices), (0.75, 1.5, 2.0))
    probability = generator.integers(0, 8, (structures, *geometry.shape)).astype(np.uint8)
    probability[generator.random(probability.shape) < 0.9] = 0
    zone = decision_zone(probability, geometry, 0.02, band_mm)
    expected = zone_by_definition(probability, geometry, 0.02, band_mm)
    assert np.array_equal(zone.mask(), expected >= 0)
    assert np.array_equal(zone.structure, expected[expected >= 0])
    assert np.array_equal(zone.indices, np.flatnonzero(expected >= 0))


def test_the_floor_of_two_percent_is_five_of_255():
    geometry = Geometry((2, 1, 1), (1, 1, 1))
    probability = np.array([[[[4, 5]]]], dtype=np.uint8)
    assert decision_zone(probability, geometry, band_mm=0).indices.tolist() == [1]


def test_the_band_is_in_mm_along_each_axis():
    geometry = Geometry((61, 61, 61), (1.0, 2.0, 5.0))
    probability = np.zeros((1, *geometry.shape), dtype=np.uint8)
    probability[0, 30, 30, 30] = 255
    k, j, i = np.nonzero(decision_zone(probability, geometry, band_mm=10).mask())
    assert (k.min(), k.max(), j.min(), j.max(), i.min(), i.max()) == (28, 32, 25, 35, 20, 40)
    assert len(k) == 5 * 11 * 21


def test_a_voxel_between_two_structures_goes_to_the_likelier_and_a_tie_to_the_first():
    geometry = Geometry((3, 1, 1), (1, 1, 1))
    probability = np.array([[[[100, 50, 0]]], [[[100, 60, 200]]]], dtype=np.uint8)
    assert decision_zone(probability, geometry).structure.tolist() == [0, 1, 1]


def test_a_structure_at_the_border_of_the_volume_does_not_come_in_on_the_other_side():
    geometry = Geometry((40, 40, 40), (1, 1, 1))
    probability = np.zeros((1, *geometry.shape), dtype=np.uint8)
    probability[0, 0, 39, 0] = 200
    mask = decision_zone(probability, geometry).mask()
    assert mask[:11, 29:, :11].all() and mask.sum() == 11**3


def test_a_volume_without_foreground_has_an_empty_zone():
    geometry = Geometry((4, 4, 1), (1, 1, 1))
    zone = decision_zone(np.full((2, 1, 4, 4), 4, np.uint8), geometry)
    assert len(zone) == 0 and not zone.mask().any()


def test_indices_are_wide_enough_for_a_huge_volume():
    assert index_type(Geometry((2048, 2048, 511), (1, 1, 1))) is np.int32
    assert index_type(Geometry((2048, 2048, 512), (1, 1, 1))) is np.int64


@pytest.mark.parametrize(
    ("probability", "floor", "band_mm", "names"),
    [
        (np.zeros((1, 2, 3, 4), np.float32), 0.02, 10, "float32"),
        (np.zeros((1, 4, 3, 2), np.uint8), 0.02, 10, r"\(1, 4, 3, 2\)"),
        (np.zeros((1, 2, 3, 4), np.uint8), 0.0, 10, "zone floor is 0.0"),
        (np.zeros((1, 2, 3, 4), np.uint8), float("nan"), 10, "zone floor"),
        (np.zeros((1, 2, 3, 4), np.uint8), 0.02, -1, "zone band is -1"),
        (np.zeros((1, 2, 3, 4), np.uint8), 0.02, float("inf"), "zone band"),
    ],
)
def test_maps_and_settings_that_make_no_sense_are_refused(probability, floor, band_mm, names):
    with pytest.raises(BadInputError, match=names):
        decision_zone(probability, Geometry((4, 3, 2), (1, 1, 1)), floor, band_mm)
