"""A scripted module lives in the bench as in Slicer: loaded, set up, entered, reloaded, unloaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qtbench.packaging import pip, translations
from qtbench.slicer_python import load_module, modules_restored

MODULE = """
import qt, slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import *
LIFE = []

class BenchProbe(ScriptedLoadableModule):
    def __init__(self, parent):
        super().__init__(parent)
        parent.title = _("Probe")
        slicer.app.connect("startupCompleted()", lambda: LIFE.append("started"))

class BenchProbeWidget(ScriptedLoadableModuleWidget):
    def setup(self):
        super().setup()
        self.layout.addWidget(qt.QLabel(_("hello")))
        LIFE.append("setup")
    def enter(self): LIFE.append("enter")
    def exit(self): LIFE.append("exit")
    def cleanup(self): LIFE.append("cleanup")

class BenchProbeLogic(ScriptedLoadableModuleLogic):
    pass
"""


@pytest.fixture
def a_module(bench: Any, tmp_path: Path) -> Iterator[Any]:
    """A small scripted module, loaded."""
    path = tmp_path / "BenchProbe.py"
    path.write_text(MODULE, encoding="utf-8")
    module = load_module(path)
    yield module
    module.bench_close()


def _life() -> list[str]:
    import sys

    return sys.modules["BenchProbe"].LIFE  # type: ignore[no-any-return]


def test_a_module_is_loaded_with_its_metadata(a_module: Any) -> None:
    import slicer
    import slicer.util

    assert slicer.modules.benchprobe is a_module
    assert (a_module.name, a_module.title) == ("BenchProbe", "Probe")
    assert slicer.util.modulePath("BenchProbe") == a_module.path
    slicer.app.bench_emit("startupCompleted()")
    assert _life() == ["started"]


def test_a_panel_is_made_entered_and_cleaned_up_once(a_module: Any) -> None:
    import slicer

    a_module.bench_enter()
    assert a_module.widgetRepresentation().isEntered is True
    a_module.bench_exit()
    a_module.bench_close()
    assert _life() == ["setup", "enter", "exit", "cleanup"]
    assert not hasattr(slicer.modules, "BenchProbeWidget")


def test_a_reload_cleans_up_and_makes_a_new_panel(a_module: Any) -> None:
    import slicer

    a_module.widgetRepresentation()
    old, life = a_module.bench_panel, _life()
    old.onReload()
    assert life == ["setup", "cleanup"]
    assert _life() == ["setup"]
    assert a_module.bench_panel is not old
    assert slicer.modules.BenchProbeWidget is a_module.bench_panel
    assert a_module.widgetRepresentation().layout().count() == 1


def test_a_library_that_was_read_anew_is_forgotten_with_all_its_parts(tmp_path: Path) -> None:
    import importlib
    import sys

    folder = tmp_path / "benchlibrary"
    folder.mkdir()
    (folder / "__init__.py").write_text("", encoding="utf-8")
    for name in ("first", "second"):
        (folder / f"{name}.py").write_text("", encoding="utf-8")
    sys.path.append(str(tmp_path))
    try:
        first = importlib.import_module("benchlibrary.first")
        with modules_restored("benchlibrary"):
            importlib.import_module("benchlibrary.second")
            del sys.modules["benchlibrary"], sys.modules["benchlibrary.first"]
            assert importlib.import_module("benchlibrary.first") is not first
        assert importlib.import_module("benchlibrary.first") is first
        assert not hasattr(sys.modules["benchlibrary"], "second")
    finally:
        sys.path.remove(str(tmp_path))


def test_the_logic_has_slicers_parameter_node(a_module: Any) -> None:
    import sys

    import slicer

    node = sys.modules["BenchProbe"].BenchProbeLogic().getParameterNode()
    assert node is slicer.mrmlScene.GetSingletonNode("BenchProbe", "vtkMRMLScriptedModuleNode")
    assert node.GetAttribute("ModuleName") == "BenchProbe"


def test_texts_are_translated_as_the_test_says(bench: Any, tmp_path: Path) -> None:
    import slicer.i18n

    translations["hello"] = "hallo"
    assert slicer.i18n.tr("hello") == "hallo"
    assert slicer.i18n.translate("context", "unknown") == "unknown"


def test_samples_that_are_files_are_loaded_by_the_sample_data_module(bench: Any) -> None:
    import SampleData

    path = Path(__file__).parents[2] / "Resources" / "SampleData" / "body_ct.nrrd"
    logic = SampleData.SampleDataLogic()
    source = {"sampleName": "CT", "uris": path.as_uri(), "fileNames": path.name, "nodeNames": "Body"}
    logic.registerCustomSampleDataSource(category="a", checksums="SHA256:0", **source)
    with pytest.raises(ValueError, match="checksum"):
        logic.downloadSamples("CT")
    logic.registerCustomSampleDataSource(category="b", **source | {"sampleName": "CT 2"})
    (node,) = logic.downloadSamples("CT 2")
    assert node.GetName() == "Body"


def test_pip_is_asked_and_answers_as_the_test_says(bench: Any, tmp_path: Path) -> None:
    import slicer.packaging

    requirements = tmp_path / "requirements.txt"
    requirements.write_text("torch>=2.1  # networks\n--index-url x\n\nmonai>=1.3\n", encoding="utf-8")
    wanted = slicer.packaging.load_requirements(requirements)
    assert wanted == ["torch>=2.1", "monai>=1.3"]
    pip.installed.add("torch")
    assert slicer.packaging.pip_check("torch>=2.1")
    assert not slicer.packaging.pip_check(wanted)
    slicer.packaging.pip_ensure(wanted, requester="DeferredSegSlicer")
    assert pip.calls == [("pip_ensure", wanted, {"requester": "DeferredSegSlicer"})]
    with pytest.raises(TypeError, match="no argument"):
        slicer.packaging.pip_ensure(wanted, asker="DeferredSegSlicer")
    pip.error = RuntimeError("declined")
    with pytest.raises(RuntimeError, match="declined"):
        slicer.packaging.pip_install(wanted)
