"""When Slicer starts, it imports the module file: that must be quick, and must do nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

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
module("qt")
module("ctk")
module("vtk")
'''

WATCH = """
import os, sys

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

REPORT = """
import json
import DeferredSegSlicer

new = sorted(name.partition(".")[0] for name in set(sys.modules) - before)
print(json.dumps({"done": done, "new": sorted(set(new)), "threads": len(sys._current_frames()) - threads}))
"""


def import_the_module(after: str = "") -> subprocess.CompletedProcess[str]:
    """Import the module file in a Python of its own, watched, and print what that did."""
    code = SLICER + WATCH + REPORT + after
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(MODULE), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def test_importing_the_module_file_loads_nothing_heavy_and_does_nothing() -> None:
    import json

    done = import_the_module()
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    heavy = {"torch", "monai", "numpy", "scipy", "SimpleITK", "matplotlib", "pydicom", "highdicom", "openvino", "typer"}
    assert not heavy & set(said["new"]), f"imported when Slicer starts: {sorted(heavy & set(said['new']))}"
    ours_and_pythons = sys.stdlib_module_names | {"DeferredSegSlicer", "DeferredSegSlicerLib"}
    assert set(said["new"]) <= ours_and_pythons, f"imported besides: {sorted(set(said['new']) - ours_and_pythons)}"
    assert said["done"] == [], "importing did something"
    assert said["threads"] == 0


def test_the_module_file_has_the_four_classes_that_slicer_looks_for() -> None:
    names = "('DeferredSegSlicer', 'DeferredSegSlicerWidget', 'DeferredSegSlicerLogic', 'DeferredSegSlicerTest')"
    done = import_the_module(
        f"\nprint([n for n in {names} if not isinstance(getattr(DeferredSegSlicer, n, None), type)])"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_it_is_imported_within_half_a_second() -> None:
    begun = time.perf_counter()
    bare = subprocess.run([sys.executable, "-c", "pass"], check=True)
    bare_seconds = time.perf_counter() - begun
    assert bare.returncode == 0
    begun = time.perf_counter()
    done = import_the_module()
    assert done.returncode == 0, done.stderr
    assert time.perf_counter() - begun - bare_seconds < 0.5, (
        "0.05 s on an idle machine; the rest is room for a busy one"
    )


def test_the_module_file_is_short_and_only_delegates() -> None:
    lines = (MODULE / "DeferredSegSlicer.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 150
