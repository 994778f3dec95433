"""Asking the network again about the regions of the sample case: how long it takes, and what it is worth.

    python Testing/benchmarks/reprompt.py [--budget 0.05] [--case FOLDER]

The sample CT with its three boxes is segmented (or a case of it is given), then a real worker on the CPU is asked about
every region of the worklist, worst first: the regions of a structure share slices, which are encoded once. Beside the
seconds it counts, for every labeling that came out, whether it agrees better or worse with the reference than the model
does in the region. **The reference was made by an AI** (TotalSegmentator), so this is agreement with another network.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "DeferredSegSlicer"))

import numpy as np  # noqa: E402
from DeferredSegSlicerLib.core.case import Case, open_case  # noqa: E402
from DeferredSegSlicerLib.core.regions import Region  # noqa: E402
from DeferredSegSlicerLib.core.review.alternatives import LabelAlternative, alternatives  # noqa: E402
from DeferredSegSlicerLib.core.segmentation_file import read_segmentation  # noqa: E402
from DeferredSegSlicerLib.render.scene import worklist_of  # noqa: E402
from DeferredSegSlicerLib.worker.client import Callbacks, WorkerClient  # noqa: E402
from DeferredSegSlicerLib.worker.protocol import Error, Options, Result  # noqa: E402
from DeferredSegSlicerLib.worker.reprompt_files import read_answer, write_region  # noqa: E402
from DeferredSegSlicerLib.worker.reprompt_messages import Alternatives, RepromptOptions  # noqa: E402

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLE = ROOT / "Resources" / "SampleData"


@dataclass
class Worker:
    """A real worker; every request is waited for."""

    folder: Path

    def __post_init__(self) -> None:
        self.ends: list[Result | Alternatives | Error] = []
        keep = self.ends.append
        told = Callbacks(result=keep, failed=keep, alternatives=keep, no_alternatives=keep)
        self.client = WorkerClient(self.folder / "logs", told)

    def wait(self) -> Result | Alternatives:
        """The end of what was asked for; leaves the program if it failed."""
        while not self.ends:
            self.client.poll()
            time.sleep(0.002)
        end = self.ends.pop()
        if isinstance(end, Error):
            sys.exit(f"{end.message} {end.advice}")
        return end

    def segment(self) -> Case:
        """The case of the sample."""
        files = SAMPLE / "body_ct.nrrd", SAMPLE / "body_ct_prompts.json", ROOT / "Resources/Experts/default.json"
        self.client.segment(*files, self.folder / "case", options=Options(device="cpu", modality="CT"))
        self.wait()
        return open_case(self.folder / "case")

    def ask(self, case: Case, region: Region) -> tuple[tuple[LabelAlternative, ...], float, float]:
        """The labelings of a region, the seconds until they were here, and those within the network's part."""
        question, answer = self.folder / "region.json", self.folder / "answer.json"
        write_region(question, region.indices)
        began = time.perf_counter()
        bundle = str(case.model["id"])
        options = RepromptOptions("cpu")
        self.client.reprompt(case.folder, bundle, region.structure, question, answer, options)
        end = self.wait()
        found = read_answer(answer, case, region.structure, region.indices).alternatives
        return found, time.perf_counter() - began, end.timings["reprompt"]


def reference_of(case: Case) -> NDArray[np.uint8]:
    """The reference as labels of the case."""
    file = read_segmentation(SAMPLE / "body_ct_reference.seg.nrrd")
    labels = np.zeros(case.geometry.shape, np.uint8)
    for number, structure in enumerate(case.structures, 1):
        labels[file.mask(file.segment(structure.name))] = number
    return labels.reshape(-1)


def gain(case: Case, region: Region, found: LabelAlternative, reference: NDArray[np.uint8]) -> int:
    """Voxels that agree with the reference on the region's structure, more than with the model's label."""
    number = 1 + [s.id for s in case.structures].index(region.structure)
    truth = reference[region.indices] == number
    before = case.label().reshape(-1)[region.indices] == number
    return int(np.sum((found.after.labels == number) == truth) - np.sum(before == truth))


def counted(gains: Sequence[int]) -> str:
    """How many are better, worse, the same, and the voxels together."""
    better, worse = sum(g > 0 for g in gains), sum(g < 0 for g in gains)
    return f"{len(gains)} | {better} | {worse} | {len(gains) - better - worse} | {sum(gains):+d}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=float, default=0.05)
    parser.add_argument("--case", type=Path)
    options = parser.parse_args()
    worker = Worker(Path(tempfile.mkdtemp(prefix="reprompt-")))
    with worker.client:
        case = open_case(options.case) if options.case else worker.segment()
        reference = reference_of(case)
        regions = worklist_of(case).regions(options.budget)
        by_name: dict[str, list[int]] = {}
        best: list[int] = []
        from_maps: list[int] = []
        with_any, seconds = 0, []
        print("| # | structure | voxels | slices | answer, s | of it the network, s | labelings (voxels nearer) |")
        print("|--:|---|--:|--:|--:|--:|---|")
        for rank, region in enumerate(regions, 1):
            found, total, network = worker.ask(case, region)
            gains = [gain(case, region, one, reference) for one in found]
            for one, more in zip(found, gains, strict=True):
                by_name.setdefault(one.name, []).append(more)
            maps = alternatives(region, case, case.label(), case.probability())
            from_maps.append(max([0, *(gain(case, region, one, reference) for one in maps)]))
            best.append(max([0, *gains]))
            with_any += bool(found)
            seconds.append(total)
            told = ", ".join(f"{one.name.split(': ')[1]} {more:+d}" for one, more in zip(found, gains, strict=True))
            print(
                f"| {rank} | {region.structure} | {region.voxels} | {region.slice_count} | {total:.1f} | {network:.1f} "
                f"| {told or 'nothing plausible'} |",
                flush=True,
            )
    print(f"\n{len(regions)} regions, {with_any} with a labeling; seconds: first {seconds[0]:.1f}, ", end="")
    print(f"median of the others {statistics.median(seconds[1:]):.2f}, longest of them {max(seconds[1:]):.1f}\n")
    print("| labeling | offered | better | worse | same | voxels together |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, gains in sorted(by_name.items()):
        print(f"| {name} | {counted(gains)} |")
    both = [max(a, b) for a, b in zip(best, from_maps, strict=True)]
    print(f"\nBest on offer, none if none is better: {sum(best)} voxels nearer to the AI's labels with the network's ")
    print(f"labelings alone, {sum(from_maps)} with those from the maps alone, {sum(both)} with both.")


if __name__ == "__main__":
    main()
