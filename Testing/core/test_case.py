"""The case folder: written whole or not at all, never over somebody's work, and opened only where it belongs."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from DeferredSegSlicerLib.core import case_writer
from DeferredSegSlicerLib.core.case import Case, check_target, label_of, open_case
from DeferredSegSlicerLib.core.errors import BadInputError, DamagedCaseError
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.volume import Volume, read_volume, sha256_of_voxels

WriteCase = Callable[..., Case]


def everything_in(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_case_has_the_files_of_schema_1_and_nothing_else(a_case: Case) -> None:
    assert sorted(everything_in(a_case.folder)) == [
        "case.json",
        "image.nrrd",
        "probability.nrrd",
        "routing.nrrd",
        "segmentation.seg.nrrd",
        "uncertainty/margin.nrrd",
    ]
    assert [p.name for p in a_case.folder.parent.iterdir()] == ["case"]


@pytest.mark.parametrize("volume_name", ["an_oblique_volume", "a_left_handed_volume"])
def test_everything_comes_back_as_it_was_written(
    tmp_path: Path, request: pytest.FixtureRequest, write_a_case: WriteCase, volume_name: str
) -> None:
    volume = request.getfixturevalue(volume_name)
    random = np.random.default_rng(1)
    shape = volume.geometry.shape
    probability = random.integers(0, 256, (2, *shape)).astype(np.uint8)
    first = random.integers(0, 256, shape).astype(np.uint8)
    routing = np.stack([first, np.zeros_like(first), np.zeros_like(first), 255 - first])
    error = random.integers(0, 256, shape).astype(np.uint8)
    written = write_a_case(tmp_path / "case", volume, probability=probability, routing=routing, error=error)
    case = open_case(tmp_path / "case")
    assert case == written
    assert case.geometry == volume.geometry
    assert np.array_equal(case.probability(), probability) and case.probability().flags.c_contiguous
    assert np.array_equal(case.routing(), routing) and case.routing().flags.c_contiguous
    assert np.array_equal(case.error(), error)
    assert np.array_equal(case.label(), label_of(probability))
    assert np.array_equal(case.image(), volume.image) and case.image().dtype == np.int16
    assert case.volume().modality == "CT" and case.volume().geometry.differences_from(volume.geometry, 1e-9) == []


def test_what_was_asked_for_comes_back(a_case: Case, two_structures: list, three_experts: tuple) -> None:
    case = open_case(a_case.folder)
    assert case.structures == tuple(two_structures) and case.experts == three_experts
    assert case.agents == ("extent", "normal", "edge", "model")
    assert case.method == "margin" and case.error_maps == ("margin",)
    assert case.settings["window"] == {"level": 40, "width": 400}
    assert case.model["license"] == "Apache-2.0" and case.versions == {"deferredseg": "0.1.0"}
    assert case.created.endswith("+00:00") and len(case.id) == 32


def test_two_cases_of_one_scan_have_ids_of_their_own(tmp_path: Path, write_a_case: WriteCase) -> None:
    assert write_a_case(tmp_path / "a").id != write_a_case(tmp_path / "b").id


def test_the_label_is_the_likeliest_structure_of_at_least_one_half() -> None:
    probability = np.array([[127, 128, 200, 200, 0], [127, 127, 201, 200, 255]], np.uint8).reshape(2, 1, 1, 5)
    assert label_of(probability).ravel().tolist() == [0, 1, 2, 1, 2]


def test_itk_finds_the_maps_where_the_image_is(a_case: Case) -> None:
    for name in everything_in(a_case.folder):
        if name.endswith(".nrrd"):
            image = sitk.ReadImage(a_case.folder / name)
            assert Geometry.of_image(image).differences_from(a_case.geometry, 1e-9) == []


def test_nothing_of_the_scans_file_name_or_header_is_in_the_case(
    tmp_path: Path, an_oblique_volume: Volume, write_a_case: WriteCase
) -> None:
    image = an_oblique_volume.geometry.apply_to(sitk.GetImageFromArray(an_oblique_volume.image))
    image.SetMetaData("0010|0010", "Doe^Jane")
    image.SetMetaData("PatientName", "Doe^Jane")
    (tmp_path / "Doe_Jane").mkdir()
    sitk.WriteImage(image, tmp_path / "Doe_Jane" / "Doe_Jane.nrrd")
    assert b"Doe^Jane" in (tmp_path / "Doe_Jane" / "Doe_Jane.nrrd").read_bytes()
    write_a_case(tmp_path / "case", read_volume(tmp_path / "Doe_Jane" / "Doe_Jane.nrrd"))
    for content in everything_in(tmp_path / "case").values():
        assert b"Doe" not in content and b"Jane" not in content


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.float32])
def test_a_scan_of_every_voxel_type_comes_back(
    tmp_path: Path, an_oblique_grid: Geometry, write_a_case: WriteCase, dtype: type
) -> None:
    image = np.arange(an_oblique_grid.voxel_count).reshape(an_oblique_grid.shape).astype(dtype)
    write_a_case(tmp_path / "case", Volume(image, an_oblique_grid, "MR", None))
    assert np.array_equal(open_case(tmp_path / "case").image(), image)


def test_a_case_can_refer_to_its_image_instead_of_holding_it(
    tmp_path: Path, an_oblique_volume: Volume, write_a_case: WriteCase
) -> None:
    image = an_oblique_volume.geometry.apply_to(sitk.GetImageFromArray(an_oblique_volume.image))
    sitk.WriteImage(image, tmp_path / "scan.mha")
    write_a_case(tmp_path / "case", read_volume(tmp_path / "scan.mha"), reference_image=True)
    assert "image.nrrd" not in everything_in(tmp_path / "case")
    case = open_case(tmp_path / "case")
    assert np.array_equal(case.image(), an_oblique_volume.image)
    image[0, 0, 0] += 1
    sitk.WriteImage(image, tmp_path / "scan.mha")
    with pytest.raises(BadInputError, match="another volume"):
        case.image()
    (tmp_path / "scan.mha").unlink()
    with pytest.raises(BadInputError, match=r"scan\.mha.*does not exist"):
        case.image()


def test_a_scan_without_a_file_cannot_be_referred_to(tmp_path: Path, write_a_case: WriteCase) -> None:
    with pytest.raises(BadInputError, match="was not read from a file"):
        write_a_case(tmp_path / "case", reference_image=True)
    assert list(tmp_path.iterdir()) == []


def test_a_case_does_not_open_on_another_patient(
    a_case: Case, an_oblique_volume: Volume, a_left_handed_volume: Volume
) -> None:
    a_case.check_opens_on(an_oblique_volume.geometry)
    a_case.check_opens_on(an_oblique_volume.geometry, an_oblique_volume.sha256)
    with pytest.raises(BadInputError, match=r"another volume.*another patient.*direction"):
        a_case.check_opens_on(a_left_handed_volume.geometry, an_oblique_volume.sha256)
    moved = replace(an_oblique_volume.geometry, origin_lps=(-120.5, 33.0, 410.5))
    with pytest.raises(BadInputError, match="origin"):
        a_case.check_opens_on(moved)
    other = an_oblique_volume.image.copy()
    other[0, 0, 0] += 1
    with pytest.raises(BadInputError, match="its voxels differ"):
        a_case.check_opens_on(an_oblique_volume.geometry, sha256_of_voxels(other))


def test_a_folder_that_is_there_is_not_touched_unless_asked_to(tmp_path: Path, write_a_case: WriteCase) -> None:
    write_a_case(tmp_path / "case")
    before = everything_in(tmp_path)
    with pytest.raises(BadInputError, match=r"exists already.*--overwrite"):
        write_a_case(tmp_path / "case")
    assert everything_in(tmp_path) == before


def test_overwriting_replaces_the_case_and_leaves_nothing_of_the_old(tmp_path: Path, write_a_case: WriteCase) -> None:
    old = write_a_case(tmp_path / "case", method="tta")
    new = write_a_case(tmp_path / "case", overwrite=True)
    assert open_case(tmp_path / "case").id == new.id != old.id
    assert not (tmp_path / "case" / "uncertainty" / "tta.nrrd").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["case"]


def test_an_empty_folder_may_become_a_case(tmp_path: Path, write_a_case: WriteCase) -> None:
    (tmp_path / "case").mkdir()
    write_a_case(tmp_path / "case")
    assert open_case(tmp_path / "case").method == "margin"


def _with_review(folder: Path) -> None:
    (folder / "review").mkdir()
    (folder / "review" / "reader.jsonl").write_text("{}\n")


def _with_notes(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")


def _without_record(folder: Path) -> None:
    (folder / "case.json").unlink()


def _foreign_record(folder: Path) -> None:
    (folder / "case.json").write_text('{"court": "supreme"}')


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        (_with_review, "holds a review"),
        (_with_notes, r"notes\.txt"),
        (_without_record, "no case"),
        (_foreign_record, "may be no case"),
    ],
)
def test_nobodys_work_is_overwritten(
    tmp_path: Path, write_a_case: WriteCase, spoil: Callable[[Path], None], part: str
) -> None:
    write_a_case(tmp_path / "case")
    spoil(tmp_path / "case")
    before = everything_in(tmp_path)
    for attempt in (
        lambda: write_a_case(tmp_path / "case", overwrite=True),
        lambda: check_target(tmp_path / "case", overwrite=True),
    ):
        with pytest.raises(BadInputError, match=part):
            attempt()
    assert everything_in(tmp_path) == before


def test_a_review_begun_while_the_new_case_is_written_is_kept(
    tmp_path: Path, write_a_case: WriteCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_a_case(tmp_path / "case")
    real = case_writer.sync_folder

    def sync_and_review(folder: Path) -> None:
        real(folder)
        if not (tmp_path / "case" / "review").exists():
            _with_review(tmp_path / "case")

    monkeypatch.setattr(case_writer, "sync_folder", sync_and_review)
    with pytest.raises(BadInputError, match="reviewed meanwhile"):
        write_a_case(tmp_path / "case", overwrite=True)
    assert (tmp_path / "case" / "review" / "reader.jsonl").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["case"]


def test_a_file_or_a_link_in_the_place_of_a_case_is_left_alone(tmp_path: Path, write_a_case: WriteCase) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for place in ("file", "link"):
        with pytest.raises(BadInputError, match="a file or a link"):
            write_a_case(tmp_path / place, overwrite=True)
    with pytest.raises(BadInputError, match="is a file"):
        write_a_case(tmp_path / "file" / "case")
    with pytest.raises(BadInputError, match="too long"):
        write_a_case(tmp_path / ("n" * 300))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "link", "real"]
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("failing", range(1, 14, 3))
def test_a_disk_that_fills_up_at_any_file_leaves_what_was_there(
    tmp_path: Path, write_a_case: WriteCase, monkeypatch: pytest.MonkeyPatch, overwrite: bool, failing: int
) -> None:
    if overwrite:
        write_a_case(tmp_path / "parent" / "case")
    before = everything_in(tmp_path)
    count = 0
    fsync = os.fsync

    def full(descriptor: int) -> None:
        nonlocal count
        count += 1
        if count == failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadInputError, match=r"cannot be written: the disk is full"):
        write_a_case(tmp_path / "parent" / "case", overwrite=overwrite)
    assert count == failing
    assert everything_in(tmp_path) == before
    assert (tmp_path / "parent").exists() == overwrite


KILLED = """
import os, sys
from pathlib import Path
import numpy as np
from DeferredSegSlicerLib.core import case_writer
from DeferredSegSlicerLib.core.case import open_case, write_case
target, steps = Path(sys.argv[1]), int(sys.argv[2])
old = open_case(target)
names = ["mkdir", "rename", "replace", "rmdir", "unlink"]
def counted(real):
    def step(*values, **named):
        global steps
        steps -= 1
        if steps < 0:
            os._exit(9)
        return real(*values, **named)
    return step
