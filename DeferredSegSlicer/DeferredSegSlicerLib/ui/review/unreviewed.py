"""How many regions nobody has settled, asked again only when something was decided or other regions came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...core.regions import Region
    from ...core.review import RegionStatus, ReviewSession

_SETTLED = ("accepted", "edited")


@dataclass(frozen=True)
class Left:
    """Regions in all, and those that nobody has accepted or edited or on which readers disagree, with their ml."""

    total: int
    regions: int
    ml: float


class Unreviewed:
    """Counts for the shown case, of all readers together."""

    def __init__(self) -> None:
        self._asked: tuple[Any, Any] = (None, None)  # heads of the journals, regions
        self._found: Left | None = None

    def of(self, session: ReviewSession | None, shown: Any, has_journals: bool) -> Left | None:
        """The count at the present budget, the same object as long as nothing has changed.

        None if nobody reviews, but somebody has: there are journals that are not open.
        """
        regions = shown.regions
        state = None if session is None else session.state
        if state is None and has_journals:
            self._asked, self._found = (None, None), None
            return None
        heads = () if state is None else tuple(layer.entries[-1].sha for layer in state.layers)
        if self._asked[0] != heads or self._asked[1] is not regions:
            self._asked = (heads, regions)
            left = list(regions)
            if session is not None:
                statuses = _statuses(session, regions)
                left = [r for r, status in zip(regions, statuses, strict=True) if status.state not in _SETTLED]
            self._found = Left(len(regions), len(left), sum(region.volume_ml for region in left))
        return self._found


def _statuses(session: ReviewSession, regions: Sequence[Region]) -> Sequence[RegionStatus]:
    """What all readers together made of the regions: known from the table if it shows just that, else found anew."""
    mine = all(layer.reader.id == session.reader.id for layer in session.state.layers)
    rows = session.table.all_rows
    if (
        (mine or session.all_readers_shown)
        and len(rows) == len(regions)
        and all(row.region is region for row, region in zip(rows, regions, strict=True))
    ):
        return [row.status for row in rows]
    return session.state.statuses_of(regions)
