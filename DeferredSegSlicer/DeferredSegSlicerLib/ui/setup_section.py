"""Set-up: packages, installing, the worker's Python, the device test, and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..core.errors import DeferredSegError
from ..logic import keys
from ..logic.packages import PackageState
from ..logic.pytorch_extension import ExtensionMissingError
from ..logic.setup import SetUp
from .context import Context
from .presenters import run, setup
from .sentences import sentence_of
from .tables import columns, fit_height, text_item
from .text import _
from .widgets import Switch, set_text

OFFLINE_FOLDER = "DeferredSegSlicer/OfflineFolder"


class SetupSection:
    """The section at the bottom; open on its own only if something is missing."""

    def __init__(self, ui: Any, context: Context, set_up: SetUp) -> None:
        self._ui, self._context, self._set_up = ui, context, set_up
        self._states: tuple[PackageState, ...] = ()
        self._missing: tuple[str, ...] = ()
        self._items: list[list[Any]] = []
        self._message = ""
        self._testing = False
        self._changed = False
        columns(ui.packagesTable, (2,))
        ui.installButton.connect("clicked()", self._on_install)
        ui.testDeviceButton.connect("clicked()", self._on_test)
        ui.copyVersionsButton.connect("clicked()", self._on_copy)
        ui.chooseInterpreterButton.connect("clicked()", self._on_choose_interpreter)
        ui.resetInterpreterButton.connect("clicked()", self._on_reset_interpreter)
        ui.chooseOfflineButton.connect("clicked()", self._on_choose_offline)
        ui.resetOfflineButton.connect("clicked()", self._on_reset_offline)
        ui.chooseCasesButton.connect("clicked()", self._on_choose_cases)
        ui.resetCasesButton.connect("clicked()", self._on_reset_cases)
        self._install = Switch(ui.installButton)
        self._test = Switch(ui.testDeviceButton)
        names = ("chooseInterpreterButton", "resetInterpreterButton", "chooseOfflineButton", "resetOfflineButton")
        places = (*names, "chooseCasesButton", "resetCasesButton")
        self._places = [Switch(getattr(ui, name)) for name in places]

    @property
    def missing(self) -> tuple[str, ...]:
        """Packages without which no worker can start, as far as one can tell from here."""
        return self._missing

    @property
    def problem(self) -> str:
        """Why no worker can start, or empty."""
        return setup.problem(self._missing)

    @property
    def ready(self) -> bool:
        """Whether a worker can be started, as far as one can tell from here."""
        return not self._missing

    def look(self) -> None:
        """Look anew at what is installed; opens the section if something is missing."""
        self._states = self._set_up.states() if self._set_up.is_own_python else ()
        self._missing = self._set_up.missing_to_start()
        self._changed = True
        if self._missing:
            self._ui.setupCollapsibleButton.collapsed = False

    def resume(self) -> None:
        """Go on with an installation that a restart has cut off, if the user still wants it."""
        if not self._set_up.resume_pending():
            return
        if self._context.dialogs.consent(_("Set-up"), setup.resume_consent()):
            self._run_install(self._offline())
        else:
            self._set_up.forget_resume()

    def worker_ready(self) -> None:
        """A worker has said hello, with the result of its device test."""
        hello = self._context.logic.hello
        if hello is not None:
            test = hello.self_test
            self._message = setup.device_text(hello.device, test.passed, test.message, test.seconds, hello.versions)
        self._testing = False

    def failed(self, message: str, advice: str) -> bool:
        """A worker failed; returns whether that was the answer to *Test device*, shown here and nowhere else."""
        if not self._testing:
            return False
        self._testing = False
        self._message = run.failed_text(message, advice)
        return True

    def update(self) -> None:
        """Show the state."""
        ui, logic, own = self._ui, self._context.logic, self._set_up.is_own_python
        if self._testing and logic.hello is not None:
            self.worker_ready()
        summary = setup.summary(own, self._states, self._worker_missing(), self._set_up.pip_command())
        set_text(ui.setupLabel, summary)
        if self._changed:
            self._changed = False
            self._fill()
        busy = run.busy_reason(logic.job.state)
        offline = self._offline()
        lacking = [str(s.requirement) for s in self._states if not s.satisfied]
        self._install.set(setup.install_reason(own, lacking, offline, busy))
        self._test.set(busy or self.problem or (setup.testing_text() if self._testing else ""))
        for place in self._places:
            place.set(busy)
        set_text(ui.deviceLabel, self._message)
        services = self._context.services
        chosen = services.python()
        ui.interpreterEdit.setText(chosen or _("Slicer's own") if own else self._set_up.python)
        ui.offlineEdit.setText(offline or _("none"))
        ui.casesEdit.setText(str(services.cases_folder()))

    def _worker_missing(self) -> tuple[str, ...]:
        return tuple(self._context.logic.missing_packages)

    def _fill(self) -> None:
        table = self._ui.packagesTable
        table.setVisible(bool(self._states))
        table.setRowCount(len(self._states))
        self._items = []
        for at, state in enumerate(self._states):
            cells = [text_item(text) for text in setup.package_cells(state)]
            self._items.append(cells)
            for column, item in enumerate(cells):
                table.setItem(at, column, item)
        fit_height(table, most_rows=12)

    def _on_install(self) -> None:
        offline = self._offline()
        lacking = [str(s.requirement) for s in self._states if not s.satisfied]
        if self._context.dialogs.consent(_("Set-up"), setup.consent(lacking, offline)):
            self._run_install(offline)

    def _run_install(self, offline: str) -> None:
        """Install; the worker is stopped meanwhile, because it holds files open that are to be replaced."""
        logic, dialogs = self._context.logic, self._context.dialogs
        logic.stop_worker()
        try:
            if offline:
                self._message = setup.installed_text([m.name for m in self._set_up.install_offline(Path(offline))])
            else:
                self._set_up.install()
                self._message = setup.installed_text(())
        except ExtensionMissingError:
            self._install_extension()
        except DeferredSegError as error:
            self._message = sentence_of(error)
            dialogs.failure(_("Set-up"), self._message)
        self._after_change()

    def _install_extension(self) -> None:
        dialogs = self._context.dialogs
        if not dialogs.consent(_("Set-up"), setup.extension_consent()):
            self._set_up.forget_resume()
            return
        try:
            self._set_up.install_pytorch_extension()
            self._message = _("Restart Slicer to go on with the installation.")
        except DeferredSegError as error:
            self._message = sentence_of(error)
            dialogs.failure(_("Set-up"), self._message)

    def _after_change(self) -> None:
        self.look()
        if self.ready:
            self._context.logic.start_worker()
        self._context.refresh()

    def _on_test(self) -> None:
        self._message, self._testing = setup.testing_text(), True
        self._context.logic.stop_worker()
        self._context.logic.start_worker()
        self._context.refresh()

    def _on_copy(self) -> None:
        self._context.dialogs.copy(self._set_up.versions_text(self._context.logic.hello))
        self._message = setup.copied_text()
        self._context.refresh()

    def _on_choose_interpreter(self) -> None:
        path = self._context.dialogs.file(_("Python for the worker"), _("Python (*)"), self._set_up.python)
        if path:
            self._use_interpreter(path)

    def _on_reset_interpreter(self) -> None:
        self._use_interpreter("")

    def _use_interpreter(self, path: str) -> None:
        self._context.services.set_setting(keys.PYTHON, path)
        self._context.logic.stop_worker()
        self._message = ""
        self._after_change()

    def _on_choose_offline(self) -> None:
        folder = self._context.dialogs.folder(_("Folder with wheels and models"), self._offline())
        if not folder:
            return
        try:
            self._set_up.offline_folder(Path(folder))
            self._context.services.set_setting(OFFLINE_FOLDER, folder)
            self._message = ""
        except DeferredSegError as error:
            self._message = sentence_of(error)
        self._context.refresh()

    def _on_reset_offline(self) -> None:
        self._context.services.set_setting(OFFLINE_FOLDER, "")
        self._context.refresh()

    def _on_choose_cases(self) -> None:
        folder = self._context.dialogs.folder(_("Folder for cases"), str(self._context.services.cases_folder()))
        if folder:
            self._context.services.set_setting(keys.CASES_FOLDER, folder)
            self._context.refresh()

    def _on_reset_cases(self) -> None:
        self._context.services.set_setting(keys.CASES_FOLDER, "")
        self._context.refresh()

    def _offline(self) -> str:
        return self._context.services.setting(OFFLINE_FOLDER)
