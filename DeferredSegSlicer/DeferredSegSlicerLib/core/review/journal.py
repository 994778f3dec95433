"""A reader's journal: decisions, one a line, appended and never changed; see docs/review_format.md."""

from __future__ import annotations

import json
import os
import platform
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ... import __version__
from ..atomic import clear_write_errors, sync_folder, temporary_beside, write_bytes
from ..case_reader import Case
from ..case_record import REVIEW_FOLDER, read_record
from ..errors import BadInputError, DamagedCaseError
from .chain import make_line, root_of
from .decisions import AnyDecision, Entry, Reader, Undo
from .locks import FileLock
from .names import bookmark_file, journal_file, lock_file
from .scanning import Scan, read_bookmark, scan_journal
from .validity import check_decision

_CLOSED = "the journal is closed"
_SHA_TAIL = 67
"""Bytes of `"}` with the sha256 before it and the line end after it."""

_O_BINARY = getattr(os, "O_BINARY", 0)


class NotSavedError(BadInputError):
    """A decision could not be written; the journal is as it was, and the decision may be appended again."""


def read_journal(path: str | Path, case: Case) -> tuple[Entry, ...]:
    """The lines of a journal, each checked against the one before; a line that a crash cut off is left out.

    Raises
    ------
    DamagedCaseError : a line was changed, moved, taken out, or is of another reader or case.
    BadInputError : the journal cannot be read.
    """
    return scan_journal(Path(path), case).entries


def software_versions() -> dict[str, str]:
    """Versions of this software, Python and numpy."""
    return {"deferredseg": __version__, "python": platform.python_version(), "numpy": np.__version__}


