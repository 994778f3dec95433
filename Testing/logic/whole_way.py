"""Segments a small volume from start to end and prints, as JSON, what came of it and which heavy packages were loaded.

python whole_way.py FOLDER
"""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "headless"), str(HERE.parents[1] / "DeferredSegSlicer")]

from boot import boot  # noqa: E402
from DeferredSegSlicerLib.logic.module_logic import ModuleLogic  # noqa: E402
from DeferredSegSlicerLib.logic.setup import SetUp  # noqa: E402
from DeferredSegSlicerLib.worker.client import WorkerClient  # noqa: E402
from hard_volumes import OBLIQUE, node_from_array, scan_on  # noqa: E402
from plain_services import PlainServices  # noqa: E402

HEAVY = ("torch", "torchvision", "monai", "timm", "segment_anything", "safetensors", "openvino", "matplotlib", "qt")


def main() -> None:
    """The whole way, with the clerk as worker."""
    from DeferredSegSlicerLib.core.structures import Box, make_structures

    scene = boot().mrmlScene()
    services = PlainServices(Path(sys.argv[1]))
    command = [sys.executable, str(HERE / "clerk.py"), "work"]
    logic = ModuleLogic(scene, services, functools.partial(WorkerClient, command=command))
    volume = node_from_array(scene, scan_on(OBLIQUE), OBLIQUE)
    center = OBLIQUE.ras_of((7, 6, 4))
    shown = logic.segment(volume, make_structures([("Liver", Box(tuple(center - 4), tuple(center + 4)))]), budget=0.5)
    logic.set_budget(0.3)
    SetUp(services).versions_text(logic.hello)
    logic.close()
    print(json.dumps({"regions": len(shown.regions), "heavy": [name for name in HEAVY if name in sys.modules]}))


if __name__ == "__main__":
    main()
