"""Set-up: what is installed, installing it, the offline folder, and what a bug report needs.

Nothing here asks the user anything: whoever calls `install` has the consent. Installing is for Slicer's own Python
alone; for another interpreter there is a command line to copy.
"""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from .. import __version__
from ..worker.environment import is_own_interpreter, worker_interpreter
from ..worker.protocol import Hello
from . import bundles, keys, packages, pip_install, pytorch_extension
from .bundles import InstalledBundle
from .packages import PackageState
from .pip_install import SetUpError
from .services import Services

REPORTED_PACKAGES = ("numpy", "SimpleITK", "torch", "torchvision", "segment-anything", "timm", "monai", "safetensors")


@dataclass(frozen=True)
class OfflineFolder:
    """What a folder for computers without a network holds: how many wheels, and the folders of models."""

    path: Path
    wheels: int
    models: tuple[Path, ...]


class SetUp:
    """The installation as the panel shows and changes it.

    Parameters
    ----------
    services : settings and folders.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def python(self) -> str:
        """Path of the interpreter that the worker runs in: chosen in Set-up, else DEFERREDSEG_PYTHON, else Slicer's."""
        return worker_interpreter(self._services.python(), os.environ)

    @property
    def is_own_python(self) -> bool:
        """Whether that is Slicer's own Python, into which we may install."""
        return is_own_interpreter(self.python, os.environ)

    def states(self) -> tuple[PackageState, ...]:
        """Required packages and their versions in Slicer's own Python; of another interpreter only its worker knows."""
        return packages.package_states()

    def missing(self) -> tuple[str, ...]:
        """Names, as pip writes requirements, of what Slicer's own Python lacks or has too old."""
        return tuple(str(requirement) for requirement in packages.unsatisfied())

    def missing_to_start(self) -> tuple[str, ...]:
        """Names of packages without which a worker cannot start; empty for an interpreter that we cannot look into."""
        return packages.missing_to_start() if self.is_own_python else ()

    def pip_command(self) -> str:
        """Command line that installs everything into the worker's interpreter, to be copied."""
        return packages.pip_command(self.python)

    def pytorch_extension_is_there(self) -> bool:
        """Whether Slicer's PyTorch extension can be used in this session."""
        return pytorch_extension.extension_is_there()

    def install_pytorch_extension(self) -> None:
        """Have the Extensions Manager install the PyTorch extension; afterwards Slicer must be restarted.

        The wish to install goes on after the restart, see `resume_pending`. Raises SetUpError.
        """
        self._check_own()
        self._mark(True)
        try:
            pytorch_extension.install_extension()
        except BaseException:
            self._mark(False)
            raise

    def install(self) -> None:
        """Install what is missing from the package index: PyTorch first, then the rest; minutes, on the main thread.

        A restart in between leaves the mark that `resume_pending` reads.

        Raises
        ------
        pytorch_extension.ExtensionMissingError : first `install_pytorch_extension`.
        SetUpError : pip or the extension failed, or the worker's interpreter is not Slicer's own.
        """
        self._check_own()
        self._mark(True)
        lacking = packages.unsatisfied()
        if packages.TORCH in lacking or packages.TORCHVISION in lacking:
            pytorch_extension.install_torch()
        rest = [r for r in packages.unsatisfied() if r not in (packages.TORCH, packages.TORCHVISION)]
        if rest:
            pip_install.install_requirements(rest)
        self._check_installed()
        self._mark(False)

    def offline_folder(self, folder: Path) -> OfflineFolder:
        """What a folder holds; raises SetUpError if it has neither wheels nor models."""
        wheels = sum(1 for _ in folder.glob("*.whl"))
        models = sorted({p.parent for pattern in ("bundle.json", "*/bundle.json") for p in folder.glob(pattern)})
        if not wheels and not models:
            raise SetUpError(f'folder "{folder}" holds neither Python wheels (*.whl) nor models (bundle.json)')
        return OfflineFolder(folder, wheels, tuple(models))

    def install_offline(self, folder: Path) -> tuple[InstalledBundle, ...]:
        """Install models and what is missing of the packages from a folder, without a network; returns the models.

        Raises SetUpError or BadInputError naming what is missing or damaged.
        """
        offline = self.offline_folder(folder)
        installed: tuple[InstalledBundle, ...] = ()
        for model in offline.models:
            installed += bundles.install_bundles(model, self._services.models_folder())
        lacking = packages.unsatisfied()
        if offline.wheels and lacking:
            self._check_own()
            pip_install.install_wheels(lacking, folder)
            self._check_installed()
            self._mark(False)
        return installed

    def resume_pending(self) -> bool:
        """Whether an installation was begun that a restart, or its failure, has cut off."""
        return bool(self._services.setting(keys.RESUME_INSTALL)) and bool(packages.unsatisfied())

    def forget_resume(self) -> None:
        """The user does not want to go on with it."""
        self._mark(False)

    def device_text(self, hello: Hello | None) -> str:
        """A sentence on the device that a worker has tested; empty without a worker."""
        if hello is None:
            return ""
        result = "works" if hello.self_test.passed else "does not work"
        return f"{hello.device} {result} ({hello.self_test.seconds:.1f} s): {hello.self_test.message}"

    def versions_text(self, hello: Hello | None = None) -> str:
        """Versions of everything that matters for a bug report; nothing of the patient, the user or the scene."""
        own = "Slicer's own"
        lines = [
            f"DeferredSegSlicer {__version__}",
            f"Slicer {_slicer_version()}, Python {platform.python_version()}, {platform.platform()}",
            f"worker's interpreter: {own if self.is_own_python else self.python}",
        ]
        here = ", ".join(f"{name} {packages.installed_version(name) or 'missing'}" for name in REPORTED_PACKAGES)
        lines.append(f"in Slicer's Python: {here}")
        if hello is not None:
            there = ", ".join(f"{name} {version}" for name, version in sorted(hello.versions.items()))
            lines += [f"in the worker: {there}", f"device: {self.device_text(hello)}"]
        lines.append("models: " + ", ".join(b.id for b in bundles.installed_bundles(self._services.models_folder())))
        lines += bundles.damaged_bundles(self._services.models_folder())
        return "\n".join(lines).replace(str(Path.home()), "~")

    def _check_own(self) -> None:
        if not self.is_own_python:
            raise SetUpError(
                f'the worker runs in "{self.python}", which is not Slicer\'s own Python; install there yourself with: '
                f"{self.pip_command()}"
            )

    def _check_installed(self) -> None:
        left = packages.unsatisfied()
        if left:
            raise SetUpError(
                f"{', '.join(map(str, left))} is still missing after the installation; see Slicer's log for the reason"
            )

    def _mark(self, begun: bool) -> None:
        self._services.set_setting(keys.RESUME_INSTALL, "begun" if begun else "")


def _slicer_version() -> str:
    slicer = sys.modules.get("slicer")
    return str(getattr(getattr(slicer, "app", None), "applicationVersion", "unknown"))
