"""Set-up: what is installed, what is missing, and what the device test said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..text import _

if TYPE_CHECKING:
    from ...logic.packages import PackageState


def package_cells(state: PackageState) -> tuple[str, str, str, str]:
    """Cells of a package: name, what is needed, what is there, and how that fits."""
    absent = _("too old") if state.installed else _("missing")
    word = _("installed") if state.satisfied else absent
    return (
        state.name,
        _("{version} or newer").format(version=state.requirement.floor),
        state.installed or "\u2013",
        word,
    )


def summary(own_python: bool, states: Iterable[PackageState], worker_missing: Sequence[str], command: str) -> str:
    """One line on what is there.

    Parameters
    ----------
    own_python : whether the worker runs in Slicer's own Python; the states are of that.
    worker_missing : packages of which a worker has said that it lacks them.
    command : what to run in another Python to install everything.
    """
    if not own_python:
        if worker_missing:
            return _("The chosen Python lacks {names}. Install there: {command}").format(
                names=", ".join(worker_missing), command=command
            )
        return _("The worker runs in another Python, which is not looked into; Test device tells whether it works.")
    absent = [state.name for state in states if not state.satisfied]
    if absent:
        return _("To be installed: {names}.").format(names=", ".join(absent))
    return _("Everything is installed.")


def problem(missing: Sequence[str]) -> str:
    """Why nothing can be segmented yet, given the packages without which no worker starts, or an empty text."""
    if not missing:
        return ""
    return _("Install what is missing in Set-up first: {names}.").format(names=", ".join(missing))


def install_reason(own_python: bool, missing: Sequence[str], offline: str, busy: str) -> str:
    """Why *Install* cannot be clicked, or an empty text."""
    if busy:
        return busy
    if not own_python and not offline:
        return _("The worker runs in another Python; install there, as written above.")
    if not missing and not offline:
        return _("Everything is installed.")
    return ""


def consent(names: Sequence[str], offline_folder: str) -> str:
    """The question before anything is installed."""
    what = "\n".join(names) if names else _("the models of the folder")
    if offline_folder:
        return _("These will be installed from {folder}:\n\n{what}\n\nInstall now?").format(
            folder=offline_folder, what=what
        )
    return _(
        "These Python packages will be downloaded from the internet and installed into Slicer's own Python "
        "(PyTorch alone is 0.2 to 3 GB):\n\n{what}\n\nSlicer's window does not react meanwhile. Install now?"
    ).format(what=what)


def extension_consent() -> str:
    """The question before the PyTorch extension is installed."""
    return _(
        "PyTorch is installed by Slicer's extension \u201cPyTorch\u201d, which is not there yet. "
        "Install the extension from the internet? "
        "Slicer must be restarted afterwards; the installation then goes on in this module."
    )


def resume_consent() -> str:
    """The question after a restart in the middle of an installation."""
    return _("The installation that was begun before the restart is not finished. Go on with it now?")


def installed_text(models: Sequence[str]) -> str:
    """After an installation."""
    if models:
        return _("Installed, with the models {names}.").format(names=", ".join(models))
    return _("Installed.")


def device_text(device: str, passed: bool, message: str, seconds: float, versions: Mapping[str, str]) -> str:
    """What the worker's self test said; s that it took."""
    torch = versions.get("torch", "")
    made = f", PyTorch {torch}" if torch else ""
    if passed:
        return _("The device {device} works ({seconds:.1f} s for the test{made}).").format(
            device=device, made=made, seconds=max(0.1, seconds)
        )
    return _("The device {device} does not work: {message}").format(device=device, message=message)


def testing_text() -> str:
    """While the worker starts for a test."""
    return _("Starting the worker to test its device\u2026")


def device_names() -> tuple[tuple[str, str], ...]:
    """Devices that can be asked for: the worker's word, and the caption."""
    return (
        ("auto", _("Best available")),
        ("cuda", _("NVIDIA GPU (CUDA)")),
        ("mps", _("Apple GPU (MPS)")),
        ("cpu", _("Processor (CPU)")),
    )


def copied_text() -> str:
    """After the versions were copied."""
    return _("The versions are on the clipboard.")
