"""The longest time for which Slicer's window would stand still while a job runs.

    python Testing/benchmarks/main_thread_blocks.py [--real]

A loop in the place of Slicer's event loop beats every millisecond; a beat that comes late shows that the main thread
was blocked, by a step of the job or by a thread that held the interpreter. A synthetic CT of 512 x 512 x 200 with a
clerk in the place of the network (the main thread sees the same files), then with `--real` the sample CT with the real
worker. Prints Markdown tables: the longest gap by stage, cancel, and budget changes afterwards.
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Testing" / name) for name in ("headless", "logic")] + [str(ROOT / "DeferredSegSlicer")]

from boot import boot  # noqa: E402
from DeferredSegSlicerLib.core.geometry import Geometry  # noqa: E402
from DeferredSegSlicerLib.core.prompts import read_prompts  # noqa: E402
from DeferredSegSlicerLib.core.structures import Box, Structure, make_structures  # noqa: E402
from DeferredSegSlicerLib.logic.module_logic import ModuleLogic  # noqa: E402
from DeferredSegSlicerLib.worker.client import WorkerClient  # noqa: E402
from hard_volumes import node_from_array, node_from_file  # noqa: E402
from plain_services import PlainServices  # noqa: E402

LIMIT_MS = 100.0
SAMPLE = ROOT / "Resources" / "SampleData"


class Heart:
    """Beats through the event loop and keeps the longest gap, and the total, by stage."""

    def __init__(self, services: PlainServices) -> None:
        self._services = services
        self.longest: dict[str, float] = {}
        self.total: dict[str, float] = {}

    def beat_while(self, logic: ModuleLogic, condition: Callable[[], bool]) -> None:
        """One turn of the event loop a millisecond."""
        while condition():
            stage, began = logic.job.stage or "begin", time.perf_counter()
            self._services.process_events()
            time.sleep(0.001)
            gap = (time.perf_counter() - began) * 1000
            self.longest[stage] = max(self.longest.get(stage, 0.0), gap)
            self.total[stage] = self.total.get(stage, 0.0) + gap


def a_large_ct(scene: Any) -> tuple[Any, list[Structure]]:
    """512 x 512 x 200 voxels of noise, and boxes of the size of a liver, a spleen and a tumor."""
    grid = Geometry((512, 512, 200), (0.78, 0.78, 1.5))
    image = (np.random.default_rng(0).normal(0, 20, grid.shape) - 500).astype(np.int16)
    middle = grid.ras_of((256, 256, 100))

    def box(at: tuple[float, float, float], half: tuple[float, float, float]) -> Box:
        return Box(tuple(middle + at - half), tuple(middle + at + half))

    named = [
        ("liver", box((60, 0, 0), (85, 70, 75))),
        ("spleen", box((-90, 20, 20), (32, 42, 52))),
        ("tumor", box((40, 30, 0), (18, 16, 17))),
    ]
    return node_from_array(scene, image, grid, "Large CT"), make_structures(named)


def measure(title: str, logic: ModuleLogic, services: PlainServices, volume: Any, structures: list[Structure]) -> None:
    """One job, its cancellation, and budgets; prints a table."""
    logic.start_worker()
    services.run_until(lambda: logic.hello is not None, 300)
    heart = Heart(services)
    began = time.perf_counter()
    logic.segment(volume, structures, device="cpu", wait=False)
    call = (time.perf_counter() - began) * 1000
    heart.beat_while(logic, lambda: logic.job.busy)
    seconds = time.perf_counter() - began
    assert logic.shown is not None
    print(f"\n## {title}\n\nThe call itself: {call:.1f} ms; the whole job: {seconds:.1f} s.\n")
    print("| stage | longest gap, ms | time in it, s |\n|---|---:|---:|")
    for stage, gap in heart.longest.items():
        print(f"| {stage} | {gap:.0f} | {heart.total[stage] / 1000:.2f} |")
    worst = max(heart.longest.values())
    print(f"\nLimit: {LIMIT_MS:.0f} ms, longest {worst:.0f} ms, {'met' if worst < LIMIT_MS else 'MISSED'}.")
    work = logic.shown.worklist
    print(f"\nZone {len(work.zone):,} voxels, {len(work.candidates):,} of them may be deferred.\n")
    print("| change on the shown case | ms | regions |\n|---|---:|---:|")
    for share in (0.01, 0.05, 0.1, 0.2, 0.05):
        began = time.perf_counter()
        logic.set_budget(share)
        print(f"| budget {share:.0%} | {(time.perf_counter() - began) * 1000:.0f} | {len(logic.shown.regions)} |")
    for off in ({"boundary"}, set()):
        began = time.perf_counter()
        logic.set_off_duty(off)
        name = "an expert leaves" if off else "and comes back"
        print(f"| {name} | {(time.perf_counter() - began) * 1000:.0f} | {len(logic.shown.regions)} |")
    logic.segment(volume, structures, device="cpu", wait=False)
    services.run_until(lambda: logic.job.stage == "segment", 300)
    began = time.perf_counter()
    logic.cancel()
    print(f"| cancel of a running job | {(time.perf_counter() - began) * 1000:.0f} | |")
    logic.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", action="store_true", help="also the sample CT with the real worker")
    real = parser.parse_args().real
    scene = boot().mrmlScene()
    services = PlainServices(Path(tempfile.mkdtemp(prefix="main-thread-")))
    clerk = [sys.executable, str(ROOT / "Testing" / "logic" / "clerk.py"), "work"]
    logic = ModuleLogic(scene, services, functools.partial(WorkerClient, command=clerk))
    measure("512 x 512 x 200, a clerk as worker", logic, services, *a_large_ct(scene))
    if real:
        scene.Clear(0)
        volume = node_from_file(SAMPLE / "body_ct.nrrd")
        structures = read_prompts(SAMPLE / "body_ct_prompts.json")
        measure("Sample CT, real worker", ModuleLogic(scene, services), services, volume, structures)


if __name__ == "__main__":
    main()
