"""One reader's review of the shown case, and what it shows in the scene: region, corrected copy, lines on offer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import vtk

from ...core.errors import BadInputError
from ...core.regions import Region
from ...core.review import Candidate, Change, Conflict, Limit, ReviewSession, Undo
from ...core.review.corrected_file import touched_labels
from ...mrml.review import views
from ...mrml.review.corrected import CorrectedCopy
from ...mrml.review.focus import RegionFocus
from ...mrml.review.previews import Previews
from ..observers import Observers
from ..shown_case import ShownCase
from .lists import lists_of
from .offers import Offers, Option, Reprompt
from .open_edit import OpenEdit
from .scene_copy import SceneCopy
from .tally import Tally


class Desk:
    """Session and scene of one review.

    Parameters
    ----------
    session : of the shown case; the desk closes it.
    reprompt, changed : see `offers.Offers`.
    clock : seconds.

    Attributes
    ----------
    conflict : the disagreement that is looked at instead of a row, or None.
    edit : the open edit, or None.
    """

    def __init__(
        self,
        scene: Any,
        shown: ShownCase,
        session: ReviewSession,
        reprompt: Reprompt | None,
        changed: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._scene, self.shown, self.session = scene, shown, session
        self.conflict: Conflict | None = None
        self.edit: OpenEdit | None = None
        self.before = views.remember(scene)
        self.scene_copy = SceneCopy(scene, shown.case, clock)
        self.tally = Tally(session)
        self._work = shown.worklist
        self._observers = Observers()
        self._previews = Previews(scene, shown.volume_node, shown.alignment)
        self.copy = self._new_copy()
        self.focus = self._new_focus()
        self.offers = Offers(shown.case, session.state.model.volume, self._previews, reprompt, changed, clock)

    @property
    def region(self) -> Region | None:
        """What is looked at: the current row's region, or the voxels of a conflict."""
        if self.edit is not None:
            return self.edit.region
        if self.conflict is not None:
            return self.conflict.as_region(self.shown.case.geometry, self.shown.experts)
        row = self.session.current
        return None if row is None else row.region

    def needed_region(self) -> Region:
        """As `region`; raises BadInputError if there is none."""
        region = self.region
        if region is None:
            raise BadInputError("nothing is deferred at this budget: there is no region to decide on")
        return region

    def arrive(self, jump: bool) -> None:
        """Show the region that is looked at now."""
        self.offers.clear()
        region = self.region
        if region is None:
            self.focus.clear()
            return
        color = next(e.color for e in self.shown.experts if e.id == region.expert)
        self.focus.show(region.indices, color)
        if jump:
            self.jump()

    def jump(self) -> None:
        """Center all views on the region and zoom to it."""
        region = self.region
        if region is not None:
            case, volume = self.shown.case, self.shown.volume_node
            views.go_to(self._scene, views.place_of(region.indices, case.geometry, volume))

    def drew_anew(self, change: Change | None) -> None:
        """Labels have changed: where a change says, or anywhere."""
        self.offers.clear()
        if not self.copy.in_scene:
            self._renew_copy()
            self.tally.forget()
        elif change is None:
            self.copy.fill(self.session.labels)
            self._retag(touched_labels(self.session.view))
            self.tally.forget()
        else:
            self.tally.decided(change.voxels)
            self.copy.update(self.session.labels, change.voxels)
            self._retag(self._touched_by(change))
        self.scene_copy.touch()
        if self.conflict is not None and not any(_same(self.conflict, c) for c in self.session.conflicts):
            self.conflict = None

    def follow_shown(self) -> bool:
        """Take over the budget and the duty that the panel has; returns whether they had changed."""
        changed = False
        if self.shown.worklist is not self._work:
            self._work = self.shown.worklist
            self.session.budget = self.shown.budget
            self.session.set_worklist(lists_of(self.shown))
            changed = True
        elif self.shown.budget != self.session.budget:
            self.session.set_budget(self.shown.budget)
            changed = True
        return changed

    def find_offers(self) -> tuple[Option, ...]:
        """Labelings on offer for the region; for a conflict, those of the readers first."""
        region = self.needed_region()
        return self.offers.find(region, self.session.labels, self._of_readers(region))

    def draw_offers(self) -> None:
        """Draw the lines of what is on offer."""
        self.offers.draw(self.session.labels)

    def open_edit(self, region: Region, limit: Limit) -> OpenEdit:
        """Begin an edit."""
        self.offers.clear()
        if not self.copy.in_scene:
            self._renew_copy()
        shown = self.shown
        self.edit = OpenEdit(
            self._scene, self.session, region, self.copy, self.focus, shown.volume_node, shown.alignment, limit
        )
        return self.edit

    def strays(self) -> int:
        """Voxels on which the corrected copy is not as decided, since somebody drew in it outside of an edit."""
        if self.edit is not None or not self.copy.in_scene:
            return 0
        labels = self.session.labels
        try:
            seen = self.copy.read(labels, self.shown.case.structures[0].id)
        except BadInputError:  # a segment was removed, which nobody takes for a correction
            return 0
        return int(np.count_nonzero(seen != labels))

    def close(self, keep_copy: bool) -> None:
        """Let go: helper nodes leave the scene, dimmed things are as before, others may open the journal.

        An open edit is abandoned; its draft stays.
        """
        if self.edit is not None:
            self.edit.abandon()
            self.edit = None
        self._observers.remove_all()
        self.offers.clear()
        self.focus.clear()
        self.scene_copy.close()
        if not keep_copy:
            self.copy.remove()
        self.session.close()

    def _touched_by(self, change: Change) -> frozenset[int]:
        """Labels of the structures that a person's hand has changed, if just these voxels were decided on."""
        if isinstance(change.entry.decision, Undo):
            return touched_labels(self.session.view)
        before = self.session.state.model.at(change.voxels)
        after = self.session.labels.reshape(-1)[change.voxels]
        changed = before != after
        return self._touched | (frozenset(np.unique([*before[changed], *after[changed]]).tolist()) - {0})

    def _retag(self, touched: frozenset[int]) -> None:
        self._touched = touched
        self.copy.retag(touched)

    def _of_readers(self, region: Region) -> list[Candidate]:
        """What each reader says on a conflict."""
        if self.conflict is None:
            return []
        state = self.session.state
        names = {reader.id: reader.name for reader in state.readers}
        return [Candidate(names[who], state.of(who).at(region.indices).label) for who in self.conflict.readers]

    def _renew_copy(self) -> None:
        """The corrected copy was taken out of the scene."""
        self._observers.remove_all()
        self.focus.clear()
        self.copy = self._new_copy()
        self.focus = self._new_focus()

    def _new_copy(self) -> CorrectedCopy:
        shown = self.shown
        copy = CorrectedCopy(self._scene, shown.case, shown.volume_node, shown.alignment, self.session.labels)
        self._touched = touched_labels(self.session.view)
        copy.retag(self._touched)
        leader = shown.result_node.GetDisplayNode()
        self._observers.add(leader, vtk.vtkCommand.ModifiedEvent, self._follow_result)
        return copy

    def _new_focus(self) -> RegionFocus:
        shown = self.shown
        return RegionFocus(
            self._scene,
            shown.case.geometry,
            shown.volume_node,
            shown.alignment,
            shown.deferred_node,
            shown.result_node,
            (shown.result_node, self.copy.node),
        )

    def _follow_result(self) -> None:
        """The corrected lines are shown, hidden and faded with the model's."""
        leader, display = self.shown.result_node.GetDisplayNode(), self.copy.node.GetDisplayNode()
        if leader is not None and display is not None:
            display.SetVisibility(leader.GetVisibility())
            display.SetOpacity2DOutline(leader.GetOpacity2DOutline())


def _same(one: Conflict, other: Conflict) -> bool:
    return len(one.indices) == len(other.indices) and bool(np.array_equal(one.indices, other.indices))
