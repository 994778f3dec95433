"""`deferredseg decide`: the same journal as the panel's, labels from elsewhere, files of decisions, and refusals."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from DeferredSegSlicerLib.core.case import Case, open_case
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.regions import Region
from DeferredSegSlicerLib.core.review import Edit, Entry, Reader, read_corrected, read_review
from DeferredSegSlicerLib.core.review.alternatives import alternatives
from DeferredSegSlicerLib.core.review.journal import Journal
from DeferredSegSlicerLib.core.review.limits import limit_mask
from DeferredSegSlicerLib.core.review.names import journal_file
from DeferredSegSlicerLib.core.segmentation_file import write_segmentation
from DeferredSegSlicerLib.core.structures import make_structures
from DeferredSegSlicerLib.engine import bundles
from DeferredSegSlicerLib.engine.segmentor import Encoding, Prediction
from DeferredSegSlicerLib.render.scene import worklist_of

ANN = Reader("Ann Ärztin / Süd")


def regions_of(folder: Path, budget: float = 0.05) -> list[Region]:
    return list(worklist_of(open_case(folder)).regions(budget))


def lines_of(folder: Path, reader: str = ANN.id) -> list[Entry]:
    return [entry for entry in read_review(open_case(folder)).entries if entry.reader.id == reader]


def kinds_of(folder: Path, reader: str = ANN.id) -> list[str]:
    return [entry.decision.kind for entry in lines_of(folder, reader)]


@pytest.fixture
def decide(a_case: Path, deferredseg: Callable) -> Callable:
    """Runs `deferredseg decide` on the case as Ann."""
    return lambda *options, reader=ANN.id: deferredseg("decide", a_case, "--reader", reader, *options)


def states_of(ran: object) -> list[str]:
    return [region["status"] for region in json.loads(ran.out)["regions"]]  # type: ignore[attr-defined]


def test_the_worklist_is_shown_with_states_and_looking_writes_nothing(
    a_case: Path, decide: Callable, everything_in: Callable
) -> None:
    before = everything_in(a_case)
    ran = decide("--list")
    regions = regions_of(a_case)
    assert ran.code == 0 and ran.out.count("open") == len(regions) == 4
    assert f"0 of {len(regions)} regions done" in ran.err
    told = json.loads(decide("--list", "--json").out)
    assert [r["id"] for r in told["regions"]] == [r.id for r in regions]
    assert [r["number"] for r in told["regions"]] == list(range(1, len(regions) + 1))
    assert (told["reader"], told["budget"], told["done"], told["conflicts"]) == (ANN.id, 0.05, 0, 0)
    assert decide("--offers", "--region", 1).code == 0
    assert everything_in(a_case) == before


def test_a_region_is_accepted_by_its_number_or_its_id(a_case: Path, decide: Callable) -> None:
    regions = regions_of(a_case)
    ran = decide("--accept", "--region", 2, "--region", regions[0].id, "--seconds", 12.5, "--note", "clear")
    assert ran.code == 0
    assert ran.out.splitlines() == [f"accept {regions[1].id} (line 1)", f"accept {regions[0].id} (line 2)"]
    assert [e.decision.region.id for e in lines_of(a_case)] == [regions[1].id, regions[0].id]
    assert {(e.decision.effort.looked, e.decision.note) for e in lines_of(a_case)} == {(12.5, "clear")}
    labels, lines = read_corrected(open_case(a_case))
    assert np.array_equal(labels, open_case(a_case).label()) and [line.n for line in lines] == [2]
    assert states_of(decide("--list", "--json"))[:3] == ["accepted", "accepted", "open"]


def test_skip_reassign_and_undo(a_case: Path, decide: Callable) -> None:
    regions = regions_of(a_case)
    expert = next(e for e in open_case(a_case).experts if e.id != regions[1].expert)
    assert decide("--skip", "--reason", "motion", "--region", 1).code == 0
    assert decide("--reassign", expert.name.upper(), "--region", 2).code == 0
    skip, reassign = lines_of(a_case)
    assert (skip.decision.reason, reassign.decision.to) == ("motion", expert.id)
    assert states_of(decide("--list", "--json"))[:2] == ["skipped", "reassigned"]
    assert decide("--undo", "--region", 1).out == "undo line 1 (line 3)\n"
    assert states_of(decide("--list", "--json"))[:2] == ["open", "reassigned"]
    assert decide("--undo").out == "undo line 2 (line 4)\n"
    assert "has decided nothing that could be undone" in decide("--undo").sentence
    assert f'decided nothing on region "{regions[0].id}"' in decide("--undo", "--region", 1).sentence
    assert kinds_of(a_case) == ["skip", "reassign", "undo", "undo"]


def test_a_labeling_on_offer_is_taken_by_its_name(a_case: Path, decide: Callable) -> None:
    case, region = open_case(a_case), regions_of(a_case)[0]
    offered = alternatives(region, case, case.label(), case.probability())
    shown = json.loads(decide("--offers", "--region", 1, "--json").out)["regions"][0]
    assert [o["name"] for o in shown["offers"]] == [a.name for a in offered]
    assert [o["changed_voxels"] for o in shown["offers"]] == [a.changed for a in offered]
    wider = next(o for o in shown["offers"] if o["name"] == "wider")
    assert wider["delta_ml"] == pytest.approx(wider["changed_voxels"] * case.geometry.voxel_ml)
    assert decide("--alternative", "wider", "--region", 1).code == 0
    (entry,) = lines_of(a_case)
    assert entry.decision.name == "wider" and entry.decision.statistics.changed == wider["changed_voxels"]
    expected = case.label().copy()
    taken = next(a for a in offered if a.name == "wider").after
    expected.reshape(-1)[taken.indices] = taken.labels
    assert np.array_equal(read_corrected(case)[0], expected)
    ran = decide("--alternative", "rounder", "--region", 2)
    assert ran.code == 2 and "there are: tighter, wider" in ran.sentence and len(lines_of(a_case)) == 1


def test_every_open_region_is_accepted_only_when_told_so_and_each_has_its_line(a_case: Path, decide: Callable) -> None:
    regions = regions_of(a_case)
    expert = next(e for e in open_case(a_case).experts if e.id != regions[1].expert)
    decide("--skip", "--region", 1)
    decide("--reassign", expert.id, "--region", 2)
    decide("--alternative", "wider", "--region", 3)
    ran = decide("--accept-all-open", "--note", "second reading")
    left = len(regions) - 3
    assert ran.code == 0 and f"accepting {left} regions unseen" in ran.err and len(ran.out.splitlines()) == left
    entries = lines_of(a_case)[3:]
    assert [e.decision.region.id for e in entries] == [r.id for r in regions[3:]]
    assert {(e.decision.kind, e.decision.note) for e in entries} == {("accept", "second reading")}
    assert states_of(decide("--list", "--json"))[:3] == ["skipped", "reassigned", "edited"]
    again = decide("--accept-all-open")
    assert again.code == 0 and again.out == "" and len(lines_of(a_case)) == len(regions)


def test_a_case_is_reviewed_checked_and_exported_without_a_window(
    a_case: Path, decide: Callable, deferredseg: Callable, tmp_path: Path
) -> None:
    assert decide("--alternative", "wider", "--region", 1).code == 0
    assert deferredseg("export", a_case, "-o", tmp_path / "early", "--require-reviewed").code == 2
    assert decide("--accept-all-open").code == 0
    assert deferredseg("check", a_case).code == 0
    ran = deferredseg("export", a_case, "-o", tmp_path / "out", "--require-reviewed")
    assert ran.code == 0 and ran.err == ""
    exported = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / "case.nii.gz")))
    assert np.array_equal(exported, read_corrected(open_case(a_case))[0])


# Labels that were drawn elsewhere


def drawn(case: Case, *regions: Region, beside_mm: float = 0, value: int = 1) -> np.ndarray:
    """The model's labels with all of some regions drawn in, and a voxel so far beside the first of them."""
    labels = case.label().copy()
    for region in regions:
        labels.reshape(-1)[region.indices] = value
    if beside_mm:
        kji = np.stack(np.unravel_index(regions[0].indices, case.geometry.shape), axis=1)
        k, j, i = kji[kji[:, 2].argmax()]
        i += round(beside_mm / case.geometry.spacing[0])
        labels[k, j, i] = 0 if labels[k, j, i] else value
    return labels


