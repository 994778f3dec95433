"""A worklist of thousands stays fluid, and a program that is killed loses no finished stroke."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from DeferredSegSlicerLib.core.case import Case, open_case, write_case
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.review import Reader, read_review
from DeferredSegSlicerLib.core.structures import make_structures
from DeferredSegSlicerLib.core.volume import Volume, sha256_of_voxels
from DeferredSegSlicerLib.logic.module_logic import ModuleLogic
from DeferredSegSlicerLib.logic.review import ReviewLogic
from DeferredSegSlicerLib.logic.review.drafts import read_draft
from hard_volumes import node_from_array
from plain_services import PlainServices
from review_bench import EXPERTS, Bench, a_bench, write_blocks_case  # noqa: F401  a fixture

HERE = Path(__file__).resolve().parent
FLUID = 0.1


def many_regions(folder: Path) -> Case:
    """5,000 regions of 32 voxels."""
    grid = Geometry((250, 200, 40), (1.0, 1.0, 2.0))
    image = np.random.default_rng(3).integers(-200, 200, grid.shape).astype(np.int16)
    probability = np.full((1, *grid.shape), 140, np.uint8)
    routing = np.zeros((len(EXPERTS) + 1, *grid.shape), np.uint8)
    error = np.zeros(grid.shape, np.uint8)
    number = 0
    for k in range(0, 40, 8):
        for j in range(0, 200, 8):
            for i in range(0, 240, 6):
                block = slice(k, k + 2), slice(j, j + 4), slice(i, i + 4)
                routing[number % len(EXPERTS)][block] = 200
                error[block] = 20 + number % 200
                number += 1
    assert number == 5000
    routing[-1] = 255 - routing[:-1].sum(axis=0)
    return write_case(
        folder,
        Volume(image, grid, "CT", sha256_of_voxels(image), ""),
        make_structures([("Liver", None)]),
        EXPERTS,
        probability,
        routing,
        error,
        "margin",
        {"zone_floor": 0.02, "zone_band_mm": 1, "min_region_ml": 0.0, "budget": 1.0},
        {"id": "test-net", "sha256": "0" * 64, "name": "Test net", "license": "Apache-2.0"},
        {"deferredseg": "0.1.0"},
    )


def seconds(act: Callable[[], Any], times: int = 9) -> float:
    """What an act takes, the median of several."""
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        spent.append(time.perf_counter() - began)
    return float(np.median(spent))


def test_five_thousand_regions_are_sorted_walked_and_decided_in_a_blink(
    scene: Any, a_logic: Callable[..., ModuleLogic], services: PlainServices, tmp_path: Path
) -> None:
    case = many_regions(tmp_path / "case")
    volume = case.volume()
    module = a_logic()
    module.open_case(case.folder, node_from_array(scene, volume.image, volume.geometry), budget=1.0)
    review = ReviewLogic(module, services)
    review.begin("extent")
    assert len(review.rows) == 5000
    acts: dict[str, Callable[[], Any]] = {
        "next": review.next,
        "previous": review.previous,
        "next open": review.next_open,
        "rows": lambda: review.rows,
        "sort by error": lambda: review.sort("error", True),
        "sort by state": lambda: review.sort("state"),
        "show one expert": lambda: review.show(expert="normal"),
        "show all": review.show,
        "progress": lambda: review.progress,
        "accept": lambda: (review.accept(), review.next_open()),
        "alternatives": review.alternatives,
        "take": lambda: (review.take(1), review.next_open()),
        "undo": review.undo,
    }
    slow = {name: spent for name, act in acts.items() if (spent := seconds(act)) > FLUID}
    review.close()
    assert not slow, slow


KILLED = """
import sys, time
sys.path[:0] = [{logic!r}, {headless!r}, {library!r}]
from pathlib import Path
import numpy as np
from boot import boot
import slicer
from DeferredSegSlicerLib.core.case import open_case
from DeferredSegSlicerLib.logic.module_logic import ModuleLogic
from plain_services import PlainServices
from review_bench import Bench
app = boot()
slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(app.mrmlScene())
services = PlainServices(Path({folder!r}))
bench = Bench(app, ModuleLogic(app.mrmlScene(), services), services, open_case(Path({case!r})))
bench.review.begin("extent")
bench.review.alternatives()
bench.review.take(2)
bench.review.next()
bench.review.start_edit()
mask = np.zeros(bench.case.geometry.shape, bool)
mask.reshape(-1)[bench.review.region.indices] = True
bench.paint(mask)
bench.wait(0.4)
print("stroke", bench.review.region.id, flush=True)
while True:
    bench.paint(mask, erase=True)
    bench.paint(mask)
"""


def test_a_slicer_that_is_killed_in_the_middle_of_a_stroke_loses_that_stroke_alone(
    a_bench: Callable[..., Bench],  # noqa: F811
    tmp_path: Path,
) -> None:
    folder = tmp_path / "killed"
    case = write_blocks_case(folder)
    code = KILLED.format(
        logic=str(HERE),
        headless=str(HERE.parent / "headless"),
        library=str(HERE.parents[1] / "DeferredSegSlicer"),
        folder=str(tmp_path),
        case=str(case.folder),
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as killed:
        assert killed.stdout is not None
        line = killed.stdout.readline().split(maxsplit=1)
        killed.send_signal(signal.SIGKILL)
    assert line and line[0] == "stroke", "the other program did not come to its stroke"
    again = open_case(folder)
    assert [entry.decision.kind for entry in read_review(again).entries] == ["alternative"]
    draft = read_draft(again, Reader("extent"))
    assert draft is not None and draft.region.id == line[1].strip()

    bench = a_bench()
    bench.case = again
    volume = again.volume()
    bench.volume = node_from_array(bench.scene, volume.image, volume.geometry, "Again")
    bench.open()
    assert bench.review.begin("extent") and bench.review.region.id == draft.region.id
    bench.review.restore_draft()
    bench.wait(0.5)
    bench.review.finish_edit()
    assert np.all(bench.labels.reshape(-1)[draft.voxels.indices] == 1)
