"""What an export says of a review: who judged which region, what nobody did, and whose decision holds."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from DeferredSegSlicerLib.core.case import Case
from DeferredSegSlicerLib.core.errors import DamagedCaseError
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.nrrd_header import read_nrrd_header
from DeferredSegSlicerLib.core.review.deciding import Deciding
from DeferredSegSlicerLib.core.review.decisions import Decision, Effort, Entry, Limit, Reader, Undo
from DeferredSegSlicerLib.core.review.journal import Journal
from DeferredSegSlicerLib.core.review.runs import LabelRuns
from DeferredSegSlicerLib.core.review.state import read_review
from DeferredSegSlicerLib.core.segmentation_file import read_segmentation
from DeferredSegSlicerLib.core.structures import make_structures
from DeferredSegSlicerLib.export.case_content import content_of
from DeferredSegSlicerLib.export.content import Content
from DeferredSegSlicerLib.export.formats import FORMATS, Target, export_case
from DeferredSegSlicerLib.export.tables import DECISION_COLUMNS, REGION_COLUMNS

BUDGET = 0.2
ANN, BEN = Reader("extent", "Ann Ärztin", "radiologist"), Reader("normal", "Ben")


def decide(case: Case, reader: Reader, what: Callable[[Deciding], Decision], effort: Effort | None = None) -> Entry:
    """Write one decision into a reader's journal."""
    with Journal.open(case, reader) as journal:
        return journal.append(what(Deciding(read_review(case), reader, BUDGET, effort or Effort())))


def filled(case: Case, region: Any, label: int) -> LabelRuns:
    """A labeling that gives one label to a whole region."""
    return LabelRuns.of(region.indices, np.full(len(region.indices), label, np.uint8))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def exported(case: Case, folder: Path, *formats: str, budget: float = BUDGET) -> Content:
    content = content_of(case, budget)
    assert export_case(content, Target(folder, "scan"), formats).failures == ()
    return content


def test_a_case_that_nobody_reviewed_is_the_models_own_and_says_so(a_case: Case) -> None:
    content = content_of(a_case, BUDGET)
    assert np.array_equal(content.label, a_case.label())
    assert not content.has_review and content.readers == ()
    assert len(content.unreviewed) == len(content.regions) > 3
    assert content.summary == f"NOT REVIEWED: model's labels, {len(content.regions)} regions open"
    assert "nobody has reviewed this case" in content.warnings[0]
    assert f"{len(content.regions)} of {len(content.regions)} deferral regions" in content.warnings[1]
    assert {s.algorithm_type for s in content.structures} == {"AUTOMATIC"}


def test_accepting_everything_leaves_nothing_to_say(a_case: Case) -> None:
    for item in content_of(a_case, BUDGET).regions:
        decide(a_case, ANN, lambda d, item=item: d.accept(item.region))
    content = content_of(a_case, BUDGET)
    assert content.warnings == () and content.unreviewed == ()
    assert content.summary == f"all {len(content.regions)} regions reviewed" and content.readers == ("Ann Ärztin",)
    assert np.array_equal(content.label, a_case.label())
    for item in content.structures:
        assert (item.algorithm_type, item.slicer_status) == ("AUTOMATIC", "completed")
        assert (
            item.review_text
            == f"All {item.regions} deferral regions reviewed by Ann Ärztin; no voxels changed by hand."
        )


