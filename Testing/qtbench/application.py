"""`slicer.app` on the headless Slicer of Testing/headless, and the start of the whole bench."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from . import api, ctk_inputs, ctk_widgets, loader, messages, mrml_widgets, qt_module, segment_widgets, slicer_widgets
from .classes import generic, stand_in
from .facade import Facade
from .manners import BenchMeta, Manners
from .views import LayoutManager

HEADLESS = Path(__file__).parents[1] / "headless"


class ModuleManager(Facade, listed="slicer.app.moduleManager()"):
    """The modules of the headless Slicer and those that a test loaded."""

    def module(self, name: str) -> Any:
        import slicer

        return getattr(slicer.modules, name.lower(), None)

    def modulesNames(self) -> tuple[str, ...]:
        import slicer

        return tuple(module.name for module in vars(slicer.modules).values() if hasattr(module, "name"))


class App(Facade, listed="slicer.app"):
    """`slicer.app`. Restarts, quits and opened links are only noted in `bench_calls`."""

    applicationName, applicationDisplayName, organizationName = "Slicer", "3D Slicer", "slicer.org"
    applicationVersion, majorVersion, minorVersion, revision = "5.13.0-2026-08-21", 5, 13, "34000"
    os, arch, platform, releaseType = "linux", "amd64", "linux-amd64", "Preview"
    mainApplicationName, repositoryRevision = "Slicer", "0000000"

    def __init__(self, qt_app: QtWidgets.QApplication, headless: Any) -> None:
        super().__init__()
        self._qt, self._headless = qt_app, headless
        self._modules, self._layout = ModuleManager(), LayoutManager(self)
        self._paused = 0
        self.bench_calls: list[str] = []
        self.temporaryPath = headless.temporaryPath
        self.defaultScenePath = str(Path(headless.temporaryPath) / "Documents")

    def applicationLogic(self) -> Any:
        return self._headless.applicationLogic()

    def mrmlScene(self) -> Any:
        return self._headless.mrmlScene()

    def coreIOManager(self) -> Any:
        return self._headless.coreIOManager()

    ioManager = coreIOManager

    def moduleLogic(self, name: str) -> Any:
        return self._headless.moduleLogic(name)

    def moduleManager(self) -> Any:
        return self._modules

    def layoutManager(self) -> Any:
        return self._layout

    def processEvents(self, *arguments: Any) -> None:
        self._qt.processEvents(*arguments)

    def sendPostedEvents(self, *arguments: Any) -> None:
        self._qt.sendPostedEvents(*arguments)

    def userSettings(self) -> Any:
        return qt_module.QSettings()

    settings = revisionUserSettings = userSettings

    @property
    def slicerUserSettingsFilePath(self) -> str:
        return qt_module.settings_file()

    @property
    def slicerHome(self) -> str:
        return str(Path(self._headless.temporaryPath) / "Slicer")

    def testingEnabled(self) -> bool:
        return False

    def topLevelWidgets(self) -> tuple[Any, ...]:
        from .manners import adopt

        return adopt(QtWidgets.QApplication.topLevelWidgets())

    def activeWindow(self) -> Any:
        return QtWidgets.QApplication.activeWindow()

    def focusWidget(self) -> Any:
        return QtWidgets.QApplication.focusWidget()

    def clipboard(self) -> Any:
        return QtWidgets.QApplication.clipboard()

    def primaryScreen(self) -> Any:
        return QtGui.QGuiApplication.primaryScreen()

    def setOverrideCursor(self, cursor: Any) -> None:
        QtWidgets.QApplication.setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:
        QtWidgets.QApplication.restoreOverrideCursor()

    def overrideCursor(self) -> Any:
        return QtWidgets.QApplication.overrideCursor()

    def pauseRender(self) -> None:
        self._paused += 1

    def resumeRender(self) -> None:
        if not self._paused:
            raise RuntimeError("resumeRender without pauseRender")
        self._paused -= 1

    def setRenderPaused(self, paused: bool) -> None:
        (self.pauseRender if paused else self.resumeRender)()

    def bench_paused(self) -> int:
        """How often pauseRender was called without resumeRender."""
        return self._paused

    def bench_reset(self) -> None:
        """Forget what a test did; windows that it left open are closed."""
        import slicer

        self.bench_calls.clear()
        self._paused = 0
        self._layout.bench_close()
        slicer.modules.sampleDataSources.clear()
        while QtWidgets.QApplication.overrideCursor() is not None:
            QtWidgets.QApplication.restoreOverrideCursor()
        for window in QtWidgets.QApplication.topLevelWidgets():
            if window is not self._main_window and window.isVisible():
                QtWidgets.QWidget.close(window)
        self._qt.sendPostedEvents(None, QtCore.QEvent.DeferredDelete)

    def restart(self) -> None:
        self.bench_calls.append("restart")

    def quit(self) -> None:
        self.bench_calls.append("quit")

    def exit(self, _code: int = 0) -> None:
        self.bench_calls.append("exit")

    def openUrl(self, url: str) -> None:
        self.bench_calls.append(f"openUrl {url}")

    def openSettingsDialog(self, *arguments: str) -> None:
        self.bench_calls.append(f"openSettingsDialog {' '.join(arguments)}")

    def logUsageEvent(self, component: str, event: str) -> None:
        self.bench_calls.append(f"logUsageEvent {component} {event}")


@stand_in("slicer.util.mainWindow()")
class qSlicerMainWindow(Manners, QtWidgets.QMainWindow, metaclass=BenchMeta):
    """The main window; `slicer.util.mainWindow()` finds it by its name."""

    def __init__(self) -> None:
        super().__init__()
        QtCore.QObject.setObjectName(self, "qSlicerMainWindow")
        self._selector = ModuleSelector()

    def moduleSelector(self) -> Any:
        return self._selector


class ModuleSelector:
    """Remembers which module was asked for."""

    selectedModule = ""

    def selectModule(self, name: str) -> None:
        self.selectedModule = name


def stand_in_classes() -> dict[str, dict[str, type]]:
    """{"ctk": {name: class}, "slicer": {name: class}}: the played ones, and empty ones for the rest of the table."""
    played: dict[str, type] = {}
    for module in (ctk_widgets, ctk_inputs, mrml_widgets, segment_widgets, slicer_widgets):
        names = (name for name in vars(module) if name.startswith(("ctk", "qMRML", "qSlicer")))
        played |= {name: getattr(module, name) for name in names if isinstance(getattr(module, name), type)}
    found: dict[str, dict[str, type]] = {"ctk": {}, "slicer": {}}
    for listed in api.table()["classes"]:
        module, _, name = listed.partition(".")
        if module in found and name.isidentifier() and name.startswith(("ctk", "qMRML", "qSlicer")):
            found[module][name] = played.get(name) or generic(listed, name)
    return found


def start() -> App:
    """Install everything; called once a process by `qtbench.install`."""
    import slicer

    if str(HEADLESS) not in sys.path:
        sys.path.insert(0, str(HEADLESS))
    from boot import boot

    from . import slicer_python

    messages.listen()
    headless = boot()
    qt_app = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["qtbench"])
    qt_app.setStyle("Fusion")
    sys.modules["qt"] = qt_module.make()
    classes = stand_in_classes()
    sys.modules["ctk"] = types.ModuleType("ctk")
    vars(sys.modules["ctk"]).update(classes["ctk"])
    vars(slicer).update(classes["slicer"])
    loader.stand_ins.update(classes["ctk"] | classes["slicer"])
    slicer_python.install()
    app = App(qt_app, headless)
    app._main_window = qSlicerMainWindow()
    slicer.app = app
    return app