def saved(path: Path, case: Case, labels: np.ndarray, grid: Geometry | None = None, **changes: object) -> Path:
    structures = changes.get("structures", case.structures)
    write_segmentation(path, labels, grid or case.geometry, structures, "by hand")  # type: ignore[arg-type]
    return path


def two_apart(folder: Path) -> tuple[Region, Region]:
    """Two regions of the first structure, far from each other."""
    case = open_case(folder)
    regions = [r for r in regions_of(folder) if r.structure == case.structures[0].id]
    far = max(regions[1:], key=lambda r: np.linalg.norm(np.subtract(r.centroid_ras, regions[0].centroid_ras)))
    return regions[0], far


def test_labels_drawn_elsewhere_become_an_edit_of_the_region(a_case: Path, decide: Callable, tmp_path: Path) -> None:
    case, (region, _) = open_case(a_case), two_apart(a_case)
    labels = drawn(case, region, beside_mm=3)
    ran = decide("--labels", saved(tmp_path / "mine.seg.nrrd", case, labels), "--region", region.id, "--seconds", 60)
    assert ran.code == 0, ran.err
    (entry,) = lines_of(a_case)
    assert isinstance(entry.decision, Edit) and entry.decision.effort.looked == 60
    assert np.array_equal(read_corrected(case)[0], labels)


