"""Where a job builds its case: a hidden folder beside the case, renamed into place at the very end.

A job that is killed leaves at most that folder. The client removes it on cancel; what nobody removed goes when the
next job starts beside it. A lock on a file in the folder, which the system releases when a process dies, tells the
remains of a dead job from the work of a living one, also on a shared disk and with process numbers used again.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from ..core.atomic import clear_write_errors, sync_folder
from ..core.errors import BadInputError

_PREFIX = ".deferredseg-job-"
_LOCK_NAME = "lock"
_NAME_NAME = "name"
_OLD_NAME = "old"
_NEW_SECONDS = 2.0
"""A folder this young may belong to a job that has not locked it yet."""

if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def staging_folder(case: Path, job: str) -> Path:
    """The hidden folder in which the job builds the case; its name is short, whatever the case is called."""
    return case.parent / f"{_PREFIX}{job}"


def discard(case: Path, job: str, replaced: bool = False) -> None:
    """Remove what a job left that was killed: its hidden folder, and its case if it was finished at the last moment.

    The case goes only if its case.json names this very job (see `stamped`), and not if it has replaced another one:
    that is gone, and a whole case is better than none. Call it when the job's process is dead.
    """
    _remove_folder(staging_folder(case, job))
    if not replaced and _job_of(case) == job:
        hidden = staging_folder(case, f"{job}-discarded")
        with suppress(OSError):  # it is gone already, or held open on Windows: then a whole case stays
            os.rename(case, hidden)
            shutil.rmtree(hidden, ignore_errors=True)


def stamped(settings: dict[str, object], job: str) -> dict[str, object]:
    """The settings with the job's id, by which `discard` recognizes the case."""
    return settings | {"job": job}


def _job_of(case: Path) -> str | None:
    try:
        content = json.loads((case / "case.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    settings = content.get("settings") if isinstance(content, dict) else None
    job = settings.get("job") if isinstance(settings, dict) else None
    return job if isinstance(job, str) else None


def remove_leftovers(parent: Path) -> list[Path]:
    """Remove the hidden folders of dead jobs in a folder; returns those that were removed."""
    removed = []
    for folder in sorted(parent.glob(f"{_PREFIX}*")):
        if _is_dead(folder):
            _remove_folder(folder)
            removed.append(folder)
    return removed


def _is_dead(folder: Path) -> bool:
    try:
        if time.time() - folder.stat().st_mtime < _NEW_SECONDS:
            return False
        with open(folder / _LOCK_NAME, "r+b") as file:
            _lock(file)
    except FileNotFoundError:
        return True
    except OSError:  # locked by a living job, or a disk without locks: leave it
        return False
    return True


def _remove_folder(folder: Path) -> None:
    """Remove a dead job's hidden folder; a case that the job had moved aside to replace it goes back first."""
    old, name_file = folder / _OLD_NAME, folder / _NAME_NAME
    if os.path.lexists(old):
        try:
            case = folder.parent / name_file.read_text(encoding="utf-8", errors="surrogateescape")
            if not os.path.lexists(case):
                os.rename(old, case)
        except OSError:  # better a leftover than a lost case
            return
    shutil.rmtree(folder, ignore_errors=True)


class Staging:
    """The hidden folder of one running job, as a context manager.

    `folder` is where to build the case. `commit` moves it into place, at most once and not after `abandon`; leaving
    the context removes the rest.
    """

    def __init__(self, case: Path, job: str) -> None:
        self._case = case
        self._root = staging_folder(case, job)
        self._lock_file: BinaryIO | None = None
        self._guard = threading.Lock()
        self._abandoned = False
        self._made: list[Path] = []

    @property
    def folder(self) -> Path:
        """The place for the case under construction; not there yet."""
        return self._root / "case"

    def __enter__(self) -> Staging:
        with clear_write_errors(self._case):
            self._make_parents()
            remove_leftovers(self._case.parent)
            self._root.mkdir()
            (self._root / _NAME_NAME).write_text(self._case.name, encoding="utf-8", errors="surrogateescape")
            self._lock_file = open(self._root / _LOCK_NAME, "w+b")
        with suppress(OSError):  # a disk without locks: its leftovers are then never taken for dead
            _lock(self._lock_file)
        return self

    def _make_parents(self) -> None:
        folder = self._case.parent
        while not folder.exists():
            self._made.append(folder)
            folder = folder.parent
        self._case.parent.mkdir(parents=True, exist_ok=True)

    def commit(self, overwrite: bool) -> None:
        """Move the finished case into place in one rename; the case that was there is removed afterwards.

        Raises BadInputError if something is there that may not be replaced, a case that holds a review for one.
        """
        with self._guard:
            if self._abandoned:
                raise InterruptedError("the job was given up before its case was moved into place")
            with clear_write_errors(self._case):
                self._move(overwrite)

    def _move(self, overwrite: bool) -> None:
        # not at the top: the client imports this file, and needs no SimpleITK
        from ..core.case_writer import check_target, has_review

        check_target(self._case, overwrite)
        old = self._root / _OLD_NAME
        if os.path.lexists(self._case):
            os.rename(self._case, old)
        try:
            if has_review(old):
                raise BadInputError(f'case "{self._case}" was reviewed meanwhile and is not replaced; choose another')
            os.rename(self.folder, self._case)
        except (OSError, BadInputError):
            if os.path.lexists(old):
                os.rename(old, self._case)
            raise
        sync_folder(self._case.parent)

    def abandon(self) -> None:
        """Give the job up from another thread: nothing is moved into place any more, what is there is removed."""
        with self._guard:
            self._abandoned = True
        self._remove()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _remove(self) -> None:
        if self._lock_file is not None:
            self._lock_file.close()
        _remove_folder(self._root)
        for folder in self._made:  # innermost first
            with suppress(OSError):  # not empty: the case is in it, or something of somebody else
                folder.rmdir()
