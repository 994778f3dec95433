"""What a training writes down on the way: TensorBoard events, and the same figures as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path

from ...core.atomic import clear_write_errors, write_text
from ...core.errors import BadInputError

COLUMNS = ("step", "epoch", "figure", "value")
CSV_FILE = "figures.csv"


class Logbook:
    """Figures by optimizer step, in a folder; goes on from `step` after a resume and drops what came after it.

    Raises
    ------
    BadInputError : the folder cannot be written, or TensorBoard is not installed.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise BadInputError(
                'TensorBoard is missing; install with pip install "deferred-seg-slicer[train]"'
            ) from error
        self._path = folder / CSV_FILE
        with clear_write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._keep_until(step)
            self._file = self._path.open("a", newline="", encoding="utf-8")
            self._rows = csv.writer(self._file)
            if self._file.tell() == 0:
                self._rows.writerow(COLUMNS)
            self._events = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def write(self, step: int, epoch: float, figures: Mapping[str, float]) -> None:
        """Note figures. step : optimizer steps done. epoch : finished ones, in fractions."""
        with clear_write_errors(self._path):
            for name, value in figures.items():
                self._rows.writerow((step, f"{epoch:.4f}", name, repr(float(value))))
                if math.isfinite(value):
                    self._events.add_scalar(name, value, step)

    def flush(self) -> None:
        """Put everything on the disk."""
        with clear_write_errors(self._path):
            self._file.flush()
            self._events.flush()

    def close(self) -> None:
        """Flush, and write no more."""
        with clear_write_errors(self._path):
            self._file.close()
            self._events.close()

    def _keep_until(self, step: int) -> None:
        """Drop rows after a step: a session that was killed wrote them, and they will be written again."""
        if not self._path.is_file():
            return
        kept = io.StringIO()
        rows = csv.writer(kept)
        rows.writerow(COLUMNS)
        with self._path.open(newline="", encoding="utf-8") as file:
            for row in csv.reader(file):
                if len(row) == len(COLUMNS) and row[0].isdigit() and int(row[0]) <= step and step:
                    rows.writerow(row)
        write_text(self._path, kept.getvalue())
