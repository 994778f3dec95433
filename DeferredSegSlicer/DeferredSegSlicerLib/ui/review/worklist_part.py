"""The worklist: progress, filters, the table, and the buttons that walk through it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...core.review import Row
from ..widgets import Switch, fill_box, quiet, set_text
from .asking import Asking
from .facts import Facts
from .presenters import worklist
from .presenters.names import Names
from .worklist_table import WorklistTable

if TYPE_CHECKING:
    from ...logic.review import ReviewLogic


class WorklistPart:
    """Shows the regions and goes to them.

    leave_edit : records an open edit.
    """

    def __init__(self, ui: Any, review: ReviewLogic, asking: Asking, leave_edit: Callable[[], None]) -> None:
        self._ui, self._review, self._asking, self._leave_edit = ui, review, asking, leave_edit
        self._names = Names()
        self._counted = -1
        self._reader = ""
        self._filters: list[list[tuple[str, str]]] = [[], [], []]
        self._table = WorklistTable(ui.worklistTable, self._on_go_to, self._on_look, self._on_sort)
        for box in self._boxes:
            box.connect("activated(int)", self._on_filter)
        ui.previousButton.connect("clicked()", self.previous)
        ui.nextButton.connect("clicked()", self.next)
        ui.followViewsBox.connect("toggled(bool)", self._on_follow)
        ui.allReadersBox.connect("toggled(bool)", self._on_all_readers)
        self._walk = [Switch(ui.previousButton), Switch(ui.nextButton)]

    @property
    def _boxes(self) -> tuple[Any, Any, Any]:
        return self._ui.expertFilterBox, self._ui.stateFilterBox, self._ui.structureFilterBox

    def next(self) -> None:
        """Go to the next region; an open edit is recorded."""
        with self._asking.asked():
            self._leave_edit()
            self._review.next()

    def previous(self) -> None:
        """Go to the region before."""
        with self._asking.asked():
            self._leave_edit()
            self._review.previous()

    def update(self, facts: Facts) -> None:
        """Show the state."""
        ui, review, progress = self._ui, self._review, facts.progress
        ui.progressLabel.setText(worklist.progress_text(progress))
        ui.reviewProgressBar.setMaximum(max(progress.total, 1))
        ui.reviewProgressBar.setValue(progress.done)
        ui.listWidget.setVisible(not facts.editing)
        if (facts.names, progress.total) != (self._names, self._counted):
            self._names, self._counted = facts.names, progress.total
            self._table.set_names(list(facts.names.experts.values()), progress.total)
        self._reader = facts.reader
        self._table.show(facts.rows, facts.current, review.order, self._cells)
        set_text(ui.worklistHintLabel, worklist.nothing_shown(len(facts.rows), progress.total, review.row_filter))
        self._show_filters(facts.names)
        reason = worklist.walk_reason(self._others(facts))
        for switch in self._walk:
            switch.set(reason)
        with quiet(ui.followViewsBox, ui.allReadersBox):
            ui.followViewsBox.setChecked(review.follow_views)
            ui.allReadersBox.setChecked(review.all_readers)

    def _cells(self, row: Row) -> worklist.Cells:
        return worklist.cells_of(row, self._names, self._reader)

    def _others(self, facts: Facts) -> int:
        """How many rows there are to go to, counted up to two; the current one counts if it is not looked at."""
        rows = list(facts.rows[:2])
        away = self._review.conflict is not None or all(row is not facts.current for row in rows)
        return 2 if away and rows else len(rows)

    def _show_filters(self, names: Names) -> None:
        shown = self._review.row_filter
        choices = [worklist.expert_choices(names), worklist.state_choices(), worklist.structure_choices(names)]
        self._filters = choices
        for box, lines, value in zip(self._boxes, choices, (shown.expert, shown.state, shown.structure), strict=True):
            fill_box(box, lines, value or "")

    def _on_filter(self) -> None:
        expert, state, structure = (
            lines[box.currentIndex][0] or None for box, lines in zip(self._boxes, self._filters, strict=True)
        )
        with self._asking.asked():
            self._review.show(expert, state, structure)  # type: ignore[arg-type]

    def _on_sort(self, key: str, descending: bool) -> None:
        with self._asking.asked():
            self._review.sort(key, descending)

    def _on_go_to(self, row: Row) -> None:
        current = self._review.current
        if self._review.conflict is not None or current is None or current.id != row.id:
            with self._asking.asked():
                self._review.go_to(row.id)

    def _on_look(self, _row: Row) -> None:
        with self._asking.asked():
            self._review.look()

    def _on_follow(self, on: bool) -> None:
        self._review.set_follow_views(on)

    def _on_all_readers(self, on: bool) -> None:
        with self._asking.asked():
            self._leave_edit()
            self._review.show_all_readers(on)
