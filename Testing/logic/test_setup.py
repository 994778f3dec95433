"""Set-up: what is missing, and how Slicer's installers are called. No package is installed by any of these tests."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import slicer
import tomllib
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.logic import keys, packages, pip_install
from DeferredSegSlicerLib.logic.pip_install import SetUpError
from DeferredSegSlicerLib.logic.pytorch_extension import ExtensionMissingError
from DeferredSegSlicerLib.logic.setup import SetUp
from DeferredSegSlicerLib.resources import find_resources
from DeferredSegSlicerLib.worker.protocol import Hello, SelfTest
from DeferredSegSlicerLib.worker.server import REQUIRED_PACKAGES
from plain_services import PlainServices

ROOT = Path(__file__).resolve().parents[2]
API = json.loads((ROOT / "Testing" / "qtbench" / "qt_api.json").read_text(encoding="utf-8"))["modules"]


class Computer:
    """Installed packages, and what Slicer's installers were asked for."""

    def __init__(self) -> None:
        self.installed = {"numpy": "2.4.6", "SimpleITK": "2.5.5", "requests": "2.32.5"}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.constraints: list[str] = []
        self.fails = False

    def take(self, name: str, arguments: dict[str, Any], requirements: list[str]) -> None:
        """An installer was called: keep how, read the constraints file, and install."""
        self.calls.append((name, arguments))
        if arguments.get("constraints"):
            self.constraints = Path(arguments["constraints"]).read_text(encoding="utf-8").splitlines()
        if self.fails:
            raise subprocess.CalledProcessError(1, "pip install")
        for requirement in requirements:
            name, _, floor = requirement.partition(">=")
            self.installed[name] = floor


@pytest.fixture
def computer(monkeypatch: pytest.MonkeyPatch) -> Computer:
    """A Slicer of 5.12 or newer with nothing of ours installed."""
    there = Computer()
    monkeypatch.setattr(packages, "installed_version", there.installed.get)

    def pip_ensure(
        requirements: Any,
        constraints: Any = None,
        skip_packages: Any = None,
        prompt_install: bool = True,
        prompt_restart: bool = True,
        requester: Any = None,
        skip_in_testing: bool = True,
        show_progress: bool = True,
    ) -> None:
        there.take("pip_ensure", dict(locals()), list(requirements))

    def pip(
        requirements: Any,
        constraints: Any = None,
        no_deps_requirements: Any = None,
        skip_packages: Any = None,
        blocking: bool = True,
        show_progress: bool = True,
        requester: Any = None,
        logCallback: Any = None,
        completedCallback: Any = None,
    ) -> None:
        there.take("pip_install", dict(locals()), [r for r in requirements if ">=" in r])

    module = types.ModuleType("slicer.packaging")
    module.pip_ensure, module.pip_install = pip_ensure, pip  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "slicer.packaging", module)
    monkeypatch.setattr(slicer, "packaging", module, raising=False)
    return there


@pytest.fixture
def pytorch(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Slicer's PyTorch extension, as it is since 2024: it imports torch when it has installed it."""
    module = types.ModuleType("PyTorchUtils")

    class PyTorchUtilsLogic:
        def installTorch(
            self,
            askConfirmation: bool = False,
            forceComputationBackend: Any = None,
            torchVersionRequirement: Any = None,
            torchvisionVersionRequirement: Any = None,
        ) -> Any:
            arguments = {name: value for name, value in locals().items() if name != "self"}
            computer.take("installTorch", arguments, ["torch>=2.9", "torchvision>=0.24"])
            return importlib.import_module("torch")

    module.PyTorchUtilsLogic = PyTorchUtilsLogic  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "PyTorchUtils", module)
    return module


def parameters(signature: str) -> list[str]:
    """Names of the parameters in a signature as introspection printed it."""
    scope: dict[str, Any] = {}
    exec(f"from __future__ import annotations\ndef f{signature}: ...", scope)
    return list(inspect.signature(scope["f"]).parameters)


def test_the_stand_ins_have_the_signatures_of_a_real_slicer(computer: Computer) -> None:
    module = sys.modules["slicer.packaging"]
    for name in ("pip_ensure", "pip_install"):
        assert list(inspect.signature(getattr(module, name)).parameters) == parameters(API["slicer.packaging"][name])
    assert "pip_install" in API["slicer.util"] and "restart" in API["slicer.util"]


def test_the_requirements_are_the_engines_without_torch_and_without_slicers_own() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    engine = project["optional-dependencies"]["engine"]
    assert sorted(map(str, packages.all_requirements())) == sorted(engine)
    names = {r.name.lower() for r in packages.other_requirements()}
    assert not names & {"torch", "torchvision", *(p.lower() for p in packages.PROTECTED)}


