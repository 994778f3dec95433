"""The whole loop without a widget: segment, review, save, reopen, export."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from boot import HeadlessSlicer
from case_on_node import node_ids
from DeferredSegSlicerLib.core.case import open_case
from DeferredSegSlicerLib.core.case_check import check_case
from DeferredSegSlicerLib.core.review import read_corrected, read_review
from DeferredSegSlicerLib.logic.module_logic import ModuleLogic
from DeferredSegSlicerLib.logic.review import ReviewLogic
from DeferredSegSlicerLib.mrml.grid import align
from DeferredSegSlicerLib.mrml.review.corrected import find_corrected
from editor_hand import Hand
from hard_volumes import MOTION, put_under
from plain_services import PlainServices

from .conftest import structures_in

MakeLogic = Callable[..., ModuleLogic]


@pytest.fixture
def a_review(services: PlainServices) -> Iterator[Callable[[ModuleLogic], ReviewLogic]]:
    """A function that makes the review of a logic; all are closed at the end."""
    made: list[ReviewLogic] = []

    def make(module: ModuleLogic) -> ReviewLogic:
        made.append(ReviewLogic(module, services, software={"slicer": "5.13.0"}))
        return made[-1]

    yield make
    for review in made:
        review.close()


def test_segment_review_save_reopen_export(
    a_logic: MakeLogic,
    a_review: Callable[[ModuleLogic], ReviewLogic],
    a_slicer: HeadlessSlicer,
    a_scan: Any,
    scene: Any,
    services: PlainServices,
    tmp_path: Path,
) -> None:
    put_under(scene, a_scan, MOTION)
    module = a_logic()
    review = a_review(module)
    shown = module.segment(a_scan, structures_in(a_scan), budget=0.4)
    before = node_ids(scene)
    model = shown.case.label()
    assert review.begin("Dr. Ada Weiß") and review.reader is not None
    total = review.progress.total
    assert total == len(shown.regions) >= 6

    # Accept, take a labeling, edit, reassign, skip; then one decision is taken back.
    first = review.region
    review.accept()
    assert review.current is not None and review.current.state == "accepted"
    review.next_open()
    options = review.alternatives()
    assert len(options) >= 2
    taken = review.region
    review.take(2)
    review.next_open()
    edited = review.region
    assert edited is not None
    editing = review.start_edit()
    number = 1 + [s.id for s in shown.case.structures].index(edited.structure)
    mask = np.zeros(shown.case.geometry.shape, bool)
    mask.reshape(-1)[edited.indices] = True
    alignment = align(shown.case.geometry, a_scan)
    hand = Hand(a_slicer, editing.editor_node)
    (hand.erase if (model.reshape(-1)[edited.indices] == number).all() else hand.paint)(alignment.to_node(mask))
    services.run_for(0.3)
    assert review.has_unsaved_edit
    row = review.next()  # leaving records
    assert row is not None and review.editing is None
    review.reassign("boundary" if "boundary" in {e.id for e in shown.experts} else shown.experts[-1].id)
    review.next_open()
    review.skip("motion artifact")
    review.next_open()
    last = review.region
    review.accept()
    assert review.undo() and review.region is not None and last is not None and review.region.id == last.id
    states = {row.id: row.state for row in review.rows}
    assert first is not None and taken is not None
    assert (states[first.id], states[taken.id], states[edited.id]) == ("accepted", "edited", "edited")
    assert states[last.id] == "open" and sorted(set(states.values())) == [
        "accepted", "edited", "open", "reassigned", "skipped",
    ]  # fmt: skip
    progress = review.progress
    assert progress.done == 5 and 0 < progress.seconds_left < shown.regions.seconds
    assert review.save() is not None and review.is_saved
    corrected = review.session.labels.copy() if review.session else model
    place = review.current

    # The scene is saved and opened again: the reader is where the reader was.
    services.run_for(4.0)  # the copy inside the scene follows when the reader rests
    assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    review.end()
    assert node_ids(scene) >= before and find_corrected(scene, shown.case.id, a_scan) is not None
    scene.Clear(0)
    assert not review.active and module.shown is None
    with_copy = module.shown
    assert with_copy is None
    assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)
    services.run_until(lambda: module.shown is not None)
    assert review.resume() and review.reader.name == "Dr. Ada Weiß"
    assert review.current is not None and place is not None and review.current.id == place.id
    assert {row.id: row.state for row in review.rows} == states
    assert np.array_equal(review.session.labels, corrected)
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 4  # result, deferred, corrected, the highlight
    copy = find_corrected(scene, module.shown.case.id, module.shown.volume_node)
    assert copy.GetParentTransformNode() is module.shown.volume_node.GetParentTransformNode() is not None

    # Export, and read each back.
    done = review.export(tmp_path / "out", ["seg.nrrd", "nifti", "csv", "json", "stl"])
    assert not done.failures and len(done.warnings) == 1 and "NOT reviewed" in done.warnings[0]
    for ending in (".seg.nrrd", ".nii.gz"):
        path = next(p for p in done.files if p.name.endswith(ending))
        assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), corrected), ending
    rows = list(csv.DictReader(next(p for p in done.files if p.name.endswith("_decisions.csv")).open(encoding="utf-8")))
    assert [row["decision"] for row in rows] == ["accept", "alternative", "edit", "reassign", "skip", "accept", "undo"]
    assert {row["reader_name"] for row in rows} == {"Dr. Ada Weiß"}

    # What is on disk proves itself.
    review.end()
    folder = module.shown.case.folder
    assert [str(finding) for finding in check_case(folder)] == []
    case = open_case(folder)
    assert np.array_equal(read_corrected(case)[0], corrected)
    entries = read_review(case).entries
    assert all(entry.software["slicer"] == "5.13.0" for entry in entries)
    judged = read_review(case).judged()
    assert np.array_equal(corrected[~judged], model[~judged]), "voxels outside of judged regions never change"
