"""A table of thousands of rows in which only those on the screen have cells.

Making a cell takes some microseconds in PythonQt; for 5,000 rows that is too long for a click. Rows have all the same
height, so the table knows which are seen, and fills these whenever the rows change or the table is scrolled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt

from ...core.review import Row
from ..tables import fit_height, number_item, text_item
from ..widgets import quiet
from .presenters.names import Color
from .presenters.worklist import (
    ERROR,
    EXPERT,
    FIGURES,
    ML,
    NUMBER,
    SLICES,
    SORT_KEYS,
    STATE,
    STRUCTURE,
    Cells,
    clicked,
    headers,
    state_choices,
)
from .swatches import firm_swatch

LEAST_ROWS, MOST_ROWS = 4, 8
"""The table is as high as so many rows; more are scrolled to."""

_GRAY = (0.5, 0.5, 0.5)
_LOUD = (0.78, 0.16, 0.13)
_ROOM = 11
"""Pixels of a column beside its text."""

_WIDEST_NAME = 16
"""Letters of an expert's name that are shown at least; longer ones are cut, and whole in the tool tip."""


class WorklistTable:
    """Shows rows, and tells which one is gone to and how the rows are to be sorted.

    Parameters
    ----------
    table : the `QTableWidget`.
    go_to : called with a row that the reader has chosen by mouse or arrow keys. look : with one double-clicked.
    sort : called with (key, descending).
    """

    def __init__(
        self, table: Any, go_to: Callable[[Row], None], look: Callable[[Row], None], sort: Callable[[str, bool], None]
    ) -> None:
        self._table, self._go_to, self._look, self._sort = table, go_to, look, sort
        self._rows: Sequence[Row] = ()
        self._cells_of: Callable[[Row], Cells] | None = None
        self._items: dict[int, list[Any]] = {}
        self._fresh: set[int] = set()
        self._icons: dict[Color, Any] = {}
        self._order = ("", False)
        self._gray, self._loud = (qt.QBrush(qt.QColor.fromRgbF(*color)) for color in (_GRAY, _LOUD))
        self._usual = qt.QBrush()
        header = table.horizontalHeader()
        header.setSortIndicatorShown(True)
        header.connect("sectionClicked(int)", self._on_header)
        table.connect("currentCellChanged(int,int,int,int)", self._on_current)
        table.connect("cellDoubleClicked(int,int)", self._on_double_click)
        table.connect("cellClicked(int,int)", self._on_click)
        table.verticalScrollBar().connect("valueChanged(int)", self._fill)
        self._label_headers()

    @property
    def filled(self) -> int:
        """How many rows have cells."""
        return len(self._items)

    def set_names(self, experts: Sequence[str], count: int) -> None:
        """Make the columns wide enough for these names of experts and so many rows."""
        letters = max((len(name) for name in experts), default=0)
        name = next((name for name in experts if len(name) == letters), "")[:_WIDEST_NAME]
        states = [caption for value, caption in state_choices() if value]
        texts = {NUMBER: [str(count)], EXPERT: [f"{name}xxx"], ML: ["99.9"], SLICES: ["999"], ERROR: ["99.9"]}
        texts[STATE] = states
        for column, wanted in texts.items():
            wanted.append(headers()[column][0])
            widest = max(self._table.fontMetrics().boundingRect(text).width() for text in wanted)
            self._table.setColumnWidth(column, widest + _ROOM)

    def show(
        self, rows: Sequence[Row], current: Row | None, order: tuple[str, bool], cells_of: Callable[[Row], Cells]
    ) -> None:
        """Show rows in their order, with the current one marked if it is among them."""
        self._rows, self._cells_of = rows, cells_of
        self._fresh.clear()
        table = self._table
        with quiet(table):
            if table.rowCount != len(rows):
                table.setRowCount(len(rows))
                self._items = {at: items for at, items in self._items.items() if at < len(rows)}
                fit_height(table, LEAST_ROWS, MOST_ROWS)
            self._mark(next((at for at, row in enumerate(rows) if current is not None and row.id == current.id), -1))
            if order != self._order:
                self._order = order
                down = qt.Qt.DescendingOrder if order[1] else qt.Qt.AscendingOrder
                table.horizontalHeader().setSortIndicator(SORT_KEYS.index(order[0]), down)
        self._fill()

    def _mark(self, at: int) -> None:
        if at < 0:
            self._table.clearSelection()
            self._table.setCurrentCell(-1, -1)
        elif self._table.currentRow() != at or not self._table.selectedItems():
            self._table.setCurrentCell(at, STRUCTURE)
            self._table.selectRow(at)

    def _fill(self, _scrolled: int = 0) -> None:
        """Give the rows on the screen their cells."""
        first = int(self._table.verticalScrollBar().value) // self._table.verticalHeader().defaultSectionSize
        last = min(first + MOST_ROWS + 1, len(self._rows))
        missing = [at for at in range(first, last) if at not in self._fresh]
        if self._cells_of is None or not missing:
            return
        with quiet(self._table):
            for at in missing:
                self._fill_row(at, self._cells_of(self._rows[at]))
        self._fresh.update(missing)

    def _fill_row(self, at: int, cells: Cells) -> None:
        items = self._items.get(at)
        if items is None:
            items = [number_item("") if n in FIGURES else text_item("") for n in range(len(SORT_KEYS))]
            self._items[at] = items
            for column, item in enumerate(items):
                self._table.setItem(at, column, item)
        brush = self._gray if cells.settled else self._usual
        for column, (item, text) in enumerate(zip(items, cells.texts, strict=True)):
            item.setText(text)
            item.setToolTip(cells.tool_tip)
            item.setForeground(self._loud if cells.loud and column == STATE else brush)
        items[EXPERT].setIcon(self._icon(cells.color))

    def _icon(self, color: Color | None) -> Any:
        if color is None:
            return qt.QIcon()
        if color not in self._icons:
            self._icons[color] = firm_swatch(color)
        return self._icons[color]

    def _label_headers(self) -> None:
        header = self._table.horizontalHeader()
        header.setMinimumSectionSize(20)
        for column, (text, tool_tip) in enumerate(headers()):
            stretched = column == STRUCTURE
            header.setSectionResizeMode(column, qt.QHeaderView.Stretch if stretched else qt.QHeaderView.Fixed)
            item = self._table.horizontalHeaderItem(column)
            item.setText(text)
            item.setToolTip(tool_tip)
            side = qt.Qt.AlignRight if column in FIGURES else qt.Qt.AlignLeft
            item.setTextAlignment(side | qt.Qt.AlignVCenter)

    def _row(self, at: int) -> Row | None:
        return self._rows[at] if 0 <= at < len(self._rows) else None

    def _on_header(self, column: int) -> None:
        self._sort(*clicked(column, self._order))

    def _on_current(self, at: int, _column: int, before: int) -> None:
        row = self._row(at)
        if row is not None and at != before:
            self._go_to(row)

    def _on_click(self, at: int, _column: int) -> None:
        row = self._row(at)
        if row is not None:
            self._go_to(row)

    def _on_double_click(self, at: int, _column: int) -> None:
        row = self._row(at)
        if row is not None:
            self._look(row)
