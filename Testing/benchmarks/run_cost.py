"""What a whole run costs: seconds by stage and deferral's share on the sample CT, and the peak memory of a large one.

    python Testing/benchmarks/run_cost.py [--repeats 3] [--methods margin entropy learned tta]
    python Testing/benchmarks/run_cost.py --large

The first form segments the three structures of the demo once per method and repeat, in this process, after one run
that warms everything up. The second stretches the sample CT to 512 x 512 x 600 voxels, segments the same boxes with
`deferredseg segment` in a process of its own, and prints that process's peak resident memory.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "DeferredSegSlicer"))

from DeferredSegSlicerLib.core.experts import load_experts  # noqa: E402
from DeferredSegSlicerLib.core.prompts import read_prompts  # noqa: E402
from DeferredSegSlicerLib.core.volume import read_volume  # noqa: E402
from DeferredSegSlicerLib.engine.pipeline import SegmentOptions, segment_volume  # noqa: E402

SAMPLE = ROOT / "Resources" / "SampleData" / "body_ct.nrrd"
PROMPTS = ROOT / "Resources" / "SampleData" / "body_ct_prompts.json"
EXPERTS = ROOT / "Resources" / "Experts" / "default.json"
LARGE = (512, 512, 600)


def stages(methods: list[str], repeats: int) -> None:
    """Print medians of the seconds by stage, and the share of the time that deferral takes."""
    volume, structures, experts = read_volume(SAMPLE), read_prompts(PROMPTS), load_experts(EXPERTS)
    segment_volume(volume, structures, experts, SegmentOptions(method=methods[-1]))
    print(f"medians of {repeats}; seconds")
    print("| method | slices encoded | load | encode | decode | defer | route | total | deferral / segmentation |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for method in methods:
        runs = [segment_volume(volume, structures, experts, SegmentOptions(method=method)) for _ in range(repeats)]
        names = ("load", "encode", "decode", "defer", "route", "total")
        medians = {name: statistics.median(run.timings.get(name, 0.0) for run in runs) for name in names}
        share = (medians["defer"] + medians["route"]) / (medians["encode"] + medians["decode"])
        cells = " | ".join(f"{medians[name]:.2f}" for name in names)
        print(f"| {method} | {runs[0].settings['slices_encoded']} | {cells} | {share:.2%} |")


def large() -> None:
    """Print time and peak memory of a 512 x 512 x 600 int16 run."""
    image = sitk.ReadImage(str(SAMPLE))
    spacing = [s * n / m for s, n, m in zip(image.GetSpacing(), image.GetSize(), LARGE, strict=True)]
    stretched = sitk.Resample(
        image, LARGE, sitk.Transform(), sitk.sitkLinear, image.GetOrigin(), spacing, image.GetDirection(), -1024
    )
    with tempfile.TemporaryDirectory() as folder:
        path, case = Path(folder) / "large.nrrd", Path(folder) / "case"
        sitk.WriteImage(sitk.Cast(stretched, sitk.sitkInt16), str(path))
        del image, stretched
        command = [sys.executable, "-m", "DeferredSegSlicerLib", "segment", str(path), "-o", str(case)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "DeferredSegSlicer")}
        begun = time.perf_counter()
        child = subprocess.Popen(
            [*command, "--prompts", str(PROMPTS)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(child.pid, 0)
        if os.waitstatus_to_exitcode(status) != 0:
            raise SystemExit(f"the run failed with exit code {os.waitstatus_to_exitcode(status)}")
        voxels = int(np.prod(LARGE)) / 1e6
        print(f"{LARGE[0]} x {LARGE[1]} x {LARGE[2]} int16 ({voxels:.0f} Mvoxel), three structures: ", end="")
        print(f"peak {usage.ru_maxrss * 1024 / 1e9:.2f} GB resident, {time.perf_counter() - begun:.0f} s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=["margin", "entropy", "learned", "tta"])
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args()
    if arguments.large:
        large()
    else:
        stages(arguments.methods, arguments.repeats)


if __name__ == "__main__":
    main()
