"""The bench refuses what Slicer refuses and behaves as PythonQt does."""

from __future__ import annotations

from typing import Any

import pytest


def test_a_wrong_signal_raises_and_names_the_right_ones(bench: Any) -> None:
    import qt

    with pytest.raises(bench.NotInSlicer, match=r"no signal pressed\(int\).*'pressed\(\)'"):
        qt.QPushButton().connect("pressed(int)", print)
