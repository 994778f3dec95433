"""Segment liver, spleen and right kidney in the bundled CT; leaves a case, a picture and a report in demo/.

The reference labels that the Dice column compares with were made by an AI (TotalSegmentator), not by people.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from DeferredSegSlicerLib.cli import explained
from DeferredSegSlicerLib.command_line.console import output, remarks
from DeferredSegSlicerLib.command_line.pictures import write_picture, write_report
from DeferredSegSlicerLib.command_line.segmenting import Finished, Prompts, prepare, print_finished, run
from DeferredSegSlicerLib.core.case import open_case
from DeferredSegSlicerLib.core.metrics.overlap import dice
from DeferredSegSlicerLib.core.segmentation_file import read_segmentation
from DeferredSegSlicerLib.resources import find_resources

FOLDER = Path("demo")


def main() -> None:
    """The demo, from the sample CT to the report; run in the project's folder."""
    begun = time.perf_counter()
    samples = find_resources() / "SampleData"
    FOLDER.mkdir(exist_ok=True)
    case = FOLDER / "case"
    remarks().print("Segmenting liver, spleen and right kidney in a real CT (122 x 101 x 112 voxels of 3 mm)")
    prompts = Prompts(file=samples / "body_ct_prompts.json")
    finished = run(prepare(samples / "body_ct.nrrd", case, prompts, modality="CT", overwrite=True))
    opened = open_case(case)
    write_picture(opened, FOLDER / "overlay.png")
    write_report(opened, FOLDER / "report.html")
    print_finished(finished, overlap(finished, samples / "body_ct_reference.seg.nrrd"))
    console = output()
    console.print("Dice compares with reference labels that were made by an AI (TotalSegmentator), not by people.")
    console.print(f"Whole demo: {time.perf_counter() - begun:.1f} s")
    console.print("Look at demo/overlay.png and demo/report.html; the case is in demo/case. Research use only.")
    if shutil.which("Slicer"):
        console.print("In 3D Slicer:  Slicer demo/case/image.nrrd demo/case/segmentation.seg.nrrd")


def overlap(finished: Finished, reference: Path) -> dict[str, float]:
    """Dice with the reference, by structure name."""
    truth = read_segmentation(reference)
    return {
        structure.name: dice(finished.scene.label == number, truth.mask(truth.segment(structure.name)))
        for number, structure in enumerate(finished.scene.structures, start=1)
    }


if __name__ == "__main__":
    sys.exit(explained(main))