class Journal:
    """A journal open for writing, by one program at a time; a context manager.

    Make it with `open`. `entries` is what it holds, `set_aside` where the beginning of a line was put that a crash
    had cut off, or None.
    """

    def __init__(self, case: Case, reader: Reader, software: Mapping[str, str], lock: FileLock) -> None:
        self.case = case
        self.reader = reader
        self.path = journal_file(case.folder, reader)
        self.set_aside: Path | None = None
        self._software = dict(software)
        self._lock: FileLock | None = lock
        self._entries: list[Entry] = []
        self._active: dict[int, str] = {}
        self._end = 0
        self._partial = b""
        self._place: dict[str, Any] | None = None

    @classmethod
    def open(cls, case: Case, reader: Reader, software: Mapping[str, str] | None = None) -> Journal:
        """Open a reader's journal of a case for writing; it is made when the first decision is.

        `software` adds versions to those of this library, such as Slicer's.

        Raises
        ------
        DamagedCaseError : the journal was changed; see `scan_journal`. Nothing is written.
        BadInputError : it is open elsewhere, or the folder is read-only.
        """
        path = journal_file(case.folder, reader)
        folder = case.folder / REVIEW_FOLDER
        if folder.is_symlink() or path.is_symlink():
            raise DamagedCaseError(f'journal "{path}" is a link, expected a file inside the case')
        with clear_write_errors(path):
            folder.mkdir(exist_ok=True)
            try:
                lock = FileLock(lock_file(path))
            except BlockingIOError as error:
                raise BadInputError(f"{_elsewhere(case, reader)}; close it there first") from error
        journal = cls(case, reader, software_versions() | dict(software or {}), lock)
        try:
            journal._load()
        except BaseException:
            lock.release()
            raise
        return journal

    def _load(self) -> None:
        scan = scan_journal(self.path, self.case, self.reader)
        with clear_write_errors(self.path):
            self._mend(scan)
        for entry in scan.entries:
            self._remember(entry)
        self._place = read_bookmark(self.path).place

    def _mend(self, scan: Scan) -> None:
        """Give a last line its line end back, or put the beginning of a line aside; then remember where the end is."""
        self._end = scan.end
        if scan.cut:
            aside = self.path.with_name(f"{self.path.stem}.line{len(scan.entries) + 1}-{secrets.token_hex(3)}.cut")
            write_bytes(aside, scan.cut)
            with self.path.open("r+b") as file:
                file.truncate(scan.end)
                os.fsync(file.fileno())
            self.set_aside = aside
        elif scan.lacks_newline:
            with self.path.open("ab") as file:
                file.write(b"\n")
                file.flush()
                os.fsync(file.fileno())
            self._end += 1

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The lines of the journal, in order."""
        return tuple(self._entries)

    @property
    def head(self) -> str:
        """Sha256 of the last line; of an empty journal, its root."""
        return self._entries[-1].sha if self._entries else root_of(self.case, self.reader)

    @property
    def place(self) -> dict[str, Any]:
        """Where the reader was, as plain values; what `keep_place` was given last, also by an earlier program."""
        return dict(self._place or {})

    def append(self, decision: AnyDecision) -> Entry:
        """Write a decision; when this returns, it is on disk.

        Raises
        ------
        BadInputError : the decision is not for this case, edits outside its limit, or undoes what cannot be undone.
        NotSavedError : the disk is full or gone, or somebody else wrote to the journal; the journal is as it was.
        """
        if self._lock is None:
            raise BadInputError(_CLOSED)
        check_decision(decision, self.case, self._active)
        n = len(self._entries) + 1
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        line, entry = make_line(self.case, self.reader, decision, n, self.head, now, self._software)
        try:
            with clear_write_errors(self.path):
                self._write(line)
        except NotSavedError:
            raise
        except BadInputError as error:
            raise NotSavedError(str(error)) from error
        self._remember(entry)
        self._keep_bookmark()
        return entry

    def keep_place(self, place: Mapping[str, Any]) -> None:
        """Remember where the reader is: a few plain values. Losing them costs a click, so a full disk is no error."""
        if self._lock is None:
            raise BadInputError(_CLOSED)
        self._place = dict(place)
        self._keep_bookmark()

    def close(self) -> None:
        """Let others open the journal; a review folder in which nothing was decided is removed."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        empty = not self._entries and not self.path.exists()
        if empty:
            bookmark_file(self.path).unlink(missing_ok=True)
        lock.release(remove=empty)
        if empty:
            with suppress(OSError):  # somebody else's review is in it
                self.path.parent.rmdir()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _remember(self, entry: Entry) -> None:
        self._entries.append(entry)
        if isinstance(entry.decision, Undo):
            self._active.pop(entry.decision.line.n, None)
        else:
            self._active[entry.n] = entry.sha

    def _write(self, line: bytes) -> None:
        """Append a line and wait until it is on disk; if that fails, take back what was written of it."""
        self.path.parent.mkdir(exist_ok=True)
        is_new = not self.path.exists()
        if is_new:
            self._check_folder()
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _O_BINARY, 0o666)
        try:
            self._take_back(descriptor)
            self._check_end(descriptor)
            try:
                self._partial = line
                left = memoryview(line)
                while left:
                    left = left[os.write(descriptor, left) :]
                os.fsync(descriptor)
                if is_new:
                    sync_folder(self.path.parent)
            except OSError:
                with suppress(OSError):  # then it is taken back before the next line, or when the journal is opened
                    self._take_back(descriptor)
                raise
            if os.fstat(descriptor).st_size != self._end + len(line):
                raise self._written_elsewhere()
            self._partial = b""
            self._end += len(line)
        finally:
            os.close(descriptor)

    def _check_folder(self) -> None:
        """Raise NotSavedError if another case has taken the folder's place since; a first line could not tell."""
        try:
            there = read_record(self.case.folder).id
        except (BadInputError, DamagedCaseError) as error:
            raise NotSavedError(error.sentence) from error
        if there != self.case.id:
            raise NotSavedError(f'folder "{self.case.folder}" holds another case than the one that was opened there')

    def _take_back(self, descriptor: int) -> None:
        """Remove what a failed write left at the end, if that is all that is there."""
        if not self._partial:
            return
        os.lseek(descriptor, self._end, os.SEEK_SET)
        left = os.read(descriptor, len(self._partial) + 1)
        if self._partial.startswith(left):
            os.ftruncate(descriptor, self._end)
            os.fsync(descriptor)
            self._partial = b""

    def _check_end(self, descriptor: int) -> None:
        """Raise NotSavedError unless the journal ends with the line that was the last to be written or read here."""
        tail = b""
        if self._end:
            os.lseek(descriptor, max(0, self._end - _SHA_TAIL), os.SEEK_SET)
            tail = os.read(descriptor, _SHA_TAIL)
        expected = f'{self.head}"}}\n'.encode() if self._end else b""
        if os.fstat(descriptor).st_size != self._end or tail != expected:
            raise self._written_elsewhere()

    def _written_elsewhere(self) -> NotSavedError:
        return NotSavedError(f"{_elsewhere(self.case, self.reader)} and was written to there; open it again")

    def _keep_bookmark(self) -> None:
        """Write the bookmark; it is replaced in one step but not waited for: the journal holds what matters."""
        mark = {"lines": len(self._entries), "head": self.head if self._entries else "", "place": self._place}
        path = bookmark_file(self.path)
        temporary = temporary_beside(path)
        try:
            temporary.write_text(json.dumps(mark, ensure_ascii=False), encoding="utf-8")
            os.replace(temporary, path)
        except OSError:  # see keep_place
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _elsewhere(case: Case, reader: Reader) -> str:
    return f'the review of case "{case.folder}" by "{reader.name}" is opened elsewhere'
