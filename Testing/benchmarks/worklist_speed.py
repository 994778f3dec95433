"""How fast a stored case answers a new budget, on one core.

    taskset -c 0 python Testing/benchmarks/worklist_speed.py

A synthetic 512 x 512 x 400 CT case (0.78 x 0.78 x 1 mm) with liver-, spleen-, kidney- and tumor-like ellipsoids whose
edges waver and blur, margin deferral and three experts. Prints a Markdown table of medians; nothing is read from disk,
and the maps are generated anew in each run from a seed.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "DeferredSegSlicer"))

from DeferredSegSlicerLib.core.experts import load_experts  # noqa: E402
from DeferredSegSlicerLib.core.geometry import Geometry  # noqa: E402
from DeferredSegSlicerLib.core.quantize import quantize_probability, quantize_shares  # noqa: E402
from DeferredSegSlicerLib.core.structures import make_structures  # noqa: E402
from DeferredSegSlicerLib.core.worklist import worklist  # noqa: E402

GEOMETRY = Geometry((512, 512, 400), (0.78, 0.78, 1.0), direction_lps=(1, 0, 0, 0, 1, 0, 0, 0, 1))
ORGANS = {  # center (i, j, k) and half axes in mm, width of the blurred edge in mm
    "liver": ((140.0, 180.0, 260.0), (85.0, 70.0, 75.0), 3.0),
    "spleen": ((290.0, 220.0, 270.0), (32.0, 42.0, 52.0), 2.0),
    "right kidney": ((150.0, 250.0, 170.0), (27.0, 28.0, 55.0), 2.0),
    "tumor": ((160.0, 160.0, 270.0), (18.0, 16.0, 17.0), 4.0),
}


def smooth_noise(shape: tuple[int, int, int], step: int, generator: np.random.Generator) -> np.ndarray:
    """Float32 noise of standard deviation about 1, correlated over `step` voxels, as networks' doubt is."""
    coarse = generator.standard_normal([n // step + 3 for n in shape]).astype(np.float32)
    image = sitk.GetImageFromArray(coarse)
    image.SetSpacing([float(step)] * 3)
    target = sitk.Image([int(n) for n in reversed(shape)], sitk.sitkFloat32)
    return sitk.GetArrayFromImage(sitk.Resample(image, target, sitk.Transform(), sitk.sitkLinear))


def a_case(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probability [s, k, j, i], routing [a, k, j, i] and error [k, j, i], all uint8."""
    generator = np.random.default_rng(seed)
    probability = np.zeros((len(ORGANS), *GEOMETRY.shape), dtype=np.uint8)
    routing = np.zeros((4, *GEOMETRY.shape), dtype=np.uint8)
    routing[-1] = 255
    error = np.zeros(GEOMETRY.shape, dtype=np.uint8)
    spacing = np.asarray(GEOMETRY.spacing)
    for number, (center, half, blur) in enumerate(ORGANS.values()):
        reach = (np.asarray(half) + 8 * blur) / spacing
        middle = np.asarray(center) / spacing
        low = np.maximum(np.floor(middle - reach), 0).astype(int)
        high = np.minimum(np.ceil(middle + reach), GEOMETRY.size).astype(int)
        crop = tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1], strict=True))
        shape = tuple(s.stop - s.start for s in crop)
        i, j, k = (
            ((np.arange(a, b) - m) * s / h).astype(np.float32) ** 2
            for a, b, m, s, h in zip(low, high, middle, spacing, half, strict=True)
        )
        radius = np.sqrt(k[:, None, None] + j[:, None] + i)
        distance = (1 - radius) * np.float32(min(half)) + blur * smooth_noise(shape, 12, generator)
        distance += np.float32(0.3 * blur) * smooth_noise(shape, 3, generator)
        p = 1 / (1 + np.exp(-distance / np.float32(blur / 2)))
        probability[number][crop] = quantize_probability(p)
        wrong = np.minimum(p, 1 - p)
        share = np.exp(np.stack([smooth_noise(shape, 16, generator) for _ in range(3)]) * 2)
        share *= 2 * wrong / share.sum(axis=0)
        agents = quantize_shares(np.concatenate([share, (1 - 2 * wrong)[None]]))
        more = agents[-1] < routing[-1][crop]
        for agent in range(4):
            np.copyto(routing[agent][crop], agents[agent], where=more)
        np.maximum(error[crop], quantize_probability(wrong), out=error[crop])
    return probability, routing, error


def median_ms(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median wall time and median processor time in ms; they differ where others use the processor too."""
    wall, processor_time = [], []
    for _ in range(repeats):
        start, start_processor = time.perf_counter(), time.process_time()
        work()
        wall.append((time.perf_counter() - start) * 1000)
        processor_time.append((time.process_time() - start_processor) * 1000)
    return statistics.median(wall), statistics.median(processor_time)


def memory_mib(work: Callable[[], object]) -> tuple[float, float]:
    """MiB at the peak of a call, and what its result keeps."""
    tracemalloc.start()
    result = work()
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del result
    return peak / 2**20, kept / 2**20


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
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    experts = load_experts(ROOT / "Resources" / "Experts" / "default.json")
    structures = make_structures([(name, None) for name in ORGANS])
    maps = a_case(arguments.seed)
    repeats = arguments.repeats

    def prepare() -> object:
        return worklist(*maps, structures, experts, GEOMETRY)

    rows = [("preparation, once a case", "", *median_ms(prepare, repeats))]
    work = worklist(*maps, structures, experts, GEOMETRY)
    absent = (replace(experts[0], available=False), replace(experts[1], cost=0.1), experts[2])
    rows.append(("expert on leave and a new cost", "", *median_ms(lambda: work.with_experts(absent), repeats)))
    for budget in (0.01, 0.05, 0.1, 0.2):
        found = work.regions(budget)
        size = f"{len(work.deferred(budget)):,} voxels"
        rows.append((f"deferred set at {budget:.0%}", size, *median_ms(lambda b=budget: work.deferred(b), repeats)))
        timed = median_ms(lambda b=budget: work.deferred(b).labels(GEOMETRY.shape), repeats)
        rows.append((f"... as a labeled volume at {budget:.0%}", size, *timed))
        size = f"{len(found)} regions, {found.dropped_pieces} pieces dropped"
        rows.append((f"region list at {budget:.0%}", size, *median_ms(lambda b=budget: work.regions(b), repeats)))
    rows.append(("share for 20 minutes", "", *median_ms(lambda: work.budget_for_minutes(20), 1)))
    print(f"{processor()}, numpy {np.__version__}, zone {len(work.zone):,} voxels, {len(work.candidates):,} deferrable")
    peak, kept = memory_mib(prepare)
    print(f"preparation takes {peak:.0f} MiB beside the maps at its peak and keeps {kept:.0f} MiB;", end=" ")
    print(f"a region list at 5% takes {memory_mib(lambda: work.regions(0.05))[0]:.0f} MiB\n")
    print(f"| step | size | median of {repeats}, ms | of it on the processor, ms |\n|---|---|---:|---:|")
    for name, size, wall, processor_time in rows:
        print(f"| {name} | {size} | {wall:.1f} | {processor_time:.1f} |")


if __name__ == "__main__":
    main()
