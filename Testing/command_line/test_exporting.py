"""`deferredseg export` on one case: files, loud warnings, exit codes, and what it refuses."""

from __future__ import annotations

import csv
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from DeferredSegSlicerLib.command_line.options import budget_of
from DeferredSegSlicerLib.core.case import Case, open_case
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.regions import RegionList
from DeferredSegSlicerLib.core.review.deciding import Deciding
from DeferredSegSlicerLib.core.review.decisions import Reader
from DeferredSegSlicerLib.core.review.journal import Journal
from DeferredSegSlicerLib.core.review.runs import LabelRuns
from DeferredSegSlicerLib.core.review.state import read_review
from DeferredSegSlicerLib.render.scene import worklist_of

LIBRARY = Path(__file__).resolve().parents[2] / "DeferredSegSlicer"
ANN = Reader("lesion-extent", "Ann Ärztin", "radiologist")


def regions_of(case: Case) -> RegionList:
    return worklist_of(case).regions(budget_of(case, None))


def review(folder: Path, leave_open: int = 0) -> None:
    """Empty the worst region and accept the others, but for the last few."""
    case = open_case(folder)
    regions = list(regions_of(case))
    with Journal.open(case, ANN) as journal:
        for number, region in enumerate(regions[: len(regions) - leave_open]):
            deciding = Deciding(read_review(case), ANN, budget_of(case, None))
            nothing = LabelRuns.of(region.indices, np.zeros(len(region.indices), np.uint8))
            journal.append(deciding.accept(region) if number else deciding.edit(region, nothing))


def test_export_writes_labelmaps_and_tables_and_lists_them(a_case: Path, tmp_path: Path, deferredseg: Callable) -> None:
    ran = deferredseg("export", a_case, "-o", tmp_path / "new folder" / "out")
    out = tmp_path / "new folder" / "out"
    names = ["case.seg.nrrd", "case.nii.gz", "case.json", "case_regions.csv", "case_decisions.csv"]
    assert ran.code == 0 and ran.out.splitlines() == [str(out / name) for name in names]
    assert sorted(names) == sorted(path.name for path in out.iterdir())
    case = open_case(a_case)
    for name in names[:2]:
        image = sitk.ReadImage(str(out / name))
        assert Geometry.of_image(image).differences_from(case.geometry) == []
        assert np.array_equal(sitk.GetArrayFromImage(image), case.label())


def test_what_nobody_reviewed_is_said_loudly(a_case: Path, tmp_path: Path, deferredseg: Callable) -> None:
    ran = deferredseg("export", a_case, "-o", tmp_path / "out")
    count = len(regions_of(open_case(a_case)))
    first, second = ran.err.strip().splitlines()
    assert first == "WARNING: nobody has reviewed this case: the labels are the model's own"
    assert second.startswith(f"WARNING: {count} of {count} deferral regions (") and "are NOT reviewed" in second
    assert "right ball" in second and "left ball" in second and "WARNING" not in ran.out


def test_a_reviewed_case_is_exported_corrected_and_without_a_word(
    a_case: Path, tmp_path: Path, deferredseg: Callable
) -> None:
    review(a_case)
    ran = deferredseg("export", a_case, "-o", tmp_path / "out", "--require-reviewed", "--format", "nifti,json,csv")
    assert ran.code == 0 and ran.err == ""
    case = open_case(a_case)
    emptied = regions_of(case)[0].indices
    label = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / "case.nii.gz"))).reshape(-1)
    assert not label[emptied].any() and case.label().reshape(-1)[emptied].any()
    kept = np.setdiff1d(np.arange(len(label)), emptied)
    assert np.array_equal(label[kept], case.label().reshape(-1)[kept])
    told = json.loads((tmp_path / "out" / "case_review.json").read_text(encoding="utf-8"))
    assert told["review"]["unreviewed_regions"] == 0 and told["review"]["readers"] == ["Ann Ärztin"]
    assert [s["algorithm_type"] for s in told["structures"]].count("SEMIAUTOMATIC") == 1
    with (tmp_path / "out" / "case_decisions.csv").open(encoding="utf-8", newline="") as file:
        decisions = [row["decision"] for row in csv.DictReader(file)]
    assert decisions == ["edit"] + ["accept"] * (len(told["regions"]) - 1)


def test_a_case_that_is_not_wholly_reviewed_can_be_refused(a_case: Path, tmp_path: Path, deferredseg: Callable) -> None:
    ran = deferredseg("export", a_case, "-o", tmp_path / "out", "--require-reviewed")
    assert ran.code == 2 and "nobody has reviewed this case" in ran.sentence
    review(a_case, leave_open=2)
    ran = deferredseg("export", a_case, "-o", tmp_path / "out", "--require-reviewed")
    assert ran.code == 2 and "2 of " in ran.sentence and not (tmp_path / "out").exists()
    assert deferredseg("export", a_case, "-o", tmp_path / "out").err.startswith("WARNING: 2 of ")


def test_regions_tells_what_became_of_each(a_case: Path, deferredseg: Callable) -> None:
    assert "State" not in deferredseg("regions", a_case).out
    review(a_case, leave_open=1)
    listed = json.loads(deferredseg("regions", a_case, "--json").out)["regions"]
    assert [r["status"] for r in listed] == ["edited", *["accepted"] * (len(listed) - 2), "open"]
    shown = deferredseg("regions", a_case).out
    assert "State" in shown and shown.count("accepted") == len(listed) - 2