for name in names:
    setattr(os, name, counted(getattr(os, name)))
write_case(target, old.volume(), old.structures, old.experts, old.probability(), old.routing(), old.error(), "tta",
           {}, {"name": "net"}, {}, overwrite=True)
"""


@pytest.mark.parametrize("steps", [0, 1, 4, 7, 8, 9, 10, 12])
def test_a_run_killed_at_any_step_leaves_a_whole_case(tmp_path: Path, write_a_case: WriteCase, steps: int) -> None:
    write_a_case(tmp_path / "case")
    library = Path(case_writer.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "case"), str(steps)],
        env={"PYTHONPATH": str(library), "OPENBLAS_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 9
    whole = []
    for folder in tmp_path.iterdir():  # at the worst moment, between two renames, the old one has another name
        try:
            case = open_case(folder)
            case.routing(), case.probability(), case.image()
            whole.append(folder.name)
        except (BadInputError, DamagedCaseError):
            continue
    assert whole and ("case" in whole or any(name.startswith(".replaced-") for name in whole))


def test_a_run_that_is_stopped_leaves_no_half_case(
    tmp_path: Path, write_a_case: WriteCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(case_writer, "write_segmentation", stop)
    with pytest.raises(KeyboardInterrupt):
        write_a_case(tmp_path / "new" / "folder" / "case")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["probability", "routing", "error"])
def test_a_map_that_does_not_fit_is_a_programming_error(tmp_path: Path, write_a_case: WriteCase, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} map"):
        write_a_case(tmp_path / "case", **{name: np.zeros((1, 2, 3), np.uint8)})
    assert list(tmp_path.iterdir()) == []


def test_a_method_that_is_no_file_name_is_refused(tmp_path: Path, write_a_case: WriteCase) -> None:
    for method in ("../margin", "Margin", "", "a" * 33):
        with pytest.raises(BadInputError, match="method"):
            write_a_case(tmp_path / "case", method=method)
    assert list(tmp_path.iterdir()) == []


def test_an_error_map_that_is_not_there_is_named(a_case: Case) -> None:
    with pytest.raises(BadInputError, match='no map of "tta"; it has: margin'):
        a_case.error("tta")


def test_places_without_a_case_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for place, part in [
        ("nothing", "does not exist"),
        ("file", "is a file, expected a folder"),
        ("folder", "is no case"),
        ("n" * 300, "cannot be read"),
    ]:
        with pytest.raises(BadInputError, match=part):
            open_case(tmp_path / place)


def test_case_json_is_plain_json_for_readers_in_any_language(a_case: Case) -> None:
    record = json.loads((a_case.folder / "case.json").read_text(encoding="utf-8"))
    assert record["schema"] == 1 and record["agents"][-1] == "model"
    assert record["geometry"]["size"] == [9, 8, 7] and record["image"]["file"] == "image.nrrd"
    assert record["structures"][0]["box_ras_mm"] == [100.0, -50.0, 400.0, 125.0, -20.0, 420.0]
    assert set(record["files"]) == set(everything_in(a_case.folder)) - {"case.json"}
