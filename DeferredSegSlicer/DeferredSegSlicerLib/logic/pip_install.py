"""Calls of Slicer's package installers; the one place that knows how 5.10 differs from 5.12.

Slicer 5.12 has `slicer.packaging`, which can leave out what a package drags in. Slicer 5.10 has
`slicer.util.pip_install` alone; there a constraints file keeps Slicer's own packages as they are. On the main thread
only: Slicer's installers show a window with what pip says.
"""

from __future__ import annotations

import importlib
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.errors import DeferredSegError
from . import packages
from .packages import Requirement

REQUESTER = "DeferredSegSlicer"


class SetUpError(DeferredSegError):
    """Something could not be installed; the sentence says what the user can do."""


def install_requirements(requirements: Sequence[Requirement]) -> None:
    """Install from the package index what is not satisfied yet; the user has agreed already.

    Raises SetUpError if pip failed.
    """
    wanted = [str(requirement) for requirement in requirements]
    with _constraints() as constraints, _clear_errors(wanted):
        if has_packaging():
            _packaging().pip_ensure(
                wanted,
                constraints=constraints,
                skip_packages=[*packages.PROTECTED, packages.TORCH.name, packages.TORCHVISION.name],
                prompt_install=False,
                requester=REQUESTER,
            )
        else:
            _util().pip_install([*wanted, "-c", constraints])


def install_wheels(requirements: Sequence[Requirement], folder: Path) -> None:
    """Install from a folder of wheels, without a network.

    Raises SetUpError if pip failed, mostly because a wheel is missing.
    """
    wanted = [str(requirement) for requirement in requirements]
    arguments = ["--no-index", "--find-links", str(folder), *wanted]
    with _constraints() as constraints, _clear_errors(wanted, folder):
        if has_packaging():
            _packaging().pip_install(arguments, constraints=constraints, requester=REQUESTER)
        else:
            _util().pip_install([*arguments, "-c", constraints])


def has_packaging() -> bool:
    """Whether this Slicer has `slicer.packaging` (5.12 and newer)."""
    try:
        _packaging()
    except ImportError:
        return False
    return True


def _packaging() -> Any:
    return importlib.import_module("slicer.packaging")


def _util() -> Any:
    return importlib.import_module("slicer.util")


@contextmanager
def _constraints() -> Iterator[str]:
    """Path of a file that pins Slicer's own packages, and a PyTorch that is there already."""
    with tempfile.TemporaryDirectory(prefix="deferredseg-pip-") as folder:
        path = Path(folder) / "constraints.txt"
        kept = tuple(r.name for r in (packages.TORCH, packages.TORCHVISION) if r not in packages.unsatisfied())
        path.write_text(packages.pins_of_protected(kept), encoding="utf-8")
        yield str(path)


@contextmanager
def _clear_errors(wanted: Sequence[str], folder: Path | None = None) -> Iterator[None]:
    source = f'the folder "{folder}"' if folder is not None else "the package index"
    advice = (
        "see that it holds wheels for this Slicer's Python and system"
        if folder is not None
        else "see Slicer's log for pip's own words, check the network, or install from a folder of wheels"
    )
    try:
        yield
    except subprocess.CalledProcessError as error:
        raise SetUpError(
            f"pip could not install {', '.join(wanted)} from {source} (exit code {error.returncode}); {advice}"
        ) from error
    except RuntimeError as error:  # Slicer's own refusals, such as a second installation at once
        raise SetUpError(f"Slicer did not install {', '.join(wanted)}: {error}") from error
