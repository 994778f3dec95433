"""How many regions nobody has settled, kept up to date decision by decision: worklists may have thousands of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ...core.review import RegionStatus, ReviewSession
from ...core.review.table import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

SETTLED = ("accepted", "edited")
"""States of a region with which an export is content, as `export.case_content` has it."""


class Unreviewed(NamedTuple):
    """Regions of the worklist that nobody has settled, and ml of them."""

    regions: int
    ml: float


class Tally:
    """Counts over all readers, whatever the session shows."""

    def __init__(self, session: ReviewSession) -> None:
        self._session = session
        self._table: Table | None = None
        self._statuses: list[RegionStatus] = []

    def forget(self) -> None:
        """Anything may have changed."""
        self._table = None

    def decided(self, voxels: NDArray[Any]) -> None:
        """Something was decided, or taken back, on these voxels (flat indices)."""
        if self._table is not self._session.table:
            self.forget()
            return
        ranks = self._table.rows_at(voxels)
        rows = self._table.all_rows
        for rank, status in zip(ranks, self._session.state.statuses_of([rows[r].region for r in ranks]), strict=True):
            self._statuses[rank] = status

    def count(self) -> Unreviewed:
        """What is left at the session's budget."""
        table = self._session.table
        if self._table is not table:
            self._statuses = list(self._session.state.statuses_of([row.region for row in table.all_rows]))
            self._table = table
        pairs = zip(table.all_rows, self._statuses, strict=True)
        left = [row.region.volume_ml for row, status in pairs if status.state not in SETTLED]
        return Unreviewed(len(left), sum(left))
