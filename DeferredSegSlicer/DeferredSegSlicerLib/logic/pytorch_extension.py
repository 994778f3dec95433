"""PyTorch by way of Slicer's PyTorch extension, which picks the build that fits the graphics card."""

from __future__ import annotations

import importlib
import inspect
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from . import packages
from .pip_install import SetUpError

EXTENSION = "PyTorch"

_log = logging.getLogger(__name__)


class ExtensionMissingError(SetUpError):
    """The PyTorch extension is not installed; `install_extension` can do it."""


def extension_is_there() -> bool:
    """Whether the extension can be used in this session."""
    try:
        _utils()
    except ImportError:
        return False
    return True


def install_torch() -> None:
    """Install torch and torchvision into Slicer's Python; the user has agreed already.

    The extension imports torch at the end of its installation. It is kept from that: in Slicer's own process torch
    would hold its files open and some hundred MB of memory, and only the worker needs it.

    Raises
    ------
    ExtensionMissingError : the PyTorch extension is not there.
    SetUpError : the installation failed.
    """
    try:
        utils = _utils()
    except ImportError as error:
        raise ExtensionMissingError(
            f'the extension "{EXTENSION}" is needed to install PyTorch: install it in the Extensions Manager '
            "(View, Extensions Manager, Install), restart Slicer and go on here"
        ) from error
    install = utils.PyTorchUtilsLogic().installTorch
    arguments = {"askConfirmation": False, "torchVersionRequirement": f">={packages.TORCH.floor}"}
    if "torchvisionVersionRequirement" in inspect.signature(install).parameters:  # not in the extension of 2024
        arguments["torchvisionVersionRequirement"] = f">={packages.TORCHVISION.floor}"
    problem: Exception | None = None
    with _torch_kept_out():
        try:
            install(**arguments)
        except Exception as error:  # whatever it is, what counts is what is installed now
            problem = error
    lacking = [r for r in packages.unsatisfied() if r in (packages.TORCH, packages.TORCHVISION)]
    if lacking:
        _log.error("the PyTorch extension did not install torch", exc_info=problem)
        why = f": {problem}" if problem is not None else ""
        raise SetUpError(
            f"the PyTorch extension did not install {' and '.join(map(str, lacking))}{why}; try its module "
            '"PyTorch Utils", or install from a folder of wheels'
        ) from problem


def install_extension() -> None:
    """Have the Extensions Manager install the PyTorch extension; it can be used after a restart of Slicer.

    Raises SetUpError if this Slicer has no extensions manager or the installation failed.
    """
    import slicer

    by_hand = f'install the extension "{EXTENSION}" by hand, or install from a folder of wheels'
    if not hasattr(slicer.app, "extensionsManagerModel"):
        raise SetUpError(f"this Slicer was built without an extensions manager; {by_hand}")
    manager = slicer.app.extensionsManagerModel()
    if not manager.isExtensionInstalled(EXTENSION) and not manager.installExtensionFromServer(EXTENSION, False):
        raise SetUpError(f"the Extensions Manager could not install the extension; check the network, {by_hand}")


def _utils() -> Any:
    return importlib.import_module("PyTorchUtils")


@contextmanager
def _torch_kept_out() -> Iterator[None]:
    """`import torch` fails meanwhile, unless another extension has imported it already."""
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["torch"]
