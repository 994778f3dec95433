"""The module `qt`: every Qt name flat, objects with PythonQt's manners, dialogs and settings that tests control."""

from __future__ import annotations

import os
import tempfile
import types
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from . import dialogs, loader
from .api import class_api
from .classes import wrap_all
from .manners import BenchMeta, Manners, native_to_bench
from .signals import deliver

opened_urls: list[str] = []


def settings_file() -> str:
    """Where `qt.QSettings()` of this process lives: never the user's own."""
    folder = os.environ.setdefault("DEFERREDSEG_BENCH_SETTINGS", tempfile.mkdtemp(prefix="qtbench-"))
    return str(Path(folder) / f"Slicer-{os.getpid()}.ini")


class QSettings(Manners, QtCore.QSettings, metaclass=BenchMeta):
    """Settings in a file of this process."""

    bench_native = QtCore.QSettings
    bench_api = class_api("qt.QSettings")

    def __init__(self, *arguments: Any) -> None:
        given = arguments and isinstance(arguments[0], str) and len(arguments) > 1
        super().__init__(*(arguments if given else (settings_file(), QtCore.QSettings.IniFormat)))


class QDesktopServices(QtGui.QDesktopServices):
    """Opens nothing: `opened_urls` says what would have been opened."""

    @staticmethod
    def openUrl(url: Any) -> bool:
        opened_urls.append(url.toString())
        return True


def single_shot(milliseconds: int, function: Any) -> None:
    """`QTimer.singleShot`; what the function raises is kept as what any slot raises."""
    QtCore.QTimer.singleShot(milliseconds, lambda: deliver(function, ()))


def make() -> types.ModuleType:
    """The module; call once a process, with a QApplication."""
    qt = types.ModuleType("qt")
    for module in (QtCore, QtGui, QtWidgets):
        for name in dir(module):
            if name.startswith("Q") or name == "Qt":
                setattr(qt, name, getattr(module, name))
    for name, bench in wrap_all().items():
        setattr(qt, name, dialogs.playing(bench, name))
    type.__setattr__(qt.QTimer, "singleShot", staticmethod(single_shot))
    native_to_bench[QtCore.QSettings] = QSettings
    for extra in (QSettings, QDesktopServices, loader.QUiLoader):
        setattr(qt, extra.__name__, extra)
    return qt
