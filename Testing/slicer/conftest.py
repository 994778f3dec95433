"""The Qt bench with the module loaded in it, as far as the walk for a real Slicer can be taken there."""

from __future__ import annotations

import os
import sys
import types
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
TESTING = HERE.parent
ROOT = TESTING.parent
for folder in (HERE, TESTING / "headless"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
sys.path.append(str(TESTING))
import qtbench  # noqa: E402  before anything imports PySide6

sys.path.remove(str(TESTING))  # the package `slicer` takes in every folder of its name on the path


class Icon:
    """What `slicer.modules.x.icon` gives."""

    def isNull(self) -> bool:
        return False


def sample_data() -> types.ModuleType:
    """Slicer's Sample Data module as far as ours goes: sources are registered, and loaded from files."""
    import slicer
    import slicer.util

    module = types.ModuleType("SampleData")

    class SampleDataLogic:
        @staticmethod
        def registerCustomSampleDataSource(
            category: str,
            sampleName: str,
            uris: str,
            fileNames: str,
            nodeNames: str,
            checksums: str,
            thumbnailFileName: str,
        ) -> None:
            sources = slicer.modules.sampleDataSources.setdefault(category, [])
            if all(source.sampleName != sampleName for source in sources):
                sources.append(types.SimpleNamespace(**{k: v for k, v in locals().items() if k != "sources"}))

        def downloadFromSource(self, source: Any) -> list[Any]:
            path = urllib.request.url2pathname(urllib.parse.urlparse(source.uris).path)
            return [slicer.util.loadVolume(path, {"name": source.nodeNames})]

        def downloadSamples(self, name: str) -> list[Any]:
            every = (source for sources in slicer.modules.sampleDataSources.values() for source in sources)
            return [node for source in every if source.sampleName == name for node in self.downloadFromSource(source)]

    module.SampleDataLogic = SampleDataLogic  # type: ignore[attr-defined]
    return module


@pytest.fixture
def an_interpreter(tmp_path: Path) -> Callable[[str], Path]:
    """Makes an executable that is started as the worker's Python and runs one of our scripts instead."""

    def make(*arguments: str | Path) -> Path:
        path = tmp_path / "python"
        command = " ".join(f'"{argument}"' for argument in (sys.executable, *arguments))
        path.write_text(f"#!/bin/sh\nexec {command}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module, loaded in the bench; Slicer's start is over, and modules can be selected."""
    app = qtbench.install()
    import slicer
    import slicer.util
    from qtbench.slicer_python import load_module

    monkeypatch.setattr(slicer, "app", app)
    monkeypatch.setattr(slicer.modules, "sampleDataSources", {}, raising=False)
    monkeypatch.setitem(sys.modules, "SampleData", sample_data())
    qtbench.reset()
    slicer.mrmlScene.Clear(0)
    module = load_module(ROOT / "DeferredSegSlicer" / "DeferredSegSlicer.py")
    module.icon = Icon()
    app.bench_emit("startupCompleted()")
    selected = {"name": "Welcome"}

    def select(name: str) -> None:
        if name != selected["name"]:
            if selected["name"] == module.name:
                module.bench_exit()
            selected["name"] = name
            if name == module.name:
                module.widgetRepresentation().show()
                module.bench_enter()

    monkeypatch.setattr(slicer.util, "selectModule", select)
    monkeypatch.setattr(slicer.util, "selectedModule", lambda: selected["name"])
    monkeypatch.setattr(slicer.util, "getModuleWidget", lambda _: module.widgetRepresentation() and module.bench_panel)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    yield module
    module.bench_close()
    slicer.mrmlScene.Clear(0)
    problems = qtbench.problems()
    qtbench.reset()
    assert not problems, problems
    assert os.environ["TMPDIR"] == str(tmp_path)
