"""The files of a case but its image as one text, and back without trusting it.

The text is JSON: {"schema": 1, "case": id, "files": [{"name", "bytes", "sha256", "packed": base64 of zlib}, ...]}.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.case import Case
from ..core.case_record import IMAGE_FILE, MAX_RECORD_BYTES, RECORD_FILE, REVIEW_FOLDER
from ..core.errors import BadInputError, DamagedCaseError

SCHEMA = 1
MAX_BYTES = 1 << 30
"""A case whose files but the image are more bytes is not packed, and such a text not unpacked."""
MAX_FILES = 4096

_PART = re.compile(r"[^\x00-\x1f/\\:*?\"<>|]{1,200}")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class PackedFile:
    """A file of a case: its name relative to the case folder, and its bytes."""

    name: str
    data: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def pack(case: Case) -> str:
    """The text of a case; the same as long as its files are.

    Raises
    ------
    BadInputError : the case is too large, a file of its review has a name that no other system can have, or the folder
        cannot be read.
    DamagedCaseError : a file of the case was changed since it was written.
    """
    files, total = [], 0
    for name in (RECORD_FILE, *sorted(set(case.record.files) - {IMAGE_FILE}), *_review_files(case.folder)):
        file = _read(case, name, MAX_BYTES - total)
        total += len(file.data)
        packed = base64.b64encode(zlib.compress(file.data, 1)).decode("ascii")
        files.append({"name": name, "bytes": len(file.data), "sha256": file.sha256, "packed": packed})
    if len(files) > MAX_FILES:
        raise BadInputError(f'case "{case.folder}" has {len(files)} files, more than the {MAX_FILES} of a saved scene')
    return json.dumps({"schema": SCHEMA, "case": case.id, "files": files}, ensure_ascii=False)


def _read(case: Case, name: str, room: int) -> PackedFile:
    """A file of the case folder; of the case's own files only what its record says."""
    path = case.folder / name
    try:
        with path.open("rb") as stream:
            data = stream.read(room + 1)
    except OSError as error:
        raise BadInputError(f'"{path}" cannot be read: {error.strerror or error}') from error
    if len(data) > room:
        raise BadInputError(
            f'case "{case.folder}" is larger than the {MAX_BYTES >> 20} MiB that a scene can hold; keep its folder'
        )
    file, expected = PackedFile(name, data), case.record.files.get(name)
    if expected is not None and (len(data) != expected.bytes or file.sha256 != expected.sha256):
        raise DamagedCaseError(f'case "{case.folder}": {name} was changed since it was written')
    return file


def _review_files(folder: Path) -> Iterator[str]:
    """What readers have left in the review folder, but links and hidden files (locks and unfinished writes)."""
    for place in sorted((folder / REVIEW_FOLDER).rglob("*")):
        parts = place.relative_to(folder).parts
        if place.is_file() and not place.is_symlink() and not any(part.startswith(".") for part in parts):
            name = "/".join(parts)
            if not _is_safe(name):
                raise BadInputError(f'"{place}" has a name that not every system can have; rename it')
            yield name


def _is_safe(name: Any) -> bool:
    """Whether a name is one of a file inside a case folder, on every system."""
    parts = name.split("/") if isinstance(name, str) else []
    return 1 <= len(parts) <= 4 and all(
        _PART.fullmatch(part) and not part.startswith(".") and part[-1] not in ". " and not _RESERVED.fullmatch(part)
        for part in parts
    )


def unpack(text: str, digest: str | None, only: str = "") -> list[PackedFile]:
    """The files of a case, among them its record; none is longer than the text says, nor than it was.

    Parameters
    ----------
    digest : `digest_of` the text when it was made. only : unpack no files but those whose names begin so.

    Raises
    ------
    DamagedCaseError : the text was changed, is too large, or has a file whose name leads out of a case folder.
    """
    if len(text) > 2 * MAX_BYTES:
        raise damaged(f"it is larger than {MAX_BYTES >> 20} MiB")
    if digest_of(text) != digest:
        raise damaged("it was changed or cut off since it was saved")
    try:
        content = json.loads(text)
        if content["schema"] != SCHEMA:
            raise damaged(f"it has the schema {str(content['schema'])[:20]}; update DeferredSegSlicer")
        entries = list(content["files"])
        names = [str(entry["name"]).casefold() for entry in entries]
        folders = {name.rpartition("/")[0] for name in names}
        if len(entries) > MAX_FILES or len(set(names)) != len(names) or names.count(RECORD_FILE) != 1:
            raise damaged("its files are too many, twice there, or without a record")
        if folders & set(names):
            raise damaged("a file in it is a folder, too")
        if sum(_length(entry) for entry in entries) > MAX_BYTES:
            raise damaged(f"it unpacks to more than {MAX_BYTES >> 20} MiB")
        return [_unpacked(entry) for entry in entries if str(entry["name"]).startswith(only)]
    except DamagedCaseError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, zlib.error, binascii.Error) as error:
        raise damaged(f"it cannot be read ({type(error).__name__})") from error


def _length(entry: dict[str, Any]) -> int:
    length = entry["bytes"]
    if isinstance(length, bool) or not isinstance(length, int) or length < 0:
        raise ValueError(f"{length!r} is no length")
    if entry["name"] == RECORD_FILE and length > MAX_RECORD_BYTES:
        raise ValueError(f"{RECORD_FILE} is too long")
    return length


def _unpacked(entry: dict[str, Any]) -> PackedFile:
    name, length = entry["name"], _length(entry)
    if not _is_safe(name):
        raise damaged(f'"{str(name)[:80]}" is no name of a file in a case')
    unpacker = zlib.decompressobj()
    packed = base64.b64decode(entry["packed"], validate=True)
    data = unpacker.decompress(packed, length + 1)  # never more memory than it says
    if len(data) != length or not unpacker.eof or unpacker.unused_data:
        raise damaged(f"{name} does not have the length that it should")
    file = PackedFile(name, data)
    if file.sha256 != entry["sha256"]:
        raise damaged(f"{name} was changed")
    return file


def digest_of(text: str) -> str:
    """SHA-256 (hex) of an embedding's text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def damaged(what: str) -> DamagedCaseError:
    """The error for an embedding that cannot be used."""
    return DamagedCaseError(f"the case in the scene cannot be restored: {what}")
