"""Names of case folders, and what dead sessions left of their requests."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

REQUEST_PREFIX = "deferredseg-request-"
_OLD_SECONDS = 24 * 3600.0
"""A request folder this old belongs to no living job: it holds a scan and is removed."""


def new_case_folder(cases: Path) -> Path:
    """A free path for a new case: `case-YYYYMMDD-HHMMSS-xxxx`, local time, nothing of the patient; not made yet."""
    while True:
        folder = cases / f"case-{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        if not folder.exists():
            return folder


def new_request_folder(parent: Path) -> Path:
    """A new empty folder in `parent` that only the user can read; removes such folders of sessions that died."""
    parent.mkdir(parents=True, exist_ok=True)
    for old in parent.glob(f"{REQUEST_PREFIX}*"):
        with suppress(OSError):  # it went meanwhile, or is somebody else's
            if time.time() - old.stat().st_mtime > _OLD_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=REQUEST_PREFIX, dir=parent))
