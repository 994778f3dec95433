"""PythonQt's manners on PySide6 objects: properties are attributes, setters can be called, unknown names are refused.

A bench class is a Python subclass of a Qt class with `Manners` in front. Qt finds overridden virtual functions in class
dictionaries, so answering in `__getattribute__` leaves Qt's own calls alone. Objects that Qt makes itself (a header, a
layout of a `.ui` file) get their bench class when Python first sees them (`adopt`).
"""

from __future__ import annotations

import functools
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from .api import ClassApi, NotInSlicer, class_api
from .signals import Connections, SignalHandle

native_to_bench: dict[type, type] = {}
_DEFAULTS: dict[str, Any] = {"bool": False, "int": 0, "double": 0.0, "QString": "", "QStringList": ()}


class BenchMeta(type(QtCore.QObject)):  # type: ignore[misc]
    """Makes `isinstance(native_object, qt.QLabel)` true as it is in PythonQt."""

    def __instancecheck__(cls, instance: Any) -> bool:
        native = None if cls.bench_stand_in else cls.__dict__.get("bench_native")
        return isinstance(instance, native) if native else super().__instancecheck__(instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        native = None if cls.bench_stand_in else cls.__dict__.get("bench_native")
        return issubclass(subclass, native) if native else super().__subclasscheck__(subclass)


class Manners:
    """Mixed in front of a Qt class. A stand-in adds `get_x` / `set_x` as `bench_get_x` / `bench_set_x`."""

    bench_native: type
    bench_api: ClassApi | None = None
    bench_stand_in = False

    def __getattribute__(self, name: str) -> Any:
        if name.startswith(("_", "bench_")):
            return super().__getattribute__(name)
        if name in ("connect", "disconnect"):  # PySide's own lookup would find Qt's
            return getattr(Manners, name).__get__(self)
        return _read(self, name, super().__getattribute__)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith(("_", "bench_")):
            super().__setattr__(name, value)
            return
        api = self.bench_api
        readable = name in _properties(self)
        if readable and name in (api.read_only if api else ()):
            raise NotInSlicer(f"{type(self).__name__}.{name} is read-only")
        if readable:
            _write(self, name, value)
        elif _is_users_subclass(type(self)):
            super().__setattr__(name, value)
        else:
            raise NotInSlicer(f"{type(self).__name__} has no property {name} to set")

    def connect(self, signature: Any, *rest: Any) -> bool:
        """Connect a C++ signature to a function; raises NotInSlicer for a signal that the class does not have."""
        if isinstance(signature, QtCore.QObject):  # a call from inside PySide
            return QtCore.QObject.connect(signature, *rest)
        if len(rest) != 1:
            raise NotInSlicer("connect takes a signature and one function")
        return self.bench_connections.add(self, signature, rest[0])

    def disconnect(self, signature: Any = None, target: Any = None, *rest: Any) -> bool:
        """Take connections away."""
        if isinstance(signature, QtCore.QObject):
            return QtCore.QObject.disconnect(signature, target, *rest)
        return self.bench_connections.remove(self, signature, target)

    @property
    def bench_connections(self) -> Connections:
        """The connections that Python made on this object."""
        return self.__dict__.setdefault("_bench_connections", Connections())

    def bench_emit(self, signature: str, *arguments: Any) -> None:
        """Fire a signal: a stand-in's own, or Qt's."""
        if QtCore.QObject.signalsBlocked(self):
            return
        if QtCore.QObject.metaObject(self).indexOfSignal(signature) >= 0:
            self.bench_raw(signature.split("(")[0]).emit(*arguments)
        else:
            self.bench_connections.emit(signature, *arguments)

    def bench_raw(self, name: str) -> Any:
        """The attribute as PySide gives it."""
        return super().__getattribute__(name)


def _is_users_subclass(cls: type) -> bool:
    return "bench_native" not in cls.__dict__


def _python_member(cls: type, name: str) -> bool:
    """Whether a Python class (a stand-in, a subclass of the code under test) defines `name`."""
    for base in cls.__mro__:
        if base is Manners:
            return False
        if name in base.__dict__:
            return True
    return False


@functools.cache
def _native_properties(native: type) -> frozenset[str]:
    meta = native.staticMetaObject  # type: ignore[attr-defined]
    return frozenset(meta.property(i).name() for i in range(meta.propertyCount()))


def _properties(self: Any) -> Any:
    return self.bench_api.properties if self.bench_api else _native_properties(type(self).bench_native)


def _read(self: Any, name: str, raw: Any) -> Any:
    cls = type(self)
    api = self.bench_api
    if _is_users_subclass(cls) and (name in self.__dict__ or _python_member(cls, name)):
        return raw(name)
    if api and not api.has(name):
        return _refusal(cls, name)
    if name == "name":
        return QtCore.QObject.objectName(self)
    if name == "className":
        return lambda: cls.__name__
    if name == "delete":
        return lambda: QtCore.QObject.deleteLater(self)
    if name in _properties(self):
        return adopt(_value(self, name, raw))
    if api and name in api.signal_names:
        return SignalHandle(self, name)
    if not api and isinstance(getattr(cls.bench_native, name, None), QtCore.Signal):
        return SignalHandle(self, name)
    if _python_member(cls, name):
        return raw(name)
    return _method(self, name, raw)


def _refusal(cls: Any, name: str) -> Any:
    """Raise; or, for a native function, give one that raises when called: Qt itself looks names up too."""
    message = f"{cls.__name__} has no attribute {name} in Slicer 5.13"
    if not hasattr(cls.bench_native, name):
        raise NotInSlicer(message)

    def refuse(*_: Any) -> None:
        raise NotInSlicer(message)

    return refuse


def _value(self: Any, name: str, raw: Any) -> Any:
    """A property's value: the stand-in's getter, Qt's own, or what was set."""
    getter = getattr(type(self), f"bench_get_{name}", None)
    if getter:
        return getter(self)
    if name in _native_properties(type(self).bench_native):
        found = getattr(type(self).bench_native, name, None)
        if callable(found) and not isinstance(found, QtCore.Signal) and name != "singleShot":
            return raw(name)()
        return QtCore.QObject.property(self, name)
    if not self.bench_stand_in:
        raise NotInSlicer(f"{type(self).__name__}.{name} is in Qt 5 alone, not in Qt 6")
    stored = self.__dict__.setdefault("_bench_values", {})
    return stored.get(name, _DEFAULTS.get(self.bench_api.properties[name]))


def _write(self: Any, name: str, value: Any) -> None:
    setter = getattr(type(self), f"bench_set_{name}", None)
    native = type(self).bench_native
    if setter:
        setter(self, value)
    elif name in _native_properties(native):
        found = getattr(native, f"set{name[0].upper()}{name[1:]}", None)
        if found:
            found(self, value)
        elif not QtCore.QObject.setProperty(self, name, value):
            raise TypeError(f"{type(self).__name__}.{name} cannot be {value!r}")
    elif self.bench_stand_in:
        self.__dict__.setdefault("_bench_values", {})[name] = value
    else:
        raise NotInSlicer(f"{type(self).__name__}.{name} is in Qt 5 alone, not in Qt 6")


def _method(self: Any, name: str, raw: Any) -> Any:
    cls = type(self)
    if name == "exec_":
        name = "exec"
    try:
        found = raw(name)
    except AttributeError:
        stem = name[3:4].lower() + name[4:]
        if name.startswith("set") and stem in _properties(self):
            return lambda value: _write(self, stem, value)
        if self.bench_stand_in:
            raise NotImplementedError(f"the bench does not play {cls.__name__}.{name}") from None
        raise NotInSlicer(f"{cls.__name__}.{name} is not in Qt 6") from None
    return _Method(self, name, found) if callable(found) else found


class _Method:
    """A C++ function of an object; two are equal if object and name are, so that a slot can be disconnected."""

    def __init__(self, owner: Any, name: str, function: Any) -> None:
        self._owner, self._name, self._function = owner, name, function

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        if keywords:
            raise TypeError(f"{type(self._owner).__name__}.{self._name}: PythonQt takes no keyword arguments")
        if self._name in ("findChild", "findChildren"):
            arguments = (_native_class(arguments[0]), *arguments[1:])
        return adopt(self._function(*arguments))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Method) and self._owner is other._owner and self._name == other._name

    def __hash__(self) -> int:
        return hash((id(self._owner), self._name))


