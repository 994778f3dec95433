"""One reader at work on a case: decisions that are on disk when the call returns, and the labels they make."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..case_reader import Case
from ..errors import BadInputError
from ..regions import Region
from ..worklist import Worklist
from .alternatives import Candidate, LabelAlternative, alternatives
from .corrected_file import is_current, write_corrected
from .deciding import Deciding
from .decisions import AnyDecision, Decision, Effort, Entry, Limit, Reader, Undo
from .journal import Journal, NotSavedError
from .limits import limit_mask
from .names import journal_file, journals_in
from .runs import LabelRuns
from .scanning import read_bookmark
from .state import ModelLabel, ReviewState, with_journals
from .walking import Walk

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Change:
    """A line that was written, and the flat indices of the voxels whose label or state it may have changed."""

    entry: Entry
    voxels: NDArray[np.int64]


class ReviewSession(Walk):
    """One reader's review of a case; a context manager.

    `labels` shows this reader's decisions alone, or those of all readers after `show_all_readers(True)`.

    Attributes
    ----------
    unsaved : decisions that could not be written, in order; `retry` writes them.
    journal : the reader's journal, or None if the session is read-only.
    """

    def __init__(
        self,
        case: Case,
        worklist: Worklist,
        reader: Reader,
        budget: float | None = None,
        *,
        software: Mapping[str, str] | None = None,
        read_only: bool = False,
        leave_out_damaged: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open a review where the reader left it.

        Parameters
        ----------
        worklist : of the case, with whoever is on duty. budget : share of the zone; without it, the reader's last one,
            else the case's.
        software : versions to keep with decisions beside this library's, such as Slicer's.
        read_only : only look; needs no lock and no writable folder.
        leave_out_damaged : go on without other readers' journals that are damaged; see `ReviewState.left_out`.

        Raises
        ------
        BadInputError : the reader's journal is open elsewhere, or the folder is read-only.
        DamagedCaseError : a journal, or a file of the case, was changed.
        """
        self.journal = None if read_only else Journal.open(case, reader, software)
        try:
            self.unsaved: tuple[AnyDecision, ...] = ()
            self._software, self._leave_out = dict(software or {}), leave_out_damaged
            self._seen: dict[Path, tuple[int, int]] = {}
            state = self._with_new_lines(ReviewState(case, ModelLabel(case)), reader)[0]
            if self.journal is not None and self.journal.entries:
                state = state.with_journal(self.journal.entries)
            place = read_bookmark(journal_file(case.folder, reader)).place or {}
            super().__init__(state, worklist, reader, budget, place, clock)
            self._saved = is_current(state) or not state.layers
            self._saved_at = clock()
        except BaseException:
            self.close()
            raise

    def deciding(
        self, effort: Effort | None = None, edited: float = 0.0, note: str = "", settle: bool = False
    ) -> Deciding:
        """What decisions are made from; without `effort`, the seconds looked are those since the row became current."""
        spent = effort or Effort(max(0.0, round(self._clock() - self._arrived, 3)), edited)
        return Deciding(self.state, self.reader, self.budget, spent, note, settle)

    def accept(self, region: Region | None = None, **how: Any) -> Change:
        """The model's label stands in the region (the current one if none is given); `how` goes to `deciding`.

        Here and below: raises BadInputError for what cannot be decided, NotSavedError if it could not be written.
        """
        return self.decide(self.deciding(**how).accept(self._region(region)))

    def edit(
        self,
        labels: NDArray[np.uint8],
        region: Region | None = None,
        *,
        limit: Limit | None = None,
        box: tuple[slice, slice, slice] | None = None,
        **how: Any,
    ) -> Change:
        """The reader drew the labels: uint8 [k, j, i] of the whole volume, or of a box (slices k, j, i) of it.

        They are kept in the region, and around it where they differ from what the reader saw (`labels` of the session).
        Raises BadInputError if they differ beyond the limit, or do not cover the region.
        """
        where = self._region(region)
        return self.decide(self.deciding(**how).edit(where, self._drawn(where, labels, box), limit))

    def take(self, alternative: LabelAlternative, region: Region | None = None, **how: Any) -> Change:
        """The reader takes an offered labeling of the region."""
        where = self._region(region)
        return self.decide(self.deciding(**how).alternative(where, alternative.name, alternative.after))

    def reassign(self, to: str, region: Region | None = None, **how: Any) -> Change:
        """Another expert, of id `to`, should look at the region."""
        return self.decide(self.deciding(**how).reassign(self._region(region), to))

    def skip(self, region: Region | None = None, reason: str = "", **how: Any) -> Change:
        """The reader leaves the region undecided."""
        return self.decide(self.deciding(**how).skip(self._region(region), reason))

    def undo(self, n: int | None = None) -> Change | None:
        """Take back this reader's last decision that holds, or the one of line n.

        A decision that could not be written is forgotten instead, the last first; then, and if there is nothing to take
        back, None is returned.
        """
        if self.unsaved and n is None:
            self.unsaved = self.unsaved[:-1]
            return None
        mine = self.state.of(self.reader.id).active
        entry = next((e for e in reversed(mine) if n is None or e.n == n), None)
        if entry is None and n is not None:
            raise BadInputError(f"line {n} of the journal is no decision that holds, so it cannot be undone")
        return None if entry is None else self.decide(Undo(line=entry.ref))

    def decide(self, decision: AnyDecision) -> Change:
        """Write a decision and show what it changes; decisions that could not be written before go first."""
        self._writable()
        self.unsaved = (*self.unsaved, decision)
        return self.retry()[-1]

    def retry(self) -> tuple[Change, ...]:
        """Write the decisions that could not be written; raises NotSavedError if they still cannot."""
        done = []
        while self.unsaved:
            try:
                entry = self._writable().append(self.unsaved[0])
            except NotSavedError:
                raise
            except BadInputError:
                self.unsaved = self.unsaved[1:]  # it can never be written
                raise
            self.unsaved = self.unsaved[1:]
            done.append(self._apply(entry))
        return tuple(done)

    def refresh(self) -> bool:
        """Look for new decisions of other readers; True if there were any."""
        self.state, changed = self._with_new_lines(self.state, self.reader)
        if changed:
            self._saved = False
            self._show_everything_anew()
        return changed

    def reopen(self) -> None:
        """Read the reader's own journal again, after it was written to elsewhere; unsaved decisions stay."""
        self._writable().close()
        self.journal = None
        self.journal = Journal.open(self.case, self.reader, self._software)
        if self.journal.entries:
            self.state = self.state.with_journal(self.journal.entries)
        self._saved = False
        self._show_everything_anew()

    @property
    def is_saved(self) -> bool:
        """Whether corrected.seg.nrrd holds what all readers decided, as far as this session has seen."""
        return self._saved

    def save(self) -> Path | None:
        """Write corrected.seg.nrrd, of all readers' decisions; None if nobody has decided anything yet.

        Decisions are on disk without it: it is for programs that want to read the labels.
        Raises BadInputError if the disk is full.
        """
        self._writable()
        self.refresh()
        if not self.state.layers:
            return None
        path = write_corrected(self.state)
        self._saved, self._saved_at = True, self._clock()
        return path

    def save_if_due(self, seconds: float = 30.0) -> Path | None:
        """`save`, if something was decided since the last time and that was so many seconds ago; for a timer."""
        return self.save() if not self._saved and self._clock() - self._saved_at >= seconds else None

    def alternatives(
        self, region: Region | None = None, extra: Iterable[Candidate] = ()
    ) -> tuple[LabelAlternative, ...]:
        """Up to four plausible labelings of a region; see `core.review.alternatives`."""
        return alternatives(self._region(region), self.case, self.state.model.volume, self._probability, extra)

    def limit(
        self, margin_mm: float, region: Region | None = None
    ) -> tuple[tuple[slice, slice, slice], NDArray[np.bool_]]:
        """Where an edit of the region may paint: slices (k, j, i), and a boolean array of that part of the volume."""
        return limit_mask(self._region(region).indices, self.case.geometry, margin_mm)

    def close(self) -> None:
        """Let others open the journal."""
        if self.journal is not None:
            self.journal.close()

    def __enter__(self) -> ReviewSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def _probability(self) -> NDArray[np.uint8]:
        return self.case.probability()

    def _writable(self) -> Journal:
        if self.journal is None:
            raise BadInputError(f'the review of case "{self.case.folder}" was opened to look only')
        return self.journal

    def _apply(self, entry: Entry) -> Change:
        decision = entry.decision
        if isinstance(decision, Decision):
            voxels = decision.indices
        else:
            voxels = self.state.of(self.reader.id).entries[decision.line.n - 1].decision.indices  # type: ignore[union-attr]
        self.state = self.state.with_entry(entry)
        self._saved = False
        self._show_voxels_anew(voxels)
        self._arrive()
        return Change(entry, voxels)

    def _drawn(self, region: Region, labels: NDArray[np.uint8], box: tuple[slice, slice, slice] | None) -> LabelRuns:
        """The labels of the region and of what differs around it from what the reader saw."""
        shape = self.case.geometry.shape
        part = tuple(slice(*s.indices(n)) for s, n in zip(box or (slice(None),) * 3, shape, strict=True))
        seen = self.labels[part]
        if labels.shape != seen.shape or labels.dtype != np.uint8:
            raise BadInputError(f"labels are {labels.dtype} of shape {labels.shape}, expected uint8 of {seen.shape}")
        local = np.nonzero(labels != seen)
        changed = np.ravel_multi_index([c + s.start for c, s in zip(local, part, strict=True)], shape)
        touched = np.union1d(region.indices, changed).astype(np.int64)
        kji = [c - s.start for c, s in zip(np.unravel_index(touched, shape), part, strict=True)]
        if any(c.min() < 0 or c.max() >= n for c, n in zip(kji, labels.shape, strict=True)):
            raise BadInputError("the labels do not cover the region")
        return LabelRuns.of(touched, labels[tuple(kji)])

    def _with_new_lines(self, state: ReviewState, reader: Reader) -> tuple[ReviewState, bool]:
        """The review with the journals of others that changed since the last time, and whether there are any."""
        own = journal_file(state.case.folder, reader) if self.journal is not None else None
        found = {path: path.stat() for path in journals_in(state.case.folder) if path != own}
        stamps = {path: (stat.st_size, stat.st_mtime_ns) for path, stat in found.items()}
        changed = [path for path, stamp in stamps.items() if self._seen.get(path) != stamp]
        state = with_journals(state, changed, self._leave_out)
        self._seen |= stamps
        return state, bool(changed)

    def _keep_place(self) -> None:
        if self.journal is not None:
            self.journal.keep_place(self._place())
