"""The table of structures: boxes that are drawn here, segments that exist already, and their names and codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..core.errors import BadInputError
from ..mrml.names import ROLE_ATTRIBUTE, ROLE_PROMPT
from ..mrml.prompts import BOX, PromptEntry, add_box, entries_of_segmentation, entry_of_box
from . import slice_views
from .context import Context
from .presenters import run, structures
from .presenters.structures import StructureRow
from .sentences import sentence_of
from .structure_facts import FactsReader, center_of
from .tables import check_item, columns, fit_height, is_checked, swatch, text_item
from .text import _
from .widgets import Switch, quiet, set_text

SHOW, COLOR, NAME, CODE, PROMPT, STATE, REMOVE = range(7)


class StructuresSection:
    """The table, *Add box* and *From segment*."""

    def __init__(self, ui: Any, context: Context, volume_problem: Callable[[], str]) -> None:
        self._ui, self._context, self._volume_problem = ui, context, volume_problem
        self._rows: tuple[StructureRow, ...] = ()
        self._locked = ""
        self._items: list[list[Any]] = []
        self._reader = FactsReader()
        self._hint = ""
        self._buttons = [Switch(ui.addBoxButton), Switch(ui.fromSegmentButton)]
        table = ui.structuresTable
        columns(table, (NAME, CODE), (24, 24, 0, 0, 0, 0, 24))
        table.connect("cellClicked(int,int)", self._on_clicked)
        table.connect("cellChanged(int,int)", self._on_changed)
        fit_height(table, least_rows=2)
        ui.addBoxButton.connect("clicked()", self.on_add_box)
        ui.fromSegmentButton.connect("clicked()", self._on_from_segment)

    @property
    def problem(self) -> str:
        """Why the structures cannot be segmented, or empty."""
        return structures.first_problem(self._rows)

    @property
    def count(self) -> int:
        """How many structures there are."""
        return len(self._context.logic.state.prompts)

    def on_add_box(self) -> None:
        """Put a box into the middle of the views; its name can be typed at once."""
        name = self.add_box()
        if name:
            self._hint = structures.add_hint(name)
            self.update()
            self._edit_name(self.count - 1)

    def add_box(self) -> str:
        """Put a box into the middle of the views and return its name; empty if there is no volume to put it in."""
        state = self._context.logic.state
        if self._volume_problem() or self._context.logic.job.busy:
            return ""
        prompts = state.prompts
        name = structures.next_name([entry.name for entry in prompts])
        color = structures.next_color([entry.color for entry in prompts])
        center, size = slice_views.box_in_view(self._context.scene, state.volume)
        roi = add_box(self._context.scene, state.volume, center, size, name, color)
        state.prompts = (*prompts, entry_of_box(roi, name, color))
        self._context.refresh()
        return name

    def update(self) -> None:
        """Show the state."""
        logic, scene = self._context.logic, self._context.scene
        shown, volume = logic.shown, logic.state.volume
        segmented = shown.case.structures if shown is not None and shown.volume_node is volume else ()
        rows = structures.structure_rows(self._reader.facts_of(logic.state.prompts, scene, volume, segmented))
        busy = run.busy_reason(logic.job.state)
        if (rows, busy) != (self._rows, self._locked) or self._ui.structuresTable.rowCount != len(rows):
            self._rows, self._locked = rows, busy
            self._fill()
        for button in self._buttons:
            button.set(busy or self._volume_problem())
        if not rows:
            self._hint = ""
        set_text(self._ui.structuresHintLabel, self._hint or ("" if rows else structures.nothing_yet()))

    def hide_boxes(self) -> None:
        """Take the boxes out of the views, since the result is there; their check boxes bring them back."""
        for entry in self._context.logic.state.prompts:
            node = self._node_of(entry)
            if entry.kind == BOX and node is not None and node.GetDisplayNode() is not None:
                node.GetDisplayNode().SetVisibility(False)

    def clear_hint(self) -> None:
        """What the hint told was done."""
        self._hint = ""

    def say(self, hint: str) -> None:
        """A hint below the table."""
        self._hint = hint

    def _fill(self) -> None:
        table = self._ui.structuresTable
        with quiet(table):
            table.setRowCount(len(self._rows))
            self._items = [self._cells(row) for row in self._rows]
            for at, cells in enumerate(self._items):
                for column, item in enumerate(cells):
                    table.setItem(at, column, item)
        fit_height(table, least_rows=2)

    def _cells(self, row: StructureRow) -> list[Any]:
        """The cells of a row; while a job runs they say why they cannot be changed."""
        locked = self._locked
        tip = locked or _("Show the box in the views")
        show = text_item("") if row.visible is None else check_item(row.visible, tip, bool(locked))
        color = text_item("", locked or _("Click to choose another color."))
        color.setIcon(swatch(row.color))
        state = text_item(row.state, row.state_tip)
        if row.emphasis:
            font = state.font()
            font.setBold(True)
            state.setFont(font)
        return [
            show,
            color,
            text_item(row.name, locked or _("Double-click to rename."), editable=not locked),
            text_item(row.code, locked or row.code_tip),
            text_item(row.prompt, row.prompt_tip),
            state,
            text_item("" if locked else "\u00d7", locked or _("Remove {name} from the list.").format(name=row.name)),
        ]

    def _edit_name(self, at: int) -> None:
        if 0 <= at < len(self._items):
            self._ui.structuresTable.setCurrentCell(at, NAME)
            self._ui.structuresTable.editItem(self._items[at][NAME])

    def _on_clicked(self, at: int, column: int) -> None:
        entry = self._entry(at)
        if entry is None or (self._locked and column not in (PROMPT, STATE)):
            return
        if column == COLOR:
            color = self._context.dialogs.color(_("Color of {name}").format(name=entry.name), entry.color)
            if color is not None:
                self._change(replace(entry, color=color))
        elif column == CODE:
            code = self._context.dialogs.terminology(_("Code of {name}").format(name=entry.name), entry.terminology)
            if code is not None:
                self._change(replace(entry, terminology=code))
        elif column == REMOVE:
            self._remove(entry)
        elif column in (PROMPT, STATE):
            center = center_of(entry, self._context.scene)
            if center is not None:
                slice_views.jump(self._context.scene, center)

    def _on_changed(self, at: int, column: int) -> None:
        entry = self._entry(at)
        if entry is None:
            return
        item = self._items[at][column]
        if column == NAME:
            name = item.text().strip()
            if name != entry.name:
                code = structures.renamed(entry.name, name, entry.terminology)
                self._change(replace(entry, name=name, terminology=code))
        elif column == SHOW and self._rows[at].visible is not None:
            self._node_of(entry).GetDisplayNode().SetVisibility(is_checked(item))

    def _change(self, entry: PromptEntry) -> None:
        """Keep a changed entry, and let the box in the views look like it."""
        state = self._context.logic.state
        state.prompts = tuple(entry if old.key == entry.key else old for old in state.prompts)
        node = self._node_of(entry)
        if node is not None and entry.kind == BOX:
            if entry.name:
                node.SetName(entry.name)
            if node.GetDisplayNode() is not None:
                node.GetDisplayNode().SetSelectedColor(*entry.color)
                node.GetDisplayNode().SetColor(*entry.color)
        self._context.refresh()

    def _remove(self, entry: PromptEntry) -> None:
        """Take an entry off the list, with the box if it was drawn here; a segment stays where it is."""
        state, node = self._context.logic.state, self._node_of(entry)
        state.prompts = tuple(old for old in state.prompts if old.key != entry.key)
        if node is not None and entry.kind == BOX and node.GetAttribute(ROLE_ATTRIBUTE) == ROLE_PROMPT:
            self._context.scene.RemoveNode(node)
        self._context.refresh()

    def _on_from_segment(self) -> None:
        chosen = self._context.dialogs.segments(self._context.scene)
        if chosen is None:
            return
        state = self._context.logic.state
        node, ids = chosen
        there = {(entry.node_id, entry.segment_id) for entry in state.prompts}
        new = [segment for segment in ids if (node.GetID(), segment) not in there]
        try:
            state.prompts = (*state.prompts, *entries_of_segmentation(node, new, len(state.prompts)))
            self._hint = ""
        except BadInputError as error:
            self._hint = sentence_of(error)
        self._context.refresh()

    def _entry(self, at: int) -> PromptEntry | None:
        """The entry of a row; None if the table is behind the state."""
        if not 0 <= at < len(self._rows):
            return None
        return next((e for e in self._context.logic.state.prompts if e.key == self._rows[at].key), None)

    def _node_of(self, entry: PromptEntry) -> Any:
        return self._context.scene.GetNodeByID(entry.node_id) if entry.node_id else None
