"""Commands on folders of cases: every case gets its turn, and the exit code says whether one failed."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from DeferredSegSlicerLib.command_line import folders
from DeferredSegSlicerLib.command_line.folders import Outcome, cases_in, exit_code_of, for_each
from DeferredSegSlicerLib.core.case import open_case
from DeferredSegSlicerLib.core.errors import BadInputError, DamagedCaseError


@pytest.fixture
def a_folder_of_cases(a_case: Path, tmp_path: Path) -> Path:
    """Three cases, one of them in a subfolder and damaged, and other things beside them."""
    folder = tmp_path / "cases"
    for name in ("b", "a", "study/c ä"):
        shutil.copytree(a_case, folder / name)
    content = bytearray((folder / "study" / "c ä" / "routing.nrrd").read_bytes())
    content[-20] ^= 0xFF
    (folder / "study" / "c ä" / "routing.nrrd").write_bytes(content)
    shutil.copytree(a_case, folder / ".replaced-123456")
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("x", encoding="utf-8")
    return folder


def test_cases_are_found_by_name_in_subfolders_but_not_in_hidden_ones(a_folder_of_cases: Path) -> None:
    names = [case.relative_to(a_folder_of_cases).as_posix() for case in cases_in(a_folder_of_cases)]
    assert names == ["a", "b", "study/c ä"]
    assert cases_in(a_folder_of_cases / "a") == [], "a case is no folder of cases"
    assert cases_in(a_folder_of_cases / "empty") == cases_in(a_folder_of_cases / "nowhere") == []


def test_a_case_that_lost_its_record_is_noticed(a_folder_of_cases: Path, deferredseg: Callable) -> None:
    (a_folder_of_cases / "b" / "case.json").unlink()
    ran = deferredseg("check", a_folder_of_cases)
    assert ran.code == 4 and "b: folder" in ran.err and "is no case" in ran.err and "2 of 3 cases failed" in ran.err


def test_check_goes_through_all_of_them(a_folder_of_cases: Path, deferredseg: Callable) -> None:
    ran = deferredseg("check", a_folder_of_cases)
    assert ran.code == 4
    states = [line.split("│")[1:3] for line in ran.out.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row] for row in states] == [
        ["a", "whole"],
        ["b", "whole"],
        ["study/c ä", "DAMAGED"],
    ]
    assert "study/c ä: damage: case" in ran.out and "routing.nrrd was changed" in ran.out
    assert ran.err.strip().splitlines()[-1] == "error: 1 of 3 cases failed"
    assert ran.err.count("checking ") == 3


def test_check_as_json(a_folder_of_cases: Path, deferredseg: Callable) -> None:
    ran = deferredseg("check", a_folder_of_cases, "--json")
    found = json.loads(ran.out)
    assert ran.code == 4 and [c["whole"] for c in found["cases"]] == [True, True, False] and found["failed"] == []
    shutil.rmtree(a_folder_of_cases / "study")
    assert deferredseg("check", a_folder_of_cases).code == 0


def test_regions_of_all_of_them_in_one_table(a_folder_of_cases: Path, a_case: Path, deferredseg: Callable) -> None:
    ran = deferredseg("regions", a_folder_of_cases, "--budget", "0.1")
    assert ran.code == 4 and "study/c ä: " in ran.err and "was changed" in ran.err
    alone = json.loads(deferredseg("regions", a_case, "--budget", "0.1", "--json").out)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in ran.out.splitlines() if line.startswith("│")]
    assert rows[0][:3] == ["a", "10 %", str(len(alone["regions"]))] and rows[2][:2] == ["study/c ä", "failed"]
    assert f"{2 * len(alone['regions'])} regions, about" in ran.err


def test_regions_as_json_are_those_of_each_case_alone(
    a_folder_of_cases: Path, a_case: Path, deferredseg: Callable
) -> None:
    found = json.loads(deferredseg("regions", a_folder_of_cases, "--minutes", "1.5", "--json").out)
    alone = json.loads(deferredseg("regions", a_case, "--minutes", "1.5", "--json").out)
    assert found["cases"] == [{"case": name, **alone} for name in ("a", "b")]
    assert [f["case"] for f in found["failed"]] == ["study/c ä"] and "was changed" in found["failed"][0]["error"]


def test_reports_lie_as_the_cases_do(a_folder_of_cases: Path, tmp_path: Path, deferredseg: Callable) -> None:
    shutil.copytree(a_folder_of_cases / "a", a_folder_of_cases / "study" / "d")
    ran = deferredseg("report", a_folder_of_cases, "-o", tmp_path / "reports")
    assert ran.code == 4
    written = sorted(path.relative_to(tmp_path / "reports").as_posix() for path in (tmp_path / "reports").rglob("*.*"))
    assert written == ["a.html", "b.html", "study/d.html"]
    ran = deferredseg("report", a_folder_of_cases, "-o", tmp_path / "one.html")
    assert ran.code == 2 and "has 4 cases; give a folder" in ran.sentence


def test_exports_lie_as_the_cases_do_and_are_listed_in_a_table(
    a_folder_of_cases: Path, tmp_path: Path, deferredseg: Callable
) -> None:
    out = tmp_path / "out"
    ran = deferredseg("export", a_folder_of_cases, "-o", out, "--format", "nifti,stl")
    assert ran.code == 4 and "error: 1 of 3 cases failed" in ran.err
    assert "WARNING: a: nobody has reviewed this case" in ran.err and "WARNING: b: " in ran.err
    files = ["case.json", "case.nii.gz", "case_left_ball.stl", "case_right_ball.stl"]
    assert sorted(path.name for path in (out / "a").iterdir()) == [f.replace("case", "a", 1) for f in files]
    assert not (out / "study").exists()
    with (out / "cases.csv").open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["case"], first["mask"]) == ("a", "a/a.nii.gz") and second["case"] == "b"
    assert (out / first["image"]).resolve() == (a_folder_of_cases / "a" / "image.nrrd").resolve()
    assert first["case_id"] == open_case(a_folder_of_cases / "a").id and first["unreviewed_regions"] != "0"
    ran = deferredseg("export", a_folder_of_cases, "-o", out, "--format", "nifti")
    assert ran.code == 2 and 'cases.csv" is there already' in ran.sentence


def test_a_format_that_fails_in_a_folder_leaves_the_others(
    a_folder_of_cases: Path, tmp_path: Path, deferredseg: Callable
) -> None:
    (tmp_path / "dicom").mkdir()
    ran = deferredseg(
        "export", a_folder_of_cases / "study" / "..", "-o", tmp_path / "out", "--format", "csv,dicom-seg",
        "--source", tmp_path / "dicom",
    )  # fmt: skip
    assert ran.code == 4 and "a: dicom-seg: folder" in ran.err and "3 of 3 cases failed" in ran.err
    assert sorted(path.name for path in (tmp_path / "out" / "a").iterdir()) == ["a_decisions.csv", "a_regions.csv"]
    assert "WARNING: a: nobody has reviewed this case" in ran.err, "what was written is not reviewed either"


def test_a_folder_without_cases_is_the_complaint_of_a_single_case(tmp_path: Path, deferredseg: Callable) -> None:
    for command in (["regions"], ["check"], ["report", "-o", tmp_path / "x.html"], ["export", "-o", tmp_path / "x"]):
        ran = deferredseg(command[0], tmp_path, *command[1:])
        assert ran.code == 2 and "is no case" in ran.sentence
    assert list(tmp_path.iterdir()) == []


def test_whatever_goes_wrong_with_one_case_the_others_get_their_turn(tmp_path: Path) -> None:
    errors = {"a": BadInputError("bad"), "b": MemoryError(), "c": ZeroDivisionError("a bug"), "d": None}
    seen = []

    def work(case: Path) -> str:
        seen.append(case.name)
        error = errors[case.name]
        if error is not None:
            raise error
        return "fine"

    outcomes = for_each(tmp_path, [tmp_path / name for name in errors], "working on", work)
    assert seen == list("abcd")
    assert [outcome.exit_code for outcome in outcomes] == [2, 3, 1, 0]
    assert outcomes[2].error == "unexpected ZeroDivisionError: a bug" and outcomes[3].value == "fine"


def test_stopping_stops_all_of_them(tmp_path: Path) -> None:
    def work(case: Path) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        for_each(tmp_path, [tmp_path / "a", tmp_path / "b"], "working on", work)


@pytest.mark.parametrize(("codes", "expected"), [([0, 0], 0), ([2, 0], 2), ([2, 4, 3], 4), ([4, 1, 2], 1)])
def test_the_gravest_failure_gives_the_exit_code(codes: list[int], expected: int) -> None:
    assert exit_code_of([Outcome("x", None if code else "fine", "", code) for code in codes]) == expected


def test_a_result_can_make_its_case_a_failed_one(tmp_path: Path) -> None:
    (outcome,) = for_each(tmp_path, [tmp_path / "a"], "working on", lambda case: 7, lambda n: DamagedCaseError(f"{n}"))
    assert (outcome.value, outcome.error, outcome.exit_code) == (7, "7", 4)


def test_the_progress_bar_moves_from_case_to_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []

    class Bar:
        def __enter__(self) -> Callable:
            return lambda step: steps.append((step.stage, step.done, step.total))

        def __exit__(self, *values: object) -> None:
            return None

    monkeypatch.setattr(folders, "progress_bar", Bar)
    for_each(tmp_path, [tmp_path / "a", tmp_path / "b"], "checking", lambda case: 1)
    assert steps == [("checking a", 0, 2), ("checking b", 1, 2)]
