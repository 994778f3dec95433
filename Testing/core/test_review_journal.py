"""Journals: what is decided is on disk, in order, and nothing that was changed is believed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from DeferredSegSlicerLib.core.case import Case, check_case, open_case
from DeferredSegSlicerLib.core.errors import BadInputError, DamagedCaseError
from DeferredSegSlicerLib.core.review import (
    Accept,
    Alternative,
    AnyDecision,
    Edit,
    Effort,
    Journal,
    Limit,
    NotSavedError,
    Reader,
    Reassign,
    RegionRef,
    Skip,
    Undo,
    journal,
    read_journal,
    read_review,
)
from DeferredSegSlicerLib.core.review.deciding import Deciding
from DeferredSegSlicerLib.core.review.names import bookmark_file, journal_file, stem_of
from DeferredSegSlicerLib.core.review.runs import LabelRuns
from DeferredSegSlicerLib.core.worklist import Worklist

EDGE = Reader("edge", "Dr. Edge", "radiologist")


@pytest.fixture
def decisions(a_review_case: Case, a_worklist: Worklist) -> list[AnyDecision]:
    """One decision of each kind but undoing, on regions of their own."""
    regions = list(a_worklist.regions(0.2))
    making = Deciding(read_review(a_review_case), EDGE, 0.2, Effort(12.5, 3.0), "größer als gedacht")
    labels = [LabelRuns.of(r.indices, np.full(r.voxels, 2, np.uint8)) for r in regions]
    return [
        making.accept(regions[0]),
        making.edit(regions[1], labels[1]),
        making.alternative(regions[2], "fill", labels[2]),
        making.reassign(regions[3], "inside"),
        making.skip(regions[4], "no contrast phase"),
    ]


@pytest.fixture
def a_journal(a_review_case: Case, decisions: list[AnyDecision]) -> Path:
    """The closed journal of five decisions and an undoing."""
    with Journal.open(a_review_case, EDGE) as book:
        entries = [book.append(d) for d in decisions]
        book.append(Undo(line=entries[1].ref))
        return book.path


def refused(path: Path, case: Case) -> str:
    """The one sentence with which a journal is refused by every way to it; nothing is written."""
    before = {p: p.read_bytes() for p in path.parent.iterdir() if p.is_file()}
    with pytest.raises(DamagedCaseError) as error:
        read_journal(path, case)
    for attempt in (lambda: Journal.open(case, EDGE), lambda: read_review(case)):
        with pytest.raises(DamagedCaseError) as again:
            attempt()
        assert again.value.sentence == error.value.sentence
    assert error.value.sentence in [f.sentence for f in check_case(case.folder) if f.is_damage]
    left = read_review(case, leave_out_damaged=True)
    assert left.left_out == {path.name: error.value.sentence} and left.readers == ()
    assert {p: p.read_bytes() for p in path.parent.iterdir() if p.is_file()} == before
    assert error.value.exit_code == 4 and str(path) in error.value.sentence
    return error.value.sentence


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def sealed(body: bytes) -> bytes:
    """A line whose checksum is right, whatever it says."""
    return body[:-1] + b',"sha":"' + hashlib.sha256(body).hexdigest().encode() + b'"}\n'


def rewritten(path: Path, number: int, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a line of a journal and give it, and those after it, checksums that are right again."""
    lines = []
    for n, raw in enumerate(lines_of(path), start=1):
        plain = json.loads(raw)
        sha = plain.pop("sha")
        if n == number:
            change(plain)
        if lines:
            plain["prev"] = json.loads(lines[-1])["sha"] if n != number else plain["prev"]
        lines.append(sealed(json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()))
        assert n != 1 or number == 1 or lines[0] == raw, sha
    path.write_bytes(b"".join(lines))
    bookmark_file(path).unlink(missing_ok=True)


def test_every_decision_comes_back_as_it_was_made(
    a_review_case: Case, a_journal: Path, decisions: list[AnyDecision]
) -> None:
    entries = read_journal(a_journal, a_review_case)
    assert [e.decision for e in entries[:5]] == decisions
    assert [type(e.decision) for e in entries] == [Accept, Edit, Alternative, Reassign, Skip, Undo]
    assert entries[5].decision == Undo(line=entries[1].ref)
    assert [e.n for e in entries] == [1, 2, 3, 4, 5, 6]
    assert all(e.reader == EDGE and e.software["deferredseg"] and e.bundle["id"] == "test-net" for e in entries)
    assert check_case(a_review_case.folder) == []


