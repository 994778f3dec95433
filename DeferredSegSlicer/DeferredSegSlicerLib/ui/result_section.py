"""The result: of which volume it is, who gets what of it, and how it looks in the views."""

from __future__ import annotations

from typing import Any

import qt

from ..mrml import display
from .context import Context
from .presenters import result
from .presenters.result import LegendLine
from .tables import columns, fit_height, number_item, swatch, text_item
from .widgets import Switch, quiet, set_text

_SURFACE_MS = 400
"""Surfaces in 3D are made anew so long after the last change of the regions: they take longer than the slices."""


class ResultSection:
    """Legend, notes, and the controls of the two overlays."""

    def __init__(self, ui: Any, context: Context) -> None:
        self._ui, self._context = ui, context
        self._lines: tuple[LegendLine, ...] | None = None
        self._items: list[list[Any]] = []
        self._surfaces = qt.QTimer()
        self._surfaces.setSingleShot(True)
        self._surfaces.setInterval(_SURFACE_MS)
        self._surfaces.connect("timeout()", self._make_surfaces)
        columns(ui.legendTable, (0,))
        ui.showModelBox.connect("toggled(bool)", self._on_show_model)
        ui.showDeferredBox.connect("toggled(bool)", self._on_show_deferred)
        ui.show3DBox.connect("toggled(bool)", self._on_show_3d)
        ui.modelOutlineSlider.connect("valueChanged(double)", self._on_model_outline)
        ui.deferredFillSlider.connect("valueChanged(double)", self._on_deferred_fill)
        ui.deferredOutlineSlider.connect("valueChanged(double)", self._on_deferred_outline)
        self._sliders = {
            "model": [Switch(ui.modelOutlineSlider)],
            "deferred": [Switch(ui.deferredFillSlider), Switch(ui.deferredOutlineSlider)],
        }

    def toggle_model(self) -> None:
        """Show or hide the model's outline."""
        self._on_show_model(not self._context.logic.state.show_model)

    def toggle_deferred(self) -> None:
        """Show or hide what is deferred."""
        self._on_show_deferred(not self._context.logic.state.show_deferred)

    def close(self) -> None:
        """Stop the timer."""
        self._surfaces.stop()

    def update(self) -> None:
        """Show the state."""
        ui, shown = self._ui, self._context.logic.shown
        ui.resultCollapsibleButton.text = (
            result.no_result() if shown is None else result.title(_name(shown.volume_node))
        )
        ui.emptyResultLabel.setVisible(shown is None)
        ui.legendTable.setVisible(shown is not None)
        ui.displayWidget.setVisible(shown is not None)
        set_text(ui.mismatchLabel, self._mismatch(shown))
        if shown is None:
            for label in (ui.summaryLabel, ui.methodLabel, ui.notesLabel):
                set_text(label, "")
            return
        rows = shown.legend()
        self._fill(result.legend_lines(rows))
        on_duty = sum(row.on_duty for row in rows)
        regions = shown.regions
        ml = sum(row.ml for row in rows)
        set_text(ui.summaryLabel, result.summary(len(regions), ml, regions.seconds / 60, shown.budget))
        case = shown.case
        model = str(case.model.get("name", case.model.get("id", "")))
        set_text(ui.methodLabel, result.method_text(case.method, model))
        ui.methodLabel.setToolTip(result.model_text(model))
        set_text(ui.notesLabel, "\n".join(result.notes(case.settings, on_duty)))
        self._update_display()
        self._plan_surfaces()

    def _update_display(self) -> None:
        ui, state = self._ui, self._context.logic.state
        boxes = (ui.showModelBox, ui.showDeferredBox, ui.show3DBox)
        sliders = (ui.modelOutlineSlider, ui.deferredFillSlider, ui.deferredOutlineSlider)
        with quiet(*boxes, *sliders):
            for box, on in zip(boxes, (state.show_model, state.show_deferred, state.show_3d), strict=True):
                box.setChecked(on)
            opacities = (state.model_outline, state.deferred_fill, state.deferred_outline)
            for slider, opacity in zip(sliders, opacities, strict=True):
                slider.setValue(round(opacity * 100))
        for which, on in (("model", state.show_model), ("deferred", state.show_deferred)):
            for switch in self._sliders[which]:
                switch.set("" if on else result.hidden_reason())

    def _mismatch(self, shown: Any) -> str:
        """A warning if the result is not of the chosen volume."""
        chosen = self._context.logic.state.volume
        if shown is None or (chosen is not None and shown.volume_node.GetID() == chosen.GetID()):
            return ""
        return result.mismatch(_name(shown.volume_node), _name(chosen))

    def _fill(self, lines: tuple[LegendLine, ...]) -> None:
        if lines == self._lines:
            return
        self._lines = lines
        table = self._ui.legendTable
        table.setRowCount(len(lines))
        self._items = []
        for at, line in enumerate(lines):
            name = text_item(line.name)
            if line.color is not None:
                name.setIcon(swatch(line.color))
            cells = [name, number_item(line.regions), number_item(line.ml), number_item(line.minutes)]
            for column, item in enumerate(cells):
                if line.color is None:
                    font = item.font()
                    font.setBold(True)
                    item.setFont(font)
                table.setItem(at, column, item)
            self._items.append(cells)
        fit_height(table)

    def _plan_surfaces(self) -> None:
        """The regions may have changed; their surfaces follow when the slider has come to rest."""
        if self._context.logic.state.show_3d:
            self._surfaces.start()

    def _make_surfaces(self) -> None:
        if self._context.logic.state.show_3d:
            self._context.logic.refresh_3d()

    def _on_show_model(self, on: bool) -> None:
        shown = self._context.logic.shown
        if shown is not None:
            self._context.logic.state.show_model = on
            display.set_visible(shown.result_node, on)
            self._context.refresh()

    def _on_show_deferred(self, on: bool) -> None:
        shown = self._context.logic.shown
        if shown is not None:
            self._context.logic.state.show_deferred = on
            display.set_visible(shown.deferred_node, on)
            self._context.refresh()

    def _on_show_3d(self, on: bool) -> None:
        self._context.logic.state.show_3d = on
        self._context.logic.refresh_3d()
        self._context.refresh()

    def _on_model_outline(self, percent: float) -> None:
        self._context.logic.state.model_outline = percent / 100
        self._set_opacities()

    def _on_deferred_fill(self, percent: float) -> None:
        self._context.logic.state.deferred_fill = percent / 100
        self._set_opacities()

    def _on_deferred_outline(self, percent: float) -> None:
        self._context.logic.state.deferred_outline = percent / 100
        self._set_opacities()

    def _set_opacities(self) -> None:
        shown, state = self._context.logic.shown, self._context.logic.state
        if shown is not None:
            display.set_opacity(shown.result_node, outline=state.model_outline)
            display.set_opacity(shown.deferred_node, state.deferred_fill, state.deferred_outline)


def _name(node: Any) -> str:
    return str(node.GetName()) if node is not None else ""
