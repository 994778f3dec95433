"""Bad input is refused in one sentence that names the thing, with its exit code, and nothing is written."""

from __future__ import annotations

import gzip
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

LIBRARY = Path(__file__).resolve().parents[2] / "DeferredSegSlicer"
GOOD_BOX = "--box=ball=2,-10,-10,22,10,10"

Refused = Callable[..., str]


@pytest.fixture
def refused(deferredseg: Callable, tmp_path: Path, everything_in: Callable) -> Refused:
    """Runs a command that must fail with a code, one sentence, and no trace on the disk; returns the sentence."""

    def run(*arguments: object, code: int = 2) -> str:
        before = everything_in(tmp_path)
        ran = deferredseg(*arguments)
        assert ran.code == code, ran.err
        assert ran.out == ""
        assert everything_in(tmp_path) == before
        return ran.sentence

    return run


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        (["ball=200,-10,-10,220,10,10"], ["ball", "outside the volume", "200", "R"]),
        (["ball=2,-10,-10,2,10,10"], ["ball", "no volume"]),
        (["ball=22,-10,-10,2,10,10"], ["ball", "swapped"]),
        (["ball=2,-10,-10,22,10,10", "Ball=2,-10,-10,22,10,10"], ["Ball", "two structures"]),
        (["ball=1,2,3"], ["ball", "six numbers"]),
        (["ball=1,2,3,4,5,six"], ["ball", "six"]),
        (["ball=1,2,3,4,5,nan"], ["ball"]),
        (["1,2,3,4,5,6"], ["NAME="]),
    ],
)
def test_bad_boxes(boxes: list[str], words: list[str], an_image_file: Path, tmp_path: Path, refused: Refused) -> None:
    sentence = refused("segment", an_image_file, "-o", tmp_path / "case", *(f"--box={box}" for box in boxes))
    for word in words:
        assert word in sentence


def test_no_prompt_at_all(an_image_file: Path, tmp_path: Path, refused: Refused) -> None:
    assert "--box" in refused("segment", an_image_file, "-o", tmp_path / "case")


def test_an_unknown_bundle_is_named_and_the_known_ones_are_listed(
    an_image_file: Path, tmp_path: Path, refused: Refused
) -> None:
    sentence = refused("segment", an_image_file, "-o", tmp_path / "case", GOOD_BOX, "--bundle", "nosuchnet")
    assert "nosuchnet" in sentence and "litemedsam" in sentence


@pytest.mark.parametrize("budget", ["-0.1", "1.5", "nan", "much"])
def test_a_budget_outside_0_to_1(
    budget: str, an_image_file: Path, a_case: Path, tmp_path: Path, refused: Refused
) -> None:
    sentence = refused("segment", an_image_file, "-o", tmp_path / "new", GOOD_BOX, "--budget", budget)
    assert "budget" in sentence
    assert "budget" in refused("regions", a_case, "--budget", budget)


@pytest.mark.parametrize("window", ["40", "40,0", "40,-5", "a,b", "nan,400", "1,2,3"])
def test_bad_windows(window: str, an_image_file: Path, tmp_path: Path, refused: Refused) -> None:
    assert window in refused("segment", an_image_file, "-o", tmp_path / "case", GOOD_BOX, f"--window={window}")


@pytest.mark.parametrize(
    ("option", "value"),
    [("--method", "magic"), ("--device", "tpu"), ("--view", "sideways"), ("--modality", "US"), ("--nonsense", "1")],
)
def test_unknown_values_of_options(
    option: str, value: str, an_image_file: Path, tmp_path: Path, refused: Refused
) -> None:
    sentence = refused("segment", an_image_file, "-o", tmp_path / "case", GOOD_BOX, option, value)
    assert value in sentence or option in sentence


def test_a_prompts_file_that_is_missing_or_broken(an_image_file: Path, tmp_path: Path, refused: Refused) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    for path in (broken, tmp_path / "none.json"):
        assert path.name in refused("segment", an_image_file, "-o", tmp_path / "case", "--prompts", path)


