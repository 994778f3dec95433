"""What a reader sees of a review: the rows of the worklist, where the reader is among them, and the labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..budgets import DEFAULT_BUDGET, check_share
from ..case_reader import Case
from ..errors import BadInputError
from ..regions import Region
from ..worklist import Worklist
from .conflicts import Conflict
from .decisions import Reader
from .state import ReviewState
from .status import REGION_STATES, Progress, State, progress_of
from .table import SORT_KEYS, Row, RowFilter, Table

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Walk:
    """A reader's way through a worklist.

    Attributes
    ----------
    case, reader : whose review of what. budget : share of the zone.
    state : the review of all readers. table : the rows.
    labels : uint8 [k, j, i], the corrected labels as this reader sees them; changed in place.
    """

    def __init__(
        self,
        state: ReviewState,
        worklist: Worklist,
        reader: Reader,
        budget: float | None,
        place: Mapping[str, Any],
        clock: Callable[[], float],
    ) -> None:
        self.case, self.reader, self.state = state.case, reader, state
        self._worklist, self._clock = worklist, clock
        self._all_readers = place.get("all_readers") is True
        self.budget = check_share(_share_of(place, self.case) if budget is None else budget)
        self.labels = self.view.corrected()
        self.table = self._new_table()
        self._order: tuple[str, bool] = ("worst", False)
        self._return_to(place)
        self._arrived = clock()

    @property
    def view(self) -> ReviewState:
        """The review as it is shown: of all readers, or of this one and what others reassigned to this one."""
        return self.state if self._all_readers else self.state.seen_by(self.reader.id)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows that are shown, in their order."""
        return self.table.rows

    @property
    def order(self) -> tuple[str, bool]:
        """By what the rows are sorted, a key of `table.SORT_KEYS`, and whether in descending order."""
        return self._order

    @property
    def current(self) -> Row | None:
        """The row where the reader is; None in an empty worklist."""
        return self.table.current

    @property
    def progress(self) -> Progress:
        """How far this reader is with all rows, shown or not."""
        rows = self.table.all_rows
        return progress_of([r.region for r in rows], [r.status for r in rows], self.reader.id)

    @property
    def conflicts(self) -> tuple[Conflict, ...]:
        """Where readers disagree, whatever is shown."""
        return self.state.conflicts

    @property
    def all_readers_shown(self) -> bool:
        """Whether rows and labels show what all readers decided, or this one alone."""
        return self._all_readers

    def show_all_readers(self, everybody: bool) -> None:
        """Show what all readers decided, or this one alone."""
        self._all_readers = bool(everybody)
        self._show_everything_anew()
        self._keep_place()

    def set_budget(self, budget: float) -> None:
        """Change the budget: other regions, the same decisions. The reader stays where most of the region went."""
        self.budget = check_share(budget)
        self._renew_table()

    def set_worklist(self, worklist: Worklist) -> None:
        """Change who is on duty; otherwise as `set_budget`."""
        self._worklist = worklist
        self._renew_table()

    def sort(self, key: str = "worst", descending: bool = False) -> None:
        """Sort the rows; see `Table.sort`."""
        self.table.sort(key, descending)
        self._order = (key, bool(descending))
        self._keep_place()

    def show(self, expert: str | None = None, state: State | None = None, structure: str | None = None) -> None:
        """Show only rows of an expert, in a state, of a structure."""
        self.table.show(RowFilter(expert, state, structure))
        self._keep_place()

    def go_to(self, region_id: str) -> Row:
        """Go to a region; raises BadInputError if it is not in the list."""
        row = self.table.go_to(region_id)
        self._arrive()
        return row

    def next(self) -> Row | None:
        """Go to the next shown row, around the end if need be; None if there is no other."""
        return self._step(True)

    def previous(self) -> Row | None:
        """Go to the shown row before, around the beginning if need be; None if there is no other."""
        return self._step(False)

    def next_open(self) -> Row | None:
        """Go to the next shown row on which this reader still has something to decide; None if there is no other."""
        return self._step(True, lambda row: not row.status.is_done(self.reader.id))

    def _step(self, forward: bool, wanted: Callable[[Row], bool] | None = None) -> Row | None:
        row = self.table.step(forward, wanted)
        if row is not None:
            self._arrive()
        return row

    def _arrive(self) -> None:
        self._arrived = self._clock()
        self._keep_place()

    def _region(self, region: Region | None) -> Region:
        """The region given, else the current one."""
        if region is not None:
            return region
        if self.current is None:
            raise BadInputError("the worklist is empty at this budget: there is no region to decide on")
        return self.current.region

    def _show_voxels_anew(self, voxels: NDArray[np.int64]) -> None:
        """Bring labels and rows up to date where decisions on these voxels (flat indices) came or went."""
        view = self.view
        self.labels.reshape(-1)[voxels] = view.at(voxels).label
        ranks = self.table.rows_at(voxels)
        rows = self.table.all_rows
        self.table.set_statuses(ranks, view.statuses_of([rows[rank].region for rank in ranks]))

    def _show_everything_anew(self) -> None:
        view = self.view
        np.copyto(self.labels, view.corrected())
        rows = self.table.all_rows
        self.table.set_statuses(range(len(rows)), view.statuses_of([row.region for row in rows]))

    def _new_table(self) -> Table:
        regions = self._worklist.regions(self.budget).regions
        return Table(regions, self.view.statuses_of(regions))

    def _renew_table(self) -> None:
        before, shown = self.current, self.table.row_filter
        self.table = self._new_table()
        self.table.sort(*self._order)
        self.table.show(shown)
        if before is not None:
            near = self.table.nearest_to(before.region.indices)
            last = len(self.table.all_rows) - 1
            if near is not None or last >= 0:
                self.table.go_to((near or self.table.all_rows[min(before.rank, last)]).id)
        self._arrive()

    def _place(self) -> dict[str, Any]:
        """Where the reader is, as plain values."""
        shown, current = self.table.row_filter, self.current
        place: dict[str, Any] = {"budget": self.budget, "all_readers": self._all_readers, "sort": list(self._order)}
        place["show"] = {"expert": shown.expert, "state": shown.state, "structure": shown.structure}
        if current is not None:
            place |= {"region": current.id, "rank": current.rank}
            place["voxel"] = int(current.region.indices[len(current.region.indices) // 2])
        return place

    def _return_to(self, place: Mapping[str, Any]) -> None:
        """Go where a reader was; what cannot be understood or is gone is passed over."""
        sort, show = place.get("sort"), place.get("show")
        if isinstance(sort, list) and len(sort) == 2 and sort[0] in SORT_KEYS:
            self._order = (sort[0], sort[1] is True)
            self.table.sort(*self._order)
        if isinstance(show, dict):
            expert, state, structure = (v if isinstance(v := show.get(k), str) else None for k in _SHOWN)
            known = next((s for s in REGION_STATES if s == state), None)
            self.table.show(RowFilter(expert, known, structure))
        rows, region, voxel, rank = self.table.all_rows, place.get("region"), place.get("voxel"), place.get("rank")
        same = [row for row in rows if row.id == region]
        if not same and type(voxel) is int:
            near = self.table.nearest_to(np.array([voxel]))
            same = [near] if near is not None else []
        if not same and rows and type(rank) is int and rank >= 0:
            same = [rows[min(rank, len(rows) - 1)]]
        if same:
            self.table.go_to(same[0].id)

    def _keep_place(self) -> None:
        """Remember where the reader is; a walk alone has nowhere to do so."""


_SHOWN = ("expert", "state", "structure")


def _share_of(place: Mapping[str, Any], case: Case) -> float:
    """The budget of a reader's last visit, else the case's."""
    for value in (place.get("budget"), case.settings.get("budget")):
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
            return float(value)
    return DEFAULT_BUDGET
