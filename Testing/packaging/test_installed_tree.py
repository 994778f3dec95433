"""Configure, build and install the extension against a stand-in of Slicer's build tree, and use what was installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STUB = Path(__file__).with_name("slicer_stub")
MODULES = Path("lib") / "Slicer-5.13" / "qt-scripted-modules"


def cmake(*arguments: str | Path) -> str:
    """Run the environment's CMake, or the machine's if that has none; returns what it printed."""
    found = shutil.which("cmake", path=sysconfig.get_path("scripts")) or shutil.which("cmake")
    assert found, "CMake is missing: pip install cmake"
    command = [found, *map(str, arguments)]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def the_build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A build tree of the whole extension, in a folder with a space in its name."""
    build = tmp_path_factory.mktemp("extension") / "build tree"
    no_compiler = [
        f"-DCMAKE_{language}_COMPILER{end}" for language in ("C", "CXX") for end in ("_FORCED=ON", "=/bin/true")
    ]
    cmake("-S", ROOT, "-B", build, f"-DSlicer_DIR={STUB}", "-DBUILD_TESTING=ON", *no_compiler)
    cmake("--build", build)
    yield build
    shutil.rmtree(build.parent)


@pytest.fixture(scope="module")
def the_installed(the_build: Path) -> Path:
    """The folder in which Slicer finds the module after the installation."""
    prefix = the_build.parent / "installed"
    cmake("--install", the_build, "--prefix", prefix)
    return prefix / MODULES


def in_installed(installed: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Python with the installed tree alone before its own packages, from another folder."""
    variables = {name: value for name, value in os.environ.items() if name != "DEFERREDSEG_RESOURCES"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=variables | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        stdin=subprocess.DEVNULL,
    )


def test_the_module_its_library_and_its_resources_lie_side_by_side(the_installed: Path) -> None:
    assert sorted(path.name for path in the_installed.iterdir()) == [
        "DeferredSegSlicer.py",
        "DeferredSegSlicerLib",
        "Resources",
    ]


def test_every_file_is_installed_unchanged(the_installed: Path) -> None:
    module, resources = ROOT / "DeferredSegSlicer", ROOT / "Resources"
    sources = {path: the_installed / path.relative_to(module) for path in module.rglob("*.py")}
    sources |= {path: the_installed / path.relative_to(ROOT) for path in resources.rglob("*") if path.is_file()}
    assert len(sources) > 240
    for source, copy in sources.items():
        assert copy.is_file(), f"{source.relative_to(ROOT)} was not installed"
        assert copy.read_bytes() == source.read_bytes(), source.name
    copies = {path for path in the_installed.rglob("*") if path.is_file()}
    assert copies - set(sources.values()) == {the_installed / "Resources" / "LICENSE"}


def test_resources_of_every_kind_and_the_licenses_are_there(the_installed: Path) -> None:
    resources = the_installed / "Resources"
    for name in ("UI/DeferredSegSlicer.ui", "Icons/DeferredSegSlicer.png", "Experts/default.json", "requirements.txt"):
        assert (resources / name).is_file(), name
    for folder in ("SampleData", "Models/litemedsam", "Models/litemedsam-deferral"):
        assert (resources / folder / "LICENSE").is_file() and (resources / folder / "NOTICE").is_file()
    assert (resources / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_installed_library_finds_the_installed_resources(the_installed: Path, tmp_path: Path) -> None:
    code = "import DeferredSegSlicerLib.resources as r; print(r.__file__, r.find_resources(), sep='\\n')"
    done = in_installed(the_installed, "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    file, resources = map(Path, done.stdout.splitlines())
    assert file == the_installed / "DeferredSegSlicerLib" / "resources.py"
    assert resources == the_installed / "Resources"


def test_the_worker_starts_from_the_installed_tree_and_says_hello(the_installed: Path, tmp_path: Path) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "DeferredSegSlicerLib.worker.server", "--device", "cpu"],
        cwd=the_installed,
        env={**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        errors="replace",
    )
    assert worker.stdin and worker.stdout
    messages = (json.loads(line) for line in worker.stdout)
    deadline = time.monotonic() + 240
    said = next(said for said in messages if said["type"] != "heartbeat" or time.monotonic() > deadline)
    assert said["type"] == "hello" and said["self_test"]["passed"], said
    worker.stdin.close()  # the client is gone: it leaves
    assert worker.wait(timeout=30) == 0


def test_the_command_line_shipped_with_it_sees_the_installed_models(the_installed: Path, tmp_path: Path) -> None:
    done = in_installed(the_installed, "-m", "DeferredSegSlicerLib", "info", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "litemedsam-deferral" in done.stdout


def test_a_changed_panel_is_copied_by_the_next_build(the_build: Path) -> None:
    """Copies are made by the build, not when CMake is configured: nobody looks at yesterday's panel."""
    copy = the_build / MODULES / "Resources" / "Experts" / "default.json"
    copy.unlink()
    cmake("--build", the_build)
    assert copy.read_bytes() == (ROOT / "Resources" / "Experts" / "default.json").read_bytes()


def test_ctest_knows_the_module_test_and_the_whole_way(the_build: Path) -> None:
    ctest = shutil.which("ctest", path=sysconfig.get_path("scripts")) or shutil.which("ctest")
    assert ctest
    done = subprocess.run([ctest, "-N", "-V"], cwd=the_build, capture_output=True, encoding="utf-8", errors="replace")
    for name in ("py_DeferredSegSlicer", "DeferredSegSlicer_whole_way"):
        assert name in done.stdout
    assert str(ROOT / "Testing" / "slicer" / "run.py") in done.stdout
    assert (ROOT / "Testing" / "slicer" / "run.py").is_file()


def test_the_description_that_the_build_writes_is_the_one_in_the_project(the_build: Path) -> None:
    written = (the_build / "DeferredSegSlicer.s4ext").read_text(encoding="utf-8").splitlines()
    kept = (ROOT / "DeferredSegSlicer.s4ext").read_text(encoding="utf-8").splitlines()
    assert len(written) == 7
    for line in written:
        assert line in kept