def test_what_a_worker_needs_to_start_is_what_it_asks_for_itself() -> None:
    assert set(packages.NEEDED_TO_START) == set(REQUIRED_PACKAGES.values()) - {"numpy", "SimpleITK"}


@pytest.mark.parametrize(
    ("installed", "good"),
    [
        ("2.1", True),
        ("2.1.0", True),
        ("2.9.0+cu126", True),
        ("10.0", True),
        ("2.0.1", False),
        ("2", False),
        (None, False),
    ],
)
def test_versions_are_compared_as_numbers(installed: str | None, good: bool) -> None:
    assert packages.PackageState(packages.TORCH, installed).satisfied is good


def test_a_line_that_is_no_requirement_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "requirements.txt").write_text("# fine\nmonai>=1.3  # fine\ntimm==1.0.0\n")
    monkeypatch.setenv("DEFERREDSEG_RESOURCES", str(tmp_path))
    with pytest.raises(BadInputError, match=r'has the line "timm==1\.0\.0"'):
        packages.other_requirements()


def test_installing_takes_torch_from_its_extension_and_the_rest_from_pip(
    computer: Computer, pytorch: types.ModuleType, services: PlainServices
) -> None:
    set_up = SetUp(services)
    assert len(set_up.missing()) == 6 and "torch" in set_up.missing_to_start()
    set_up.install()
    (first, torch), (second, rest) = computer.calls
    assert (first, second) == ("installTorch", "pip_ensure")
    assert torch["torchVersionRequirement"] == ">=2.1" and torch["torchvisionVersionRequirement"] == ">=0.16"
    assert torch["askConfirmation"] is False and rest["prompt_install"] is False
    assert rest["requirements"] == ["segment-anything>=1.0", "monai>=1.3", "timm>=1.0", "safetensors>=0.4"]
    assert {"numpy", "SimpleITK", "vtk", "requests", "torch", "torchvision"} <= set(rest["skip_packages"])
    assert computer.constraints == [
        "numpy==2.4.6", "SimpleITK==2.5.5", "requests==2.32.5", "torch==2.9", "torchvision==0.24",
    ]  # fmt: skip
    assert set_up.missing() == () and not set_up.resume_pending()


