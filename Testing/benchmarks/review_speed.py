"""How fast a review of 5,000 regions answers, on one core.

    taskset -c 0 python Testing/benchmarks/review_speed.py

A synthetic 512 x 512 x 400 case whose worklist has 5,000 regions of 250 voxels on average. A reader has decided on
4,000 of them (accepted, edited, reassigned, skipped), a second one on 1,000. Prints a Markdown table of medians.
"""

from __future__ import annotations

import argparse
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "DeferredSegSlicer"))

from DeferredSegSlicerLib.core.case import Case, check_case, open_case, write_case  # noqa: E402
from DeferredSegSlicerLib.core.corrections import corrections_of  # noqa: E402
from DeferredSegSlicerLib.core.experts import load_experts  # noqa: E402
from DeferredSegSlicerLib.core.geometry import Geometry  # noqa: E402
from DeferredSegSlicerLib.core.review import Journal, Reader, ReviewSession, read_review  # noqa: E402
from DeferredSegSlicerLib.core.review.deciding import Deciding  # noqa: E402
from DeferredSegSlicerLib.core.review.runs import LabelRuns  # noqa: E402
from DeferredSegSlicerLib.core.structures import make_structures  # noqa: E402
from DeferredSegSlicerLib.core.volume import Volume, sha256_of_voxels  # noqa: E402
from DeferredSegSlicerLib.core.worklist import Worklist, worklist  # noqa: E402

GEOMETRY = Geometry((512, 512, 400), (0.78, 0.78, 1.0), direction_lps=(1, 0, 0, 0, 1, 0, 0, 0, 1))
COUNT = 5000
SETTINGS = {"zone_band_mm": 0.0, "budget": 1.0, "min_region_ml": 0.0, "min_region_voxels": 4}


def write_blobs(path: Path, seed: int) -> Case:
    """A case with COUNT separate blobs of uncertain voxels, each an ellipsoid of its own size."""
    generator = np.random.default_rng(seed)
    experts = load_experts(ROOT / "Resources" / "Experts" / "default.json")
    structures = make_structures([("liver", None), ("tumor", None)])
    probability = np.zeros((2, *GEOMETRY.shape), np.uint8)
    routing = np.zeros((len(experts) + 1, *GEOMETRY.shape), np.uint8)
    routing[-1] = 255
    grid = np.stack(np.meshgrid(np.arange(18), np.arange(17), np.arange(17), indexing="ij"), axis=-1).reshape(-1, 3)
    cells = generator.permutation(grid)[:COUNT] * (22, 30, 30) + (11, 15, 15)
    for number, center in enumerate(cells):
        half = generator.uniform(2.2, 6.0, 3)
        offsets = np.stack(np.meshgrid(*[np.arange(-6, 7)] * 3, indexing="ij"))
        distance = np.sqrt(((offsets / half[:, None, None, None]) ** 2).sum(axis=0))
        inside = distance < 1
        k, j, i = (offsets[axis][inside] + center[axis] for axis in range(3))
        certainty = (80 + 95 * (1 - distance[inside]) + generator.normal(0, 15, inside.sum())).clip(10, 250)
        probability[number % 2, k, j, i] = certainty.astype(np.uint8)
        routing[-1, k, j, i] = 100
        routing[number % len(experts), k, j, i] = 155
    error = np.minimum(probability.max(axis=0), 255 - probability.max(axis=0)) * (routing[-1] < 255)
    image = probability.max(axis=0).astype(np.int16)
    volume = Volume(image, GEOMETRY, "CT", sha256_of_voxels(image), "")
    model = {"id": "synthetic", "sha256": "0" * 64, "name": "Synthetic", "license": "Apache-2.0"}
    return write_case(
        path, volume, structures, experts, probability, routing, error.astype(np.uint8), "margin", SETTINGS, model, {}
    )


def decide_on_many(case: Case, work: Worklist) -> None:
    """Fill two journals: 4,000 decisions of one reader, 1,000 of another."""
    regions = list(work.regions(1.0))
    dice, state = random.Random(1), read_review(case)
    generator = np.random.default_rng(2)
    for reader, share in ((Reader("first"), regions[:4000]), (Reader("second"), regions[3500:4500])):
        making = Deciding(state, reader, 1.0)
        with Journal.open(case, reader) as journal:
            for region in share:
                labels = LabelRuns.of(region.indices, generator.integers(0, 3, region.voxels).astype(np.uint8))
                what = dice.randrange(4)
                if what == 0:
                    journal.append(making.accept(region))
                elif what == 1:
                    journal.append(making.edit(region, labels))
                elif what == 2:
                    journal.append(making.reassign(region, case.experts[0].id))
                else:
                    journal.append(making.skip(region))