def test_a_segmentation_without_the_wanted_segment(
    an_image_file: Path, a_case: Path, tmp_path: Path, refused: Refused
) -> None:
    source = a_case / "segmentation.seg.nrrd"
    sentence = refused(
        "segment", an_image_file, "-o", tmp_path / "c", "--from-segmentation", source, "--segment", "heart"
    )
    assert "heart" in sentence and "right ball" in sentence


def test_experts_that_cannot_be_read(an_image_file: Path, tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "experts.json"
    path.write_text('{"schema": 1, "experts": []}')
    assert "experts.json" in refused("segment", an_image_file, "-o", tmp_path / "c", GOOD_BOX, "--experts", path)


def write_image(path: Path, array: np.ndarray, vector: bool = False) -> Path:
    """An image file of an array."""
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=vector), str(path))
    return path


def flat_2d(path: Path) -> Path:
    return write_image(path / "flat.mha", np.arange(100, dtype=np.int16).reshape(10, 10))


def four_dimensional(path: Path) -> Path:
    image = sitk.GetImageFromArray(np.arange(2 * 4 * 8 * 8, dtype=np.int16).reshape(2, 4, 8, 8), isVector=False)
    sitk.WriteImage(image, str(path / "four.nrrd"))
    return path / "four.nrrd"


def colored(path: Path) -> Path:
    return write_image(path / "color.nrrd", np.arange(3 * 512, dtype=np.uint8).reshape(8, 8, 8, 3), vector=True)


def not_an_image(path: Path) -> Path:
    (path / "letter.nrrd").write_text("Dear colleague, thank you for the referral.")
    return path / "letter.nrrd"


def missing(path: Path) -> Path:
    return path / "missing.nii.gz"


def all_equal(path: Path) -> Path:
    return write_image(path / "equal.nrrd", np.full((8, 8, 8), 7, dtype=np.int16))


def with_nan(path: Path) -> Path:
    voxels = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)
    voxels[3, 4, 5] = np.nan
    return write_image(path / "nan.nrrd", voxels)


def nrrd(path: Path, *changes: tuple[str, str], data: bytes | None = None) -> Path:
    """A small gzip NRRD with changed header lines."""
    lines = {
        "type": "short",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": "8 8 8",
        "space directions": "(1,0,0) (0,1,0) (0,0,1)",
        "kinds": "domain domain domain",
        "endian": "little",
        "encoding": "gzip",
        "space origin": "(0,0,0)",
    }
    lines.update(changes)
    voxels = gzip.compress(np.arange(512, dtype="<i2").tobytes()) if data is None else data
    header = "NRRD0004\n" + "".join(f"{name}: {value}\n" for name, value in lines.items()) + "\n"
    path.write_bytes(header.encode() + voxels)
    return path


