"""A review's beginning and end: who reviews, two programs on one case, and what a closing scene leaves."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from case_on_node import node_ids
from DeferredSegSlicerLib.core.errors import BadInputError, DamagedCaseError
from DeferredSegSlicerLib.core.review import Reader, ReviewSession, read_review
from DeferredSegSlicerLib.core.review.names import CORRECTED_FILE, journal_file
from DeferredSegSlicerLib.logic.review.drafts import draft_file
from DeferredSegSlicerLib.mrml import embedding
from DeferredSegSlicerLib.mrml.names import ROLE_EMBEDDED_CASE
from DeferredSegSlicerLib.mrml.review.corrected import find_corrected
from hard_volumes import node_from_array
from review_bench import OBLIQUE, Bench, a_bench, write_blocks_case  # noqa: F401  a fixture

MakeBench = Callable[..., Bench]

HOLD = """
import sys
sys.path.insert(0, {library!r})
from DeferredSegSlicerLib.core.case import open_case
from DeferredSegSlicerLib.core.review import Journal, Reader
case = open_case({folder!r})
with Journal.open(case, Reader("extent", "Lesion extent", "radiologist")):
    print("open", flush=True)
    sys.stdin.read()
"""


def everywhere(bench: Bench) -> np.ndarray:
    return np.ones(bench.case.geometry.shape, bool)


def held_elsewhere(case_folder: Path) -> subprocess.Popen[str]:
    """Another program that has the first expert's journal open."""
    library = str(Path(__file__).resolve().parents[2] / "DeferredSegSlicer")
    code = HOLD.format(library=library, folder=str(case_folder))
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and other.stdout.readline() == "open\n"
    return other


