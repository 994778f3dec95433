"""Files that are either whole or not there: written beside their place, flushed to disk, then renamed into it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from .errors import BadInputError

_CAUSES = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than the system allows",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "there is no permission to write there",
    errno.EPERM: "there is no permission to write there",
    errno.ENOENT: "its folder does not exist",
    errno.ENOTDIR: "a part of its path is not a folder",
    errno.EISDIR: "a folder is in its place",
    errno.ENAMETOOLONG: "its name is too long for the disk",
}
TEMPORARY_PREFIX = ".writing-"
"""Files and folders of this prefix are unfinished; they may be deleted if nobody is writing."""


def temporary_beside(path: Path) -> Path:
    """A free hidden name in the same folder, for a file or folder that is later renamed to `path`."""
    return path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}")


@contextlib.contextmanager
def clear_write_errors(path: Path) -> Iterator[None]:
    """Turn an operating system error while writing `path` into a BadInputError that names it and the cause."""
    try:
        yield
    except OSError as error:
        cause = _CAUSES.get(error.errno or 0, error.strerror or str(error))
        raise BadInputError(f'"{path}" cannot be written: {cause}') from error


def write_via(path: str | Path, writer: Callable[[IO[bytes]], None]) -> None:
    """Write a file atomically: `writer` fills an open binary file beside it, which is then synced and renamed.

    If anything fails, what was at `path` is untouched and the unfinished file is removed.

    Raises
    ------
    BadInputError : the disk is full or read-only, the folder is missing, or there is no permission.
    """
    target = Path(path)
    with clear_write_errors(target):
        temporary = temporary_beside(target)
        try:
            with temporary.open("xb") as file:
                writer(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(target.parent)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write bytes atomically; see `write_via`."""
    write_via(path, lambda file: _write_all(file, data))


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text atomically, line ends as they are; see `write_via`."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON atomically, indented, without NaN or infinity; see `write_via`."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sync_folder(folder: Path) -> None:
    """Make the renames in a folder last through a power cut, where the system can (Windows syncs by itself)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS):  # some network disks cannot sync folders
            raise
    finally:
        os.close(descriptor)


def _write_all(file: IO[bytes], data: bytes) -> None:
    file.write(data)
