"""File names for readers: whatever somebody is called, the name is short, plain, and that reader's alone."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from pathlib import Path

from ..case_record import REVIEW_FOLDER
from .decisions import Reader

JOURNAL_SUFFIX = ".jsonl"
CORRECTED_FILE = f"{REVIEW_FOLDER}/corrected.seg.nrrd"

_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}")
_LOOKS_HASHED = re.compile(r".*-[0-9a-f]{12}")
_RESERVED = re.compile(r"con|prn|aux|nul|(com|lpt)[0-9]")
_READABLE = 32


def stem_of(reader: Reader) -> str:
    """File name of a reader's journal without its ending.

    An id of small letters, digits, `_` and `-` is its own name. Any other becomes what is readable of it, `-`, and 12
    hex digits of its sha256: nothing in it parts folders, and no two readers share a name on any disk.
    """
    if _PLAIN.fullmatch(reader.id) and not _LOOKS_HASHED.fullmatch(reader.id) and not _RESERVED.fullmatch(reader.id):
        return reader.id
    plain = unicodedata.normalize("NFKD", reader.id).encode("ascii", "ignore").decode().lower()
    readable = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_READABLE].strip("-")
    return f"{readable or 'reader'}-{hashlib.sha256(reader.id.encode('utf-8')).hexdigest()[:12]}"


def journal_file(case_folder: Path, reader: Reader) -> Path:
    """Where a reader's journal is."""
    return case_folder / REVIEW_FOLDER / f"{stem_of(reader)}{JOURNAL_SUFFIX}"


def bookmark_file(journal: Path) -> Path:
    """Where a journal's bookmark is: the reader's place, and how long the journal was."""
    return journal.with_suffix(".json")


def lock_file(journal: Path) -> Path:
    """The file that is locked while a journal is open for writing."""
    return journal.with_name(f".{journal.stem}.lock")


def journals_in(case_folder: Path) -> list[Path]:
    """Journals of a case, by name; a case without review has none."""
    return sorted((case_folder / REVIEW_FOLDER).glob(f"*{JOURNAL_SUFFIX}"))
