"""Slicer's Python modules that the wheel lacks, with the same public names: i18n, ScriptedLoadableModule, packaging."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6 import QtWidgets

from .api import functions
from .manners import BenchMeta
from .mrml_widgets import SceneWidget

translations: dict[str, str] = {}


class Pip:
    """What the module under test asked pip for, and what pip shall answer."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any, dict[str, Any]]] = []
        self.installed: set[str] = set()
        self.error: Exception | None = None
        self.on_call: Callable[..., Any] | None = None

    def clear(self) -> None:
        """Forget everything."""
        self.__init__()  # type: ignore[misc]

    def call(self, name: str, requirements: Any, options: dict[str, Any]) -> None:
        """Record a call; raise what the test wants raised."""
        self.calls.append((name, requirements, options))
        if self.on_call:
            self.on_call(name, requirements, options)
        if self.error:
            raise self.error


pip = Pip()


def _packaging() -> types.ModuleType:
    module = types.ModuleType("slicer.packaging")

    def load_requirements(path: Any) -> list[str]:
        lines = (line.split("#")[0].strip() for line in Path(path).read_text(encoding="utf-8").splitlines())
        return [line for line in lines if line and not line.startswith("-")]

    def pip_check(req: Any, _seen: Any = None) -> bool:
        wanted = [req] if isinstance(req, str) else list(req)
        return all(re.split(r"[<>=!~\[; ]", str(name))[0].lower() in pip.installed for name in wanted)

    def record(name: str) -> Callable[..., Any]:
        allowed = set(re.findall(r"(\w+):", functions("slicer.packaging")[name]))

        def call(requirements: Any, **options: Any) -> None:
            if set(options) - allowed:
                raise TypeError(f"slicer.packaging.{name} has no argument {sorted(set(options) - allowed)}")
            pip.call(name, requirements, options)

        return call

    module.load_requirements, module.pip_check = load_requirements, pip_check  # type: ignore[attr-defined]
    for name in ("pip_ensure", "pip_install", "pip_uninstall"):
        setattr(module, name, record(name))
    module.isPipInstallInProgress = lambda: False  # type: ignore[attr-defined]
    return module


def _i18n() -> types.ModuleType:
    module = types.ModuleType("slicer.i18n")
    module.tr = lambda text: translations.get(text, text)  # type: ignore[attr-defined]
    module.translate = lambda _context, text: translations.get(text, text)  # type: ignore[attr-defined]
    module.getContext = lambda source_file: Path(source_file).stem  # type: ignore[attr-defined]
    return module


class ScriptedLoadableModule:
    """What Slicer makes first of a module: its metadata, on `parent`."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = self.__class__.__name__
        parent.title, parent.categories, parent.dependencies, parent.contributors = "", [], [], []
        parent.helpText, parent.acknowledgementText = "", ""

    def resourcePath(self, filename: str) -> str:
        return os.path.join(os.path.dirname(self.parent.path), "Resources", filename)

    def getDefaultModuleDocumentationLink(self, docPage: Any = None) -> str:
        return f'<p>For more information see the <a href="{docPage or self.moduleName}">online documentation</a>.</p>'

    def runTest(self, msec: int = 100, **kwargs: Any) -> None:
        """Tests run under Slicer alone."""


class ScriptedLoadableModuleWidget:
    """The panel's life: made, set up, entered, left, reloaded, cleaned up."""

    def __init__(self, parent: Any = None) -> None:
        import slicer

        self.moduleName = self.__class__.__name__.removesuffix("Widget")
        self.developerMode = slicer.util.settingsValue("Developer/DeveloperMode", False, converter=slicer.util.toBool)
        if parent is None:
            parent = slicer.qMRMLWidget()
            QtWidgets.QVBoxLayout(parent)
            parent.setMRMLScene(slicer.mrmlScene)
        self.parent = parent
        self.layout = parent.layout()
        setattr(slicer.modules, f"{self.moduleName}Widget", self)
        slicer.app.moduleManager().connect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def _onModuleAboutToBeUnloaded(self, moduleName: str) -> None:
        if moduleName == self.moduleName:
            self.cleanup()

    def setup(self) -> None:
        if self.developerMode:
            self.setupDeveloperSection()

    def setupDeveloperSection(self) -> None:
        import qt

        self.reloadButton = qt.QPushButton("Reload")
        self.reloadButton.connect("clicked()", self.onReload)
        self.layout.addWidget(self.reloadButton)

    def cleanup(self) -> None:
        """Nothing of its own."""

    def resourcePath(self, filename: str) -> str:
        import slicer

        return os.path.join(os.path.dirname(slicer.util.modulePath(self.moduleName)), "Resources", filename)

    def onReload(self) -> None:
        import slicer

        slicer.util.reloadScriptedModule(self.moduleName)

    def onReloadAndTest(self, **kwargs: Any) -> None:
        self.onReload()

    def onEditSource(self) -> None:
        """Opens an editor in Slicer."""