def median_ms(work: Callable[[], object], repeats: int) -> tuple[float, float, float]:
    """Median wall time, longest wall time and median processor time in ms."""
    wall, processor_time = [], []
    for _ in range(repeats):
        start, start_processor = time.perf_counter(), time.process_time()
        work()
        wall.append((time.perf_counter() - start) * 1000)
        processor_time.append((time.process_time() - start_processor) * 1000)
    return statistics.median(wall), max(wall), statistics.median(processor_time)


def processor() -> str:
    """The CPU's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    few, many = 3, arguments.repeats
    with tempfile.TemporaryDirectory() as folder:
        case = write_blobs(Path(folder) / "case", arguments.seed)
        maps = case.probability(), case.routing(), case.error()
        work = worklist(*maps, case.structures, case.experts, case.geometry, case.settings)
        del maps
        start = time.perf_counter()
        decide_on_many(case, work)
        filling = (time.perf_counter() - start) * 1000 / 5000
        size = sum(p.stat().st_size for p in (case.folder / "review").glob("*.jsonl"))

        rows = [("read the journals of 5,000 decisions", *median_ms(lambda: read_review(open_case(case.folder)), few))]
        rows.append(("... and the corrected labels", *median_ms(lambda: read_review(case).corrected(), few)))

        def open_and_close() -> None:
            ReviewSession(case, work, Reader("first")).close()

        rows.append(("open a session where the reader was", *median_ms(open_and_close, few)))
        with ReviewSession(case, work, Reader("first")) as session:
            regions = len(session.table.all_rows)
            turn = iter(range(10**6))
            keys = ("ml", "state", "expert", "structure", "worst")

            def sort_and_next() -> None:
                session.sort(keys[next(turn) % len(keys)], descending=next(turn) % 2 == 0)
                assert len(session.rows) == regions
                session.next()

            def filter_and_next() -> None:
                session.show(state="open")
                assert session.rows
                session.next_open()

            rows.append(("sort, list the rows, next", *median_ms(sort_and_next, many)))
            rows.append(("filter by state, list the rows, next open", *median_ms(filter_and_next, many)))
            session.show()
            rows.append(("next", *median_ms(session.next, many)))
            rows.append(("progress", *median_ms(lambda: session.progress, many)))
            session.alternatives()
            rows.append(("alternatives of a region", *median_ms(session.alternatives, many)))
            rows.append(("accept, on disk and shown", *median_ms(session.accept, many)))
            rows.append(("take an alternative", *median_ms(lambda: session.take(session.alternatives()[0]), many)))

            def edit_a_box() -> None:
                (i0, j0, k0), (i1, j1, k1) = session.current.region.box_ijk
                box = (slice(k0, k1), slice(j0, j1), slice(i0, i1))
                session.edit(np.array(session.labels[box]), box=box)

            rows.append(("edit within a box", *median_ms(edit_a_box, many)))
            rows.append(("edit, whole volume given", *median_ms(lambda: session.edit(session.labels.copy()), few)))
            rows.append(("undo", *median_ms(session.undo, many)))
            rows.append(("budget changed to 50 %", *median_ms(lambda: session.set_budget(0.5), few)))
            rows.append(("all readers shown", *median_ms(lambda: session.show_all_readers(True), few)))
            rows.append(("conflicts listed", *median_ms(lambda: read_review(case).conflicts, 1)))
            rows.append(("save corrected.seg.nrrd", *median_ms(session.save, few)))
        rows.append(("corrections of the case", *median_ms(lambda: corrections_of(case), 1)))
        rows.append(("check the whole case", *median_ms(lambda: check_case(case.folder), 1)))
    print(f"{processor()}, numpy {np.__version__}; {regions:,} regions, {work.regions(1.0).voxels:,} voxels;", end=" ")
    print(f"journals of {size / 2**20:.1f} MiB, {filling:.1f} ms a line to make and sync\n")
    print("| step | median, ms | longest, ms | on the processor, ms |\n|---|---:|---:|---:|")
    for name, median, longest, processor_time in rows:
        print(f"| {name} | {median:.1f} | {longest:.1f} | {processor_time:.1f} |")


if __name__ == "__main__":
    main()
