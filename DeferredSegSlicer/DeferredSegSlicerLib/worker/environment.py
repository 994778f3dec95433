"""Which interpreter runs the worker, and in which environment: Slicer's own, or another one without Slicer's traces."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

PYTHON_VARIABLE = "DEFERREDSEG_PYTHON"
"""Environment variable that names the worker's interpreter."""

_LOADER_PATHS = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FRAMEWORK_PATH", "PATH", "QT_PLUGIN_PATH")
"""Search paths into which Slicer's launcher puts its own folders."""

_PYTHON_SETTINGS = ("PYTHONHOME", "PYTHONPATH", "PYTHONNOUSERSITE", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__")
"""Settings that belong to one interpreter and break another."""


def worker_interpreter(python: str | os.PathLike[str] | None, environment: Mapping[str, str]) -> str:
    """Path of the interpreter: the argument, else DEFERREDSEG_PYTHON, else the one that runs this program.

    Inside Slicer that is PythonSlicer, the launcher that makes Slicer's Python usable as a process.
    """
    chosen = os.fspath(python) if python else environment.get(PYTHON_VARIABLE, "").strip()
    if chosen:
        return os.path.abspath(os.path.expanduser(chosen)) if os.path.dirname(chosen) else chosen
    home = environment.get("SLICER_HOME")
    if home and "python" not in Path(sys.executable).name.lower():
        return str(Path(home) / "bin" / ("PythonSlicer.exe" if sys.platform == "win32" else "PythonSlicer"))
    return sys.executable


def worker_environment(python: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a worker that runs in `python`.

    The interpreter of this program keeps what it has. Another one gets rid of this interpreter's Python settings
    and, under Slicer, of every search path inside Slicer's folder; what the user added (a CUDA folder in
    LD_LIBRARY_PATH, say) stays.
    """
    result = dict(environment)
    if not is_own_interpreter(python, environment):
        for name in _PYTHON_SETTINGS:
            result.pop(name, None)
        home = result.pop("SLICER_HOME", None)
        if home:
            for name in _LOADER_PATHS:
                kept = [part for part in result.get(name, "").split(os.pathsep) if part and not _is_inside(part, home)]
                if kept:
                    result[name] = os.pathsep.join(kept)
                else:
                    result.pop(name, None)
    return result | {"PYTHONUTF8": "1"}


def is_own_interpreter(python: str, environment: Mapping[str, str]) -> bool:
    """Whether an interpreter is the one that runs this program; under Slicer, whether it is Slicer's.

    Not by `resolve()`: a virtual environment's interpreter is a link to the one it was made from, yet another.
    """
    if os.path.normcase(os.path.abspath(python)) == os.path.normcase(os.path.abspath(sys.executable)):
        return True
    home = environment.get("SLICER_HOME")
    return bool(home) and _is_inside(python, home or "")


def _is_inside(path: str, folder: str) -> bool:
    inner, outer = (os.path.normcase(os.path.abspath(p)) for p in (path, folder))
    return inner == outer or inner.startswith(outer.rstrip(os.sep) + os.sep)
