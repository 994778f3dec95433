"""A saved scene that was opened on another computer, reviewed there, and opened again: no decision is left behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from DeferredSegSlicerLib.core.case import open_case
from DeferredSegSlicerLib.core.review import read_review
from review_bench import Bench, a_bench  # noqa: F401  a fixture
from slicer_fixtures import empty

MakeBench = Callable[..., Bench]


def save(bench: Bench, path: Path) -> Path:
    """Save the scene once the copy of the case in it is up to date, and close everything."""
    bench.time += 10
    bench.services.run_for(0.3)
    bench.services.run_until(lambda: not bench.review.active or not bench.review._desk.scene_copy.is_due)
    assert bench.scene.WriteToMRB(str(path))
    bench.review.end()
    empty(bench.scene)
    return path


def load(bench: Bench, path: Path) -> Path:
    """Open a scene; the folder of the case that it shows then."""
    assert bench.scene.ReadFromMRB(str(path), True)
    bench.services.run_until(lambda: bench.module.shown is not None and not bench.module.job.busy)
    return bench.module.shown.case.folder


def decide(bench: Bench, count: int, reader: str = "Ann") -> None:
    bench.review.begin(reader)
    for _ in range(count):
        bench.review.next_open()
        bench.review.accept()


def decided(folder: Path) -> dict[str, int]:
    """Lines of each reader's journal."""
    return {layer.reader.id: len(layer.entries) for layer in read_review(open_case(folder)).layers}


@pytest.mark.parametrize("before", [0, 1])
def test_what_was_reviewed_in_a_restored_copy_is_there_when_the_same_scene_is_opened_again(
    a_bench: MakeBench,  # noqa: F811
    tmp_path: Path,
    before: int,
) -> None:
    bench = a_bench()
    decide(bench, before)
    path = save(bench, tmp_path / "scene.mrb")
    shutil.rmtree(bench.case.folder)
    place = load(bench, path)
    decide(bench, 2)
    bench.review.end()
    empty(bench.scene)  # not saved: each decision is on the disk
    assert load(bench, path) == place and decided(place) == {"Ann": before + 2}
    assert len(list(bench.services.cases_folder().iterdir())) == 1


def test_a_scene_with_decisions_that_its_folder_lacks_is_not_passed_over(a_bench: MakeBench, tmp_path: Path) -> None:  # noqa: F811
    bench = a_bench()
    decide(bench, 1)
    bench.review.end()
    shutil.copytree(bench.case.folder, tmp_path / "backup")
    decide(bench, 2)
    path = save(bench, tmp_path / "scene.mrb")
    shutil.rmtree(bench.case.folder)
    shutil.move(tmp_path / "backup", bench.case.folder)  # somebody brought the older state back
    place = load(bench, path)
    assert decided(place) == {"Ann": 3} and place != bench.case.folder
    assert decided(bench.case.folder) == {"Ann": 1}, "and nothing was written there"


def test_a_copy_that_went_another_way_is_neither_taken_nor_overwritten(a_bench: MakeBench, tmp_path: Path) -> None:  # noqa: F811
    bench = a_bench()
    first = save(bench, tmp_path / "first.mrb")
    shutil.rmtree(bench.case.folder)
    one = load(bench, first)
    decide(bench, 2)
    second = save(bench, tmp_path / "second.mrb")
    shutil.move(one, tmp_path / "away")
    two = load(bench, first)
    decide(bench, 1)
    bench.review.end()
    empty(bench.scene)
    assert load(bench, second) not in (one, two)
    assert decided(bench.module.shown.case.folder) == {"Ann": 2} and decided(two) == {"Ann": 1}


def test_a_folder_that_went_on_since_the_scene_was_saved_is_opened(a_bench: MakeBench, tmp_path: Path) -> None:  # noqa: F811
    bench = a_bench()
    decide(bench, 1)
    path = save(bench, tmp_path / "scene.mrb")
    bench.module.open_case(bench.case.folder)
    decide(bench, 1)
    decide(bench, 1, "Bob")
    bench.review.end()
    empty(bench.scene)
    assert load(bench, path) == bench.case.folder and decided(bench.case.folder) == {"Ann": 2, "Bob": 1}
