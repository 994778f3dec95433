"""Figures of error detection and calibration in the decision zone of one case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...core import metrics
from ...core.budgets import voxels_of_share
from ...core.metrics.calibration import BINS
from ...core.worklist import Worklist
from .ranking import Ranking
from .record import BY_ROUTING, NOBODY, Histogram, Reliability, Row

if TYPE_CHECKING:
    from numpy.typing import NDArray


def detection_rows(ranking: Ranking, budgets: Sequence[float]) -> list[Row]:
    """Share deferred, errors caught and error rate on kept voxels at each budget; AURC, AUGRC, AUROC and AUPRC.

    All over the decision zone. An empty zone has no figures.
    """
    count = len(ranking.key)
    if not count:
        return []
    shares = [deferred_voxels(ranking, budget) / count for budget in budgets]
    caught = metrics.errors_caught(ranking.key, ranking.wrong, shares)
    kept = metrics.error_rate_on_kept(ranking.key, ranking.wrong, shares)
    rows = []
    for budget, share, c, k in zip(budgets, shares, caught, kept, strict=True):
        rows += [
            Row(ranking.method, NOBODY, budget, "share_deferred", share),
            Row(ranking.method, NOBODY, budget, "errors_caught", float(c)),
            Row(ranking.method, NOBODY, budget, "error_rate_kept", float(k)),
        ]
    areas = {
        "aurc": metrics.area_under_risk_coverage,
        "augrc": metrics.area_under_generalized_risk,
        "auroc": metrics.area_under_roc,
        "auprc": metrics.area_under_precision_recall,
    }
    return rows + [
        Row(ranking.method, NOBODY, None, name, area(ranking.key, ranking.wrong)) for name, area in areas.items()
    ]


def deferred_voxels(ranking: Ranking, budget: float) -> int:
    """Voxels deferred at a budget: no more than the budget allows, and none that is never deferred."""
    return min(voxels_of_share(budget, len(ranking.key)), ranking.deferrable)


def zone_rows(wrong: NDArray[np.bool_], errors: int) -> list[Row]:
    """Size of the zone, error rate in it, and the share of all the model's errors that lie outside of it.

    wrong : (N,) over the zone. errors : of the model in the whole volume.
    """
    inside = int(np.count_nonzero(wrong))
    return [
        Row("model", NOBODY, None, "zone_voxels", float(len(wrong))),
        Row("model", NOBODY, None, "zone_error_rate", inside / len(wrong) if len(wrong) else float("nan")),
        Row("model", NOBODY, None, "errors_outside_zone", 1 - inside / errors if errors else float("nan")),
    ]


def calibration_rows(method: str, error: NDArray[np.uint8], wrong: NDArray[np.bool_]) -> list[Row]:
    """ECE and Brier score of a method's error probability over the zone.

    error : (N,) stored bytes. The Brier score is the sum over both classes (right, wrong), 0..2.
    """
    if not len(wrong):
        return []
    p = error.astype(np.float64) / 255
    return [
        Row(method, NOBODY, None, "ece", metrics.expected_calibration_error(p, wrong)),
        Row(method, NOBODY, None, "brier", metrics.brier_score(metrics.two_class(p), wrong.astype(np.int64))),
    ]


def reliability_of(error: NDArray[np.uint8], wrong: NDArray[np.bool_]) -> Reliability:
    """Counts of the reliability diagram: bins of equal width (low, high], as in the ECE."""
    p = error.astype(np.float64) / 255
    place = np.searchsorted(np.arange(1, BINS) / BINS, p, side="left")
    return Reliability(
        np.bincount(place, minlength=BINS),
        np.bincount(place, p, minlength=BINS).astype(np.float64),
        np.bincount(place[wrong], minlength=BINS),
    )


def histogram_of(ranking: Ranking) -> Histogram:
    """Voxels and errors of each key, largest key first: all that figures over several cases need."""
    keys, place, voxels = np.unique(ranking.key, return_inverse=True, return_counts=True)
    errors = np.bincount(place.reshape(-1)[ranking.wrong], minlength=len(keys))
    return Histogram(keys[::-1], voxels[::-1].astype(np.int64), errors[::-1].astype(np.int64))


def review_rows(method: str, work: Worklist, budgets: Sequence[float]) -> list[Row]:
    """Regions and their mean volume, minutes of review, and each expert's share of the deferred voxels."""
    rows = []
    for budget in budgets:
        regions, deferred = work.regions(budget), work.deferred(budget)
        volume = float(np.mean([region.volume_ml for region in regions])) if len(regions) else float("nan")
        rows += [
            Row(method, BY_ROUTING, budget, "regions", float(len(regions))),
            Row(method, BY_ROUTING, budget, "region_ml", volume),
            Row(method, BY_ROUTING, budget, "review_minutes", regions.seconds / 60),
        ]
        shares = np.bincount(deferred.expert, minlength=len(work.experts)) / max(1, len(deferred))
        rows += [
            Row(method, BY_ROUTING, budget, f"share:{expert.id}", float(share) if len(deferred) else float("nan"))
            for expert, share in zip(work.experts, shares, strict=True)
        ]
    return rows