def test_a_line_can_be_checked_with_nothing_but_a_sha256(a_review_case: Case, a_journal: Path) -> None:
    record = json.loads((a_review_case.folder / "case.json").read_text(encoding="utf-8"))
    root = ["deferredseg review 1", record["id"], record["image"]["sha256"]]
    root += [record["files"]["segmentation.seg.nrrd"]["sha256"], "edge"]
    previous = hashlib.sha256("\n".join(root).encode()).hexdigest()
    for raw in lines_of(a_journal):
        plain = json.loads(raw)
        body = raw.removesuffix(f',"sha":"{plain["sha"]}"}}\n'.encode()) + b"}"
        assert hashlib.sha256(body).hexdigest() == plain["sha"] and plain["prev"] == previous
        previous = plain["sha"]


def test_a_line_stands_alone_with_voxels_labels_and_statistics(a_review_case: Case, a_journal: Path) -> None:
    plain = json.loads(lines_of(a_journal)[1])
    voxels, end = [], 0
    for gap, length in zip(plain["voxels"][::2], plain["voxels"][1::2], strict=True):
        voxels += range(end + gap, end + gap + length)
        end += gap + length
    model = a_review_case.label().reshape(-1)[voxels]
    assert plain["region"]["id"].startswith(f"{plain['region']['structure']}:{plain['region']['expert']}:")
    assert plain["after"][2::3] == [2] * (len(plain["after"]) // 3)
    ml = a_review_case.geometry.voxel_ml
    assert plain["changed"] == np.count_nonzero(model != 2)
    assert plain["before_ml"] == pytest.approx({"liver": (model == 1).sum() * ml, "tumor": (model == 2).sum() * ml})
    assert plain["after_ml"] == pytest.approx({"liver": 0, "tumor": len(voxels) * ml})
    assert plain["seconds"] == {"looked": 12.5, "edited": 3.0} and plain["note"] == "größer als gedacht"
    assert plain["limit"] == {"margin_mm": 5.0, "lifted": False} and plain["case"] == a_review_case.id


def test_a_decision_is_synced_to_disk_before_append_returns(
    a_review_case: Case, decisions: list[AnyDecision], monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[bool, int]] = []
    fsync = os.fsync

    def seen(descriptor: int) -> None:
        place = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        synced.append((place.is_dir(), place.stat().st_size if place.suffix == ".jsonl" else 0))
        fsync(descriptor)

    with Journal.open(a_review_case, EDGE) as book:
        monkeypatch.setattr(os, "fsync", seen)
        book.append(decisions[0])
        assert synced == [(False, book.path.stat().st_size), (True, 0)]  # the file, then the folder it is new in
        book.append(decisions[1])
        assert synced[2:] == [(False, book.path.stat().st_size)]


@pytest.mark.parametrize("number", [1, 3, 6])
@pytest.mark.parametrize("where", [0.01, 0.4, 0.7, -1])
def test_a_changed_line_is_refused_with_its_number(
    a_review_case: Case, a_journal: Path, number: int, where: float
) -> None:
    lines = [bytearray(line) for line in lines_of(a_journal)]
    position = int(where * len(lines[number - 1])) if where > 0 else -3
    lines[number - 1][position] ^= 1
    a_journal.write_bytes(b"".join(lines))
    assert f"line {number} " in refused(a_journal, a_review_case)


def test_reordered_lines_are_refused(a_review_case: Case, a_journal: Path) -> None:
    lines = lines_of(a_journal)
    lines[2], lines[3] = lines[3], lines[2]
    a_journal.write_bytes(b"".join(lines))
    assert "line 3 has number 4: lines were taken out, put in or reordered" in refused(a_journal, a_review_case)


def test_a_line_that_was_taken_out_or_doubled_is_refused(a_review_case: Case, a_journal: Path) -> None:
    lines = lines_of(a_journal)
    a_journal.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert "line 3 has number 4" in refused(a_journal, a_review_case)
    a_journal.write_bytes(b"".join([*lines[:3], lines[2], *lines[3:]]))
    assert "line 4 has number 3" in refused(a_journal, a_review_case)


def test_lost_lines_at_the_end_are_missed(a_review_case: Case, a_journal: Path) -> None:
    lines = lines_of(a_journal)
    a_journal.write_bytes(b"".join(lines[:4]))
    assert 'has lost line 5 to 6, which "edge.json" knows' in refused(a_journal, a_review_case)
    a_journal.unlink()
    with pytest.raises(DamagedCaseError, match="has lost line 1 to 6"):
        Journal.open(a_review_case, EDGE)
    a_journal.write_bytes(b"".join(lines[:4]))
    bookmark_file(a_journal).unlink()
    assert len(read_journal(a_journal, a_review_case)) == 4


def test_a_line_forged_with_a_right_checksum_breaks_the_chain(a_review_case: Case, a_journal: Path) -> None:
    lines = lines_of(a_journal)
    plain = json.loads(lines[2])
    del plain["sha"]
    plain["note"] = "forged"
    lines[2] = sealed(json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode())
    a_journal.write_bytes(b"".join(lines))
    assert "line 4 does not follow the line before it" in refused(a_journal, a_review_case)


def test_another_readers_line_is_refused(a_review_case: Case, a_journal: Path, a_worklist: Worklist) -> None:
    with Journal.open(a_review_case, Reader("inside")) as other:
        region = a_worklist.regions(0.2)[5]
        other.append(Deciding(read_review(a_review_case), Reader("inside"), 0.2).accept(region))
    foreign = lines_of(other.path)[0]
    other.path.unlink()
    bookmark_file(other.path).unlink()
    a_journal.write_bytes(a_journal.read_bytes() + foreign)
    assert 'line 7 is of another reader, "inside"' in refused(a_journal, a_review_case)


def test_a_journal_under_another_readers_name_is_refused(a_review_case: Case, a_journal: Path) -> None:
    renamed = a_journal.rename(a_journal.with_name("outside.jsonl"))
    with pytest.raises(DamagedCaseError, match='line 1 is of another reader, "edge"'):
        read_journal(renamed, a_review_case)
    with pytest.raises(DamagedCaseError, match='line 1 is of another reader, "edge"'):
        Journal.open(a_review_case, Reader("outside"))


def test_another_cases_journal_is_refused(
    tmp_path: Path, write_review_case: Callable[..., Case], a_review_case: Case, a_journal: Path
) -> None:
    """The same size, another patient."""
    other = write_review_case(tmp_path / "other", seed=1)
    assert other.geometry == a_review_case.geometry
    shutil.copytree(a_journal.parent, other.folder / "review")
    assert "line 1 is of another case" in refused(other.folder / "review" / "edge.jsonl", other)


def test_a_journal_of_another_scan_or_other_labels_is_refused_under_the_same_case_id(
    tmp_path: Path, write_review_case: Callable[..., Case], a_review_case: Case, a_journal: Path
) -> None:
    other = write_review_case(tmp_path / "other", seed=1)
    shutil.copytree(a_journal.parent, other.folder / "review")
    record = json.loads((other.folder / "case.json").read_text(encoding="utf-8"))
    record["id"] = a_review_case.id
    (other.folder / "case.json").write_text(json.dumps(record), encoding="utf-8")
    sentence = refused(other.folder / "review" / "edge.jsonl", open_case(other.folder))
    assert "line 1 does not follow this case's scan and labels" in sentence


def test_a_newer_schema_is_refused(a_review_case: Case, a_journal: Path) -> None:
    rewritten(a_journal, 2, lambda plain: plain.update(schema=2))
    assert "line 2 has schema 2, this software reads 1" in refused(a_journal, a_review_case)


@pytest.mark.parametrize(
    ("number", "change", "reason"),
    [
        (1, {"voxels": []}, "runs are not"),
        (1, {"voxels": [0, 6000]}, "0 to 5760"),
        (1, {"voxels": [5000, 5000]}, "reach beyond"),
        (1, {"voxels": [3, 0]}, "no voxels"),
        (1, {"voxels": [3, 1, 0, 4]}, "touch"),
        (1, {"voxels": [3, 1, True, 4]}, "whole numbers"),
        (1, {"voxels": [3.0, 1]}, "whole numbers"),
        (1, {"voxels": [10**30, 1]}, "whole numbers"),
        (1, {"voxels": "all"}, "runs are not"),
        (2, {"after": [5, 10, 3]}, "label 3 is of no structure"),
        (2, {"after": [5, 10]}, "list of 3"),
        (2, {"limit": {"margin_mm": -1, "lifted": False}}, "margin"),
        (2, {"limit": {"margin_mm": 1, "lifted": 1}}, "lifted"),
        (2, {"limit": {}, "extra": 1}, '"extra" is not known'),
        (1, {"decision": "erase"}, "not known"),
        (1, {"region": {"structure": "spleen", "expert": "edge", "budget": 0.2, "id": "x"}}, "spleen"),
        (1, {"region": {"structure": "liver", "expert": "edge", "budget": 7, "id": "x"}}, "budget"),
        (1, {"changed": -1}, "whole number"),
        (1, {"before_ml": {"liver": 1}}, "ml"),
        (1, {"time": "2024-05-01T10:00:00"}, "offset"),
        (1, {"time": "yesterday"}, "yesterday"),
        (1, {"seconds": {"looked": -1, "edited": 0}}, "seconds"),
        (1, {"answers": [{"reader": "inside", "n": 1, "sha": "x"}]}, "sha256"),
        (1, {"note": None}, "note"),
        (1, {"software": {"python": 3}}, "versions"),
        (6, {"undo": {"n": 9, "sha": "0" * 64}}, "undoes line 9"),
    ],
)
def test_a_line_that_cannot_be_is_refused_even_if_it_is_sealed(
    a_review_case: Case, a_journal: Path, number: int, change: dict[str, Any], reason: str
) -> None:
    rewritten(a_journal, number, lambda plain: plain.update(change))
    sentence = refused(a_journal, a_review_case)
    assert f"line {number} " in sentence and reason in sentence


@pytest.mark.parametrize("part", [0.02, 0.5, 0.99])
def test_a_cut_last_line_is_kept_aside_and_the_journal_goes_on(
    a_review_case: Case, a_journal: Path, decisions: list[AnyDecision], part: float
) -> None:
    lines = lines_of(a_journal)
    bookmark_file(a_journal).unlink()
    rest = lines[5][: max(1, int(part * len(lines[5])))]
    a_journal.write_bytes(b"".join(lines[:5]) + rest)
    assert len(read_journal(a_journal, a_review_case)) == 5
    found = check_case(a_review_case.folder)
    assert [f.severity for f in found] == ["note"] and "line 6 was cut off" in found[0].sentence
    with Journal.open(a_review_case, EDGE) as book:
        assert book.set_aside is not None and book.set_aside.read_bytes() == rest
        assert a_journal.read_bytes() == b"".join(lines[:5])
        entry = book.append(decisions[0])
    assert read_journal(a_journal, a_review_case)[-1] == entry and entry.n == 6
    assert [f.severity for f in check_case(a_review_case.folder)] == ["note"]


def test_a_last_line_that_lacks_only_its_end_is_kept(a_review_case: Case, a_journal: Path) -> None:
    whole = a_journal.read_bytes()
    a_journal.write_bytes(whole[:-1])
    assert len(read_journal(a_journal, a_review_case)) == 6
    with Journal.open(a_review_case, EDGE) as book:
        assert len(book.entries) == 6 and book.set_aside is None
    assert a_journal.read_bytes() == whole


@pytest.mark.parametrize("tail", [b"\0" * 900, b"\0" * 900 + b"\n", b'{"schema"' + b"\0" * 700 + b'"}\n'])
def test_zeros_that_a_power_cut_left_are_kept_aside(a_review_case: Case, a_journal: Path, tail: bytes) -> None:
    whole = a_journal.read_bytes()
    a_journal.write_bytes(whole + tail)
    assert len(read_journal(a_journal, a_review_case)) == 6
    with Journal.open(a_review_case, EDGE) as book:
        assert book.set_aside is not None and book.set_aside.read_bytes() == tail
    assert a_journal.read_bytes() == whole


def test_garbage_with_a_line_end_is_no_crash_but_a_change(a_review_case: Case, a_journal: Path) -> None:
    a_journal.write_bytes(a_journal.read_bytes() + b'{"schema":1}\n')
    assert "line 7 was changed" in refused(a_journal, a_review_case)


def test_two_programs_cannot_open_one_readers_journal(
    a_review_case: Case, a_journal: Path, decisions: list[AnyDecision]
) -> None:
    with Journal.open(a_review_case, EDGE) as first:
        with pytest.raises(BadInputError, match=r'by "Dr\. Edge" is opened elsewhere; close it there first'):
            Journal.open(a_review_case, EDGE)
        with Journal.open(a_review_case, Reader("inside")):
            first.append(decisions[0])
    with Journal.open(a_review_case, EDGE) as second:
        assert len(second.entries) == 7


def test_another_process_holds_the_lock_and_its_death_frees_it(a_review_case: Case, a_journal: Path) -> None:
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        held = Journal.open(a_review_case, EDGE)
        os.write(writing, held.path.name.encode())
        time.sleep(60)
        os._exit(1)
    assert os.read(reading, 100) == b"edge.jsonl"
    try:
        with pytest.raises(BadInputError, match="opened elsewhere"):
            Journal.open(a_review_case, EDGE)
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    Journal.open(a_review_case, EDGE).close()


def test_a_foreign_line_on_a_disk_without_locks_is_noticed_before_writing(
    a_review_case: Case, a_journal: Path, decisions: list[AnyDecision], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(_: object) -> None:
        raise OSError(errno.ENOTSUP, "no locks here")

    monkeypatch.setattr("DeferredSegSlicerLib.core.review.locks._lock", no_locks)
    first, second = Journal.open(a_review_case, EDGE), Journal.open(a_review_case, EDGE)
    with first, second:
        there = first.append(decisions[0])
        before = a_journal.read_bytes()
        with pytest.raises(NotSavedError, match="opened elsewhere and was written to there; open it again"):
            second.append(decisions[1])
        assert a_journal.read_bytes() == before
    with Journal.open(a_review_case, EDGE) as again:
        assert again.entries[-1] == there
        again.append(decisions[1])
    assert len(read_journal(a_journal, a_review_case)) == 8


def test_a_journal_that_was_replaced_by_one_as_long_is_noticed(
    a_review_case: Case, a_journal: Path, decisions: list[AnyDecision]
) -> None:
    with Journal.open(a_review_case, EDGE) as book:
        content = bytearray(a_journal.read_bytes())
        content[-10] ^= 1
        a_journal.write_bytes(content)
        with pytest.raises(NotSavedError, match="written to there"):
            book.append(decisions[0])
        assert a_journal.read_bytes() == bytes(content)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("where", ["write", "fsync"])
def test_a_full_disk_is_named_and_the_journal_stays_whole(
    a_review_case: Case,
    a_journal: Path,
    decisions: list[AnyDecision],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    where: str,
) -> None:
    before = a_journal.read_bytes()
    write = os.write

    def half(descriptor: int, data: memoryview) -> int:
        if len(data) > 100:
            return write(descriptor, data[: len(data) // 2])
        raise OSError(number, os.strerror(number))

    calls: list[int] = []

    def first_fails(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            raise OSError(number, os.strerror(number))

    with Journal.open(a_review_case, EDGE) as book:
        with monkeypatch.context() as broken:
            broken.setattr(journal.os, where, half if where == "write" else first_fails)
            with pytest.raises(NotSavedError, match=r'edge\.jsonl" cannot be written: '):
                book.append(decisions[0])
        assert a_journal.read_bytes() == before
        entry = book.append(decisions[0])
    assert read_journal(a_journal, a_review_case)[-1] == entry


def test_what_cannot_even_be_taken_back_is_taken_back_with_the_next_line(
    a_review_case: Case, a_journal: Path, decisions: list[AnyDecision], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = a_journal.read_bytes()
    write = os.write

    def half(descriptor: int, data: memoryview) -> int:
        if len(data) > 100:
            return write(descriptor, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "full")

    def stuck(*_: object) -> None:
        raise OSError(errno.EIO, "stuck")

    with Journal.open(a_review_case, EDGE) as book:
        with monkeypatch.context() as broken:
            broken.setattr(journal.os, "write", half)
            broken.setattr(journal.os, "ftruncate", stuck)
            with pytest.raises(NotSavedError, match="the disk is full"):
                book.append(decisions[0])
        assert len(a_journal.read_bytes()) > len(before)
        book.append(decisions[1])
    assert len(read_journal(a_journal, a_review_case)) == 7 and a_journal.read_bytes().startswith(before)


def test_a_real_limit_of_the_system_leaves_the_journal_whole(
    a_review_case: Case, a_journal: Path, decisions: list[AnyDecision]
) -> None:
    size = a_journal.stat().st_size
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 300, size + 300))
            with Journal.open(a_review_case, EDGE) as book:
                book.append(decisions[0])
        except NotSavedError as error:
            os.write(writing, error.sentence.encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(process, 0)
    assert b"larger than the system allows" in os.read(reading, 1 << 12)
    assert a_journal.stat().st_size == size and len(read_journal(a_journal, a_review_case)) == 6


@pytest.fixture
def a_place_that_is_read_only(write_review_case: Callable[..., Case]) -> Iterator[Case]:
    """A case whose folder nobody but root may write to, in a folder that everybody may enter."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    case = write_review_case(place / "case")
    case.folder.chmod(0o555)
    yield case
    case.folder.chmod(0o755)
    shutil.rmtree(place)


def test_a_read_only_folder_is_named_and_can_be_read(
    a_place_that_is_read_only: Case, open_session: Callable[..., Any], a_worklist: Worklist
) -> None:
    case = a_place_that_is_read_only
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            if os.geteuid() == 0:
                os.seteuid(65534)
            assert read_review(case).entries == ()
            Journal.open(case, EDGE)
        except BadInputError as error:
            os.write(writing, error.sentence.encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(process, 0)
    told = os.read(reading, 1 << 12).decode()
    assert "cannot be written: there is no permission to write there" in told and str(case.folder) in told


def test_the_order_is_that_of_the_lines_when_the_clock_goes_backwards(
    a_review_case: Case, decisions: list[AnyDecision], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter(["2024-10-27T02:59:59+00:00", "1970-01-01T00:00:00+00:00", "2024-10-27T02:00:00+00:00"])

    class Clock:
        @staticmethod
        def now(_: object) -> Any:
            return type("Now", (), {"isoformat": staticmethod(lambda timespec: next(times))})

    monkeypatch.setattr(journal, "datetime", Clock)
    region = decisions[1].region
    with Journal.open(a_review_case, EDGE) as book:
        book.append(decisions[1])
        book.append(Accept(region=region, voxels=decisions[1].voxels, statistics=decisions[1].statistics))
        with pytest.raises(StopIteration):
            [book.append(decisions[2]) for _ in range(2)]
    entries = read_journal(book.path, a_review_case)
    assert [e.time[:4] for e in entries] == ["2024", "1970", "2024"]
    state = read_review(a_review_case)
    indices = decisions[1].voxels.indices
    assert np.array_equal(state.corrected().reshape(-1)[indices], a_review_case.label().reshape(-1)[indices])


NAMES = [
    "../../etc/passwd",
    "/root/x",
    "Dr. Müller-Lüdenscheidt",
    "放射線科医 山田",
    "con",
    "LPT1",
    "a" * 900,
    "..",
    ".",
    "x\0y",
    "C:\\Users\\x",
    "edge ",
    "Edge",
    "EDGE",
    "e\u0301dge",
    "line\nbreak",
    "review.jsonl",
    "edge-0123456789ab",
    "🩻",
    "<>|?*",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_becomes_a_plain_file_of_its_own_and_stays_in_the_lines(
    a_review_case: Case, a_worklist: Worklist, name: str
) -> None:
    reader = Reader(name, name)
    before = {p for p in a_review_case.folder.parent.rglob("*") if p.name != "review"}
    with Journal.open(a_review_case, reader) as book:
        book.append(Deciding(read_review(a_review_case), reader, 0.2).accept(a_worklist.regions(0.2)[0]))
    assert book.path.parent == a_review_case.folder / "review"
    stem = book.path.stem
    assert stem.isascii() and len(stem) <= 48 and stem == stem.lower() and stem.strip(".") == stem
    assert not set(stem) & set('/\\:<>|?*" \0\n') and stem.split(".")[0] not in ("con", "nul", "lpt1")
    made = {p for p in a_review_case.folder.parent.rglob("*")} - before - {book.path.parent}
    assert made == {book.path, bookmark_file(book.path), book.path.with_name(f".{stem}.lock")}
    (entry,) = read_journal(book.path, a_review_case)
    assert entry.reader.name == name and entry.reader.id == Reader(name).id
    assert read_review(a_review_case).readers == (reader,)
    assert check_case(a_review_case.folder) == []


def test_no_two_names_share_a_file() -> None:
    readers = {Reader(name).id for name in NAMES}
    stems = {stem_of(Reader(name)).casefold() for name in NAMES}
    assert len(stems) == len(readers) == len(NAMES) - 0
    assert stem_of(Reader("edge")) == "edge" == stem_of(Reader(" edge "))
    assert stem_of(Reader("\u00e9dge")) == stem_of(Reader("e\u0301dge"))  # one name, typed in two ways


@pytest.mark.parametrize("name", ["", "   ", "\ud800", "x" * 1001, None, 5])
def test_a_name_that_is_none_is_refused(name: Any) -> None:
    with pytest.raises(BadInputError, match="reader"):
        Reader(name)


def test_very_long_and_foreign_paths(
    tmp_path: Path, write_review_case: Callable[..., Case], a_worklist: Worklist
) -> None:
    folder = tmp_path
    while len(os.fsencode(folder)) < 3400:
        folder = folder / ("Ärztin 医師 " * 8)
    folder.mkdir(parents=True)
    case = write_review_case(folder / "Fall")
    with Journal.open(case, Reader("放射線科")) as book:
        book.append(Deciding(read_review(case), Reader("放射線科"), 0.1).accept(a_worklist.regions(0.1)[0]))
    assert len(read_journal(book.path, open_case(case.folder))) == 1 and check_case(case.folder) == []


def test_links_in_place_of_review_or_journal_are_refused(tmp_path: Path, a_review_case: Case, a_journal: Path) -> None:
    elsewhere = shutil.copytree(a_journal.parent, tmp_path / "elsewhere")
    shutil.rmtree(a_journal.parent)
    a_journal.parent.symlink_to(elsewhere)
    with pytest.raises(DamagedCaseError, match="is a link"):
        Journal.open(a_review_case, EDGE)
    assert any("review is a link" in f.sentence for f in check_case(a_review_case.folder) if f.is_damage)
    a_journal.parent.unlink()
    a_journal.parent.mkdir()
    a_journal.symlink_to(elsewhere / "edge.jsonl")
    assert "is a link, expected a file inside the case" in refused(a_journal, a_review_case)


def test_a_review_in_which_nothing_is_decided_leaves_no_trace(a_review_case: Case) -> None:
    with Journal.open(a_review_case, EDGE) as book:
        book.keep_place({"region": "x"})
        assert journal_file(a_review_case.folder, EDGE).parent.is_dir()
    assert not (a_review_case.folder / "review").exists()


def test_a_closed_journal_takes_nothing(a_review_case: Case, decisions: list[AnyDecision]) -> None:
    book = Journal.open(a_review_case, EDGE)
    book.close()
    book.close()
    with pytest.raises(BadInputError, match="the journal is closed"):
        book.append(decisions[0])


def test_a_damaged_bookmark_costs_no_decision(a_review_case: Case, a_journal: Path) -> None:
    for content in (b"", b"[", b"[]", b'{"lines": -1, "head": "", "place": {}}', b"\xff\xfe", b'{"lines": 1}'):
        bookmark_file(a_journal).write_bytes(content)
        with Journal.open(a_review_case, EDGE) as book:
            assert len(book.entries) == 6 and book.place == {}


def test_only_own_decisions_that_hold_can_be_undone(
    a_review_case: Case, a_journal: Path, decisions: list[AnyDecision]
) -> None:
    with Journal.open(a_review_case, EDGE) as book:
        first, second, undone = book.entries[0], book.entries[1], book.entries[5]
        for line in (second.ref, undone.ref, type(first.ref)("inside", 1, "0" * 64), type(first.ref)("edge", 99, "")):
            with pytest.raises(BadInputError, match="no decision that holds"):
                book.append(Undo(line=line))
        book.append(Undo(line=first.ref))
    assert len(read_review(a_review_case).active) == 3


def test_decisions_of_another_case_are_not_written(a_review_case: Case, decisions: list[AnyDecision]) -> None:
    from dataclasses import replace

    accept, edit, _, reassign, _ = decisions
    with Journal.open(a_review_case, EDGE) as book:
        for wrong, reason in (
            (replace(accept, region=RegionRef("spleen", "edge", 0.2, "x")), "spleen"),
            (replace(accept, region=replace(accept.region, budget=2.0)), "budget"),
            (replace(reassign, to="somebody"), "no expert has the id"),
            (replace(edit, after=LabelRuns.of(np.array([6000]), np.array([1], np.uint8))), "outside the volume"),
            (replace(edit, after=LabelRuns.of(edit.voxels.indices[1:], edit.after.labels[1:])), "without a label"),
            (replace(edit, after=LabelRuns.of(edit.after.indices, edit.after.labels + np.uint8(9))), "no structure"),
        ):
            with pytest.raises(BadInputError, match=reason):
                book.append(wrong)
        assert not book.path.exists()
        book.append(replace(edit, limit=Limit(lifted=True)))
