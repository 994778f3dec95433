"""`check_case` proves that a review is whole: chain, statistics, limits, and the corrected segmentation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from DeferredSegSlicerLib.core.case import Case, check_case
from DeferredSegSlicerLib.core.nrrd import write_nrrd
from DeferredSegSlicerLib.core.nrrd_header import read_nrrd_header
from DeferredSegSlicerLib.core.review import Limit, ReviewSession, read_corrected, read_review

Opener = Callable[..., ReviewSession]


@pytest.fixture
def a_reviewed_case(a_review_case: Case, open_session: Opener) -> Case:
    """Two readers' decisions, saved."""
    first, second = open_session("edge"), open_session("inside")
    labels = first.labels.copy()
    labels.reshape(-1)[first.current.region.indices] = 2
    first.edit(labels, limit=Limit(1.0))
    first.next()
    first.accept()
    second.skip()
    second.save()
    first.close()
    second.close()
    return a_review_case


def findings(case: Case, severity: str) -> list[str]:
    found = check_case(case.folder)
    return [f.sentence for f in found if f.severity == severity]


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the first line of a journal as broken software would: with right checksums, to the end of the chain."""
    lines: list[bytes] = []
    for raw in path.read_bytes().splitlines():
        plain = json.loads(raw)
        del plain["sha"]
        if lines:
            plain["prev"] = json.loads(lines[-1])["sha"]
        else:
            change(plain)
        body = json.dumps(plain, separators=(",", ":")).encode()
        lines.append(body[:-1] + b',"sha":"' + hashlib.sha256(body).hexdigest().encode() + b'"}\n')
    path.write_bytes(b"".join(lines))
    path.with_suffix(".json").unlink()


def test_a_whole_review_has_no_findings(a_reviewed_case: Case) -> None:
    assert check_case(a_reviewed_case.folder) == []


def test_statistics_that_are_not_those_of_the_voxels_are_found(a_reviewed_case: Case) -> None:
    path = a_reviewed_case.folder / "review" / "edge.jsonl"
    rewrite(path, lambda plain: plain.update(changed=plain["changed"] + 1))
    assert f'journal "{path}" line 1 has other statistics than its voxels' in findings(a_reviewed_case, "damage")
    rewrite_ml = {"liver": 0.0, "tumor": 99.0}
    path.with_suffix(".json").write_text("{}")
    rewrite(path, lambda plain: plain.update(changed=plain["changed"] - 1, after_ml=rewrite_ml))
    assert f'journal "{path}" line 1 has other statistics than its voxels' in findings(a_reviewed_case, "damage")


def test_an_edit_beyond_its_limit_is_found(a_reviewed_case: Case) -> None:
    path = a_reviewed_case.folder / "review" / "edge.jsonl"

    def reach_out(plain: dict[str, Any]) -> None:
        plain["after"] = [0, 1, 1, plain["after"][0] - 1, *plain["after"][1:]]

    rewrite(path, reach_out)
    found = findings(a_reviewed_case, "damage")
    assert any("line 1 cannot be: the edit changes 1 voxels more than 1 mm from the region" in s for s in found)


def test_voxels_without_a_label_and_an_unknown_expert_are_found(a_reviewed_case: Case) -> None:
    path = a_reviewed_case.folder / "review" / "edge.jsonl"
    rewrite(path, lambda plain: plain.update(after=plain["after"][:3]))
    assert any("leaves voxels of its region without a label" in s for s in findings(a_reviewed_case, "damage"))


def test_corrected_labels_that_were_changed_are_found(a_reviewed_case: Case) -> None:
    path = a_reviewed_case.folder / "review" / "corrected.seg.nrrd"
    labels, metadata = read_corrected(a_reviewed_case)[0], read_nrrd_header(path).metadata
    labels[0, 0, :3] = 1
    write_nrrd(path, labels, a_reviewed_case.geometry, metadata)
    assert any("was changed in 3 voxels; it can be made anew" in s for s in findings(a_reviewed_case, "damage"))
    path.write_bytes(path.read_bytes()[:-5])
    assert any("corrected.seg.nrrd" in s and "made anew" in s for s in findings(a_reviewed_case, "damage"))
    path.unlink()
    assert check_case(a_reviewed_case.folder) == []


def test_corrected_labels_of_another_case_or_program_are_found(a_reviewed_case: Case) -> None:
    path = a_reviewed_case.folder / "review" / "corrected.seg.nrrd"
    path.write_bytes((a_reviewed_case.folder / "segmentation.seg.nrrd").read_bytes())
    assert any("is of another case" in s for s in findings(a_reviewed_case, "damage"))


def test_older_corrected_labels_are_noted(a_reviewed_case: Case, open_session: Opener) -> None:
    with open_session("edge") as session:
        session.undo()
    assert findings(a_reviewed_case, "damage") == []
    assert any("is older than the journals" in s for s in findings(a_reviewed_case, "note"))


def test_a_journal_that_lost_lines_and_its_bookmark_is_found_by_the_corrected_labels(a_reviewed_case: Case) -> None:
    path = a_reviewed_case.folder / "review" / "edge.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    path.with_suffix(".json").unlink()
    lost = 'review/corrected.seg.nrrd has line 2 of reader "edge", which the journals lack'
    assert findings(a_reviewed_case, "damage") == [lost]


def test_one_damaged_journal_does_not_hide_another(a_reviewed_case: Case) -> None:
    for name in ("edge", "inside"):
        path = a_reviewed_case.folder / "review" / f"{name}.jsonl"
        path.write_bytes(path.read_bytes().replace(b'"n":1', b'"n":7', 1))
    found = findings(a_reviewed_case, "damage")
    assert len(found) == 2 and all(
        f'{name}.jsonl" line 1' in s for name, s in zip(("edge", "inside"), found, strict=True)
    )


def test_lines_are_checked_also_if_the_labels_are_damaged(a_reviewed_case: Case) -> None:
    labels = a_reviewed_case.folder / "segmentation.seg.nrrd"
    content = bytearray(labels.read_bytes())
    content[-9] ^= 1
    labels.write_bytes(content)
    path = a_reviewed_case.folder / "review" / "edge.jsonl"
    path.write_bytes(path.read_bytes().replace(b"edit", b"edIt", 1))
    found = findings(a_reviewed_case, "damage")
    assert len(found) == 2 and "segmentation.seg.nrrd" in found[0] and "line 1 was changed" in found[1]


def test_an_answered_line_that_is_not_there_is_noted(a_review_case: Case, open_session: Opener) -> None:
    first, second = open_session("edge"), open_session("inside")
    first.reassign("inside")
    second.refresh()
    second.accept()
    first.close()
    for name in ("edge.jsonl", "edge.json"):
        (a_review_case.folder / "review" / name).unlink()
    assert findings(a_review_case, "damage") == []
    (note,) = findings(a_review_case, "note")
    assert note == 'line 1 of reader "inside" answers line 1 of reader "edge", which is not in the case'
    assert read_review(a_review_case).judged().any()


def test_foreign_files_beside_the_journals_are_noted(a_reviewed_case: Case) -> None:
    review = a_reviewed_case.folder / "review"
    (review / "notes.txt").write_text("mine")
    (review / "edge.line3-abc.cut").write_text("{")
    found = findings(a_reviewed_case, "note")
    assert [("cut off" in s, "notes.txt is not part of a review" in s) for s in found] == [(True, False), (False, True)]


def test_the_voxels_of_a_line_are_those_of_the_region(a_reviewed_case: Case) -> None:
    (edit, accept) = read_review(a_reviewed_case).of("edge").active
    assert (
        edit.decision.region.id.split(":")[2]
        == (hashlib.sha256(edit.decision.voxels.indices.astype("<i8").tobytes()).hexdigest()[:12])
    )
    assert not np.isin(edit.decision.indices, accept.decision.indices).any()
