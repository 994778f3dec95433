"""Format, lint, types and one-way imports are part of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "DeferredSegSlicer"
LINT_IMPORTS = Path(sysconfig.get_path("scripts")) / "lint-imports"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of this environment on the whole project."""
    environment = os.environ | {"PYTHONPATH": str(LIBRARY), "NO_COLOR": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def test_every_file_is_formatted() -> None:
    done = run(sys.executable, "-m", "ruff", "format", "--check", ".")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_file_passes_the_linter() -> None:
    done = run(sys.executable, "-m", "ruff", "check", "--output-format", "concise", ".")
    assert done.returncode == 0, done.stdout + done.stderr


def test_types_hold() -> None:
    done = run(sys.executable, "-m", "mypy")
    assert done.returncode == 0, done.stdout + done.stderr


def test_imports_go_one_way() -> None:
    done = run(sys.executable, str(LINT_IMPORTS), "--no-logo", "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("forbidden", ["torch", "matplotlib", "scipy"])
def test_core_starts_without(forbidden: str) -> None:
    modules = [
        f"DeferredSegSlicerLib.core.{path.stem}"
        for path in sorted((LIBRARY / "DeferredSegSlicerLib" / "core").glob("*.py"))
        if path.stem != "__init__"
    ]
    code = f"import sys; sys.modules[{forbidden!r}] = None; import {', '.join(modules)}"
    done = run(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
