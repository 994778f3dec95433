"""Journals on disks that are full, locked, read-only or die: what was decided stays, and nothing is overwritten."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from DeferredSegSlicerLib.core.case import Case, check_case
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.review import (
    AnyDecision,
    Journal,
    NotSavedError,
    Reader,
    journal,
    read_journal,
    read_review,
)
from DeferredSegSlicerLib.core.review.names import bookmark_file
from DeferredSegSlicerLib.core.worklist import Worklist

EDGE = Reader("edge", "Dr. Edge", "radiologist")


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


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


def test_a_first_decision_does_not_go_into_another_case_that_took_the_folders_place(
    a_review_case: Case, decisions: list[AnyDecision], tmp_path: Path
) -> None:
    folder = a_review_case.folder
    with Journal.open(a_review_case, EDGE) as book:
        shutil.copytree(folder, tmp_path / "other")
        record = tmp_path / "other" / "case.json"
        record.write_text(record.read_text(encoding="utf-8").replace(a_review_case.id, "0" * 32), encoding="utf-8")
        folder.rename(tmp_path / "away")
        (tmp_path / "other").rename(folder)
        with pytest.raises(NotSavedError, match="holds another case than the one that was opened there"):
            book.append(decisions[0])
        shutil.rmtree(folder)
        with pytest.raises(NotSavedError, match="does not exist"):
            book.append(decisions[0])
        (tmp_path / "away").rename(folder)
        book.append(decisions[0])
    assert len(read_review(a_review_case).entries) == 1


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
