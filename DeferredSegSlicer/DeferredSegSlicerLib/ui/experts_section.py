"""Who is on duty, how much may be deferred, and which network runs where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt

from ..core.errors import DeferredSegError
from ..core.experts import Expert
from ..logic.bundles import installed_bundles
from ..logic.experts import load_profiles, off_duty_of
from ..resources import DEFAULT_BUNDLE
from .context import Context
from .presenters import budget, experts, run, setup
from .presenters.budget import MINUTES, REGIONS, SHARE, UNITS
from .presenters.experts import ExpertRow
from .sentences import sentence_of
from .tables import check_item, columns, fit_height, is_checked, swatch, text_item
from .text import _
from .widgets import Switch, fill_box, quiet, set_text

DUTY, NAME, ROLE = range(3)

_DRAG_MS = 40
"""While the slider moves, the regions are found anew at most this often."""


class ExpertsSection:
    """The table of experts, the budget slider, and the choice of model and device."""

    def __init__(self, ui: Any, context: Context) -> None:
        self._ui, self._context = ui, context
        self._unit = SHARE
        self._rows: tuple[ExpertRow, ...] = ()
        self._locked = False
        self._items: list[list[Any]] = []
        self._bundles: list[tuple[str, str]] = []
        self._profiles: tuple[str, tuple[Expert, ...]] = ("?", ())
        self._wanted: float | None = None
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DRAG_MS)
        self._timer.connect("timeout()", self._apply_budget)
        columns(ui.expertsTable, (ROLE,))
        ui.expertsTable.connect("cellChanged(int,int)", self._on_changed)
        ui.profilesButton.connect("clicked()", self._on_choose_profiles)
        ui.defaultProfilesButton.connect("clicked()", self._on_default_profiles)
        ui.budgetSlider.connect("valueChanged(double)", self._on_budget)
        ui.budgetUnitBox.addItems(list(budget.unit_names()))
        ui.budgetUnitBox.connect("currentIndexChanged(int)", self._on_unit)
        ui.bundleBox.connect("currentIndexChanged(int)", self._on_bundle)
        ui.deviceBox.connect("currentIndexChanged(int)", self._on_device)
        choices = (ui.profilesButton, ui.defaultProfilesButton, ui.bundleBox, ui.deviceBox)
        self._inputs = [Switch(widget) for widget in (*choices, ui.budgetSlider)]
        self._unit_box = Switch(ui.budgetUnitBox)

    @property
    def profiles(self) -> tuple[Expert, ...]:
        """The profiles that are chosen, or those of the module if their file cannot be read any more."""
        path = self._context.logic.state.experts_file
        if self._profiles[0] != path:
            try:
                self._profiles = (path, load_profiles(path))
            except DeferredSegError:
                self._profiles = (path, load_profiles())
        return self._profiles[1]

    @property
    def on_duty(self) -> int:
        """How many of the profiles are on duty."""
        off_duty = self._context.logic.state.off_duty
        return sum(expert.id not in off_duty for expert in self.profiles)

    def reload_bundles(self) -> None:
        """Look for models again: some may have been installed."""
        found = installed_bundles(self._context.services.models_folder())
        self._bundles = [(bundle.key, bundle.name) for bundle in found]

    def flush(self) -> None:
        """Apply a budget that the slider has been moved to a moment ago."""
        if self._timer.active:
            self._timer.stop()
            self._apply_budget()

    def close(self) -> None:
        """Stop the timer."""
        self._timer.stop()

    def update(self) -> None:
        """Show the state."""
        logic, state = self._context.logic, self._context.logic.state
        rows = experts.expert_rows(self.profiles, state.off_duty)
        if (rows, logic.job.busy) != (self._rows, self._locked):
            self._rows, self._locked = rows, logic.job.busy
            self._fill()
        file = state.experts_file
        name = Path(file).name if file else _("built-in")
        self._ui.profilesLabel.setText(_("Profiles: {name}").format(name=name))
        self._ui.profilesLabel.setToolTip(file)
        busy = run.busy_reason(logic.job.state)
        self._update_budget(busy)
        if not self._bundles:
            self.reload_bundles()
        fill_box(self._ui.bundleBox, self._bundles, state.bundle or DEFAULT_BUNDLE)
        fill_box(self._ui.deviceBox, setup.device_names(), state.device or "auto")
        for widget in self._inputs:
            widget.set(busy)
        if not busy and not file:
            self._inputs[1].set(_("The built-in profiles are in use."))

    def _fill(self) -> None:
        table = self._ui.expertsTable
        with quiet(table):
            table.setRowCount(len(self._rows))
            self._items = []
            for at, row in enumerate(self._rows):
                name = text_item(row.name, row.tool_tip)
                name.setIcon(swatch(row.color))
                tip = run.busy_reason(self._context.logic.job.state) or _("On duty: whether this expert may be asked.")
                duty = check_item(row.on_duty, tip, self._locked)
                cells = [duty, name, text_item(row.role, row.tool_tip)]
                self._items.append(cells)
                for column, item in enumerate(cells):
                    table.setItem(at, column, item)
        fit_height(table)

    def _update_budget(self, busy: str) -> None:
        shown, state = self._context.logic.shown, self._context.logic.state
        reason = budget.unit_reason(MINUTES, shown is not None)
        self._unit_box.set(busy or reason)
        if reason and self._unit != SHARE:
            self._unit = SHARE
            self._set_scale()
        with quiet(self._ui.budgetUnitBox):
            self._ui.budgetUnitBox.setCurrentIndex(UNITS.index(self._unit))
        if self._unit == SHARE and not self._timer.active:
            with quiet(self._ui.budgetSlider):
                self._ui.budgetSlider.setValue(state.budget * 100)
        if shown is None:
            text = budget.budget_text(None, None, self.on_duty)
        else:
            forecast = shown.forecast(shown.budget)
            text = budget.budget_text(forecast.regions, forecast.minutes, self.on_duty)
            if self._unit != SHARE:
                text = budget.with_share(text, shown.budget)
        set_text(self._ui.budgetLabel, text)

    def _set_scale(self) -> None:
        scale, slider = budget.scale_of(self._unit), self._ui.budgetSlider
        with quiet(slider):
            slider.setDecimals(scale.decimals)
            slider.maximum = scale.maximum
            slider.singleStep = scale.step
            slider.pageStep = scale.page
            slider.suffix = scale.suffix
            slider.setValue(self._value())

    def _value(self) -> float:
        """The current budget on the slider's scale."""
        shown = self._context.logic.shown
        if self._unit == SHARE or shown is None:
            return self._context.logic.state.budget * 100
        forecast = shown.forecast(shown.budget)
        return round(forecast.minutes) if self._unit == MINUTES else float(forecast.regions)

    def _share(self, value: float) -> float:
        """The budget that a position of the slider stands for."""
        shown = self._context.logic.shown
        if self._unit == MINUTES and shown is not None:
            return float(shown.worklist.budget_for_minutes(value))
        if self._unit == REGIONS and shown is not None:
            return float(shown.worklist.budget_for_regions(round(value)))
        return value / 100

    def _on_budget(self, value: float) -> None:
        self._wanted = value
        if not self._timer.active:
            self._timer.start()

    def _apply_budget(self) -> None:
        value, self._wanted = self._wanted, None
        if value is not None:
            self._context.logic.set_budget(min(1.0, max(0.0, self._share(value))))
            self._context.refresh()

    def _on_unit(self, index: int) -> None:
        self._unit = UNITS[index]
        self._set_scale()
        self._context.refresh()

    def _on_changed(self, at: int, column: int) -> None:
        if column == DUTY and 0 <= at < len(self._rows):
            off_duty = set(self._context.logic.state.off_duty)
            who = self._rows[at].id
            (off_duty.discard if is_checked(self._items[at][DUTY]) else off_duty.add)(who)
            self._context.logic.set_off_duty(frozenset(off_duty))
            self._context.refresh()

    def _on_choose_profiles(self) -> None:
        path = self._context.dialogs.file(
            _("Profiles of experts"), _("Profiles (*.json)"), self._context.logic.state.experts_file
        )
        if path:
            self._use(path)

    def _on_default_profiles(self) -> None:
        self._use("")

    def _use(self, path: str) -> None:
        """Take other profiles; who is off duty follows from them."""
        try:
            found = load_profiles(path)
        except DeferredSegError as error:
            self._context.dialogs.failure(_("Profiles of experts"), sentence_of(error))
            return
        self._profiles = (path, found)
        self._context.logic.state.experts_file = path
        self._context.logic.set_off_duty(off_duty_of(found))
        self._context.refresh()

    def _on_bundle(self, index: int) -> None:
        if 0 <= index < len(self._bundles):
            self._context.logic.state.bundle = self._bundles[index][0]
            self._context.refresh()

    def _on_device(self, index: int) -> None:
        self._context.logic.state.device = setup.device_names()[index][0]
        self._context.refresh()
