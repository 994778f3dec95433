"""The command line starts fast and light, and the files that make it up are shipped."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "DeferredSegSlicer"


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this Python with the library on its path."""
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"PYTHONPATH": str(LIBRARY)},
        capture_output=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
    )


def test_the_command_line_loads_neither_torch_nor_matplotlib_until_they_are_needed() -> None:
    code = (
        "import sys, DeferredSegSlicerLib.cli; print([m for m in ('torch', 'matplotlib', 'scipy') if m in sys.modules])"
    )
    done = python("-c", code)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_help_comes_within_a_few_seconds() -> None:
    begun = time.perf_counter()
    done = python("-m", "DeferredSegSlicerLib", "--help")
    assert done.returncode == 0
    commands = "segment regions decide export render report check info train evaluate protocol"
    for command in commands.split():
        assert command in done.stdout
    assert time.perf_counter() - begun < 5, "0.6 s on an idle machine; the rest is room for a busy one"


def test_every_module_has_a_docstring_and_no_import_time_output() -> None:
    package = LIBRARY / "DeferredSegSlicerLib"
    for path in sorted(package.rglob("*.py")):
        assert path.read_text(encoding="utf-8").lstrip().startswith('"""'), f"{path.relative_to(ROOT)} has no docstring"


def test_no_file_of_the_project_names_a_path_of_somebodys_machine() -> None:
    kinds = ("*.py", "*.md", "*.toml", "*.json", "*.sh", "Makefile")
    folders = (ROOT / name for name in ("DeferredSegSlicer", "Resources", "Testing", "docs", "scripts", ".ci"))
    files = [path for folder in folders for kind in kinds for path in folder.rglob(kind)]
    files += [path for kind in kinds for path in ROOT.glob(kind)] + [ROOT / ".ci" / "run"]
    assert len(files) > 50
    for path in files:
        text = path.read_text(encoding="utf-8")
        for home in ("/" + "work/", "/" + "root/", "/" + "farm/"):
            assert home not in text, f"{path.relative_to(ROOT)} names {home}"