def test_a_second_slicer_on_the_case_may_look_but_not_decide(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    other = held_elsewhere(bench.case.folder)
    try:
        assert review.begin("extent") is False
        assert review.read_only and "is opened elsewhere" in review.refusal and review.hindrance == review.refusal
        assert review.rows and review.next() and review.region is not None
        for act in (review.accept, review.start_edit, review.undo, review.alternatives):
            with pytest.raises(BadInputError, match="opened elsewhere"):
                act()
        assert review.begin("Dr. B") is True and review.accept(), "another reader is not kept"
        review.end()
        assert review.begin("extent") is False and review.read_only
    finally:
        other.communicate("")
    assert review.begin("extent") is True and review.refusal == "" and review.accept()


def test_a_folder_where_nothing_can_be_made_may_be_looked_at(
    a_bench: MakeBench,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = a_bench()
    make = Path.mkdir

    def refuse(path: Path, *arguments: Any, **named: Any) -> None:
        if path.name == "review":
            raise PermissionError(13, "Permission denied", str(path))
        make(path, *arguments, **named)

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert bench.review.begin("extent") is False
    assert "permission" in bench.review.refusal
    assert bench.review.next() is not None and len(bench.review.rows) == 12


def test_a_damaged_journal_of_ones_own_stops_and_one_of_others_can_be_left_out(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    review.accept()
    review.end()
    path = journal_file(bench.case.folder, Reader("extent"))
    path.write_bytes(path.read_bytes().replace(b"accept", b"reject", 1))
    with pytest.raises(DamagedCaseError, match="line 1"):
        review.begin("extent")
    assert not review.active and bench.module.shown is not None
    with pytest.raises(DamagedCaseError, match="line 1"):
        review.begin("Dr. B")
    assert review.begin("Dr. B", leave_out_damaged=True) and "left out" in review.warnings[0]
    assert review.accept()


def test_the_reader_of_the_last_time_is_remembered_and_is_where_the_reader_was(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    assert review.remembered == "" and review.resume() is False and not review.active
    review.begin("Dr. Ada Weiß / ward 3")
    bench.module.set_budget(0.5)
    assert review.order == ("worst", False)
    review.sort("error", True)
    review.show(expert="normal")
    review.go_to(review.rows[2].id)
    place = (review.current.id, [row.id for row in review.rows], 0.5)
    review.accept()
    review.close()

    bench.module.set_budget(1.0)
    bench.review = again = bench.a_review()
    assert again.remembered == "Dr. Ada Weiß / ward 3" and again.resume()
    assert again.reader.id == "Dr. Ada Weiß / ward 3"
    assert (again.current.id, [row.id for row in again.rows], bench.module.shown.budget) == place
    assert again.row_filter.expert == "normal" and again.order == ("error", True)


def test_experts_and_everybody_with_a_journal_can_be_chosen(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    assert [(c.id, c.is_expert, c.has_journal) for c in review.readers] == [
        ("extent", True, False), ("normal", True, False), ("boundary", True, False),
    ]  # fmt: skip
    for name in ("Zoë", "normal tissue"):
        review.begin(name)
        review.accept()
    assert review.reader.id == "normal", "the name of a profile means the profile"
    found = {c.id: (c.name, c.has_journal) for c in review.readers}
    assert found["Zoë"] == ("Zoë", True) and found["normal"] == ("Normal tissue", True) and not found["extent"][1]


def test_beginning_again_as_the_same_reader_changes_nothing(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    review.start_edit()
    session = review.session
    assert review.begin("extent") is True and review.session is session and review.editing is not None


def test_the_end_leaves_the_corrected_copy_and_nothing_else(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    nodes, timers = node_ids(bench.scene), bench.services.timers
    deferred = bench.module.shown.deferred_node.GetDisplayNode()
    review.begin("extent")
    review.alternatives()
    review.take(2)
    review.next()
    review.alternatives()
    assert bench.services.timers == timers + 1
    assert deferred.GetSegmentOpacity2DFill("expert.extent") < 1
    review.end()
    copy = find_corrected(bench.scene, bench.case.id, bench.volume)
    kept = {copy.GetID(), copy.GetDisplayNodeID(), "vtkMRMLSegmentEditorNodeDeferredSegSlicerReview"}
    assert node_ids(bench.scene) - nodes <= kept
    assert bench.services.timers == timers
    assert deferred.GetSegmentOpacity2DFill("expert.extent") == 1
    assert (bench.case.folder / CORRECTED_FILE).is_file()
    bench.module.close_case()
    assert find_corrected(bench.scene, bench.case.id, bench.volume) is None, "it goes with its case"
    assert not review.active


def test_a_reader_who_decides_nothing_leaves_no_trace_on_disk(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    before = sorted(p.name for p in bench.case.folder.rglob("*"))
    bench.review.begin("extent")
    bench.review.next()
    bench.review.end()
    assert sorted(p.name for p in bench.case.folder.rglob("*")) == before


def test_closing_the_scene_records_the_open_edit(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    review.start_edit()
    bench.paint(everywhere(bench))
    assert review.has_unsaved_edit, "this is what the panel asks for before it lets the scene go"
    bench.scene.Clear(0)
    assert not review.active and bench.told == []
    assert [entry.decision.kind for entry in read_review(bench.case).entries] == ["edit"]
    assert bench.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_closing_the_scene_on_a_full_disk_keeps_what_the_draft_has(
    a_bench: MakeBench,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from DeferredSegSlicerLib.core.review import journal as journal_module

    bench = a_bench()
    review = bench.review
    review.begin("extent")
    review.start_edit()
    bench.paint(everywhere(bench))
    bench.wait(0.5)

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal_module.os, "write", full)
    bench.scene.Clear(0)
    assert len(bench.told) == 1 and "disk is full" in bench.told[0]
    assert not review.active and draft_file(bench.case, Reader("extent")).is_file()


def test_another_case_ends_the_review_of_the_first(a_bench: MakeBench, tmp_path: Path) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    review.start_edit()
    bench.paint(everywhere(bench))
    other = write_blocks_case(tmp_path / "other", OBLIQUE)
    scan = other.volume()
    volume = node_from_array(bench.scene, scan.image, scan.geometry, "Other")
    bench.module.open_case(other.folder, volume, budget=1.0)
    assert not review.active and [e.decision.kind for e in read_review(bench.case).entries] == ["edit"]
    assert review.begin("extent") and review.case.id == other.id
    assert review.accept() and len(read_review(other).entries) == 1
    assert find_corrected(bench.scene, bench.case.id, bench.volume) is None or bench.module.shown.case.id == other.id


def test_deleting_the_volume_or_the_result_ends_the_review(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    review.accept()
    bench.scene.RemoveNode(bench.module.shown.result_node)
    assert not review.active and bench.told == []
    assert len(read_review(bench.case).entries) == 1


def test_the_scenes_copy_of_the_case_follows_the_review(a_bench: MakeBench, tmp_path: Path) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    review.accept()
    review.alternatives()
    review.next()
    bench.wait(0.2)
    nodes = slicer.util.getNodesByClass("vtkMRMLTextNode", bench.scene)
    text = next(n for n in nodes if n.GetAttribute("DeferredSeg.Role") == ROLE_EMBEDDED_CASE)
    before = text.GetText()
    bench.time += 4
    bench.services.run_until(lambda: text.GetText() != before)
    restored = embedding.restore(bench.scene, bench.volume, tmp_path / "restored", bench.case.id)
    assert [entry.decision.kind for entry in read_review(restored).entries] == ["accept"]
    assert len(slicer.util.getNodesByClass("vtkMRMLTextNode", bench.scene)) == len(nodes)


def test_closing_takes_back_every_observer_and_timer(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    timers, listeners = bench.services.timers, len(bench.module.changed)
    review = bench.a_review()
    review.begin("extent")
    review.alternatives()
    review.next()
    review.start_edit()
    parts = [weakref.ref(part) for part in (review, review._desk, review._desk.focus, review._desk.edit)]
    review.close()
    assert bench.services.timers == timers and len(bench.module.changed) == listeners
    del review
    gc.collect()
    assert [part() for part in parts] == [None] * 4, "an observer still holds it"


def test_closing_records_the_open_edit_and_may_be_repeated(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    review.start_edit()
    bench.paint(everywhere(bench))
    review.close()
    assert [e.decision.kind for e in read_review(bench.case).entries] == ["edit"]
    review.close()


def test_a_session_of_the_library_finds_what_the_panel_wrote(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    review.alternatives()
    review.take(4)
    labels = bench.labels.copy()
    review.end()
    with ReviewSession(bench.case, bench.module.shown.worklist, Reader("extent")) as session:
        assert np.array_equal(session.labels, labels) and session.current.state == "edited"
