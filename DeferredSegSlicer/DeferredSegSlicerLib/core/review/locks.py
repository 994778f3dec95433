"""A lock that the system takes back when its process dies, for files that one program at a time may write."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


_HELD = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}
_MANY = 10


class FileLock:
    """An exclusive lock on a file of its own, taken at once or not at all.

    A disk without locks gives a lock that excludes nobody; who writes there must look at what is there first.
    """

    def __init__(self, path: Path) -> None:
        """Take the lock; raises BlockingIOError if somebody has it, OSError if the file cannot be made."""
        self._path = path
        for _ in range(_MANY):
            self._file: BinaryIO = open(path, "ab+")  # noqa: SIM115 - it stays open while the lock is held
            try:
                _lock(self._file)
            except OSError as error:
                if error.errno in _HELD:
                    self._file.close()
                    raise BlockingIOError(error.errno, os.strerror(error.errno), str(path)) from error
            if self._is_in_place():
                return
            self._file.close()  # who had the lock before removed the file meanwhile
        raise BlockingIOError(errno.EAGAIN, "the lock is taken and released all the time", str(path))

    def release(self, remove: bool = False) -> None:
        """Give the lock back; with `remove` the file goes too."""
        if remove and sys.platform != "win32":
            with suppress(OSError):  # a leftover lock file is empty and harms nobody
                self._path.unlink()
        self._file.close()
        if remove and sys.platform == "win32":
            with suppress(OSError):
                self._path.unlink()

    def _is_in_place(self) -> bool:
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self._file.fileno()))
