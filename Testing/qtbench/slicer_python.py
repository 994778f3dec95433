"""The life of a scripted module: `slicer.ScriptedLoadableModule` with its public names, and what C++ does around it."""

from __future__ import annotations

import importlib.util
import os
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PySide6 import QtWidgets

from .manners import BenchMeta, bench_of
from .mrml_widgets import SceneWidget
from .packaging import i18n, packaging
from .sample_data import sample_data


class ScriptedLoadableModule:
    """What Slicer makes first of a module: its metadata, on `parent`."""

    def __init__(self, parent: Any) -> None:
        super().__init__()
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

        super().__init__()
        self.moduleName = self.__class__.__name__.removesuffix("Widget")
        self.developerMode = slicer.util.settingsValue("Developer/DeveloperMode", False, converter=slicer.util.toBool)
        alone = parent is None
        if parent is None:
            parent = slicer.qMRMLWidget()
            bench_of(QtWidgets.QVBoxLayout)(parent)
            parent.setMRMLScene(slicer.mrmlScene)
        self.parent = parent
        self.layout = parent.layout()
        if alone:
            self.setup()
            self.parent.show()
        slicer.app.moduleManager().connect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def _onModuleAboutToBeUnloaded(self, moduleName: str) -> None:
        import slicer

        if moduleName == self.moduleName:
            self.cleanup()
            slicer.app.moduleManager().disconnect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

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
        super().__init__()
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
        node.SetAttribute("ModuleName", self.moduleName)
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
        bench_of(QtWidgets.QVBoxLayout)(self)

    @property
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
        import slicer

        widget_class = getattr(sys.modules[self.name], f"{self.name}Widget")
        self.bench_panel = widget_class(self._representation)
        setattr(slicer.modules, f"{self.name}Widget", self.bench_panel)
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
        vars(slicer.modules).pop(f"{self.name}Widget", None)
        vars(slicer.modules).pop(self.name.lower(), None)


@contextmanager
def modules_restored(package: str) -> Iterator[None]:
    """What is imported of a package meanwhile, or anew, is forgotten afterwards.

    The packages lose the submodules that they got too: else `from . import a` would find an old `a` beside a new one.
    """

    def mine() -> dict[str, types.ModuleType]:
        return {n: m for n, m in sys.modules.items() if n == package or n.startswith(f"{package}.")}

    before = mine()
    names = {name: set(vars(module)) for name, module in before.items()}
    yield
    for name in mine():
        del sys.modules[name]
    sys.modules.update(before)
    for name, module in before.items():
        for added in set(vars(module)) - names[name]:
            if isinstance(getattr(module, added), types.ModuleType):
                delattr(module, added)


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
    for name, module in {"ScriptedLoadableModule": scripted, "i18n": i18n(), "packaging": packaging()}.items():
        sys.modules[f"slicer.{name}"] = module
        setattr(slicer, name, module)
    sys.modules["SampleData"] = sample_data()
    slicer.modules.sampleDataSources = {}
