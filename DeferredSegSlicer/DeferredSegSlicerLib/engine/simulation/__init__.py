"""Simulated experts: the published ones, with independent flips, and readers with spatially correlated errors."""

from .correlated import CORRELATED_READERS, SPECIALISTS, CorrelatedReader, correlated_readers, specialist_readers
from .published import DISCREPANCY, SIMILAR, PublishedExpert, published_experts
from .seeds import SPLITS, reader_generator
from .simulate import SimulatedReader, accuracy_by_place, places, simulate_readers

__all__ = [
    "CORRELATED_READERS",
    "DISCREPANCY",
    "SIMILAR",
    "SPECIALISTS",
    "SPLITS",
    "CorrelatedReader",
    "PublishedExpert",
    "SimulatedReader",
    "accuracy_by_place",
    "correlated_readers",
    "places",
    "published_experts",
    "reader_generator",
    "simulate_readers",
    "specialist_readers",
]