def _native_class(named: Any) -> Any:
    """PythonQt finds children by a class or by its name."""
    if isinstance(named, str):
        return next((native for native in native_to_bench if native.__name__ == named), QtCore.QObject)
    return getattr(named, "bench_native", named)


def adopt(value: Any) -> Any:
    """A Qt object that Qt made itself, in its bench class; lists as tuples, as PythonQt; other values as they are."""
    if isinstance(value, list):
        return tuple(adopt(item) for item in value)
    bench = native_to_bench.get(type(value))
    if bench and not hasattr(value, "_bench_private"):
        value.__class__ = bench
    return value


def private(widget: Any) -> Any:
    """A stand-in's inner widget: it stays as Qt made it, for the stand-in's own use."""
    widget._bench_private = True
    return widget


def bench_of(native: type) -> type:
    """The bench class of a Qt class."""
    return native_to_bench[native]


def bench_class(native: type, name: str, listed: str, members: dict[str, Any] | None = None) -> type:
    """A class with PythonQt's manners on top of `native`, held to the table's entry `listed` if there is one."""
    body = {"bench_native": native, "bench_api": class_api(listed), **(members or {})}
    return BenchMeta(name, (Manners, native), body)


def stand_in(listed: str) -> Any:
    """Class decorator: this Python class plays the class `listed` of the table."""

    def mark(cls: type) -> type:
        cls.bench_stand_in = True  # type: ignore[attr-defined]
        cls.bench_api = class_api(listed)  # type: ignore[attr-defined]
        cls.bench_native = next(b for b in cls.__mro__ if b.__module__.startswith("PySide6"))  # type: ignore[attr-defined]
        return cls

    return mark


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


def generic(listed: str, name: str) -> type:
    """A class of the table that no test needs to do anything: its properties are kept, its functions refuse."""
    api = class_api(listed)
    natives = {"qt.QPushButton": QtWidgets.QPushButton, "qt.QComboBox": QtWidgets.QComboBox}
    has = api.attributes  # type: ignore[union-attr]
    native = next((n for b, n in natives.items() if class_api(b).attributes <= has), None)  # type: ignore[union-attr]
    if native is None:
        native = QtWidgets.QDialog if "accept" in has else QtWidgets.QWidget if "setVisible" in has else QtCore.QObject
    return stand_in(listed)(BenchMeta(name, (Manners, native), {}))
