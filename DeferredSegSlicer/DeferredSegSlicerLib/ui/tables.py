"""Small helpers for `QTableWidget`: cells, swatches, and a height that shows every row.

Items that Python makes are kept in the returned lists by the caller: PythonQt may drop an item that nobody holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qt

SWATCH = 14
"""Side of a color swatch, pixels."""


def text_item(text: str, tool_tip: str = "", editable: bool = False) -> Any:
    """A cell with a text."""
    item = qt.QTableWidgetItem(text)
    item.setToolTip(tool_tip)
    flags = qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEnabled
    item.setFlags(flags | qt.Qt.ItemIsEditable if editable else flags)
    return item


def number_item(text: str) -> Any:
    """A cell with a figure, to the right."""
    item = text_item(text)
    item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
    return item


def check_item(checked: bool, tool_tip: str = "", locked: bool = False) -> Any:
    """A cell with a check box, which the user cannot change if it is locked."""
    item = qt.QTableWidgetItem()
    item.setFlags(qt.Qt.ItemIsEnabled if locked else qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable)
    item.setCheckState(qt.Qt.Checked if checked else qt.Qt.Unchecked)
    item.setToolTip(tool_tip)
    return item


def is_checked(item: Any) -> bool:
    """Whether a cell's check box is ticked."""
    return bool(item.checkState() == qt.Qt.Checked)


def swatch(color: Sequence[float]) -> Any:
    """An icon in one color, red, green, blue in 0..1."""
    pixmap = qt.QPixmap(SWATCH, SWATCH)
    pixmap.fill(qt.QColor.fromRgbF(*color))
    return qt.QIcon(pixmap)


def columns(table: Any, stretched: Sequence[int], widths: Sequence[int] = ()) -> None:
    """Some columns share the room that is left; the others are as wide as `widths` says, or (0) as their contents."""
    header = table.horizontalHeader()
    header.setMinimumSectionSize(20)
    for column in range(table.columnCount):
        fixed = widths[column] if column < len(widths) else 0
        mode = qt.QHeaderView.Stretch if column in stretched else qt.QHeaderView.ResizeToContents
        header.setSectionResizeMode(column, qt.QHeaderView.Fixed if fixed else mode)
        if fixed:
            table.setColumnWidth(column, fixed)
        table.horizontalHeaderItem(column).setTextAlignment(qt.Qt.AlignLeft | qt.Qt.AlignVCenter)


def fit_height(table: Any, least_rows: int = 1, most_rows: int = 8) -> None:
    """Make a table as high as its rows, so that the panel scrolls and not the table within it."""
    rows = min(max(table.rowCount, least_rows), most_rows)
    each = table.verticalHeader().defaultSectionSize
    header = table.horizontalHeader().sizeHint.height()
    table.setFixedHeight(header + rows * each + 2 * table.frameWidth)
