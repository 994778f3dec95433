"""A review that only remembers, for the tests of its sections: rows without voxels, decisions without a disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from DeferredSegSlicerLib.core.errors import BadInputError, DamagedCaseError
from DeferredSegSlicerLib.core.experts import Competence, Expert
from DeferredSegSlicerLib.core.regions import Region
from DeferredSegSlicerLib.core.review import NotSavedError, Progress, Reader, RegionStatus, Row, RowFilter
from DeferredSegSlicerLib.core.review.status import STATES, progress_of
from DeferredSegSlicerLib.core.review.table import Table
from DeferredSegSlicerLib.core.structures import make_structures
from DeferredSegSlicerLib.logic.review import EditOutcome, ReaderChoice
from DeferredSegSlicerLib.logic.review.tally import SETTLED, Unreviewed
from DeferredSegSlicerLib.logic.signal import Signal

SKILL = Competence(0.9, 0.9, 0.9)
EXPERTS = (
    Expert("extent", "Lesion extent", "radiologist", (0.90, 0.62, 0.0), SKILL),
    Expert("normal", "Normal tissue", "radiologist", (0.0, 0.45, 0.70), SKILL),
    Expert("edge", "Boundary", "specialist", (0.80, 0.47, 0.65), SKILL, available=False),
)
STRUCTURES = tuple(make_structures([("Liver", None), ("Right kidney", None), ("Spleen", None)]))
OPEN = (1, 0, 0, 0, 0, 0)


def status(state: str, waiting_for: tuple[str, ...] = (), readers: tuple[str, ...] = ()) -> RegionStatus:
    """Of a region of one voxel in one of `STATES`."""
    voxels = tuple(int(name == state) for name in STATES)
    return RegionStatus(state, voxels, waiting_for, readers)  # type: ignore[arg-type]


def region(number: int, structure: str = "Liver", expert: str = "extent", ml: float = 1.0, slices: int = 3) -> Region:
    """A region of one voxel, told apart by its number."""
    return Region(
        id=f"{structure}:{expert}:{number:012x}",
        structure=structure,
        expert=expert,
        voxels=1,
        volume_ml=ml,
        slice_count=slices,
        slice_range=(10, 9 + slices),
        box_ijk=((0, 0, 0), (1, 1, 1)),
        centroid_ras=(0.0, 0.0, 0.0),
        expected_error_voxels=0.4,
        expected_error_ml=0.4 * ml,
        seconds=10.0 + 2.0 * slices,
        value=ml / (10.0 + 2.0 * slices),
        indices=np.array([number], np.int32),
    )


def many_regions(count: int) -> list[Region]:
    """Regions of several structures, experts and sizes, worst first."""
    random = np.random.default_rng(5)
    sizes = np.sort(random.gamma(0.7, 2.0, count) + 0.06)[::-1]
    found = []
    for number, ml in enumerate(sizes.tolist()):
        structure = STRUCTURES[int(random.integers(len(STRUCTURES)))].id
        expert = EXPERTS[int(random.integers(2))].id
        found.append(region(number, structure, expert, ml, int(random.integers(1, 12))))
    return found


class FakeCase:
    """As much of a case as the panel asks for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.id = folder, "0123456789abcdef"
        self.structures, self.experts = STRUCTURES, EXPERTS
        self.geometry = SimpleNamespace(voxel_ml=0.004)


class FakeShown:
    """A shown case without nodes but the volume's name."""

    def __init__(self, folder: Path, regions: Sequence[Region]) -> None:
        self.case, self.experts, self.regions = FakeCase(folder), EXPERTS, list(regions)
        self.volume_node = SimpleNamespace(GetName=lambda: "CT Smith")


