"""Make Resources/SampleData from the reference files of the TotalSegmentator source distribution (Apache-2.0).

    python scripts/make_sample_data.py [SDIST_OR_FOLDER] [-o FOLDER]

Without an argument the source distribution is downloaded with pip. It is checked against a pinned SHA-256, so that the
files that we ship can be traced to those that were published.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "DeferredSegSlicer"))

from DeferredSegSlicerLib.core.nrrd import write_nrrd  # noqa: E402
from DeferredSegSlicerLib.core.prompts import write_prompts  # noqa: E402
from DeferredSegSlicerLib.core.segment_boxes import segment_boxes  # noqa: E402
from DeferredSegSlicerLib.core.segmentation_file import write_segmentation  # noqa: E402
from DeferredSegSlicerLib.core.structures import check_inside, make_structures, with_box  # noqa: E402
from DeferredSegSlicerLib.core.volume import read_volume  # noqa: E402

PACKAGE = "totalsegmentator==2.18.0"
INSIDE = "tests/reference_files"
FILES = {
    "example_ct.nii.gz": "dbd3ae6d614d1d7ef3a46925c30c70038ed52da6b37fdd6afdc7b9b71387e3e1",
    "example_seg_fast_force_split.nii.gz": "e8097758e56e73099075b6caaebce23ef11bc6fad66a4ec3753b9406846558c7",
    "LICENSE": "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4",
}
LABELS = {"liver": 5, "spleen": 1, "right kidney": 2}
MARGIN_MM = 5.0


def main() -> None:
    """Find the source files, check them, and write the sample data."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", nargs="?", type=Path, help="the source distribution, or a folder it was unpacked in")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "Resources" / "SampleData")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        files = _source_files(arguments.source, Path(temporary))
        arguments.output.mkdir(parents=True, exist_ok=True)
        make(files, arguments.output)


def make(files: dict[str, Path], output: Path) -> None:
    """Write the CT, the prompts, the reference labels and the license into a folder."""
    scan = read_volume(files["example_ct.nii.gz"], modality="CT")
    write_nrrd(output / "body_ct.nrrd", scan.image, scan.geometry)

    segmentation = files["example_seg_fast_force_split.nii.gz"]
    tight = segment_boxes(segmentation, [f"{name}={label}" for name, label in LABELS.items()])
    structures = make_structures([(name, box) for name, box, _ in tight])
    boxed = [with_box(s, s.box.grown(MARGIN_MM)) for s in structures if s.box is not None]
    check_inside(boxed, scan.geometry)
    write_prompts(output / "body_ct_prompts.json", boxed)

    labels = read_volume(segmentation, modality="other")
    if labels.geometry.differences_from(scan.geometry):
        raise SystemExit("the labels are not on the grid of the scan")
    chosen = np.zeros(labels.image.shape, np.uint8)
    for number, value in enumerate(LABELS.values(), 1):
        chosen[labels.image == value] = number
    reference = output / "body_ct_reference.seg.nrrd"
    write_segmentation(reference, chosen, scan.geometry, structures, algorithm="TotalSegmentator 2, fast")
    (output / "LICENSE").write_bytes(files["LICENSE"].read_bytes())
    for file in sorted(output.iterdir()):
        print(f"{_sha256(file)}  {file.name}  {file.stat().st_size} bytes")
    print(f"voxels of body_ct.nrrd: {scan.sha256}")


def _source_files(source: Path | None, temporary: Path) -> dict[str, Path]:
    """Paths of the checked source files by name."""
    if source is None:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:", "--no-build-isolation"]
        subprocess.run([*command, "-d", str(temporary), PACKAGE], check=True)
        source = next(temporary.glob("totalsegmentator-*.tar.gz"))
    folder = source
    if source.is_file():
        folder = temporary / "unpacked"
        with tarfile.open(source) as archive:
            for member in archive.getmembers():
                inside = member.name.partition("/")[2]
                wanted = [name for name in FILES if inside in (f"{INSIDE}/{name}", name)]
                if wanted and member.isfile():
                    target = folder / inside
                    target.parent.mkdir(parents=True, exist_ok=True)
                    content = archive.extractfile(member)
                    target.write_bytes(content.read() if content else b"")
    found = {}
    for name, expected in FILES.items():
        place = next((p for p in (folder / INSIDE / name, folder / name) if p.is_file()), None)
        if place is None or _sha256(place) != expected:
            raise SystemExit(f"{name} of {PACKAGE} is missing in {source} or is not the published one")
        found[name] = place
    return found


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