def test_an_edit_changes_the_labels_and_is_told_with_before_and_after(a_case: Case, tmp_path: Path) -> None:
    region = content_of(a_case, BUDGET).regions[0].region
    number = 1 + [s.id for s in a_case.structures].index(region.structure)
    before = a_case.label().reshape(-1)[region.indices]
    decide(a_case, ANN, lambda d: d.edit(region, filled(a_case, region, 0)), Effort(12.5, 4.0))
    content = exported(a_case, tmp_path / "out", "csv", "json", "seg.nrrd")
    (item,) = [r for r in content.regions if r.region.id == region.id]
    assert (item.status, item.reviewed, item.readers) == ("edited", True, ("Ann Ärztin",))
    assert (item.seconds_looked, item.seconds_edited) == (12.5, 4.0)
    assert item.voxels_changed == np.count_nonzero(before) > 0
    assert item.before_ml == pytest.approx((before == number).sum() * a_case.geometry.voxel_ml)
    assert item.after_ml == 0
    assert not content.label.reshape(-1)[region.indices].any()
    structure = content.structures[number - 1]
    assert structure.algorithm_type == "SEMIAUTOMATIC" and structure.slicer_status == "flagged"
    assert structure.ml == pytest.approx(np.count_nonzero(content.label == number) * a_case.geometry.voxel_ml)
    assert f"; {structure.voxels_changed} voxels changed by hand" in structure.review_text
    (row,) = [r for r in rows(tmp_path / "out" / "scan_regions.csv") if r["region_id"] == region.id]
    assert (row["status"], row["reviewed"], row["readers"], row["ml_after"]) == ("edited", "yes", "Ann Ärztin", "0")
    (line,) = rows(tmp_path / "out" / "scan_decisions.csv")
    assert (line["decision"], line["reader"], line["reader_name"]) == ("edit", "extent", "Ann Ärztin")
    assert line["voxels_changed"] == str(item.voxels_changed) and line["seconds_edited"] == "4"
    assert float(line["ml_before"]) == pytest.approx(item.before_ml, rel=1e-5) and line["holds"] == "yes"
    segments = read_segmentation(tmp_path / "out" / "scan.seg.nrrd").segments
    assert dict(segments[number - 1].tags)["DeferredSeg.Readers"] == "Ann Ärztin"


def test_what_is_skipped_or_handed_on_is_not_reviewed(a_case: Case) -> None:
    first, second, third = (r.region for r in content_of(a_case, BUDGET).regions[:3])
    decide(a_case, ANN, lambda d: d.skip(first, "too noisy"))
    decide(a_case, ANN, lambda d: d.reassign(second, "edge"))
    decide(a_case, ANN, lambda d: d.accept(third))
    content = content_of(a_case, BUDGET)
    skipped, handed_on, accepted = content.regions[:3]
    assert [r.status for r in content.regions[:3]] == ["skipped", "reassigned", "accepted"]
    assert handed_on.waiting_for == ("edge",) and skipped.readers == () and skipped.decided
    assert skipped in content.unreviewed and handed_on in content.unreviewed and accepted not in content.unreviewed
    assert content.summary == f"{len(content.regions) - 1} of {len(content.regions)} regions NOT REVIEWED"
    assert [d.get("reason") or d.get("to") or d["decision"] for d in content.decisions] == [
        "too noisy",
        "edge",
        "accept",
    ]


def test_readers_who_disagree_are_told_and_the_model_keeps_its_label_there(a_case: Case, tmp_path: Path) -> None:
    region = content_of(a_case, BUDGET).regions[0].region
    decide(a_case, ANN, lambda d: d.edit(region, filled(a_case, region, 1)))
    decide(a_case, BEN, lambda d: d.edit(region, filled(a_case, region, 2)))
    content = exported(a_case, tmp_path / "out", "csv", "json")
    assert content.regions[0].in_conflict and not content.regions[0].reviewed
    assert content.disputed_voxels == region.voxels
    assert any(f"readers disagree on {region.voxels} voxels, in 1 of the regions" in w for w in content.warnings)
    assert np.array_equal(content.label.reshape(-1)[region.indices], a_case.label().reshape(-1)[region.indices])
    assert rows(tmp_path / "out" / "scan_regions.csv")[0]["conflict"] == "yes"
    told = json.loads((tmp_path / "out" / "scan_review.json").read_text(encoding="utf-8"))
    assert told["review"]["conflicts"] == 1 and told["regions"][0]["readers"] == ["Ann Ärztin", "Ben"]


def test_an_undone_decision_is_told_but_does_not_hold(a_case: Case, tmp_path: Path) -> None:
    region = content_of(a_case, BUDGET).regions[0].region
    entry = decide(a_case, ANN, lambda d: d.edit(region, filled(a_case, region, 0)))
    decide(a_case, ANN, lambda d: Undo(line=entry.ref))
    content = exported(a_case, tmp_path / "out", "csv")
    assert np.array_equal(content.label, a_case.label()) and content.regions[0].status == "open"
    edit, undo = rows(tmp_path / "out" / "scan_decisions.csv")
    assert (edit["decision"], edit["holds"]) == ("edit", "no")
    assert (undo["decision"], undo["undoes"], undo["region_id"]) == ("undo", "1", "")


