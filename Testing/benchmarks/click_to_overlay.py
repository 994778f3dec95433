"""From the click on *Segment with deferral* to the drawn overlay, and how much of it is the network.

    python Testing/benchmarks/click_to_overlay.py

The sample CT with its three boxes, on a Slicer without a window (slicer-core): the real worker, warm, and three slice
views that are drawn off-screen by the CPU. Prints a Markdown table of medians. Everything that is not the network is
"bridge and display": copying and packing the volume, the worker's reading and writing, opening and checking the case,
making the nodes, drawing the views. Then a budget and a duty change on the same case.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Testing" / name) for name in ("headless", "logic")] + [str(ROOT / "DeferredSegSlicer")]

from boot import boot  # noqa: E402
from DeferredSegSlicerLib.core.prompts import read_prompts  # noqa: E402
from DeferredSegSlicerLib.logic.module_logic import ModuleLogic  # noqa: E402
from DeferredSegSlicerLib.worker.client import Callbacks, WorkerClient  # noqa: E402
from DeferredSegSlicerLib.worker.protocol import Result  # noqa: E402
from hard_volumes import node_from_file  # noqa: E402
from plain_services import PlainServices  # noqa: E402
from render import SliceView  # noqa: E402

SAMPLE = ROOT / "Resources" / "SampleData"
TARGET_SECONDS = 1.5


def clients(results: list[Result]) -> Callable[..., WorkerClient]:
    """Makes real clients whose results, with their timings, are kept."""

    def make(log_folder: Path, callbacks: Callbacks, **options: Any) -> WorkerClient:
        def result(found: Result) -> None:
            results.append(found)
            callbacks.result(found)

        return WorkerClient(log_folder, replace(callbacks, result=result), **options)

    return make


def milliseconds(work: Callable[[], object]) -> float:
    """Duration of a call."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    app = boot()
    services, results = PlainServices(Path(tempfile.mkdtemp(prefix="click-to-overlay-"))), []
    volume = node_from_file(SAMPLE / "body_ct.nrrd")
    structures = read_prompts(SAMPLE / "body_ct_prompts.json")
    center = structures[0].box
    middle = tuple((a + b) / 2 for a, b in zip(center.low, center.high, strict=True))
    views = [SliceView(app, name, kind) for name, kind in (("R", "Axial"), ("Y", "Sagittal"), ("G", "Coronal"))]
    for view in views:
        view.show(volume, middle)
        view.picture()
    logic = ModuleLogic(app.mrmlScene(), services, clients(results))
    logic.start_worker()
    services.run_until(lambda: logic.hello is not None, 300)
    logic.segment(volume, structures, device="cpu")  # the network is compiled and warm from now on
    rows: list[dict[str, float]] = []
    for _ in range(repeats):
        stages: dict[str, float] = {}
        began = time.perf_counter()

        def note(status: Any, stages: dict[str, float] = stages, began: float = began) -> None:
            stages.setdefault(status.stage, time.perf_counter() - began)

        logic.segment(volume, structures, device="cpu", progress=note)
        done = time.perf_counter() - began
        drawing = sum(milliseconds(view.picture) for view in views) / 1000
        timings = results[-1].timings
        network = timings["total"] - timings["read"] - timings["write"]
        overlay = stages["keep"] + drawing  # what follows "keep" comes after the overlay is there
        rows.append(
            {
                "network": network,
                "copy and pack the volume": stages["start"] - stages["export"],
                "the worker reads and writes": timings["read"] + timings["write"],
                "open, check and reckon the case": stages["show"] - stages["open"],
                "make the nodes": stages["keep"] - stages["show"],
                "draw three slice views": drawing,
                "click to overlay": overlay,
                "bridge and display": overlay - network,
                "keep the case in the scene, after that": done - stages["keep"],
            }
        )
    print(f"| step | median of {repeats}, s |\n|---|---:|")
    medians = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    for name, seconds in medians.items():
        print(f"| {name} | {seconds:.3f} |")
    verdict = "met" if medians["bridge and display"] < TARGET_SECONDS else "MISSED"
    print(f"\nTarget for bridge and display: {TARGET_SECONDS} s, {verdict}.\n")
    shares = [number / 100 for number in range(1, 21)]
    budgets = [milliseconds(lambda share=share: logic.set_budget(share)) for share in shares]
    again = [milliseconds(lambda share=share: logic.set_budget(share)) for share in shares]
    forecasts = [milliseconds(lambda share=share: logic.shown.forecast(share + 0.005)) for share in shares]
    duties = [
        milliseconds(lambda off=off: logic.set_off_duty(off)) for off in ({"boundary"}, (), {"lesion-extent"}, ())
    ]
    print("| change on the shown case | median, ms | longest, ms |\n|---|---:|---:|")
    for name, values in (
        ("a new budget, 1 to 20 %", budgets),
        ("a budget that was there before", again),
        ("a forecast for the slider", forecasts),
        ("an expert leaves or comes back", duties),
    ):
        print(f"| {name} | {statistics.median(values):.1f} | {max(values):.1f} |")
    logic.close()
    for view in views:
        view.close()


if __name__ == "__main__":
    main()