def test_what_was_drawn_beyond_the_limit_is_refused_unless_it_is_lifted(
    a_case: Path, decide: Callable, tmp_path: Path, everything_in: Callable
) -> None:
    case, (region, other) = open_case(a_case), two_apart(a_case)
    far = saved(tmp_path / "far.seg.nrrd", case, drawn(case, region, beside_mm=9))
    before = everything_in(a_case)
    ran = decide("--labels", far, "--region", region.id)
    assert ran.code == 2 and "change 1 voxels more than 5 mm from the regions given" in ran.sentence
    both = saved(tmp_path / "both.seg.nrrd", case, drawn(case, region, other))
    assert "name their regions too" in decide("--labels", both, "--region", region.id).sentence
    assert everything_in(a_case) == before
    assert decide("--labels", far, "--region", region.id, "--margin", 9).code == 0
    assert decide("--undo").code == 0
    assert decide("--labels", far, "--region", region.id, "--lift-limit").code == 0
    assert lines_of(a_case)[-1].decision.limit.lifted
    assert np.array_equal(read_corrected(case)[0], drawn(case, region, beside_mm=9))


def test_a_voxel_in_the_hollow_of_a_region_is_beyond_it_too(a_case: Path, decide: Callable, tmp_path: Path) -> None:
    case, (region, _) = open_case(a_case), two_apart(a_case)
    part, mask = limit_mask(region.indices, case.geometry, 0)
    labels = drawn(case, region)
    k, j, i = (c[0] + p.start for c, p in zip(np.nonzero(~mask & (labels[part] != 1)), part, strict=True))
    labels[k, j, i] = 1
    ran = decide("--labels", saved(tmp_path / "mine.seg.nrrd", case, labels), "--region", region.id, "--margin", 0)
    assert (
        ran.code == 2 and f"change 1 voxels more than 0 mm from the regions given, the first at ({i}, " in ran.sentence
    )


