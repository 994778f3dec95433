"""When Slicer starts, it imports the module file: that must be quick, and must do nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "DeferredSegSlicer"

SLICER = '''
"""Slicer's modules with nothing in them but what a module file names while it is imported."""
import sys, types

def module(name, **content):
    made = types.ModuleType(name)
    made.__dict__.update(content)
    sys.modules[name] = made
    return made

class Anything:
    def __init__(self, *arguments, **keywords):
        pass

slicer = module("slicer", __path__=[])
slicer.util = module("slicer.util", VTKObservationMixin=Anything)
slicer.i18n = module("slicer.i18n", tr=str, translate=lambda context, text: text)
names = [f"ScriptedLoadableModule{part}" for part in ("", "Widget", "Logic", "Test")]
classes = {name: type(name, (Anything,), {}) for name in names}
slicer.ScriptedLoadableModule = module("slicer.ScriptedLoadableModule", __all__=names, **classes)
slicer.app = types.SimpleNamespace(connect=lambda signal, slot: slots.append(slot))
slots = []
offered = []

class Samples:
    registerCustomSampleDataCategory = staticmethod(lambda name, title: None)
    registerCustomSampleDataSource = staticmethod(lambda **source: offered.append(source))

module("SampleData", SampleDataLogic=Samples)
module("qt", QIcon=Anything)
module("ctk")
module("vtk")
'''

WATCH = """
import os, sys, types

done = []

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.posix_spawn", "os.fork"):
        done.append((event, repr(arguments)[:200]))
    elif event == "open" and isinstance(arguments[1], str) and any(letter in arguments[1] for letter in "wax+"):
        done.append((event, repr(arguments)[:200]))
    elif event in ("os.mkdir", "os.remove", "os.rename", "os.rmdir"):
        done.append((event, repr(arguments)[:200]))

sys.addaudithook(watch)
before = set(sys.modules)
threads = len(sys._current_frames())
"""

IMPORT = "import DeferredSegSlicer\n"

START = """
parent = types.SimpleNamespace(path=DeferredSegSlicer.__file__)
DeferredSegSlicer.DeferredSegSlicer(parent)
for slot in slots:
    slot()
assert parent.title and parent.helpText and parent.icon
assert [source["fileNames"] for source in offered] == ["body_ct.nrrd"]
"""

REPORT = """
import json

new = sorted({name.partition(".")[0] for name in set(sys.modules) - before})
print(json.dumps({"done": done, "new": new, "threads": len(sys._current_frames()) - threads}))
"""

HEAVY = {"torch", "monai", "numpy", "scipy", "SimpleITK", "matplotlib", "pydicom", "highdicom", "openvino", "typer"}


def run_watched(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a Python of its own, with stand-ins of Slicer's modules, and print what that did."""
    code = SLICER + WATCH + code + REPORT
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(MODULE), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("code", [IMPORT, IMPORT + START], ids=["imported", "made, and Slicer's start is over"])
def test_nothing_heavy_is_loaded_and_nothing_is_done_while_slicer_starts(code: str) -> None:
    done = run_watched(code)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert not HEAVY & set(said["new"]), f"loaded when Slicer starts: {sorted(HEAVY & set(said['new']))}"
    ours_and_pythons = sys.stdlib_module_names | {"DeferredSegSlicer", "DeferredSegSlicerLib"}
    assert set(said["new"]) <= ours_and_pythons, f"loaded besides: {sorted(set(said['new']) - ours_and_pythons)}"
    assert said["done"] == [], "files were written, processes or connections begun"
    assert said["threads"] == 0


def test_the_module_file_has_the_four_classes_that_slicer_looks_for() -> None:
    names = [f"DeferredSegSlicer{part}" for part in ("", "Widget", "Logic", "Test")]
    done = run_watched(f"{IMPORT}assert all(isinstance(getattr(DeferredSegSlicer, n), type) for n in {names})")
    assert done.returncode == 0, done.stderr


def test_slicer_starts_no_more_than_half_a_second_later() -> None:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    bare = time.perf_counter() - begun
    begun = time.perf_counter()
    assert run_watched(IMPORT + START).returncode == 0
    assert time.perf_counter() - begun - bare < 0.5, "0.06 s on an idle machine; the rest is room for a busy one"


def test_the_module_file_is_short_and_only_delegates() -> None:
    lines = (MODULE / "DeferredSegSlicer.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 150


def test_the_logic_works_in_a_slicer_that_was_built_without_simpleitk() -> None:
    code = "import sys; sys.modules['SimpleITK'] = None; import DeferredSegSlicerLib.logic.assembly"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(MODULE)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
