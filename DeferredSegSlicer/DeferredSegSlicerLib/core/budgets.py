"""Budgets in the reader's terms: a share of the decision zone, minutes of review, or a number of regions.

Minutes and regions are turned into a share by `largest_share`: the share is raised along a fixed ladder until the list
asks for more than allowed, and then refined between the last that fits and the first that does not. Review time and
number of regions mostly grow with the share, but not strictly (two regions may join into one); the search therefore
treats the first share that asks for too much as the end. What it returns has been measured to fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from .errors import BadInputError

DEFAULT_BUDGET = 0.05

LADDER = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0)

_REFINEMENTS = 5


def check_share(budget: float) -> float:
    """The budget as a share of the decision zone; raises BadInputError outside 0..1."""
    try:
        share = float(budget)
    except (TypeError, ValueError) as error:
        raise BadInputError(f"budget is {budget!r}, expected a share from 0 to 1") from error
    if not 0.0 <= share <= 1.0:
        raise BadInputError(f"budget is {share:g}, expected a share from 0 to 1")
    return share


def voxels_of_share(budget: float, zone_voxels: int) -> int:
    """The largest number of voxels that is no more than the budget's share of the zone."""
    share = check_share(budget)
    count = math.floor(share * zone_voxels)
    if count < zone_voxels and (count + 1) / zone_voxels <= share:  # 0.29 * 100 is 28.999...
        count += 1
    return count


def largest_share(demand: Callable[[float], float], limit: float) -> float:
    """The largest share found whose demand is no more than the limit; 0 if even the smallest on the ladder asks more.

    `demand` gives minutes or regions for a share; it is called up to 20 times.
    """
    fits, exceeds = 0.0, None
    for share in LADDER:
        if demand(share) > limit:
            exceeds = share
            break
        fits = share
    if exceeds is None:
        return 1.0
    for _ in range(_REFINEMENTS):
        middle = (fits + exceeds) / 2
        if demand(middle) <= limit:
            fits = middle
        else:
            exceeds = middle
    return fits


def check_minutes(minutes: float) -> float:
    """Minutes of review; raises BadInputError below 0 or not finite."""
    if not (math.isfinite(minutes) and minutes >= 0):
        raise BadInputError(f"review time is {minutes} minutes, expected 0 or more")
    return float(minutes)


def check_region_count(regions: int) -> int:
    """Number of regions; raises BadInputError below 0 or not whole."""
    if isinstance(regions, bool) or not math.isfinite(regions) or regions < 0 or int(regions) != regions:
        raise BadInputError(f"number of regions is {regions}, expected a whole number of 0 or more")
    return int(regions)
