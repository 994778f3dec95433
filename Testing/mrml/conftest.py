"""The headless Slicer, for the tests of the scene layer."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
for folder in (str(HERE), str(HERE.parent / "headless")):
    if folder not in sys.path:
        sys.path.insert(0, folder)

from slicer_fixtures import a_hard_volume, a_slicer, a_volume_node, scene  # noqa: E402, F401  fixtures