def truncated(path: Path) -> Path:
    whole = gzip.compress(np.random.default_rng(1).integers(0, 999, 512).astype("<i2").tobytes())
    return nrrd(path / "truncated.nrrd", data=whole[: len(whole) // 2])


def infinite_spacing(path: Path) -> Path:
    return nrrd(path / "infinite.nrrd", ("space directions", "(inf,0,0) (0,1,0) (0,0,1)"))


def a_terabyte(path: Path) -> Path:
    return nrrd(path / "terabyte.nrrd", ("sizes", "8192 8192 8192"))


BAD_IMAGES = [flat_2d, four_dimensional, colored, not_an_image, missing]
BAD_IMAGES += [all_equal, with_nan, truncated, infinite_spacing, a_terabyte]


@pytest.mark.parametrize("make", BAD_IMAGES)
def test_bad_images(make: Callable[[Path], Path], tmp_path: Path, refused: Refused) -> None:
    image = make(tmp_path)
    assert image.name in refused("segment", image, "-o", tmp_path / "case", GOOD_BOX)


def dicom_folder(folder: Path, positions: list[float], series: str, tilted: tuple[int, ...] = ()) -> Path:
    """A CT series of 8 x 8 slices at positions in mm; some of them with another orientation."""
    folder.mkdir(exist_ok=True)
    for number, z in enumerate(positions):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        slice_ = pydicom.Dataset()
        slice_.file_meta = meta
        slice_.SOPClassUID, slice_.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        slice_.StudyInstanceUID, slice_.SeriesInstanceUID = "1.2.3", series
        slice_.Modality, slice_.InstanceNumber = "CT", number + 1
        slice_.ImagePositionPatient = [0, 0, z]
        slice_.ImageOrientationPatient = [1, 0, 0, 0, 0.8, 0.6] if number in tilted else [1, 0, 0, 0, 1, 0]
        slice_.PixelSpacing, slice_.SliceThickness = [1, 1], 2
        slice_.Rows, slice_.Columns, slice_.SamplesPerPixel = 8, 8, 1
        slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 16, 15, 1
        slice_.PhotometricInterpretation = "MONOCHROME2"
        slice_.RescaleIntercept, slice_.RescaleSlope = 0, 1
        slice_.PixelData = (np.arange(64, dtype="<i2") + number).tobytes()
        slice_.save_as(folder / f"{series}-{number}.dcm", enforce_file_format=True)
    return folder


def test_a_dicom_folder_with_a_gap_names_the_slices(tmp_path: Path, refused: Refused) -> None:
    folder = dicom_folder(tmp_path / "gap", [0, 2, 4, 8, 10], "1.2.3.4")
    sentence = refused("segment", folder, "-o", tmp_path / "case", GOOD_BOX)
    assert "4" in sentence and "8" in sentence


def test_a_dicom_folder_of_mixed_orientation_names_the_slices(tmp_path: Path, refused: Refused) -> None:
    folder = dicom_folder(tmp_path / "mixed", [0, 2, 4, 6], "1.2.3.4", tilted=(2,))
    assert "orientation" in refused("segment", folder, "-o", tmp_path / "case", GOOD_BOX)


def test_a_dicom_folder_of_two_series_lists_them_and_asks(tmp_path: Path, refused: Refused) -> None:
    folder = dicom_folder(tmp_path / "two", [0, 2, 4], "1.2.3.4")
    dicom_folder(folder, [0, 2, 4, 6], "1.2.3.5")
    sentence = refused("segment", folder, "-o", tmp_path / "case", GOOD_BOX)
    assert "--series" in sentence and "1: " in sentence and "2: " in sentence


def test_an_existing_case_is_not_overwritten_unasked(an_image_file: Path, a_case: Path, refused: Refused) -> None:
    assert "--overwrite" in refused("segment", an_image_file, "-o", a_case, GOOD_BOX)


def test_a_folder_that_is_no_case_is_never_overwritten(an_image_file: Path, tmp_path: Path, refused: Refused) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    assert "precious" in refused("segment", an_image_file, "-o", precious, GOOD_BOX, "--overwrite")


def test_pictures_and_reports_are_not_written_over_other_kinds_of_files(
    an_image_file: Path, a_case: Path, refused: Refused
) -> None:
    assert ".png" in refused("render", a_case, "-o", an_image_file)
    assert ".html" in refused("report", a_case, "-o", an_image_file)


def test_a_folder_that_cannot_hold_the_case(an_image_file: Path, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert "file" in refused("segment", an_image_file, "-o", tmp_path / "file" / "case", GOOD_BOX)


def test_an_output_in_a_folder_that_does_not_exist(a_case: Path, tmp_path: Path, refused: Refused) -> None:
    assert "nowhere" in refused("render", a_case, "-o", tmp_path / "nowhere" / "sheet.png")


def test_a_full_disk_leaves_nothing(a_case: Path, tmp_path: Path, everything_in: Callable) -> None:
    def tiny_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    before = everything_in(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "DeferredSegSlicerLib", "report", str(a_case), "-o", str(tmp_path / "report.html")],
        env=os.environ | {"PYTHONPATH": str(LIBRARY), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True, preexec_fn=tiny_files,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and "report.html" in done.stderr
    assert everything_in(tmp_path) == before


def flip_a_byte(case: Path) -> None:
    path = case / "routing.nrrd"
    content = bytearray(path.read_bytes())
    content[-20] ^= 0xFF
    path.write_bytes(content)


def lose_a_file(case: Path) -> None:
    (case / "probability.nrrd").unlink()


def change_record(case: Path, change: Callable[[dict], object]) -> None:
    record = json.loads((case / "case.json").read_text(encoding="utf-8"))
    change(record)
    (case / "case.json").write_text(json.dumps(record))


def newer_schema(case: Path) -> None:
    change_record(case, lambda record: record.update(schema=2))


def path_escape(case: Path) -> None:
    (case.parent / "outside.nrrd").write_bytes((case / "routing.nrrd").read_bytes())

    def escape(record: dict) -> None:
        record["files"]["../outside.nrrd"] = record["files"].pop("routing.nrrd")

    change_record(case, escape)


def huge_header(case: Path) -> None:
    import hashlib

    path = case / "probability.nrrd"
    header, _, data = path.read_bytes().partition(b"\n\n")
    lines = [b"sizes: 2 65536 65536 131072" if line.startswith(b"sizes") else line for line in header.split(b"\n")]
    path.write_bytes(b"\n".join(lines) + b"\n\n" + data)
    content = path.read_bytes()

    def honest(record: dict) -> None:
        record["files"]["probability.nrrd"].update(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))

    change_record(case, honest)


def record_is_cut_off(case: Path) -> None:
    text = (case / "case.json").read_text(encoding="utf-8")
    (case / "case.json").write_text(text[: len(text) // 2])


DAMAGES = [flip_a_byte, lose_a_file, newer_schema, path_escape, huge_header, record_is_cut_off]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("command", ["regions", "render", "report"])
def test_a_damaged_case_is_refused_with_4(
    damage: Callable[[Path], None], command: str, a_case: Path, tmp_path: Path, refused: Refused
) -> None:
    damage(a_case)
    out = {"regions": [], "render": ["-o", tmp_path / "x.png"], "report": ["-o", tmp_path / "x.html"]}[command]
    refused(command, a_case, *out, code=4)


@pytest.mark.parametrize("damage", DAMAGES)
def test_check_finds_the_damage_and_ends_with_4(
    damage: Callable[[Path], None], a_case: Path, deferredseg: Callable
) -> None:
    damage(a_case)
    ran = deferredseg("check", a_case)
    assert ran.code == 4 and "damage: " in ran.out
    assert "damaged" in ran.sentence
    found = json.loads(deferredseg("check", a_case, "--json").out)
    assert found["whole"] is False and found["findings"]


@pytest.mark.parametrize("command", ["regions", "check"])
def test_a_folder_that_is_no_case_is_bad_input(command: str, tmp_path: Path, refused: Refused) -> None:
    assert "nothing" in refused(command, tmp_path / "nothing")


def test_an_unknown_expert_is_named_and_the_known_ones_are_listed(a_case: Path, refused: Refused) -> None:
    sentence = refused("regions", a_case, "--without", "Dr. Who")
    assert "Dr. Who" in sentence and "boundary" in sentence


def test_two_kinds_of_budget_exclude_each_other(a_case: Path, refused: Refused) -> None:
    assert "--minutes" in refused("regions", a_case, "--budget", "0.1", "--minutes", "5")


@pytest.mark.parametrize(("option", "value"), [("--minutes", "-1"), ("--minutes", "nan"), ("--max-regions", "-2")])
def test_budgets_below_zero(option: str, value: str, a_case: Path, refused: Refused) -> None:
    refused("regions", a_case, option, value)


def test_a_device_that_is_not_there_ends_with_3(an_image_file: Path, tmp_path: Path, refused: Refused) -> None:
    sentence = refused("segment", an_image_file, "-o", tmp_path / "case", GOOD_BOX, "--device", "cuda:99", code=3)
    assert "cuda:99" in sentence and "GPU" in sentence