class FakeReview:
    """`logic.review.ReviewLogic` without scene and disk; what is asked of it is written down in `calls`.

    Set `full` for a full disk, `damaged` for a damaged journal of a colleague, `elsewhere` for a locked journal.
    """

    def __init__(self, shown: FakeShown | None = None) -> None:
        self.changed, self.failed = Signal(), Signal()
        self.calls: list[tuple[Any, ...]] = []
        self.shown = shown
        self.full, self.damaged, self.elsewhere = False, "", ""
        self.remembered = ""
        self.journals: tuple[str, ...] = ()
        self.table = Table([], [])
        self.reader: Reader | None = None
        self.order = ("worst", False)
        self.refusal = ""
        self.warnings: tuple[str, ...] = ()
        self.draft: Any = None
        self.unsaved: tuple[Any, ...] = ()
        self.conflicts: tuple[Any, ...] = ()
        self.conflict: Any = None
        self.editing: Any = None
        self.edited_voxels = 0
        self.margin_mm, self.limit_lifted = 5.0, False
        self.put_back = self.put_back_voxels = 0
        self.offered: tuple[Any, ...] = ()
        self.alternatives_shown = False
        self.follow_views, self.all_readers = True, False
        self.is_saved = True
        self.decided: list[tuple[str, RegionStatus]] = []
        self.exported: Any = None
        self._lines = 0
        self.dicom_reason = "this scan was not loaded from Slicer's DICOM database"

    # Reader

    @property
    def readers(self) -> tuple[ReaderChoice, ...]:
        if self.shown is None:
            return ()
        experts = [ReaderChoice(e.id, e.name, e.role, e.color, e.id in self.journals) for e in EXPERTS]
        others = [ReaderChoice(j, j, has_journal=True) for j in self.journals if j not in {e.id for e in EXPERTS}]
        return (*experts, *others)

    @property
    def active(self) -> bool:
        return self.reader is not None

    @property
    def read_only(self) -> bool:
        return self.active and bool(self.refusal)

    @property
    def session(self) -> Any:
        if self.reader is None:
            return None
        me = SimpleNamespace(active=tuple(self.decided))
        head = SimpleNamespace(sha=str(self._lines))
        state = SimpleNamespace(layers=(SimpleNamespace(entries=(head,)),), readers=(), of=lambda _id: me)
        return SimpleNamespace(state=state)

    @property
    def unreviewed(self) -> Unreviewed:
        left = [row.region.volume_ml for row in self.table.all_rows if row.state not in SETTLED]
        return Unreviewed(len(left), sum(left))

    def begin(self, reader: str, *, leave_out_damaged: bool = False) -> bool:
        self._note("begin", reader, leave_out_damaged)
        assert self.shown is not None
        if self.damaged and not leave_out_damaged:
            raise DamagedCaseError(self.damaged)
        names = {e.id: e.name for e in EXPERTS}
        self.reader = Reader(reader, names.get(reader, reader))
        self.refusal = self.elsewhere
        regions = self.shown.regions
        self.table = Table(regions, [status("open") for _ in regions])
        self.changed.emit()
        return not self.refusal

    def resume(self) -> bool:
        return bool(self.remembered) and self.begin(self.remembered)

    def pause(self) -> None:
        self._note("pause")

    def go_on(self) -> None:
        self._note("go_on")

    # Worklist

    @property
    def rows(self) -> tuple[Row, ...]:
        return self.table.rows

    @property
    def current(self) -> Row | None:
        return self.table.current

    @property
    def row_filter(self) -> RowFilter:
        return self.table.row_filter

    @property
    def progress(self) -> Progress:
        rows = self.table.all_rows
        return progress_of([r.region for r in rows], [r.status for r in rows], self.reader.id if self.reader else None)

    def sort(self, key: str = "worst", descending: bool = False) -> None:
        self._note("sort", key, descending)
        self.table.sort(key, descending)
        self.order = (key, descending)
        self.changed.emit()

    def show(self, expert: Any = None, state: Any = None, structure: Any = None) -> None:
        self._note("show", expert, state, structure)
        self.table.show(RowFilter(expert, state, structure))
        self.changed.emit()

    def show_all_readers(self, everybody: bool) -> None:
        self._note("show_all_readers", everybody)
        self.all_readers = everybody
        self.changed.emit()

    def next(self) -> Row | None:
        return self._walk("next", True)

    def previous(self) -> Row | None:
        return self._walk("previous", False)

    def next_open(self) -> Row | None:
        reader = self.reader.id if self.reader else ""
        self.conflict = None
        return self.table.step(True, lambda row: not row.status.is_done(reader))

    def go_to(self, region_id: str) -> Row:
        self._note("go_to", region_id)
        self.conflict = None
        row = self.table.go_to(region_id)
        self.changed.emit()
        return row

    def go_to_conflict(self, number: int) -> Any:
        self._note("go_to_conflict", number)
        self.conflict = self.conflicts[number]
        self.changed.emit()
        return self.conflict

    def set_follow_views(self, follow: bool) -> None:
        self._note("set_follow_views", follow)
        self.follow_views = follow

    def look(self) -> None:
        self._note("look")

    # Decisions

    @property
    def hindrance(self) -> str:
        if self.reader is None:
            return "choose who you are first"
        if self.refusal:
            return self.refusal
        if self.editing is not None:
            return "an edit is open; finish or cancel it first"
        if self.unsaved:
            return "a decision could not be written; make room on the disk and try again, or undo it"
        return "" if self.current is not None else "nothing is deferred at this budget"

    def accept(self, note: str = "") -> Any:
        return self._decide("accept", status("accepted", readers=(self._who,)), note)

    def skip(self, reason: str = "", note: str = "") -> Any:
        return self._decide("skip", status("skipped", readers=(self._who,)), note)

    def reassign(self, expert_id: str, note: str = "") -> Any:
        return self._decide("reassign", status("reassigned", (expert_id,), (self._who,)), expert_id, note)

    def take(self, number: int, note: str = "") -> Any:
        name = next((option.name for option in self.offered if option.number == number), None)
        if name is None:
            raise BadInputError(f"there is no labeling {number} on offer for this region")
        return self._decide("take", status("edited", readers=(self._who,)), number, note, name=name)

    def undo(self) -> bool:
        self._note("undo")
        if self.unsaved:
            self.unsaved = ()
        elif not self.decided:
            return False
        else:
            region_id, before = self.decided.pop()
            self._lines += 1
            row = self.table.go_to(region_id)
            self.table.set_statuses([row.rank], [before])
        self.changed.emit()
        return True

    def retry(self) -> tuple[Any, ...]:
        self._note("retry")
        if self.full:
            raise NotSavedError("the disk is full")
        self.unsaved = ()
        self.changed.emit()
        return ()

    # Edit

    @property
    def has_unsaved_edit(self) -> bool:
        return self.editing is not None and self.edited_voxels > 0

    def start_edit(self) -> Any:
        self._note("start_edit")
        if self.hindrance:
            raise BadInputError(self.hindrance)
        self.editing = self.handles()
        self.changed.emit()
        return self.editing

    def handles(self) -> Any:
        """What `start_edit` gives: here nodes of the test's scene, see `with_nodes`."""
        raise NotImplementedError

    def set_margin(self, millimeters: float) -> None:
        self._note("set_margin", millimeters)
        self.margin_mm = millimeters
        self.changed.emit()

    def lift_limit(self, lifted: bool = True) -> None:
        self._note("lift_limit", lifted)
        self.limit_lifted = lifted
        self.changed.emit()

    def finish_edit(self, note: str = "") -> EditOutcome:
        self._note("finish_edit", note)
        if self.full:
            raise NotSavedError("the disk is full")
        self.editing, drawn = None, self.edited_voxels
        self.edited_voxels = 0
        change = self._decide("edited", status("edited", readers=(self._who,))) if drawn else None
        if change is not None:
            change.entry.decision.statistics = SimpleNamespace(changed=drawn)
        self.changed.emit()
        return EditOutcome(change, self.put_back)

    def cancel_edit(self) -> None:
        self._note("cancel_edit")
        self.editing, self.edited_voxels = None, 0
        self.changed.emit()

    def restore_draft(self) -> Any:
        self._note("restore_draft")
        self.draft = None
        return self.start_edit()

    def discard_draft(self) -> None:
        self._note("discard_draft")
        self.draft = None
        self.changed.emit()

    # Offers

    def show_alternatives(self, shown: bool) -> None:
        self._note("show_alternatives", shown)
        self.alternatives_shown = shown
        self.changed.emit()

    # Keep

    def save(self) -> Path | None:
        self._note("save")
        if self.full:
            raise BadInputError('"corrected.seg.nrrd" could not be written: the disk is full')
        self.is_saved = True
        assert self.shown is not None
        return self.shown.case.folder / "review" / "corrected.seg.nrrd" if self.decided else None

    def export_formats(self) -> tuple[tuple[str, str, str], ...]:
        names = ("seg.nrrd", "nifti", "dicom-seg", "csv", "json", "stl")
        return tuple((name, name, self.dicom_reason if name == "dicom-seg" else "") for name in names)

    def export(self, folder: Path, formats: Sequence[str] = (), overwrite: bool = False) -> Any:
        self._note("export", Path(folder), tuple(formats), overwrite)
        if isinstance(self.exported, Exception):
            raise self.exported
        return self.exported

    # Inside

    @property
    def _who(self) -> str:
        return self.reader.id if self.reader else ""

    def named(self, name: str) -> list[tuple[Any, ...]]:
        """Arguments of every call of a method."""
        return [call[1:] for call in self.calls if call[0] == name]

    def set_states(self, states: dict[int, RegionStatus]) -> None:
        """Give rows other states, by rank."""
        self.table.set_statuses(list(states), list(states.values()))
        self._lines += 1
        self.changed.emit()

    def _note(self, *call: Any) -> None:
        self.calls.append(call)

    def _walk(self, name: str, forward: bool) -> Row | None:
        self._note(name)
        if self.editing is not None:
            self.finish_edit()
        self.conflict = None
        row = self.table.step(forward)
        self.changed.emit()
        return row

    def _decide(self, what: str, after: RegionStatus, *details: Any, name: str = "") -> Any:
        self._note(what, *details)
        if self.hindrance:
            raise BadInputError(self.hindrance)
        row = self.table.current
        assert row is not None
        if self.full:
            self.unsaved = (what,)
            self.changed.emit()
            raise NotSavedError("the decision could not be written: the disk is full")
        self.decided.append((row.id, row.status))
        self._lines += 1
        self.table.set_statuses([row.rank], [replace(after, voxels=after.voxels)])
        self.is_saved = False
        self.changed.emit()
        return SimpleNamespace(entry=SimpleNamespace(decision=SimpleNamespace(name=name, statistics=None)))


def option(number: int, name: str, delta_ml: float, color: tuple[float, float, float]) -> Any:
    """A labeling on offer."""
    return SimpleNamespace(
        number=number, name=name, delta_ml=delta_ml, changed_voxels=round(abs(delta_ml) * 250), color=color
    )


def conflict(structure: str, voxels: int, *sides: tuple[str, str]) -> Any:
    """A disagreement; sides are a reader's name and a kind of decision."""
    entries = tuple(
        SimpleNamespace(reader=Reader(name, name), decision=SimpleNamespace(kind=kind)) for name, kind in sides
    )
    return SimpleNamespace(structure=structure, indices=np.arange(voxels), entries=entries)
