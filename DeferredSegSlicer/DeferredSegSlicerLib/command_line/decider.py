"""Carries wishes out: all that can be checked is checked before the first line is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import BadInputError, DeferredSegError
from ..core.regions import Region
from ..core.review import Change, Effort, LabelAlternative, ReviewSession
from ..core.review.decisions import DEFAULT_MARGIN_MM, Decision, Limit
from ..core.review.runs import position_in
from .drawn_labels import reaches_of, read_drawn
from .offering import Offering
from .wishes import Wish

if TYPE_CHECKING:
    from numpy.typing import NDArray


def region_of(session: ReviewSession, name: str) -> Region:
    """A region of the worklist by its id or its number from 1; raises BadInputError if there is none."""
    rows = session.table.all_rows
    wanted = name.strip()
    if wanted.isdecimal() and 1 <= int(wanted) <= len(rows):
        return rows[int(wanted) - 1].region
    found = next((row.region for row in rows if row.id == wanted), None)
    if found is None:
        raise BadInputError(
            f'there is no region "{name}"; the worklist has {len(rows)} at a budget of {100 * session.budget:.3g} %'
        )
    return found


@dataclass(frozen=True, eq=False)
class _Ready:
    """A wish with what it needs."""

    wish: Wish
    region: Region | None = None
    alternative: LabelAlternative | None = None
    to: str = ""


class Decider:
    """A session and the wishes that were carried out in it.

    Parameters
    ----------
    limit : of labels that were drawn. settle : decisions end a disagreement where they are made.

    Attributes
    ----------
    done : what was written, in order.
    """

    def __init__(self, session: ReviewSession, offering: Offering, limit: Limit, settle: bool = False) -> None:
        self._session, self._offering, self._limit, self._settle = session, offering, limit, settle
        self.done: list[Change] = []
        self._seen: NDArray[np.uint8] | None = None

    def decide(self, wishes: Sequence[Wish]) -> None:
        """Carry out wishes in order.

        Raises
        ------
        BadInputError : a wish cannot be carried out. Nothing was written, or the wishes before it, as it says.
        DeviceError, DamagedCaseError : as their names say; nothing was written.
        NotSavedError : the disk is full; the wishes before it were written.
        """
        ready = [self._prepared(wish) for wish in wishes]
        if any(wish.decision == "labels" for wish in wishes):
            self._seen = self._session.labels.copy()
        at = 0
        while at < len(ready):
            try:
                at += self._carry_out(ready, at)
            except DeferredSegError as error:
                if not self.done:
                    raise
                raise type(error)(f"decision {at + 1} of {len(ready)}: {error}; those before it are written") from error

    def _prepared(self, wish: Wish) -> _Ready:
        region = None if wish.region is None else region_of(self._session, wish.region)
        if wish.decision == "reassign":
            return _Ready(wish, region, to=self._expert(wish.value))
        if wish.decision == "alternative":
            assert region is not None
            return _Ready(wish, region, self._offering.named(region, wish.value))
        if wish.decision == "labels" and not Path(wish.value).is_file():
            raise BadInputError(f'labels "{wish.value}" do not exist')
        return _Ready(wish, region)

    def _expert(self, name: str) -> str:
        """Id of an expert of the case."""
        experts = self._session.case.experts
        for found in experts:
            if name in (found.id, found.name) or name.casefold() == found.name.casefold():
                return found.id
        raise BadInputError(f'no expert is called "{name}"; there are: {", ".join(e.id for e in experts)}')

    def _carry_out(self, ready: Sequence[_Ready], at: int) -> int:
        """Write the decision of a wish, and of those after it that take labels from the same file; how many."""
        one = ready[at]
        if one.region is not None:
            self._session.go_to(one.region.id)
        if one.wish.decision == "labels":
            same = [one]
            while at + len(same) < len(ready) and _same_file(one, ready[at + len(same)]):
                same.append(ready[at + len(same)])
            self._take_labels(same)
            return len(same)
        self.done.append(self._change(one))
        return 1

    def _change(self, one: _Ready) -> Change:
        session, how = self._session, self._how(one.wish)
        if one.wish.decision == "undo":
            return self._undone(one.region)
        if one.wish.decision == "accept":
            return session.accept(one.region, **how)
        if one.wish.decision == "skip":
            return session.skip(one.region, one.wish.reason, **how)
        if one.wish.decision == "reassign":
            return session.reassign(one.to, one.region, **how)
        assert one.region is not None and one.alternative is not None
        limit = Limit(max(self._limit.margin_mm, DEFAULT_MARGIN_MM))
        taken = one.alternative
        return session.decide(session.deciding(**how).alternative(one.region, taken.name, taken.after, limit))

    def _how(self, wish: Wish) -> dict[str, Any]:
        return {"effort": Effort(wish.seconds), "note": wish.note, "settle": self._settle}

    def _undone(self, region: Region | None) -> Change:
        """Take back the reader's last decision, or the last one that bears on a region."""
        session = self._session
        line: int | None = None
        if region is not None:
            touching = [
                entry.n
                for entry in session.state.of(session.reader.id).active
                if isinstance(entry.decision, Decision) and _meet(entry.decision, region)
            ]
            if not touching:
                raise BadInputError(f'"{session.reader.name}" has decided nothing on region "{region.id}"')
            line = touching[-1]
        change = session.undo(line)
        if change is None:
            raise BadInputError(f'"{session.reader.name}" has decided nothing that could be undone')
        return change

    def _take_labels(self, several: Sequence[_Ready]) -> None:
        """Record what one file says of several regions: what it changes elsewhere is nobody's decision, and refused.

        A voxel counts as drawn if its label is neither that of before the command nor that of now.
        """
        session, path = self._session, Path(several[0].wish.value)
        drawn = read_drawn(path, session.case)
        regions = [one.region for one in several if one.region is not None]
        changed = (drawn != self._seen) & (drawn != session.labels)
        indices = [region.indices for region in regions]
        reaches = reaches_of(changed, indices, session.case.geometry, self._limit, f'labels "{path}"')
        for one, region, reach in zip(several, regions, reaches, strict=True):
            labels = np.where(reach.allowed, drawn[reach.part], session.labels[reach.part])
            self.done.append(session.edit(labels, region, limit=self._limit, box=reach.part, **self._how(one.wish)))


def _same_file(one: _Ready, other: _Ready) -> bool:
    return other.wish.decision == "labels" and other.wish.value == one.wish.value


def _meet(decision: Decision, region: Region) -> bool:
    return bool(position_in(decision.indices, region.indices)[1].any())
