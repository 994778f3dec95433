"""What the steps share: where they write, what they have found out, and how to tidy up."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .stepper import PackagesMissing, Skipped


@dataclass
class Walk:
    """The way through the module.

    Attributes
    ----------
    folder : for everything that is written; kept, so that a person can look at the picture and the report.
    volume : the sample volume, once it is loaded.
    missing : what is to be said of the worker's missing packages, or empty.
    worker_ready : whether a worker has said hello.
    """

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="deferredseg-selftest-")))
    volume: Any = None
    missing: str = ""
    worker_ready: bool = False
    _undo: list[Callable[[], None]] = field(default_factory=list)

    @property
    def report(self) -> Path:
        """The file with every line."""
        return self.folder / "report.txt"

    def afterwards(self, action: Callable[[], None]) -> None:
        """Do something when all steps are over, the last first."""
        self._undo.append(action)

    def tidy_up(self) -> None:
        """Do what was asked for afterwards, and remove the cases, which hold scans."""
        while self._undo:
            self._undo.pop()()
        for name in ("cases", "files"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def files(self, name: str) -> Path:
        """A path for a file or folder of the walk."""
        (self.folder / "files").mkdir(exist_ok=True)
        return self.folder / "files" / name

    def need_worker(self) -> None:
        """Skip a step that needs the network if there is no worker."""
        if self.missing:
            raise PackagesMissing("the worker lacks packages, see above")
        if not self.worker_ready:
            raise Skipped("there is no worker")
