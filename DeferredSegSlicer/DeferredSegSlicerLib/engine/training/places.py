"""Where a training keeps what it needs to go on: a folder beside the bundle, `<output>.training`."""

from __future__ import annotations

import shutil
from pathlib import Path

from ...core.atomic import clear_write_errors


class TrainingPlaces:
    """Paths beside the bundle's folder: checkpoint, logs, and caches that tasks may fill."""

    def __init__(self, output: Path) -> None:
        absolute = output.absolute()
        self.folder = absolute.with_name(f"{absolute.name}.training")
        self.checkpoint = self.folder / "checkpoint.pt"
        self.logs = self.folder / "logs"
        self.cache = self.folder / "cache"

    def make(self) -> None:
        """Make the folder; BadInputError if it cannot be."""
        with clear_write_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)

    def forget(self) -> None:
        """Remove checkpoint and logs, for a training from the beginning; caches stay."""
        with clear_write_errors(self.folder):
            self.checkpoint.unlink(missing_ok=True)
            if self.logs.is_dir():
                shutil.rmtree(self.logs)