def test_the_budget_says_which_regions_are_meant(a_case: Path, tmp_path: Path, deferredseg: Callable) -> None:
    review(a_case)
    ran = deferredseg("export", a_case, "-o", tmp_path / "out", "--budget", "0.3", "--format", "json")
    told = json.loads((tmp_path / "out" / "case_review.json").read_text(encoding="utf-8"))["review"]
    assert told["budget"] == 0.3 and told["unreviewed_regions"] > 0 and "WARNING" in ran.err


def test_nothing_is_overwritten_by_a_slip(a_case: Path, tmp_path: Path, deferredseg: Callable) -> None:
    out = tmp_path / "out"
    assert deferredseg("export", a_case, "-o", out, "--format", "csv").code == 0
    (out / "case_regions.csv").write_text("my notes", encoding="utf-8")
    ran = deferredseg("export", a_case, "-o", out)
    assert ran.code == 2 and 'case_regions.csv" is there already' in ran.sentence
    assert (out / "case_regions.csv").read_text(encoding="utf-8") == "my notes"
    assert not (out / "case.nii.gz").exists()
    assert deferredseg("export", a_case, "-o", out, "--overwrite").code == 0
    assert "region_id" in (out / "case_regions.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("place", [".", "review", "new/deeper"])
def test_an_export_never_takes_the_place_of_a_cases_own_files(a_case: Path, deferredseg: Callable, place: str) -> None:
    """The folder is called case, and so is the first part of the names of the files: case.json is one of them."""
    assert a_case.name == "case"
    before = {path: path.read_bytes() for path in a_case.rglob("*") if path.is_file()}
    for options in ([], ["--overwrite"]):
        ran = deferredseg("export", a_case, "-o", a_case / place, "--format", "nifti,json", *options)
        assert ran.code == 2 and "is inside the case" in ran.sentence
    assert {path: path.read_bytes() for path in a_case.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "obj"], 'format "obj" is unknown, expected one of seg.nrrd, nifti'),
        (["--format", "dicom-seg"], "give its folder with --source"),
        (["--format", "dicom-seg", "--source", "nowhere"], 'source "nowhere" is no folder'),
        (["--source", "dicom"], "add --format dicom-seg"),
        (["--budget", "2"], "budget is 2, expected a share"),
        (["--without", "nobody"], 'no expert is called "nobody"'),
    ],
)
def test_bad_options_are_one_sentence_and_write_nothing(
    a_case: Path, tmp_path: Path, deferredseg: Callable, options: list[str], words: str
) -> None:
    ran = deferredseg("export", a_case, "-o", tmp_path / "out", *options)
    assert ran.code == 2 and words in ran.sentence and not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_or_in_a_file(a_case: Path, tmp_path: Path, deferredseg: Callable) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert "is a file, expected a folder" in deferredseg("export", a_case, "-o", tmp_path / "file").sentence
    assert "not a folder" in deferredseg("export", a_case, "-o", tmp_path / "file" / "out").sentence


def test_a_damaged_case_or_journal_is_not_exported(a_case: Path, tmp_path: Path, deferredseg: Callable) -> None:
    review(a_case)
    (journal,) = (a_case / "review").glob("*.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[1], lines[0], *lines[2:]]))
    ran = deferredseg("export", a_case, "-o", tmp_path / "out")
    assert ran.code == 4 and "line 1" in ran.sentence and not (tmp_path / "out").exists()
    journal.write_bytes(b"".join(lines))
    with (a_case / "routing.nrrd").open("r+b") as file:
        file.seek(-20, os.SEEK_END)
        file.write(b"\x00\x01")
    assert deferredseg("export", a_case, "-o", tmp_path / "out").code == 4


def test_a_format_that_fails_is_told_and_the_others_are_written(
    a_case: Path, tmp_path: Path, deferredseg: Callable
) -> None:
    (tmp_path / "dicom").mkdir()
    ran = deferredseg(
        "export", a_case, "-o", tmp_path / "out", "--format", "seg.nrrd,dicom-seg", "--source", tmp_path / "dicom"
    )
    assert ran.code == 2 and ran.out.splitlines() == [str(tmp_path / "out" / "case.seg.nrrd")]
    assert ran.err.strip().splitlines()[-1] == f'error: dicom-seg: folder "{tmp_path / "dicom"}" has no DICOM images'


def test_a_full_disk_leaves_no_half_file(a_case: Path, tmp_path: Path) -> None:
    """Files may have 4 KiB: the tables fit, labelmaps and surfaces do not."""

    def tiny_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    done = subprocess.run(
        [sys.executable, "-m", "DeferredSegSlicerLib", "export", str(a_case), "-o", str(tmp_path / "out"),
         "--format", "stl,csv"],
        env=os.environ | {"PYTHONPATH": str(LIBRARY), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True, preexec_fn=tiny_files,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: stl: ") and "Traceback" not in done.stderr
    assert "cannot be written: the file is larger than the system allows" in done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["case_decisions.csv", "case_regions.csv"]


def test_a_folder_without_permission_is_one_sentence(
    a_case: Path, tmp_path: Path, deferredseg: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(path: Path, *values: object, **named: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", forbidden)
    ran = deferredseg("export", a_case, "-o", tmp_path / "out")
    assert ran.code == 2 and "there is no permission to write there" in ran.sentence


def test_paths_in_any_script(a_case: Path, tmp_path: Path, deferredseg: Callable) -> None:
    case = a_case.rename(tmp_path / "Fäll 肝臓")
    ran = deferredseg("export", case, "-o", tmp_path / "Ausgabe 出力", "--format", "seg.nrrd,nifti,stl,json,csv")
    assert ran.code == 0
    assert all(Path(line).is_file() for line in ran.out.splitlines()) and len(ran.out.splitlines()) == 8
    assert (tmp_path / "Ausgabe 出力" / "Fäll 肝臓_right_ball.stl").is_file()
