"""Which interpreter runs the worker, and what of Slicer's environment it sees."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from DeferredSegSlicerLib.worker.environment import worker_environment, worker_interpreter

SLICER = os.path.abspath(os.path.join(os.sep, "opt", "Slicer 5.12"))


@pytest.fixture
def slicers_environment() -> dict[str, str]:
    """What a process started from inside Slicer sees."""
    return {
        "SLICER_HOME": SLICER,
        "PYTHONHOME": f"{SLICER}/lib/Python",
        "PYTHONPATH": f"{SLICER}/lib/Python/site-packages",
        "PYTHONNOUSERSITE": "1",
        "LD_LIBRARY_PATH": os.pathsep.join([f"{SLICER}/lib/Slicer-5.12", "/usr/local/cuda/lib64", f"{SLICER}/lib"]),
        "PATH": os.pathsep.join([f"{SLICER}/bin", "/usr/bin"]),
        "QT_PLUGIN_PATH": f"{SLICER}/lib/QtPlugins",
        "HOME": "/home/reader",
    }


def test_the_argument_comes_before_the_variable_and_that_before_the_own_interpreter(tmp_path: Path) -> None:
    chosen = str(tmp_path / "a" / "python")
    assert worker_interpreter(chosen, {"DEFERREDSEG_PYTHON": "/else/python"}) == chosen
    assert worker_interpreter(None, {"DEFERREDSEG_PYTHON": "/else/python"}) == os.path.abspath("/else/python")
    assert worker_interpreter(None, {"DEFERREDSEG_PYTHON": " "}) == sys.executable
    assert worker_interpreter(None, {}) == sys.executable


def test_inside_slicer_the_launcher_of_its_python_is_taken(
    slicers_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", f"{SLICER}/bin/SlicerApp-real")
    assert Path(worker_interpreter(None, slicers_environment)).stem == "PythonSlicer"


def test_slicers_own_python_keeps_slicers_environment(slicers_environment: dict[str, str]) -> None:
    seen = worker_environment(f"{SLICER}/bin/PythonSlicer", slicers_environment)
    assert slicers_environment.items() <= seen.items()


def test_another_python_sees_nothing_of_slicer_but_what_the_user_set(slicers_environment: dict[str, str]) -> None:
    seen = worker_environment("/home/reader/cuda-env/bin/python", slicers_environment)
    assert not any("Slicer" in value for value in seen.values())
    assert "PYTHONHOME" not in seen and "PYTHONPATH" not in seen and "QT_PLUGIN_PATH" not in seen
    assert seen["LD_LIBRARY_PATH"] == "/usr/local/cuda/lib64" and seen["PATH"] == "/usr/bin"
    assert seen["HOME"] == "/home/reader"


def test_a_folder_whose_name_only_starts_like_slicers_is_not_slicers() -> None:
    variables = {"SLICER_HOME": SLICER, "LD_LIBRARY_PATH": f"{SLICER}-extras/lib"}
    assert worker_environment("/usr/bin/python3", variables)["LD_LIBRARY_PATH"] == f"{SLICER}-extras/lib"


def test_outside_slicer_the_library_path_stays_the_users() -> None:
    variables = {"LD_LIBRARY_PATH": "/usr/local/cuda/lib64", "PYTHONPATH": "/mine"}
    seen = worker_environment("/another/python", variables)
    assert seen["LD_LIBRARY_PATH"] == "/usr/local/cuda/lib64" and "PYTHONPATH" not in seen
    assert worker_environment(sys.executable, variables)["PYTHONPATH"] == "/mine"