def test_one_file_can_hold_the_edits_of_several_regions(a_case: Path, decide: Callable, tmp_path: Path) -> None:
    case = open_case(a_case)
    regions = [r for r in regions_of(a_case) if r.structure == case.structures[0].id]
    labels = drawn(case, *regions)
    options = [option for region in regions for option in ("--region", region.id)]
    file = saved(tmp_path / "all.seg.nrrd", case, labels)
    ran = decide("--labels", file, *options)
    assert ran.code == 0, ran.err
    assert kinds_of(a_case) == ["edit"] * len(regions) and np.array_equal(read_corrected(case)[0], labels)
    ran = decide("--labels", file, "--region", regions[0].id)
    assert ran.code == 2 and "change nothing near the region" in ran.sentence and "--accept" in ran.sentence
    assert "one --region" in decide("--labels", file, *options, "--lift-limit").sentence


@pytest.mark.parametrize("way", ["reversed slices", "cut off around the segments", "larger", "NIfTI by values"])
def test_labels_may_come_as_other_programs_save_them(a_case: Path, decide: Callable, tmp_path: Path, way: str) -> None:
    case, (region, _) = open_case(a_case), two_apart(a_case)
    labels, grid, path = drawn(case, region), case.geometry, tmp_path / "mine.seg.nrrd"
    expected, origin = labels.copy(), np.array(grid.origin_lps)
    if way == "reversed slices":
        labels, origin[2] = labels[::-1], grid.origin_lps[2] + (grid.size[2] - 1) * grid.spacing[2]
        grid = Geometry(grid.size, grid.spacing, tuple(origin), (1, 0, 0, 0, 1, 0, 0, 0, -1))
    elif way == "cut off around the segments":
        k, j, i = (slice(c.min(), c.max() + 1) for c in np.nonzero(labels))
        labels = np.ascontiguousarray(labels[k, j, i])
        origin += np.array([i.start, j.start, k.start]) * grid.spacing
        grid = Geometry(labels.shape[::-1], grid.spacing, tuple(origin), grid.direction_lps)
    elif way == "larger":
        labels, origin = np.pad(labels, 3), origin - 3 * np.array(grid.spacing)
        grid = Geometry(labels.shape[::-1], grid.spacing, tuple(origin), grid.direction_lps)
    else:
        path = tmp_path / "mine.nii.gz"
        sitk.WriteImage(grid.apply_to(sitk.GetImageFromArray(labels)), str(path))
    if way != "NIfTI by values":
        saved(path, case, np.ascontiguousarray(labels), grid)
    ran = decide("--labels", path, "--region", region.id)
    assert ran.code == 0, ran.err
    assert np.array_equal(read_corrected(case)[0], expected)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("other grid", "not on the voxels of the case"),
        ("turned", "not on the voxels of the case"),
        ("elsewhere", "no voxel in common"),
        ("beyond", "reaches beyond the volume"),
        ("a structure less", 'no segment "left ball"'),
        ("a segment more", 'segment "stent" is no structure of the case'),
        ("a label more", "have a label 3, but the case has 2 structures"),
        ("overlap", "overlaps another one"),
        ("no segmentation", "mine.seg.nrrd"),
        ("no file", "do not exist"),
    ],
)
def test_labels_that_do_not_fit_the_case_are_refused_and_nothing_is_written(
    a_case: Path, decide: Callable, tmp_path: Path, everything_in: Callable, spoil: str, words: str
) -> None:
    case, (region, _) = open_case(a_case), two_apart(a_case)
    labels, grid, path = drawn(case, region), case.geometry, tmp_path / "mine.seg.nrrd"
    structures, origin = list(case.structures), np.array(grid.origin_lps)
    if spoil == "other grid":
        grid = replace(grid, origin_lps=tuple(origin + 0.3))
    elif spoil == "turned":
        grid = replace(grid, direction_lps=(0, -1, 0, 1, 0, 0, 0, 0, 1))
    elif spoil == "elsewhere":
        grid = replace(grid, origin_lps=tuple(origin + 40 * np.array(grid.spacing)))
    elif spoil == "beyond":
        grid = replace(grid, origin_lps=tuple(origin + 15 * np.array(grid.spacing)))
    elif spoil == "a structure less":
        structures = structures[:1]
    elif spoil in ("a segment more", "a label more"):
        structures = [*structures, *make_structures([("stent", None)])]
        labels[0, 0, 0] = 3
    if spoil == "no segmentation":
        path.write_bytes(b"NRRD0004\nrubbish")
    elif spoil == "a label more":
        path = tmp_path / "mine.nii.gz"
        sitk.WriteImage(grid.apply_to(sitk.GetImageFromArray(labels)), str(path))
    elif spoil != "no file":
        saved(path, case, labels, grid, structures=structures)
    if spoil == "overlap":
        overlapping(path)
    before = everything_in(a_case)
    ran = decide("--labels", path, "--region", region.id)
    assert ran.code == 2 and words in ran.sentence
    assert everything_in(a_case) == before


