"""Making bench classes: one for every Qt class, the stand-ins of the table's other classes."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from .api import class_api
from .manners import BenchMeta, Manners, native_to_bench


def bench_class(native: type, name: str, listed: str) -> type:
    """A class with PythonQt's manners on top of `native`, held to the table's entry `listed` if there is one."""
    return BenchMeta(name, (Manners, native), {"bench_native": native, "bench_api": class_api(listed)})


def wrap_all() -> dict[str, type]:
    """A bench class for every Qt object class, by name."""
    made = {}
    for module in (QtCore, QtGui, QtWidgets):
        for name in dir(module):
            native = getattr(module, name)
            if not name.startswith("Q") or not isinstance(native, type) or not issubclass(native, QtCore.QObject):
                continue
            if issubclass(native, QtCore.QCoreApplication) or native in native_to_bench:
                continue
            try:
                made[name] = native_to_bench[native] = bench_class(native, name, f"qt.{name}")
            except TypeError:  # a class that Qt declares final
                made[name] = native
    return made


def stand_in(listed: str) -> Any:
    """Class decorator: this Python class plays the class `listed` of the table."""

    def mark(cls: type) -> type:
        cls.bench_stand_in = True  # type: ignore[attr-defined]
        cls.bench_api = class_api(listed)  # type: ignore[attr-defined]
        cls.bench_native = next(b for b in cls.__mro__ if b.__module__.startswith("PySide6"))  # type: ignore[attr-defined]
        return cls

    return mark


def generic(listed: str, name: str) -> type:
    """A class of the table that no test needs to do anything: its properties are kept, its functions refuse."""
    api = class_api(listed)
    natives = {"qt.QPushButton": QtWidgets.QPushButton, "qt.QComboBox": QtWidgets.QComboBox}
    has = api.attributes  # type: ignore[union-attr]
    native = next((n for b, n in natives.items() if class_api(b).attributes <= has), None)  # type: ignore[union-attr]
    if native is None:
        native = QtWidgets.QDialog if "accept" in has else QtWidgets.QWidget if "setVisible" in has else QtCore.QObject
    return stand_in(listed)(BenchMeta(name, (Manners, native), {}))
