"""Figures of merit as pure functions: overlap, surfaces, error detection, calibration, bootstrap over cases."""

from .bootstrap import Interval, bootstrap_over_cases
from .calibration import adaptive_calibration_error, brier_score, expected_calibration_error, two_class
from .error_detection import (
    area_under_generalized_risk,
    area_under_precision_recall,
    area_under_risk_coverage,
    area_under_roc,
    error_rate_on_kept,
    errors_caught,
    excess_area_under_risk_coverage,
    risk_coverage,
)
from .overlap import dice, intersection_over_union, sensitivity
from .surface import SurfaceDistances, hausdorff_95, surface_dice, surface_distances

__all__ = [
    "Interval",
    "SurfaceDistances",
    "adaptive_calibration_error",
    "area_under_generalized_risk",
    "area_under_precision_recall",
    "area_under_risk_coverage",
    "area_under_roc",
    "bootstrap_over_cases",
    "brier_score",
    "dice",
    "error_rate_on_kept",
    "errors_caught",
    "excess_area_under_risk_coverage",
    "expected_calibration_error",
    "hausdorff_95",
    "intersection_over_union",
    "risk_coverage",
    "sensitivity",
    "surface_dice",
    "surface_distances",
    "two_class",
]
