"""What the logic wants from the program around it: a timer, places for files, settings.

`desktop.DesktopServices` gives it inside Slicer; tests and scripts have their own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol


class Services(Protocol):
    """The program around the logic. All calls are made on the main thread, and none may show a dialog."""

    def every(self, milliseconds: int, action: Callable[[], None]) -> Callable[[], None]:
        """Call `action` on the main thread about every so many ms until the returned function is called."""
        ...

    def process_events(self) -> None:
        """Let the program react to what has happened meanwhile (clicks, timers); returns soon."""
        ...

    def cases_folder(self) -> Path:
        """Folder in which new case folders are made; need not exist yet. Cases hold the scan."""
        ...

    def models_folder(self) -> Path:
        """Folder of the user's own bundles; need not exist."""
        ...

    def log_folder(self) -> Path:
        """Folder of the workers' log files; need not exist yet."""
        ...

    def request_folder(self) -> Path:
        """A new empty folder, for the user alone, for the files of one job; the logic removes it after the job."""
        ...

    def setting(self, key: str, default: str = "") -> str:
        """What was kept under a key, on this computer for this user."""
        ...

    def set_setting(self, key: str, value: str) -> None:
        """Keep a text beyond this session."""
        ...

    def python(self) -> str | None:
        """The interpreter that the user chose for the worker, or None for none in particular."""
        ...