def test_decisions_of_one_budget_count_at_another(a_case: Case) -> None:
    for item in content_of(a_case, BUDGET).regions:
        decide(a_case, ANN, lambda d, item=item: d.accept(item.region))
    smaller = content_of(a_case, 0.05)
    assert len(smaller.regions) > 0 and smaller.unreviewed == ()
    larger = content_of(a_case, 0.6)
    assert larger.unreviewed, "voxels that nobody has seen are in these regions"


def test_an_edit_beyond_its_region_counts_as_the_structures_change(a_case: Case) -> None:
    region = content_of(a_case, BUDGET).regions[0].region
    everything = np.arange(a_case.geometry.voxel_count)
    after = LabelRuns.of(everything, np.zeros(len(everything), np.uint8))
    decide(a_case, ANN, lambda d: d.edit(region, after, Limit(lifted=True)))
    content = content_of(a_case, BUDGET)
    assert [s.ml for s in content.structures] == [0, 0]
    assert [s.voxels_changed for s in content.structures] == [int((a_case.label() == n).sum()) for n in (1, 2)]


def test_every_format_says_what_is_not_reviewed(a_case: Case, tmp_path: Path) -> None:
    """But DICOM SEG, which needs a series and has a test of its own."""
    content = exported(a_case, tmp_path, *[name for name in FORMATS if name != "dicom-seg"])
    left = len(content.unreviewed)
    assert read_nrrd_header(tmp_path / "scan.seg.nrrd").metadata["DeferredSeg_UnreviewedRegions"] == str(left) != "0"
    for name in ("scan.json", "scan_review.json"):
        told = json.loads((tmp_path / name).read_text(encoding="utf-8"))["review"]
        assert told["unreviewed_regions"] == left and len(told["warnings"]) == 2
    assert [r["reviewed"] for r in rows(tmp_path / "scan_regions.csv")] == ["no"] * left
    for item in content.structures:
        header = (tmp_path / f"scan_{item.structure.id}.stl").read_bytes()[:80].decode()
        assert f"UNREVIEWED={item.unreviewed}/{item.regions}" in header


def test_tables_have_their_header_even_without_rows(a_case: Case, tmp_path: Path) -> None:
    exported(a_case, tmp_path, "csv", budget=0.0)
    with (tmp_path / "scan_regions.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [list(REGION_COLUMNS)]
    with (tmp_path / "scan_decisions.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [list(DECISION_COLUMNS)]


def test_the_columns_are_those_of_the_rows(a_case: Case, tmp_path: Path) -> None:
    region = content_of(a_case, BUDGET).regions[0].region
    decide(a_case, ANN, lambda d: d.alternative(region, "drop", filled(a_case, region, 0)))
    decide(a_case, BEN, lambda d: d.reassign(region, "extent"))
    decide(a_case, BEN, lambda d: d.skip(region, "lunch"))
    exported(a_case, tmp_path, "json", "csv")
    told = json.loads((tmp_path / "scan_review.json").read_text(encoding="utf-8"))
    assert list(told["regions"][0]) == [c for c in REGION_COLUMNS if c != "case_id"]
    assert {key for row in told["decisions"] for key in row} <= set(DECISION_COLUMNS)
    alternative, handed_on, skipped = rows(tmp_path / "scan_decisions.csv")
    assert (alternative["alternative"], handed_on["to"], skipped["reason"]) == ("drop", "extent", "lunch")
    assert len({row["case_id"] for row in (alternative, handed_on, skipped)}) == 1
    assert all(len(row["sha256"]) == 64 for row in (alternative, handed_on, skipped))


def test_no_cell_is_a_formula_for_a_spreadsheet(
    case_on: Callable[..., Case], an_oblique_grid: Geometry, tmp_path: Path
) -> None:
    names = ["=HYPERLINK(1)", "ordinary, with a comma and „quotes“"]
    case = case_on(an_oblique_grid, "evil", structures=make_structures((n, None) for n in names))
    exported(case, tmp_path, "csv")
    found = {r["structure_name"] for r in rows(tmp_path / "scan_regions.csv")}
    assert found == {"'=HYPERLINK(1)", names[1]}


def test_a_changed_journal_is_not_exported(a_case: Case, tmp_path: Path) -> None:
    region = content_of(a_case, BUDGET).regions[0].region
    decide(a_case, ANN, lambda d: d.skip(region))
    (journal,) = (a_case.folder / "review").glob("*.jsonl")
    journal.write_bytes(journal.read_bytes().replace(b'"skip"', b'"fool"'))
    with pytest.raises(DamagedCaseError, match="line 1"):
        content_of(a_case, BUDGET)
