"""Read a journal from its first line to its last: whole, cut off at the end, or refused with a line's number."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..case_reader import Case
from ..errors import BadInputError, DamagedCaseError
from .chain import MAX_LINE_BYTES, ChainError, read_line
from .decisions import Entry, Reader, Undo
from .names import bookmark_file, stem_of

_MAX_BOOKMARK_BYTES = 1 << 20


@dataclass(frozen=True)
class Scan:
    """What a journal holds.

    Attributes
    ----------
    entries : its lines, in order.
    end : bytes of its whole lines.
    cut : what follows them: the beginning of a line whose writing was cut off, or nothing.
    lacks_newline : the last line is whole but for its line end, which `end` does not count.
    """

    entries: tuple[Entry, ...] = ()
    end: int = 0
    cut: bytes = b""
    lacks_newline: bool = False


@dataclass(frozen=True)
class Bookmark:
    """What is kept beside a journal: how long it was, what its last sha256 was, and where the reader was."""

    lines: int = 0
    head: str = ""
    place: dict[str, Any] | None = None


def scan_journal(path: Path, case: Case, reader: Reader | None = None) -> Scan:
    """Everything in a journal, each line checked against the one before.

    A beginning of a line at the end, or zeros, is what a crash leaves: it was never reported as kept, and is no damage.

    Raises
    ------
    DamagedCaseError : a line was changed, moved, taken out, or is of another reader or case; the sentence has the
        line's number. Or lines are missing at the end that the bookmark knows.
    BadInputError : the journal cannot be read.
    """
    who = f'journal "{path}"'
    bookmark = read_bookmark(path)  # before the journal, which may grow meanwhile
    if path.is_symlink():
        raise DamagedCaseError(f"{who} is a link, expected a file inside the case")
    try:
        scan = _scan(path, case, reader)
    except FileNotFoundError:
        scan = Scan()
    except OSError as error:
        raise BadInputError(f"{who} cannot be read: {error.strerror or error}") from error
    entries = scan.entries
    if bookmark.lines > len(entries):
        missing = f"line {len(entries) + 1}" + (f" to {bookmark.lines}" if bookmark.lines > len(entries) + 1 else "")
        raise DamagedCaseError(
            f'{who} has lost {missing}, which "{bookmark_file(path).name}" knows; bring the whole journal back, or '
            "remove that file to go on without"
        )
    if bookmark.lines and entries[bookmark.lines - 1].sha != bookmark.head:
        raise DamagedCaseError(f"{who} line {bookmark.lines} is another than was written there")
    return scan


def _scan(path: Path, case: Case, reader: Reader | None) -> Scan:
    entries: list[Entry] = []
    active: dict[int, str] = {}
    end = 0
    with path.open("rb") as file:
        while raw := file.readline(MAX_LINE_BYTES + 1):
            n = len(entries) + 1
            ended = raw.endswith(b"\n")
            try:
                if len(raw) > MAX_LINE_BYTES and not ended:
                    raise ChainError(f"is longer than {MAX_LINE_BYTES >> 20} MiB")
                previous = entries[-1] if entries else None
                entry = read_line(
                    raw[:-1] if ended else raw,
                    case,
                    previous.reader if previous else reader,
                    n,
                    previous.sha if previous else None,
                )
                _check_place(entry, path, active)
            except ChainError as error:
                rest = raw + file.read(MAX_LINE_BYTES)
                if _is_cut(rest):
                    return Scan(tuple(entries), end, rest)
                raise DamagedCaseError(f'journal "{path}" line {n} {error}') from error
            entries.append(entry)
            if not ended:
                return Scan(tuple(entries), end + len(raw), lacks_newline=True)
            end += len(raw)
    return Scan(tuple(entries), end)


def _is_cut(rest: bytes) -> bool:
    """Whether what does not follow the chain is what a crash leaves: a line without its end, or zeros in its place."""
    first, newline, more = rest.partition(b"\n")
    return not more and (not newline or b"\0" in first)


def _check_place(entry: Entry, path: Path, active: dict[int, str]) -> None:
    """Raise ChainError if a reader's line is in another's journal, or undoes what cannot be undone."""
    if entry.n == 1 and stem_of(entry.reader) != path.stem:
        raise ChainError(f'is of another reader, "{entry.reader.id}"')
    decision = entry.decision
    if isinstance(decision, Undo):
        if active.pop(decision.line.n, None) != decision.line.sha:
            raise ChainError(f"undoes line {decision.line.n}, which is no decision that holds")
    else:
        active[entry.n] = entry.sha


def read_bookmark(journal: Path) -> Bookmark:
    """The bookmark of a journal; an empty one if there is none, or none that can be understood."""
    path = bookmark_file(journal)
    try:
        if path.is_symlink() or path.stat().st_size > _MAX_BOOKMARK_BYTES:
            return Bookmark()
        content = json.loads(path.read_text(encoding="utf-8"))
        lines, head, place = content["lines"], content["head"], content["place"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # it costs the reader a click at most
        return Bookmark()
    if type(lines) is not int or lines < 0 or not isinstance(head, str):
        return Bookmark()
    return Bookmark(lines, head, place if isinstance(place, dict) else None)
