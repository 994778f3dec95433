"""A case appears whole or not at all, and only dead jobs' remains are cleared away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from DeferredSegSlicerLib.core.case import open_case, write_case
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.experts import load_experts
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.structures import make_structures
from DeferredSegSlicerLib.core.volume import Volume
from DeferredSegSlicerLib.worker.staging import Staging, discard, remove_leftovers, staging_folder, stamped

EXPERTS = Path(__file__).parents[2] / "Resources" / "Experts" / "default.json"


def build(folder: Path, job: str) -> None:
    """A small real case that names a job."""
    geometry = Geometry((2, 3, 4), (1.0, 1.0, 1.0))
    volume = Volume(np.arange(24, dtype=np.int16).reshape(geometry.shape), geometry)
    experts = load_experts(EXPERTS)
    probability = np.zeros((1, *geometry.shape), np.uint8)
    routing = np.zeros((len(experts) + 1, *geometry.shape), np.uint8)
    routing[-1] = 255
    structures = make_structures([("liver", None)])
    maps = probability, routing, probability[0]
    write_case(folder, volume, structures, experts, *maps, "margin", stamped({}, job), {"name": "none"}, {})


def job_of(case: Path) -> object:
    """Which job made a case; reads and checks it."""
    return open_case(case).settings["job"]


def make_old(folder: Path) -> None:
    """Make a hidden folder look as if it had been there for a while."""
    before = time.time() - 60
    os.utime(folder, (before, before))


@pytest.fixture
def a_case_path(tmp_path: Path) -> Path:
    """Where a case is to appear, in a folder that is not there yet."""
    return tmp_path / "studies" / "case"


def test_a_case_appears_at_the_commit_and_not_before(a_case_path: Path) -> None:
    with Staging(a_case_path, "j1") as staging:
        build(staging.folder, "j1")
        assert not a_case_path.exists()
        staging.commit(overwrite=False)
        assert job_of(a_case_path) == "j1"
    assert os.listdir(a_case_path.parent) == ["case"]


def test_a_job_that_fails_leaves_nothing(a_case_path: Path) -> None:
    with pytest.raises(RuntimeError), Staging(a_case_path, "j1") as staging:
        build(staging.folder, "j1")
        raise RuntimeError
    assert not a_case_path.parent.exists()  # which was not there before
    a_case_path.parent.mkdir()
    with pytest.raises(RuntimeError), Staging(a_case_path, "j1") as staging:
        raise RuntimeError
    assert os.listdir(a_case_path.parent) == []


def test_a_case_whose_review_begins_while_a_job_runs_is_not_replaced(a_case_path: Path) -> None:
    a_case_path.parent.mkdir()
    build(a_case_path, "before")
    with pytest.raises(BadInputError, match="holds a review"), Staging(a_case_path, "j1") as staging:
        build(staging.folder, "j1")
        (a_case_path / "review").mkdir()
        (a_case_path / "review" / "reader.jsonl").write_text("{}")
        staging.commit(overwrite=True)
    assert job_of(a_case_path) == "before" and (a_case_path / "review" / "reader.jsonl").exists()
    assert os.listdir(a_case_path.parent) == ["case"]


def test_a_case_that_is_there_is_kept_unless_it_may_be_replaced(a_case_path: Path) -> None:
    a_case_path.parent.mkdir()
    build(a_case_path, "before")
    with pytest.raises(BadInputError, match="exists already"), Staging(a_case_path, "j1") as staging:
        build(staging.folder, "j1")
        staging.commit(overwrite=False)
    assert job_of(a_case_path) == "before"
    with Staging(a_case_path, "j2") as staging:
        build(staging.folder, "j2")
        staging.commit(overwrite=True)
    assert job_of(a_case_path) == "j2"
    assert os.listdir(a_case_path.parent) == ["case"]


def test_a_review_that_begins_in_the_very_last_moment_comes_back(
    a_case_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_case_path.parent.mkdir()
    build(a_case_path, "before")
    rename = os.rename

    def while_a_reader_writes(source: Path, target: Path) -> None:
        if source == a_case_path:
            (a_case_path / "review").mkdir()
            (a_case_path / "review" / "reader.jsonl").write_text("{}")
        rename(source, target)

    monkeypatch.setattr(os, "rename", while_a_reader_writes)
    with pytest.raises(BadInputError, match="reviewed meanwhile"), Staging(a_case_path, "j1") as staging:
        build(staging.folder, "j1")
        staging.commit(overwrite=True)
    assert job_of(a_case_path) == "before" and (a_case_path / "review" / "reader.jsonl").exists()


def test_a_job_given_up_from_another_thread_commits_nothing(a_case_path: Path) -> None:
    with pytest.raises(InterruptedError), Staging(a_case_path, "j1") as staging:
        build(staging.folder, "j1")
        staging.abandon()
        staging.commit(overwrite=False)
    assert not a_case_path.exists()


def test_discard_removes_what_the_job_wrote_and_nothing_else(a_case_path: Path) -> None:
    a_case_path.parent.mkdir()
    build(a_case_path, "somebody-elses")
    staging_folder(a_case_path, "j1").mkdir()
    discard(a_case_path, "j1")
    assert os.listdir(a_case_path.parent) == ["case"]
    discard(a_case_path, "somebody-elses")
    assert os.listdir(a_case_path.parent) == []


def test_a_case_that_has_replaced_another_stays(a_case_path: Path) -> None:
    a_case_path.parent.mkdir()
    build(a_case_path, "j1")
    discard(a_case_path, "j1", replaced=True)
    assert a_case_path.exists()


def test_a_case_without_a_job_is_never_discarded(a_case_path: Path) -> None:
    a_case_path.parent.mkdir()
    for content in ("{}", '{"settings": {}}', "[]", "not json", '{"settings": {"job": null}}'):
        a_case_path.mkdir(exist_ok=True)
        (a_case_path / "case.json").write_text(content)
        discard(a_case_path, "j1")
        assert a_case_path.exists()


def test_the_remains_of_a_killed_job_go_when_the_next_one_starts(a_case_path: Path) -> None:
    child = _job_in_a_child(a_case_path, "dead")
    hidden = staging_folder(a_case_path, "dead")
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert hidden.exists()
    make_old(hidden)
    with Staging(a_case_path.with_name("another case"), "j2"):
        assert not hidden.exists()


def test_the_work_of_a_living_job_stays(a_case_path: Path) -> None:
    child = _job_in_a_child(a_case_path, "alive")
    hidden = staging_folder(a_case_path, "alive")
    make_old(hidden)
    assert remove_leftovers(a_case_path.parent) == [] and hidden.exists()
    child.kill()
    child.wait()


def test_a_case_moved_aside_by_a_killed_job_comes_back(a_case_path: Path) -> None:
    a_case_path.parent.mkdir()
    staging = Staging(a_case_path, "j1")
    staging.__enter__()
    hidden = staging_folder(a_case_path, "j1")
    build(hidden / "old", "before")  # killed between the two renames of a replacement
    staging._lock_file.close()  # type: ignore[union-attr]
    make_old(hidden)
    assert remove_leftovers(a_case_path.parent) == [hidden]
    assert job_of(a_case_path) == "before"
    assert os.listdir(a_case_path.parent) == ["case"]


def test_a_name_as_long_as_the_disk_allows_is_no_problem(tmp_path: Path) -> None:
    case = tmp_path / ("Ł" * 127)
    with Staging(case, "a" * 32) as staging:
        build(staging.folder, "j")
        staging.commit(overwrite=False)
    assert case.is_dir()


def test_a_parent_that_is_a_file_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInputError, match="cannot be written"), Staging(tmp_path / "file" / "case", "j"):
        pass


def _job_in_a_child(case: Path, job: str) -> subprocess.Popen[bytes]:
    code = (
        "import sys, time, pathlib; from DeferredSegSlicerLib.worker.staging import Staging\n"
        "with Staging(pathlib.Path(sys.argv[1]), sys.argv[2]) as s:\n"
        "    s.folder.mkdir(); print('ready', flush=True); time.sleep(60)"
    )
    library = Path(__file__).parents[2] / "DeferredSegSlicer"
    command = [sys.executable, "-c", code, str(case), job]
    child = subprocess.Popen(command, cwd=library, stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline().strip() == b"ready"
    return child