def test_slicers_process_is_kept_from_importing_torch_while_it_is_installed(
    computer: Computer, pytorch: types.ModuleType, services: PlainServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    (services.folder / "torch.py").write_text("imported = True\n")  # a small one in the place of the real one
    monkeypatch.syspath_prepend(services.folder)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    SetUp(services).install()
    assert "torch" not in sys.modules


def test_an_older_extension_without_a_floor_for_torchvision_will_do(
    computer: Computer, pytorch: types.ModuleType, services: PlainServices
) -> None:
    def install(
        askConfirmation: bool = False, forceComputationBackend: Any = None, torchVersionRequirement: Any = None
    ):
        computer.take("installTorch", {}, ["torch>=2.9", "torchvision>=0.24"])

    pytorch.PyTorchUtilsLogic.installTorch = staticmethod(install)  # type: ignore[attr-defined]
    SetUp(services).install()
    assert computer.installed["torch"] == "2.9"


def test_without_the_extension_the_advice_names_it_and_the_wish_outlives_a_restart(
    computer: Computer, services: PlainServices
) -> None:
    set_up = SetUp(services)
    assert not set_up.pytorch_extension_is_there()
    with pytest.raises(ExtensionMissingError, match="Extensions Manager"):
        set_up.install()
    assert set_up.resume_pending() and SetUp(services).resume_pending()
    set_up.forget_resume()
    assert not set_up.resume_pending()


def test_the_extensions_manager_is_asked_for_the_extension(
    computer: Computer, services: PlainServices, a_slicer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []
    manager = types.SimpleNamespace(
        isExtensionInstalled=lambda name: False,
        installExtensionFromServer=lambda name, restart=True, update=False: asked.append((name, restart)) or True,
    )
    set_up = SetUp(services)
    with pytest.raises(SetUpError, match="built without an extensions manager"):
        set_up.install_pytorch_extension()
    assert not set_up.resume_pending()
    monkeypatch.setattr(a_slicer, "extensionsManagerModel", lambda: manager, raising=False)
    set_up.install_pytorch_extension()
    assert asked == [("PyTorch", False)] and set_up.resume_pending()
    manager.installExtensionFromServer = lambda name, restart=True, update=False: False
    with pytest.raises(SetUpError, match="check the network"):
        set_up.install_pytorch_extension()


def test_a_failing_pip_is_told_with_what_to_do(
    computer: Computer, pytorch: types.ModuleType, services: PlainServices
) -> None:
    computer.installed |= {"torch": "2.9", "torchvision": "0.24"}
    computer.fails = True
    set_up = SetUp(services)
    with pytest.raises(
        SetUpError, match=r"pip could not install segment-anything>=1.0, .*exit code 1.*folder of wheels"
    ):
        set_up.install()
    assert set_up.resume_pending(), "it can be gone on with"


def test_an_installation_that_installed_nothing_is_noticed(
    computer: Computer, pytorch: types.ModuleType, services: PlainServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    computer.installed |= {"torch": "2.9", "torchvision": "0.24"}
    monkeypatch.setattr(sys.modules["slicer.packaging"], "pip_ensure", lambda *a, **k: None)  # as under --testing
    with pytest.raises(SetUpError, match=r"monai>=1.3.* is still missing"):
        SetUp(services).install()


def test_slicer_5_10_gets_the_same_by_its_older_installer(
    computer: Computer, pytorch: types.ModuleType, services: PlainServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    import slicer.util

    def pip(requirements: list[str]) -> None:
        where = requirements.index("-c")
        arguments = {"requirements": requirements[:where], "constraints": requirements[where + 1]}
        computer.take("old pip_install", arguments, [r for r in requirements if ">=" in r])

    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    monkeypatch.setattr(slicer.util, "pip_install", pip, raising=False)
    assert not pip_install.has_packaging()
    SetUp(services).install()
    assert computer.calls[-1][0] == "old pip_install" and "numpy==2.4.6" in computer.constraints


def test_a_folder_of_wheels_and_models_needs_no_network(
    computer: Computer, services: PlainServices, tmp_path: Path, a_small_bundle: Callable[..., Path]
) -> None:
    folder = tmp_path / "usb stick"
    folder.mkdir()
    set_up = SetUp(services)
    with pytest.raises(SetUpError, match=r"neither Python wheels .* nor models"):
        set_up.offline_folder(folder)
    (folder / "torch-2.9.0-cp312-cp312-linux_x86_64.whl").write_bytes(b"")
    a_small_bundle(folder / "mine")
    there = set_up.offline_folder(folder)
    assert there.wheels == 1 and there.models == (folder / "mine",)
    [bundle] = set_up.install_offline(folder)
    assert bundle.own and bundle.folder == services.models_folder() / "mine"
    [(name, call)] = computer.calls
    assert name == "pip_install"
    assert call["requirements"][:3] == ["--no-index", "--find-links", str(folder)]
    assert call["requirements"][3:] == list(map(str, packages.all_requirements()))
    assert "numpy==2.4.6" in computer.constraints and set_up.missing() == ()


def test_into_another_interpreter_nothing_is_installed(computer: Computer, services: PlainServices) -> None:
    services.chosen_python = "/opt/other/bin/python"
    set_up = SetUp(services)
    assert not set_up.is_own_python and set_up.missing_to_start() == ()
    with pytest.raises(
        SetUpError, match='not Slicer\'s own Python; install there yourself with: "/opt/other/bin/python"'
    ):
        set_up.install()
    assert computer.calls == [] and '-m pip install "torch>=2.1" "torchvision>=0.16"' in set_up.pip_command()


def test_the_interpreter_is_the_chosen_one_then_the_variable_then_slicers(
    services: PlainServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up = SetUp(services)
    assert set_up.python == sys.executable and set_up.is_own_python
    monkeypatch.setenv("DEFERREDSEG_PYTHON", "/opt/cuda/bin/python")
    assert set_up.python == "/opt/cuda/bin/python"
    services.chosen_python = "/opt/other/bin/python"
    assert set_up.python == "/opt/other/bin/python"


def test_versions_for_a_bug_report_name_no_person(services: PlainServices) -> None:
    hello = Hello({"torch": "2.9"}, "cuda:0", SelfTest(True, "A convolution on cuda:0 (H100) came out right.", 0.5), 7)
    text = SetUp(services).versions_text(hello)
    for part in ("DeferredSegSlicer 0", "Python 3.", "numpy", "torch 2.9", "cuda:0 works", "litemedsam-deferral"):
        assert part in text, part
    services.chosen_python = str(Path.home() / "env" / "bin" / "python")
    other = SetUp(services).versions_text(hello)
    assert str(Path.home()) not in text + other and f"~{os.sep}env" in other and str(services.folder) not in text


def test_the_requirements_file_is_where_slicer_finds_it() -> None:
    assert (find_resources() / "requirements.txt").is_file()
    assert keys.RESUME_INSTALL.startswith("DeferredSegSlicer/")
