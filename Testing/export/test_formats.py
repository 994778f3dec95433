"""Writing an export: names of files, nothing overwritten by a slip, a failing format that leaves the others."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from DeferredSegSlicerLib.core.case import Case
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.export.case_content import content_of
from DeferredSegSlicerLib.export.content import Content
from DeferredSegSlicerLib.export.formats import (
    DEFAULT_FORMATS,
    FORMATS,
    Target,
    export_case,
    parse_formats,
    planned_files,
    stem_of,
)
from DeferredSegSlicerLib.export.source_series import SourceFolder

PLAIN = tuple(name for name in FORMATS if name != "dicom-seg")


@pytest.fixture
def a_content(a_case: Case) -> Content:
    """A case ready to be exported."""
    return content_of(a_case, 0.2)


def contents_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_all_formats_at_once(a_case_of_the_series: Case, a_series: Path, tmp_path: Path) -> None:
    content = content_of(a_case_of_the_series, 0.2)
    target = Target(tmp_path / "out", "scan", lambda: SourceFolder(a_series).series_of(a_case_of_the_series))
    done = export_case(content, target, tuple(FORMATS))
    assert done.failures == ()
    assert set(done.files) == set((tmp_path / "out").iterdir())
    assert sorted(path.name for path in done.files) == [
        "scan.json", "scan.nii.gz", "scan.seg.nrrd", "scan_Liver.stl", "scan_decisions.csv", "scan_regions.csv",
        "scan_review.json", "scan_right_kidney.stl", "scan_seg.dcm",
    ]  # fmt: skip


def test_nothing_is_overwritten_unless_asked(a_content: Content, tmp_path: Path) -> None:
    target = Target(tmp_path / "out", "scan")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "scan_regions.csv").write_text("mine", encoding="utf-8")
    with pytest.raises(BadInputError, match=r'scan_regions\.csv" is there already.*--overwrite'):
        export_case(a_content, target, PLAIN)
    assert contents_of(tmp_path / "out") == {"scan_regions.csv": b"mine"}
    assert export_case(a_content, target, PLAIN, overwrite=True).failures == ()
    assert b"mine" not in contents_of(tmp_path / "out")["scan_regions.csv"]


def test_a_surface_of_a_structure_of_which_nothing_is_left_does_not_stay(a_content: Content, tmp_path: Path) -> None:
    target = Target(tmp_path / "out", "scan")
    export_case(a_content, target, ["stl"])
    first, second = a_content.structures
    dropped = replace(a_content, structures=(first, replace(second, voxels=0)))
    with pytest.raises(BadInputError, match="is there already"):
        export_case(dropped, target, ["stl"])
    target.file(f"_{first.structure.id}.stl").unlink()
    with pytest.raises(BadInputError, match=f'_{second.structure.id}.stl" is there already'):
        export_case(dropped, target, ["stl"])
    assert export_case(dropped, target, ["csv"]).failures == (), "it is not in the way of other formats"
    done = export_case(dropped, target, ["stl"], overwrite=True)
    assert list(done.files) == sorted(target.folder.glob("*.stl")) == [target.file(f"_{first.structure.id}.stl")]


def test_a_link_in_the_place_of_a_file_is_not_followed(a_content: Content, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "scan.nii.gz").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInputError, match="is there already"):
        export_case(a_content, Target(tmp_path / "out", "scan"), ["nifti"])
    assert export_case(a_content, Target(tmp_path / "out", "scan"), ["nifti"], overwrite=True).failures == ()
    assert not (tmp_path / "out" / "scan.nii.gz").is_symlink() and not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("full_at", [1, 2, 3, 4, 5, 7])
def test_a_full_disk_fails_a_format_and_leaves_the_others(
    a_content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_at: int
) -> None:
    """The disk is full for the n-th file and for it alone; of its format nothing stays, of the others everything."""
    real, count = os.replace, 0

    def full(*values: Any, **named: Any) -> None:
        nonlocal count
        count += 1
        if count == full_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(*values, **named)

    monkeypatch.setattr(os, "replace", full)
    target = Target(tmp_path / "out", "scan")
    done = export_case(a_content, target, PLAIN)
    (failure,) = done.failures
    assert failure.format == {1: "seg.nrrd", 2: "nifti", 3: "nifti", 4: "csv", 5: "csv", 7: "stl"}[full_at]
    assert failure.error.sentence.endswith("cannot be written: the disk is full")
    expected = planned_files(a_content, target, [name for name in PLAIN if name != failure.format])
    assert set((tmp_path / "out").iterdir()) == set(expected) == set(done.files)


def test_a_full_disk_leaves_the_files_of_an_earlier_export(
    a_content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Target(tmp_path / "out", "scan")
    export_case(a_content, target, PLAIN)
    before = contents_of(tmp_path / "out")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = export_case(a_content, target, PLAIN, overwrite=True)
    assert {f.format for f in done.failures} == set(PLAIN) and done.files == ()
    assert contents_of(tmp_path / "out") == before


def test_a_folder_that_cannot_be_made_is_one_sentence(a_content: Content, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(BadInputError, match=r'file/out" cannot be written: a part of its path is not a folder'):
        export_case(a_content, Target(tmp_path / "file" / "out", "scan"))


def test_a_wrong_series_costs_the_dicom_seg_alone(
    a_case_of_the_series: Case, write_series: Callable[..., Path], tmp_path: Path
) -> None:
    other = write_series(tmp_path / "other", seed=1)
    content = content_of(a_case_of_the_series, 0.2)
    target = Target(tmp_path / "out", "scan", lambda: SourceFolder(other).series_of(a_case_of_the_series))
    done = export_case(content, target, ("seg.nrrd", "dicom-seg"))
    assert [f.format for f in done.failures] == ["dicom-seg"] and "another patient" in done.failures[0].error.sentence
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["scan.seg.nrrd"]
    (failure,) = export_case(content, Target(tmp_path / "none", "scan"), ["dicom-seg"]).failures
    assert "give its folder with --source" in failure.error.sentence


def test_formats_are_named_once_with_commas_or_repeated() -> None:
    assert parse_formats([]) == DEFAULT_FORMATS == ("seg.nrrd", "nifti", "csv")
    assert parse_formats(["stl, json", "CSV", "csv"]) == ("csv", "json", "stl")
    with pytest.raises(BadInputError, match=r'format "obj" is unknown, expected one of seg\.nrrd, nifti, dicom-seg'):
        parse_formats(["csv,obj"])


def test_files_are_named_after_the_case_however_long_its_name(
    case_on: Callable[..., Case], an_oblique_grid: Geometry, tmp_path: Path
) -> None:
    assert stem_of(Path("some") / "Fall 7 (ä).v2") == "Fall 7 (ä).v2"
    case = case_on(an_oblique_grid, "脳" * 80)
    assert stem_of(case.folder) == "脳" * 50
    done = export_case(content_of(case, 0.2), Target(tmp_path / "out", stem_of(case.folder)), PLAIN)
    assert done.failures == () and all(path.is_file() for path in done.files)


def test_an_export_changes_nothing_in_the_case(a_case: Case, tmp_path: Path) -> None:
    before = contents_of(a_case.folder)
    export_case(content_of(a_case, 0.2), Target(tmp_path / "out", "scan"), PLAIN)
    assert contents_of(a_case.folder) == before
