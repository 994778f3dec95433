"""Where readers disagree: a list that one goes through; a decision there settles it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..tables import columns, fit_height, number_item, text_item
from ..text import _
from ..widgets import quiet, set_text
from .asking import Asking
from .facts import Facts
from .presenters import deciding
from .presenters.worklist import figure

if TYPE_CHECKING:
    from ...core.review import Conflict
    from ...logic.review import ReviewLogic

_MOST = 200
"""So many conflicts are listed; more are gone through one after the other."""


class ConflictsPart:
    """The list, there only while there is a conflict."""

    def __init__(self, ui: Any, review: ReviewLogic, asking: Asking) -> None:
        self._ui, self._review, self._asking = ui, review, asking
        self._shown: tuple[Conflict, ...] = ()
        self._items: list[list[Any]] = []
        columns(ui.conflictsTable, (1,))
        ui.conflictsTable.connect("cellClicked(int,int)", self._on_clicked)

    def update(self, facts: Facts) -> None:
        """Show the state."""
        ui, found = self._ui, self._review.conflicts
        ui.conflictsWidget.setVisible(bool(found) and not facts.editing)
        if not found:
            self._shown = ()
            return
        set_text(ui.conflictsLabel, deciding.conflicts_text(len(found)))
        if len(found) != len(self._shown) or any(a is not b for a, b in zip(found, self._shown, strict=True)):
            self._shown = found
            self._fill(facts)
        looked_at = self._review.conflict
        with quiet(ui.conflictsTable):
            at = next((n for n, conflict in enumerate(found[:_MOST]) if conflict is looked_at), -1)
            if at < 0:
                ui.conflictsTable.clearSelection()
            else:
                ui.conflictsTable.selectRow(at)

    def _fill(self, facts: Facts) -> None:
        table, listed = self._ui.conflictsTable, self._shown[:_MOST]
        ml = facts.shown.case.geometry.voxel_ml
        table.setRowCount(len(listed))
        self._items = []
        for at, conflict in enumerate(listed):
            sides, tip = deciding.sides_text(conflict), _("Click to look at it.")
            cells = [
                text_item(facts.names.structure(conflict.structure), tip),
                text_item(sides, f"{sides}\n{tip}"),
                number_item(figure(len(conflict.indices) * ml)),
            ]
            for column, item in enumerate(cells):
                table.setItem(at, column, item)
            self._items.append(cells)
        fit_height(table, most_rows=4)

    def _on_clicked(self, at: int, _column: int) -> None:
        with self._asking.asked():
            self._review.go_to_conflict(at)
