"""The rows of a worklist with their states: sorted, filtered, walked through; thousands of rows in milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BadInputError
from ..regions import Region
from .runs import position_in
from .status import REGION_STATES, RegionStatus, State

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Row:
    """A region of the worklist and what has become of it.

    Attributes
    ----------
    rank : its place in the worklist, 0 for the worst.
    """

    rank: int
    region: Region
    status: RegionStatus

    @property
    def id(self) -> str:
        """Id of the region."""
        return self.region.id

    @property
    def state(self) -> State:
        """See `core.review.status.state_of`."""
        return self.status.state

    @property
    def expert(self) -> str:
        """Id of the expert who should look: the one to whom it was reassigned last, else the routing's."""
        return self.status.waiting_for[0] if self.status.waiting_for else self.region.expert


SORT_KEYS: dict[str, Callable[[Row], Any]] = {
    "worst": lambda row: row.rank,
    "structure": lambda row: row.region.structure,
    "expert": lambda row: row.expert,
    "ml": lambda row: row.region.volume_ml,
    "slices": lambda row: row.region.slice_count,
    "position": lambda row: row.region.slice_range,
    "error": lambda row: row.region.expected_error_ml,
    "seconds": lambda row: row.region.seconds,
    "state": lambda row: REGION_STATES.index(row.state),
}
"""By what rows can be sorted."""


@dataclass(frozen=True)
class RowFilter:
    """Which rows are shown: those of an expert, in a state, of a structure; None for all of them."""

    expert: str | None = None
    state: State | None = None
    structure: str | None = None

    def shows(self, row: Row) -> bool:
        """Whether a row passes."""
        status = row.status
        experts = status.waiting_for or (row.region.expert,)
        return (
            (self.expert is None or self.expert in experts)
            and (self.state is None or self.state == status.state)
            and (self.structure is None or self.structure == row.region.structure)
        )


class Table:
    """Rows of one budget, with an order, a filter and a current row.

    The order is made when it is asked for and then stays as it is while states change, so that no row moves away under
    the reader's hand.
    """

    def __init__(self, regions: Sequence[Region], statuses: Sequence[RegionStatus]) -> None:
        self._rows = [Row(n, r, s) for n, (r, s) in enumerate(zip(regions, statuses, strict=True))]
        self._number = {row.id: row.rank for row in self._rows}
        self._order = list(range(len(self._rows)))
        self._filter = RowFilter()
        self._current: int | None = 0 if self._rows else None
        sizes = [len(r.indices) for r in regions]
        flat = np.concatenate([np.empty(0, np.int64), *(r.indices for r in regions)])
        order = np.argsort(flat, kind="stable")
        self._voxels = flat[order]
        self._owner = np.repeat(np.arange(len(sizes)), sizes)[order]

    @property
    def all_rows(self) -> tuple[Row, ...]:
        """Every row, worst first."""
        return tuple(self._rows)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows that the filter lets through, in the order asked for."""
        return tuple(self._rows[n] for n in self._order if self._filter.shows(self._rows[n]))

    @property
    def row_filter(self) -> RowFilter:
        """Which rows are shown."""
        return self._filter

    @property
    def current(self) -> Row | None:
        """The row where the reader is, shown or not; None in an empty worklist."""
        return None if self._current is None else self._rows[self._current]

    def row(self, region_id: str) -> Row:
        """The row of a region; raises BadInputError if it is not in the list at this budget."""
        number = self._number.get(region_id)
        if number is None:
            raise BadInputError(f'region "{region_id}" is not in the worklist at this budget')
        return self._rows[number]

    def sort(self, key: str = "worst", descending: bool = False) -> None:
        """Put the rows in another order; rows that tie stay worst first. Raises BadInputError for an unknown key."""
        if key not in SORT_KEYS:
            raise BadInputError(f'rows cannot be sorted by "{key}"; expected one of {", ".join(SORT_KEYS)}')
        by = SORT_KEYS[key]
        self._order = sorted(range(len(self._rows)), key=lambda n: by(self._rows[n]), reverse=descending)

    def show(self, row_filter: RowFilter) -> None:
        """Show other rows; the current row stays where it is."""
        self._filter = row_filter

    def go_to(self, region_id: str) -> Row:
        """Make a region's row the current one; raises BadInputError if it is not in the list."""
        row = self.row(region_id)
        self._current = row.rank
        return row

    def step(self, forward: bool, wanted: Callable[[Row], bool] | None = None) -> Row | None:
        """Go to the next shown row (that is wanted), around the end if need be; None if there is no other."""
        if self._current is None:
            return None
        here = self._order.index(self._current)
        count = len(self._order)
        for distance in range(1, count):
            number = self._order[(here + (distance if forward else -distance)) % count]
            row = self._rows[number]
            if self._filter.shows(row) and (wanted is None or wanted(row)):
                self._current = number
                return row
        return None

    def rows_at(self, indices: NDArray[Any]) -> list[int]:
        """Ranks of the rows whose regions have any of these voxels (flat indices)."""
        position, found = position_in(self._voxels, indices)
        return np.unique(self._owner[position[found]]).tolist() if found.any() else []

    def nearest_to(self, indices: NDArray[Any]) -> Row | None:
        """The row whose region has most of these voxels (flat indices); None if no region has any."""
        position, found = position_in(self._voxels, indices)
        return self._rows[int(np.bincount(self._owner[position[found]]).argmax())] if found.any() else None

    def set_statuses(self, ranks: Sequence[int], statuses: Sequence[RegionStatus]) -> None:
        """Other states for some rows."""
        for rank, status in zip(ranks, statuses, strict=True):
            self._rows[rank] = replace(self._rows[rank], status=status)
