"""The list of files in CMake is the list of files on disk: Slicer installs what is listed and nothing else."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "DeferredSegSlicer"
SCRIPT = ROOT / "scripts" / "list_module_files.py"


@pytest.fixture
def the_script() -> ModuleType:
    """scripts/list_module_files.py as a module."""
    spec = importlib.util.spec_from_file_location("list_module_files", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def a_module_folder(tmp_path: Path) -> Path:
    """A small module whose list lacks worker/new.py and names gone.py."""
    library = tmp_path / "DeferredSegSlicerLib"
    for name in ("__init__.py", "core/__init__.py", "worker/new.py", "worker/__pycache__/new.cpython-312.pyc"):
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_text("", encoding="utf-8")
    listed = ["__init__.py", "core/__init__.py", "gone.py"]
    lines = [
        "set(SCRIPTS",
        "  # list begins",
        *(f"  ${{MODULE_NAME}}Lib/{name}" for name in listed),
        "  # list ends",
        "  )",
    ]
    (tmp_path / "CMakeLists.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def test_every_file_of_the_library_is_listed_and_no_other() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, "\n" + done.stdout + done.stderr


def test_the_list_is_read_from_the_files_themselves() -> None:
    text = (MODULE / "CMakeLists.txt").read_text(encoding="utf-8")
    listed = set(re.findall(r"^ +\$\{MODULE_NAME\}Lib/(\S+)$", text, flags=re.MULTILINE))
    library = MODULE / "DeferredSegSlicerLib"
    assert listed == {path.relative_to(library).as_posix() for path in library.rglob("*.py")}
    assert "${MODULE_NAME}.py" in text


def test_a_forgotten_and_a_vanished_file_are_named(
    the_script: ModuleType, a_module_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert the_script.main(["--check"], a_module_folder) == 1
    said = capsys.readouterr().out
    assert "  ${MODULE_NAME}Lib/worker/new.py" in said.partition("remove")[0]
    assert "  ${MODULE_NAME}Lib/gone.py" in said.partition("remove")[2]


def test_the_script_writes_the_list_and_leaves_the_rest_alone(the_script: ModuleType, a_module_folder: Path) -> None:
    assert the_script.main([], a_module_folder) == 0
    lines = (a_module_folder / "CMakeLists.txt").read_text(encoding="utf-8").splitlines()
    assert [line.rpartition("Lib/")[2] for line in lines[2:-2]] == ["__init__.py", "core/__init__.py", "worker/new.py"]
    assert lines[:2] == ["set(SCRIPTS", "  # list begins"] and lines[-2:] == ["  # list ends", "  )"]
    assert the_script.main(["--check"], a_module_folder) == 0


def test_a_list_without_its_markers_is_refused(the_script: ModuleType, a_module_folder: Path) -> None:
    (a_module_folder / "CMakeLists.txt").write_text("set(SCRIPTS)\n", encoding="utf-8")
    with pytest.raises(ValueError, match="list begins"):
        the_script.main([], a_module_folder)


def test_no_other_python_file_lies_beside_the_module_file() -> None:
    """Slicer takes every .py file in the module's folder for a module."""
    assert [path.name for path in MODULE.glob("*.py")] == ["DeferredSegSlicer.py"]