def overlapping(path: Path) -> None:
    """Let both segments of a file have the same label."""
    data = path.read_bytes()
    assert b"Segment1_LabelValue:=2" in data
    path.write_bytes(data.replace(b"Segment1_LabelValue:=2", b"Segment1_LabelValue:=1"))


# Files of decisions


def as_csv(path: Path, rows: list[dict]) -> Path:
    fields = list(dict.fromkeys(key for row in rows for key in row))
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, fields)
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_json(path: Path, rows: list[dict]) -> Path:
    path.write_text(json.dumps({"schema": 1, "decisions": rows}, ensure_ascii=False), encoding="utf-8")
    return path


@pytest.mark.parametrize("write", [as_json, as_csv])
def test_decisions_come_from_a_file_in_its_order(
    a_case: Path, decide: Callable, tmp_path: Path, write: Callable
) -> None:
    case, regions = open_case(a_case), regions_of(a_case)
    expert = next(e for e in case.experts if e.id != regions[2].expert)
    saved(tmp_path / "mine.seg.nrrd", case, drawn(case, regions[3], value=0))
    rows = [
        {"region": 1, "decision": "accept", "seconds": 7, "note": "größer, als es scheint"},
        {"region": regions[1].id, "decision": "alternative", "alternative": "wider"},
        {"region": 3, "decision": "skip", "reason": "motion"},
        {"region": 3, "decision": "reassign", "to": expert.id},
        {"region": 4, "decision": "labels", "labels": "mine.seg.nrrd"},
        {"region": 1, "decision": "undo"},
    ]
    ran = decide("--from", write(tmp_path / ("d.json" if write is as_json else "d.csv"), rows))
    assert ran.code == 0, ran.err
    assert kinds_of(a_case) == ["accept", "alternative", "skip", "reassign", "edit", "undo"]
    first = lines_of(a_case)[0].decision
    assert (first.note, first.effort.looked) == ("größer, als es scheint", 7)
    assert states_of(decide("--list", "--json")) == ["open", "edited", "reassigned", "edited"]
    wider = next(a for a in alternatives(regions[1], case, case.label(), case.probability()) if a.name == "wider").after
    expected = drawn(case, regions[3], value=0)
    expected.reshape(-1)[wider.indices] = wider.labels
    assert np.array_equal(read_corrected(case)[0], expected), "drawn on the labels of before: both decisions hold"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "has no decisions"),
        ([{"region": 99, "decision": "accept"}], 'there is no region "99"'),
        ([{"decision": "accept"}], 'decision 2: decision "accept" names no region'),
        ([{"region": 2, "decision": "approve"}], 'decision 2: decision is "approve", expected one of accept'),
        ([{"region": 2, "decision": "reassign"}], 'decision 2: decision "reassign" lacks "to"'),
        ([{"region": 2, "decision": "reassign", "to": "nobody"}], 'no expert is called "nobody"'),
        ([{"region": 2, "decision": "accept", "reason": "x"}], '"reason" does not belong to decision "accept"'),
        ([{"region": 2, "decision": "accept", "seconds": -1}], "seconds are -1"),
        ([{"region": 2, "decision": "accept", "seconds": "long"}], '"seconds" is "long"'),
        ([{"region": 2, "decision": "alternative", "alternative": "rounder"}], 'no labeling "rounder"'),
        ([{"region": 2, "decision": "labels", "labels": "gone.seg.nrrd"}], "gone.seg.nrrd"),
    ],
    ids=lambda value: "" if isinstance(value, list) else value,
)
@pytest.mark.parametrize("write", [as_json, as_csv])
def test_a_file_is_checked_to_its_end_before_the_first_line_is_written(
    a_case: Path, decide: Callable, tmp_path: Path, everything_in: Callable, write: Callable, rows: list, words: str
) -> None:
    before = everything_in(a_case)
    good = [{"region": 1, "decision": "accept"}] if rows else []
    path = write(tmp_path / ("d.json" if write is as_json else "d.csv"), [*good, *rows])
    ran = decide("--from", path)
    assert ran.code == 2
    assert words in ran.sentence or (not rows and "has the columns none" in ran.sentence)
    assert everything_in(a_case) == before


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("d.json", "{", "is not JSON"),
        ("d.json", "[]", 'is not {"schema": 1'),
        ("d.json", '{"schema": 2, "decisions": []}', 'is not {"schema": 1'),
        ("d.json", '{"schema": 1, "decisions": [{"region": 1, "decide": "accept"}]}', '"decide" is unknown'),
        ("d.json", '{"schema": 1, "decisions": [5]}', '"5" is unknown'),
        ("d.json", '{"schema": 1, "decisions": [{"region": [1], "decision": "accept"}]}', '"region" is [1]'),
        ("d.csv", "region,decision,mood\n1,accept,good\n", "has the columns region, decision, mood"),
        ("d.csv", "region,decision,region\n1,accept,1\n", "has the columns"),
        ("d.csv", "region\n1\n", "has the columns region"),
        ("d.csv", "region,decision\n1\n", "decision 1: 1 cells under 2 columns"),
        ("d.csv", 'region,decision\n"1,accept\n', "is no CSV"),
        ("d.csv", "region,decision\n1,acc\udce9pt\n", "is not UTF-8"),
        ("d.txt", "1 accept", "should end in .json or .csv"),
        ("gone.csv", None, "cannot be read"),
    ],
)
def test_a_file_that_holds_no_decisions_is_refused_by_name(
    decide: Callable, tmp_path: Path, name: str, content: str | None, words: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
    ran = decide("--from", path)
    assert ran.code == 2 and words in ran.sentence and name in ran.sentence


def test_what_was_written_before_a_failure_is_said_and_kept(a_case: Path, decide: Callable, tmp_path: Path) -> None:
    case, (region, other) = open_case(a_case), two_apart(a_case)
    saved(tmp_path / "both.seg.nrrd", case, drawn(case, region, other))
    rows = [
        {"region": 3, "decision": "skip"},
        {"region": region.id, "decision": "labels", "labels": "both.seg.nrrd"},
        {"region": 4, "decision": "accept"},
    ]
    ran = decide("--from", as_json(tmp_path / "decisions.json", rows))
    assert ran.code == 2 and "decision 2 of 3: labels" in ran.err and "those before it are written" in ran.err
    assert kinds_of(a_case) == ["skip"] and ran.out.startswith("skip ")
    assert [line.n for line in read_corrected(case)[1]] == [1]


# Budgets, readers, refusals


def test_the_budget_stays_the_readers_until_another_is_given(a_case: Path, decide: Callable) -> None:
    assert decide("--accept", "--region", 1, "--budget", 0.1).code == 0
    assert lines_of(a_case)[0].decision.region.budget == 0.1
    assert json.loads(decide("--list", "--json").out)["budget"] == 0.1
    assert json.loads(decide("--list", "--json", reader="Ben").out)["budget"] == 0.05
    assert json.loads(decide("--list", "--json", "--budget", 0.02).out)["budget"] == 0.02
    assert decide("--accept", "--region", 1, "--budget", 2).code == 2


def test_an_expert_is_known_by_id_and_name_and_a_reader_by_the_journal(a_case: Path, decide: Callable) -> None:
    expert = open_case(a_case).experts[0]
    decide("--accept", "--region", 1, reader=expert.name.lower())
    decide("--accept", "--region", 2, reader=expert.id)
    decide("--accept", "--region", 1)
    decide("--accept", "--region", 2, reader=ANN.id.upper())
    assert kinds_of(a_case, expert.id) == kinds_of(a_case) == ["accept", "accept"]
    assert {reader.id for reader in read_review(open_case(a_case)).readers} == {expert.id, ANN.id}


def test_readers_who_disagree_are_told_of_and_one_can_settle_it(a_case: Path, decide: Callable) -> None:
    decide("--accept", "--region", 1)
    ran = decide("--alternative", "wider", "--region", 1, reader="Ben")
    assert ran.code == 0 and "readers disagree in 1 places" in ran.err
    everybody = decide("--list", "--json", "--all-readers")
    assert states_of(everybody)[0] == "conflict" and json.loads(everybody.out)["conflicts"] == 1
    assert states_of(decide("--list", "--json"))[0] == "accepted"
    assert decide("--accept", "--region", 1, "--settle", "--note", "looked again").code == 0
    assert states_of(decide("--list", "--json", "--all-readers"))[0] == "accepted"
    assert kinds_of(a_case) == ["accept", "accept"] and kinds_of(a_case, "Ben") == ["alternative"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "give one of --list"),
        (("--accept", "--skip", "--region", "1"), "they exclude each other"),
        (("--accept",), "--accept needs at least one --region"),
        (("--accept", "--region", "0"), 'there is no region "0"'),
        (("--accept", "--region", "liver:x:y"), 'no region "liver:x:y"; the worklist has'),
        (("--accept", "--region", "1", "--reason", "x"), "--reason does not go with --accept; it is for --skip"),
        (("--accept", "--region", "1", "--lift-limit"), "--lift-limit does not go with --accept"),
        (("--accept", "--region", "1", "--json"), "--json does not go with --accept"),
        (("--list", "--region", "1"), "--region does not go with --list"),
        (("--accept-all-open", "--region", "1"), "--region does not go with --accept-all-open"),
        (("--skip", "--region", "1", "--settle"), "--settle does not go with --skip"),
        (("--accept", "--region", "1", "--seconds", "-3"), "seconds are -3"),
        (("--reassign", "nobody", "--region", "1"), 'no expert is called "nobody"; there are:'),
        (("--accept", "--region", "1", "--note", "x" * 5000), "note is no text, or longer"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_what_cannot_be_decided_is_one_sentence_and_nothing_is_written(
    a_case: Path, decide: Callable, everything_in: Callable, options: tuple, words: str
) -> None:
    before = everything_in(a_case)
    ran = decide(*options)
    assert ran.code == 2 and words in ran.sentence
    assert everything_in(a_case) == before


def test_who_reviews_cannot_be_given_the_own_region_again_nor_be_nobody(a_case: Path, decide: Callable) -> None:
    expert = open_case(a_case).experts[0]
    ran = decide("--reassign", expert.id, "--region", 1, reader=expert.id)
    assert ran.code == 2 and "cannot be reassigned" in ran.sentence
    assert "a reader needs a name" in decide("--accept", "--region", 1, reader="  ").sentence


def test_a_review_that_is_open_elsewhere_is_not_written_to_but_shown(a_case: Path, decide: Callable) -> None:
    with Journal.open(open_case(a_case), ANN):
        ran = decide("--accept", "--region", 1)
        assert ran.code == 2 and "opened elsewhere" in ran.sentence
        assert decide("--list").code == 0
    assert decide("--accept", "--region", 1).code == 0


def test_a_changed_journal_and_a_changed_case_are_damage(a_case: Path, decide: Callable) -> None:
    decide("--accept", "--region", 1)
    decide("--accept", "--region", 2)
    journal = journal_file(a_case, ANN)
    whole = journal.read_bytes()
    journal.write_bytes(whole.replace(b'"accept"', b'"skip  "', 1))
    assert decide("--accept", "--region", 3).code == decide("--list").code == 4
    journal.write_bytes(whole)
    assert decide("--accept", "--region", 3).code == 0
    data = bytearray((a_case / "segmentation.seg.nrrd").read_bytes())
    data[-2] ^= 1
    (a_case / "segmentation.seg.nrrd").write_bytes(data)
    assert decide("--accept", "--region", 4).code == 4


# The network


class RimSegmentor:
    """Takes the ellipse in the box for the structure; one in a tight box comes out a little larger."""

    name, needs_box, whole_volume, classes = "rim", True, False, ()
    device = torch.device("cpu")

    def encode(self, slices: np.ndarray) -> list[Encoding]:
        return [Encoding(torch.from_numpy(s.copy())[None, None], s.shape) for s in slices]

    def decode(self, encoding: Encoding, boxes: np.ndarray, with_features: bool = False) -> Prediction:
        rows, columns = np.indices(encoding.shape)
        answers = []
        for x0, y0, x1, y1 in boxes:
            apart = ((columns - (x0 + x1) / 2) / ((x1 - x0) / 2 + 1.2)) ** 2
            apart = apart + ((rows - (y0 + y1) / 2) / ((y1 - y0) / 2 + 1.2)) ** 2
            answers.append(torch.from_numpy(20 * (1 - apart)).float())
        return Prediction(torch.stack(answers))


@pytest.fixture
def a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network "test" of the case is installed."""

    class Installed:
        id, sha256, folder = "test", "0" * 64, Path("test")

        def make_segmentor(self, device: torch.device) -> RimSegmentor:
            return RimSegmentor()

    found = bundles.load_bundle
    monkeypatch.setattr(bundles, "load_bundle", lambda which: Installed() if which == "test" else found(which))


def test_the_network_is_asked_again_and_its_labeling_taken(a_case: Path, decide: Callable, a_network: None) -> None:
    budget = ("--budget", "0.3")
    numbers = range(1, 1 + len(regions_of(a_case, 0.3)))
    options = [option for number in numbers for option in ("--region", number)]
    told = json.loads(decide("--offers", "--reprompt", "--json", *options, *budget).out)["regions"]
    offered = [n for n, one in enumerate(told, 1) if one["offers"][0]["name"] == "re-prompt: tight box"]
    refused = [n for n, one in enumerate(told, 1) if one["refused"]]
    assert offered, told
    ran = decide("--alternative", "re-prompt: tight box", "--region", offered[0], *budget)
    assert ran.code == 0, ran.err
    (entry,) = lines_of(a_case)
    assert entry.decision.name == "re-prompt: tight box"
    assert entry.decision.statistics.changed == told[offered[0] - 1]["offers"][0]["changed_voxels"] > 3
    for number in refused[:1]:
        ran = decide("--alternative", "re-prompt: tight box", "--region", number, *budget)
        assert ran.code == 2 and "the network has: none" in ran.err
    ran = decide("--alternative", "re-prompt: mask 9", "--region", offered[0], *budget)
    assert ran.code == 2 and 'no labeling "re-prompt: mask 9"' in ran.err and "tight box" in ran.err


def test_a_network_that_is_not_there_or_another_one_is_named(decide: Callable) -> None:
    ran = decide("--alternative", "re-prompt: mask 3", "--region", 1)
    assert ran.code == 2 and 'bundle "test" is neither known' in ran.sentence
    ran = decide("--offers", "--reprompt", "--region", 1, "--bundle", "litemedsam")
    assert ran.code == 2 and "segmented by another network" in ran.sentence
