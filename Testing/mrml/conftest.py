"""The tests of this folder run on Slicer's own classes: they are collected where the extra `slicer` is installed."""

from __future__ import annotations

from importlib.util import find_spec

HAS_SLICER = find_spec("slicer") is not None

collect_ignore_glob = [] if HAS_SLICER else ["test_*.py"]


def pytest_report_header() -> str:
    """Say in the report which it was."""
    return "Slicer's classes: " + (
        "found" if HAS_SLICER else 'not installed (extra "slicer"); Testing/mrml is left out'
    )
