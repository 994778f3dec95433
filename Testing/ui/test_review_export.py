"""Save and export: what is said before, what is asked of the review, and what is said afterwards."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.logic.job import JobStatus
from fakes import MemoryServices, QuietLogic, ScriptedUser
from review_fakes import FakeReview, status
from review_fixtures import *  # noqa: F403
from review_fixtures import draw, fire


@pytest.fixture
def out(sections: Any) -> Any:
    """The widgets of Export.ui, with the section open."""
    sections.test_widgets.exportCollapsibleButton.collapsed = False
    draw()
    return sections.export._ui


def _written(folder: Path, *names: str, warnings: tuple[str, ...] = (), failures: tuple[Any, ...] = ()) -> Any:
    return SimpleNamespace(files=tuple(folder / name for name in names), failures=failures, warnings=warnings)


def test_without_a_case_there_is_nothing_to_export(
    sections: Any, out: Any, logic: QuietLogic, review: FakeReview
) -> None:
    logic.shown = review.shown = None
    sections.update()
    assert out.emptyExportLabel.visible and not out.exportWidget.visible


def test_what_is_not_reviewed_is_said_before_anything_is_exported(
    sections: Any, out: Any, a_reader: FakeReview
) -> None:
    assert out.unreviewedLabel.visible and out.unreviewedLabel.text.startswith("NOT REVIEWED: 23 of 23")
    a_reader.set_states({rank: status("accepted", readers=("extent",)) for rank in range(22)})
    draw()
    assert out.unreviewedLabel.text.startswith("NOT REVIEWED: 1 of 23")
    a_reader.set_states({22: status("skipped", readers=("extent",))})
    draw()
    assert out.unreviewedLabel.text.startswith("NOT REVIEWED: 1 of 23"), "who skips has not reviewed"
    a_reader.set_states({22: status("edited", readers=("extent",))})
    draw()
    assert not out.unreviewedLabel.visible and out.reviewedLabel.text == "All 23 deferred regions are reviewed."


def test_without_a_reader_nothing_is_reviewed_unless_there_are_journals(
    sections: Any, out: Any, review: FakeReview
) -> None:
    assert out.unreviewedLabel.text.startswith("NOT REVIEWED: 23 of 23")
    review.journals = ("normal",)
    sections.enter()
    assert not out.unreviewedLabel.visible and "Choose who you are" in out.reviewedLabel.text
    assert not out.saveButton.enabled and "who you are" in out.saveButton.toolTip


def test_saving_says_when(out: Any, a_reader: FakeReview) -> None:
    assert out.savedLabel.text == "up to date"
    a_reader.accept()
    draw()
    assert "not written" in out.savedLabel.text
    out.saveButton.click()
    draw()
    assert a_reader.named("save") == [()] and out.savedLabel.text.startswith("saved ")


def test_saving_nothing_and_a_full_disk_are_said(out: Any, a_reader: FakeReview) -> None:
    out.saveButton.click()
    draw()
    assert "nothing to write" in out.savedLabel.text
    a_reader.full = True
    out.saveButton.click()
    draw()
    assert "disk is full" in out.savedLabel.text


def test_a_format_that_cannot_be_written_says_why(out: Any, a_reader: FakeReview) -> None:
    assert not out.dicomSegBox.enabled and "DICOM database" in out.dicomSegBox.toolTip
    assert out.segNrrdBox.checked and out.niftiBox.checked and out.csvBox.checked and not out.stlBox.checked


def test_ticked_formats_and_the_folder_are_remembered(
    out: Any, a_reader: FakeReview, services: MemoryServices, tmp_path: Path
) -> None:
    out.niftiBox.click()
    out.stlBox.click()
    draw()
    assert services.setting("DeferredSegSlicer/Review/ExportFormats") == "seg.nrrd,csv,stl"
    assert out.exportFolderButton.directory == str(tmp_path / "exported")
    out.exportFolderButton.directory = str(tmp_path / "elsewhere")
    fire(out.exportFolderButton, "directorySelected(QString)", str(tmp_path / "elsewhere"))
    assert services.setting("DeferredSegSlicer/Review/ExportFolder") == str(tmp_path / "elsewhere")


def test_an_export_names_its_files_and_warns(
    out: Any, a_reader: FakeReview, user: ScriptedUser, tmp_path: Path
) -> None:
    folder = tmp_path / "exported"
    a_reader.exported = _written(folder, "a.seg.nrrd", "a.nii.gz", warnings=("22 of 23 regions are NOT reviewed",))
    out.replaceBox.click()
    out.exportButton.click()
    draw()
    assert a_reader.named("export") == [(folder, ("seg.nrrd", "nifti", "csv"), True)]
    assert "2 files written to <a href=" in out.exportResultLabel.text and "a.nii.gz" in out.exportResultLabel.text
    assert out.exportWarningsLabel.text == "22 of 23 regions are NOT reviewed."
    assert not out.unreviewedLabel.visible, "said once is enough"
    fire(out.exportResultLabel, "linkActivated(QString)", folder.as_uri())
    assert user.opened == [str(folder)]


def test_a_new_decision_takes_the_last_export_off_the_screen(out: Any, a_reader: FakeReview, tmp_path: Path) -> None:
    a_reader.exported = _written(tmp_path / "exported", "a.seg.nrrd", warnings=("nobody has reviewed this case",))
    out.exportButton.click()
    draw()
    assert out.exportResultLabel.visible
    a_reader.accept()
    draw()
    assert not out.exportResultLabel.visible and not out.exportWarningsLabel.visible
    assert out.unreviewedLabel.text.startswith("NOT REVIEWED: 22 of 23")


def test_a_failed_format_and_a_refused_export_are_loud(out: Any, a_reader: FakeReview, tmp_path: Path) -> None:
    failure = SimpleNamespace(format="stl", error=BadInputError("the disk is full"))
    a_reader.exported = _written(tmp_path / "exported", "a.seg.nrrd", failures=(failure,))
    out.exportButton.click()
    draw()
    assert out.exportFailuresLabel.text == "NOT WRITTEN: Surfaces (.stl). The disk is full."
    a_reader.exported = BadInputError('"a.seg.nrrd" is there already; choose another folder, or let it be replaced')
    out.exportButton.click()
    draw()
    assert out.exportFailuresLabel.text.startswith('NOTHING WRITTEN. "a.seg.nrrd" is there already')
    assert not out.exportResultLabel.visible


def test_nothing_is_exported_while_an_edit_is_open_or_a_job_runs(
    sections: Any, out: Any, a_reader: FakeReview, logic: QuietLogic
) -> None:
    logic.job = JobStatus("running", "segment")
    sections.update()
    assert not out.exportButton.enabled and "job is running" in out.exportButton.toolTip
    logic.job = JobStatus()
    for box in (out.segNrrdBox, out.niftiBox, out.csvBox):
        box.click()
    draw()
    assert not out.exportButton.enabled and out.exportButton.toolTip == "Tick at least one format."
