"""An edit that is open: what the editor may do, what was drawn so far, and the draft that outlives a crash."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import BadInputError
from ...core.regions import Region
from ...core.review import Change, Effort, Limit, RegionRef, ReviewSession
from ...core.review.limits import limit_mask
from ...core.review.runs import LabelRuns, VoxelRuns
from ...mrml.grid import Alignment
from ...mrml.review.corrected import CorrectedCopy
from ...mrml.review.edit_limit import EditLimit, aim_editor, editor_node, release_editor
from ...mrml.review.focus import RegionFocus
from ...mrml.review.patches import Box
from ..observers import Observers
from .drafts import Draft, draft_file, remove_draft, write_draft

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST_WAIT = 2.0
"""Seconds between a stroke and its draft, at most; less if writing drafts is quick."""


@dataclass(frozen=True)
class Editing:
    """What a segment editor widget needs.

    Attributes
    ----------
    editor_node : the vtkMRMLSegmentEditorNode, filled in. segmentation_node, segment_id, volume_node : what is edited.
    mask_segment_id : of the hidden segment inside which alone the editor paints.
    """

    editor_node: Any
    segmentation_node: Any
    segment_id: str
    volume_node: Any
    mask_segment_id: str


@dataclass(frozen=True)
class EditOutcome:
    """How an edit ended.

    Attributes
    ----------
    change : what was recorded; None if nothing was drawn, and then nothing was.
    put_back : voxels beyond the limit that are as they were before.
    """

    change: Change | None
    put_back: int = 0


@dataclass(frozen=True, eq=False)
class Drawn:
    """What was drawn so far: labels of a box after and before, and how many voxels beyond the limit were put back."""

    box: Box
    labels: NDArray[np.uint8]
    before: NDArray[np.uint8]
    put_back: int = 0

    @property
    def changed(self) -> NDArray[np.bool_]:
        """Boolean array of the box."""
        return self.labels != self.before


class OpenEdit:
    """An edit on a region, from its beginning until `finish` or `cancel`.

    Attributes
    ----------
    limit : how far it may reach. changes : voxels changed, as of the last draft.
    put_back : voxels beyond the limit that were put back so far.
    """

    def __init__(
        self,
        scene: Any,
        session: ReviewSession,
        region: Region,
        copy: CorrectedCopy,
        focus: RegionFocus,
        volume_node: Any,
        alignment: Alignment,
        limit: Limit,
    ) -> None:
        self._session, self._region, self._copy, self._focus = session, region, copy, focus
        editor = editor_node(scene)
        self._limit = EditLimit(copy.node, volume_node, alignment, editor)
        self._box: Box = (slice(0, 1), slice(0, 1), slice(0, 1))
        self._mask = np.zeros((1, 1, 1), dtype=bool)
        self._observers = Observers()
        self._dirty = self._unkept = self._own = False
        self._wait, self._kept_at = 0.0, 0.0
        self.changes = self.put_back = 0
        self.limit = limit
        segment_id = copy.segment_id(region.structure)
        self.set_limit(limit)
        aim_editor(editor, copy.node, volume_node, segment_id)
        self.handles = Editing(editor, copy.node, segment_id, volume_node, self._limit.segment_id)
        segmentation = copy.node.GetSegmentation()
        for event in (segmentation.SourceRepresentationModified, segmentation.SegmentModified):
            self._observers.add(segmentation, event, self._on_modified)

    @property
    def region(self) -> Region:
        """What is edited."""
        return self._region

    def set_limit(self, limit: Limit) -> None:
        """Let the edit reach so far."""
        self.limit = limit
        self._box, self._mask = limit_mask(self._region.indices, self._session.case.geometry, limit.margin_mm)
        with self._own_doing():
            self._limit.set(self._box, self._mask, limit.lifted)
        if limit.lifted:
            self._focus.hide_limit()
        else:
            self._focus.show_limit(self._box, self._mask)

    def is_changed(self) -> bool:
        """Whether anything was drawn that would be recorded."""
        return bool(self._read(self.limit.lifted).changed.any())

    def draw(self, drawn: LabelRuns) -> None:
        """Draw labels by hand: flat indices and labels of voxels that differ."""
        labels = self._session.labels.copy()
        labels.reshape(-1)[drawn.indices] = drawn.labels
        self._copy.update(labels, drawn.indices)
        self._dirty = True

    def tick(self, effort: Effort) -> bool:
        """Look at what was drawn since the last time; returns whether there was anything.

        Strokes beyond the limit are put back at once: Slicer lets the reader erase there. What is left goes into the
        draft, as soon as there is time for it.

        Raises BadInputError if the draft cannot be written (it is tried again after the next stroke) or the copy cannot
        be read.
        """
        began = time.perf_counter()
        news = self._dirty
        if news:
            self._dirty, self._unkept = False, True
            with self._own_doing():
                if self._limit.keep_whole() and not self.limit.lifted:
                    self._put_back()
        if self._unkept and began - self._kept_at >= self._wait:
            self._unkept = False
            self._write(self._read(self.limit.lifted), effort)
            self._kept_at = time.perf_counter()
            self._wait = min(LONGEST_WAIT, 10 * (self._kept_at - began))
            news = True
        return news

    def finish(self, effort: Effort, settle: bool, note: str = "") -> EditOutcome:
        """Record what was drawn, within the limit; what lies beyond is put back.

        Raises
        ------
        BadInputError : it cannot be read back or recorded. NotSavedError : it could not be written. The edit is still
            open then, with all that was drawn.
        """
        drawn = self._read(whole=True)
        if not drawn.changed.any():
            self._close()
            return EditOutcome(None, self.put_back + drawn.put_back)
        try:
            change = self._session.edit(
                drawn.labels, self._region, limit=self.limit, box=drawn.box, effort=effort, settle=settle, note=note
            )
        except BadInputError:
            if self._session.unsaved:  # it is decided again when the reader is done again
                self._session.undo()
            raise
        self._close()
        return EditOutcome(change, self.put_back + drawn.put_back)

    def cancel(self) -> None:
        """Drop what was drawn, and the draft."""
        self._close()

    def abandon(self) -> None:
        """Let go without a trace in the scene; the draft stays."""
        self._observers.remove_all()
        if self._copy.in_scene:
            self._limit.remove()
        release_editor(self.handles.editor_node)
        self._focus.hide_limit()

    def _close(self) -> None:
        self.abandon()
        self._copy.fill(self._session.labels)
        remove_draft(self._session.case, self._session.reader)

    def _read(self, whole: bool) -> Drawn:
        before = self._session.labels
        structure = self._region.structure
        if not whole:
            labels = self._copy.read(before, structure, self._box)
            seen = before[self._box]
            return Drawn(self._box, np.where(self._mask, labels, seen), seen)
        box = tuple(slice(0, n) for n in before.shape)
        labels = self._copy.read(before, structure)
        if self.limit.lifted:
            return Drawn((box[0], box[1], box[2]), labels, before)
        differs = labels != before
        within = differs[self._box] & self._mask
        put_back = int(np.count_nonzero(differs)) - int(np.count_nonzero(within))
        seen = before[self._box]
        return Drawn(self._box, np.where(self._mask, labels[self._box], seen), seen, put_back)

    def _put_back(self) -> None:
        """Take back what was drawn beyond the limit."""
        drawn = self._read(whole=True)
        if drawn.put_back:
            labels = self._session.labels.copy()
            labels[drawn.box] = drawn.labels
            self._copy.fill(labels)
            self.put_back += drawn.put_back

    @contextmanager
    def _own_doing(self) -> Iterator[None]:
        """Changes of the copy meanwhile are no strokes of the reader."""
        self._own = True
        try:
            yield
        finally:
            self._own = False

    def _write(self, drawn: Drawn, effort: Effort) -> None:
        case, reader = self._session.case, self._session.reader
        local = np.nonzero(drawn.changed)
        self.changes = len(local[0])
        if not self.changes:
            if draft_file(case, reader).exists():
                remove_draft(case, reader)
            return
        kji = tuple(c + part.start for c, part in zip(local, drawn.box, strict=True))
        indices = np.ravel_multi_index(kji, case.geometry.shape)
        labels = LabelRuns.of(indices, drawn.labels[local])
        region = RegionRef.of(self._region, self._session.budget)
        voxels = VoxelRuns.of(self._region.indices)
        write_draft(case, reader, Draft.now(region, voxels, labels, self.limit, effort))

    def _on_modified(self) -> None:
        if not self._own:
            self._dirty = True
