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
        self._lines: list[tuple[str, str, str]] = []
        self._items: list[list[Any]] = []
        columns(ui.conflictsTable, (1,))
        ui.conflictsTable.connect("cellClicked(int,int)", self._on_clicked)

    def update(self, facts: Facts) -> None:
        """Show the state."""
        ui, found = self._ui, self._review.conflicts
        ui.conflictsWidget.setVisible(bool(found) and not facts.editing)
        if not found:
            return
        set_text(ui.conflictsLabel, deciding.conflicts_text(len(found)))
        lines = [self._line(conflict, facts) for conflict in found[:_MOST]]
        if lines != self._lines:
            self._lines = lines
            self._fill()
        at = deciding.position_of(self._review.conflict, found[:_MOST])
        with quiet(ui.conflictsTable):
            if at < 0:
                ui.conflictsTable.clearSelection()
            else:
                ui.conflictsTable.selectRow(at)

    @staticmethod
    def _line(conflict: Conflict, facts: Facts) -> tuple[str, str, str]:
        ml = len(conflict.indices) * facts.shown.case.geometry.voxel_ml
        return facts.names.structure(conflict.structure), deciding.sides_text(conflict), figure(ml)

    def _fill(self) -> None:
        table = self._ui.conflictsTable
        table.setRowCount(len(self._lines))
        self._items = []
        for at, (structure, sides, ml) in enumerate(self._lines):
            tip = _("Click to look at it.")
            cells = [text_item(structure, tip), text_item(sides, f"{sides}\n{tip}"), number_item(ml)]
            for column, item in enumerate(cells):
                table.setItem(at, column, item)
            self._items.append(cells)
        fit_height(table, most_rows=4)

    def _on_clicked(self, at: int, _column: int) -> None:
        with self._asking.asked():
            self._review.go_to_conflict(at)
