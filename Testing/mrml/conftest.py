"""The headless Slicer, for the tests of the scene layer."""

from __future__ import annotations

import sys
from pathlib import Path

HEADLESS = str(Path(__file__).parents[1] / "headless")
if HEADLESS not in sys.path:
    sys.path.insert(0, HEADLESS)

from slicer_fixtures import a_hard_volume, a_slicer, a_volume_node, scene  # noqa: E402, F401  fixtures