class ScriptedLoadableModuleLogic:
    """The parameter node, as Slicer makes it."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = self.__class__.__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> Any:
        import slicer

        found = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        return found or slicer.mrmlScene.AddNode(self.createParameterNode())

    def createParameterNode(self) -> Any:
        import slicer

        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        node.SetSingletonTag(self.moduleName)
        node.SetModuleName(self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node

    def getAllParameterNodes(self) -> list[Any]:
        return [self.getParameterNode()]


class ScriptedLoadableModuleTest:
    """Slicer's own test class; it is a unittest.TestCase there."""

    def delayDisplay(self, message: str, requestedDelay: Any = None, msec: Any = None) -> None:
        print(message)

    def setUp(self) -> None:
        """Nothing."""

    def tearDown(self) -> None:
        """Nothing."""

    def runTest(self) -> None:
        """Nothing."""


class qSlicerScriptedLoadableModuleWidget(SceneWidget, QtWidgets.QWidget, metaclass=BenchMeta):
    """The C++ widget that a scripted panel lives in."""

    bench_native, bench_stand_in = QtWidgets.QWidget, True

    def __init__(self, module: ScriptedModule) -> None:
        super().__init__()
        self._module, self.bench_entered = module, False
        QtWidgets.QVBoxLayout(self)

    def isEntered(self) -> bool:
        return self.bench_entered

    def reload(self) -> None:
        self._module.bench_make_widget()


class ScriptedModule:
    """A module that `load_module` loaded, as `slicer.modules.<name>`; `bench_panel` is its Python widget."""

    def __init__(self, path: Path) -> None:
        self.name, self.path = path.stem, str(path)
        self.bench_panel: Any = None
        self._representation: qSlicerScriptedLoadableModuleWidget | None = None

    def widgetRepresentation(self) -> Any:
        if self._representation is None:
            import slicer

            self._representation = qSlicerScriptedLoadableModuleWidget(self)
            self._representation.setMRMLScene(slicer.mrmlScene)
            self.bench_make_widget()
        return self._representation

    def bench_make_widget(self) -> None:
        """Make the Python widget of the class that the module has now, and set it up."""
        widget_class = getattr(sys.modules[self.name], f"{self.name}Widget")
        self.bench_panel = widget_class(self._representation)
        self.bench_panel.setup()

    def bench_enter(self) -> None:
        """As the user opens the module."""
        self.widgetRepresentation().bench_entered = True
        self.bench_panel.enter()

    def bench_exit(self) -> None:
        """As the user goes to another module."""
        self._representation.bench_entered = False  # type: ignore[union-attr]
        self.bench_panel.exit()

    def bench_close(self) -> None:
        """As Slicer ends."""
        import slicer

        if self.bench_panel is not None:
            slicer.app.moduleManager().bench_emit("moduleAboutToBeUnloaded(QString)", self.name)
            slicer.app.moduleManager().disconnect("moduleAboutToBeUnloaded(QString)")
        vars(slicer.modules).pop(f"{self.name}Widget", None)
        vars(slicer.modules).pop(self.name.lower(), None)


def load_module(path: Path) -> ScriptedModule:
    """Load a scripted module's file as Slicer does at its start; raises what the file raises."""
    import slicer

    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    python_module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    sys.modules[path.stem] = python_module
    spec.loader.exec_module(python_module)  # type: ignore[union-attr]
    module = ScriptedModule(path)
    setattr(slicer.modules, path.stem.lower(), module)
    getattr(python_module, path.stem)(module)
    return module


def install() -> None:
    """Put the modules into `slicer` and `sys.modules`."""
    import slicer

    scripted = types.ModuleType("slicer.ScriptedLoadableModule")
    classes = (
        ScriptedLoadableModule,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
        ScriptedLoadableModuleWidget,
    )
    vars(scripted).update({cls.__name__: cls for cls in classes})
    for name, module in {"ScriptedLoadableModule": scripted, "i18n": _i18n(), "packaging": _packaging()}.items():
        sys.modules[f"slicer.{name}"] = module
        setattr(slicer, name, module)
