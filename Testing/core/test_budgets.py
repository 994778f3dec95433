"""Budgets in the reader's terms."""

import math

import pytest
from DeferredSegSlicerLib.core.budgets import (
    check_minutes,
    check_region_count,
    check_share,
    largest_share,
    voxels_of_share,
)
from DeferredSegSlicerLib.core.errors import BadInputError
from hypothesis import given
from hypothesis import strategies as st


@given(st.floats(0, 1), st.integers(1, 10**9))
def test_voxels_of_a_share_are_the_most_that_fit(share, zone):
    count = voxels_of_share(share, zone)
    assert 0 <= count <= zone and count / zone <= share
    assert count == zone or (count + 1) / zone > share


def test_rounding_costs_no_voxel():
    assert voxels_of_share(0.29, 100) == 29 and voxels_of_share(0.57, 100) == 57
    assert voxels_of_share(1, 7) == 7 and voxels_of_share(0.5, 0) == 0


@given(st.floats(0.01, 500), st.floats(0.1, 3))
def test_the_share_found_fits_and_is_near_the_largest_that_does(limit, power):
    def demand(share):
        return 400 * share**power

    share = largest_share(demand, limit)
    assert demand(share) <= limit
    best = min(1.0, (limit / 400) ** (1 / power))
    assert best - share <= 0.008


def test_the_search_stops_at_the_first_share_that_asks_for_too_much():
    def demand(share):
        return 0 if share == 0 else (10 if share < 0.1 else 1)

    assert largest_share(demand, 5) < 0.001


def test_few_measurements_are_made():
    asked = []
    largest_share(lambda share: asked.append(share) or share, 0.9)
    assert len(asked) <= 20


@pytest.mark.parametrize("bad", [-0.001, 1.001, math.nan, math.inf, "a", None])
def test_shares_outside_0_to_1_are_refused(bad):
    with pytest.raises(BadInputError, match="expected a share from 0 to 1"):
        check_share(bad)


@pytest.mark.parametrize("bad", [-1, math.nan, math.inf])
def test_minutes_below_0_are_refused(bad):
    with pytest.raises(BadInputError, match="minutes"):
        check_minutes(bad)


@pytest.mark.parametrize("bad", [-1, 1.5, True, math.nan])
def test_a_number_of_regions_that_is_not_whole_is_refused(bad):
    with pytest.raises(BadInputError, match="number of regions"):
        check_region_count(bad)
