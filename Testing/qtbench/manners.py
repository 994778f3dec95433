"""PythonQt's manners on PySide6 objects: properties are attributes, setters can be called, unknown names are refused.

A bench class is a Python subclass of a Qt class with `Manners` in front. Qt finds overridden virtual functions in class
dictionaries, so answering in `__getattribute__` leaves Qt's own calls alone. Objects that Qt makes itself, such as the
header of a table, come to Python inside a `Guest` of the same manners, and leave it when they are handed back.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore

from .api import ClassApi, NotInSlicer, class_api
from .signals import Connections, SignalHandle, class_name, native_signals, unwrapped

native_to_bench: dict[type, type] = {}
_DEFAULTS: dict[str, Any] = {"bool": False, "int": 0, "double": 0.0, "QString": "", "QStringList": ()}


class BenchMeta(type(QtCore.QObject)):  # type: ignore[misc]
    """Makes `isinstance(table.horizontalHeader(), qt.QHeaderView)` true as it is in PythonQt."""

    def __instancecheck__(cls, instance: Any) -> bool:
        native = None if cls.bench_stand_in else cls.__dict__.get("bench_native")
        return isinstance(unwrapped(instance), native) if native else super().__instancecheck__(instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        native = None if cls.bench_stand_in else cls.__dict__.get("bench_native")
        return issubclass(subclass, native) if native else super().__subclasscheck__(subclass)

    def __call__(cls, *arguments: Any, **keywords: Any) -> Any:
        return super().__call__(*(unwrapped(a) for a in arguments), **keywords)


class _Mannered:
    """What bench classes and guests have in common."""

    bench_native: type
    bench_api: ClassApi | None = None
    bench_stand_in = False

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
        return unwrapped(self).__dict__.setdefault("_bench_connections", Connections())

    def bench_emit(self, signature: str, *arguments: Any) -> None:
        """Fire a signal: a stand-in's own, or Qt's."""
        if QtCore.QObject.signalsBlocked(unwrapped(self)):
            return
        if signature in native_signals(self.bench_native):
            QtCore.QObject.emit(unwrapped(self), QtCore.SIGNAL(signature), *arguments)
        else:
            self.bench_connections.emit(signature, *arguments)


class Manners(_Mannered):
    """Mixed in front of a Qt class. A stand-in plays a property `x` by `bench_get_x` and `bench_set_x`."""

    def __getattribute__(self, name: str) -> Any:
        if name.startswith(("_", "bench_")):
            return super().__getattribute__(name)
        if name in ("connect", "disconnect"):  # PySide's own lookup would find Qt's
            return getattr(Manners, name).__get__(self)
        return _read(self, name, super().__getattribute__)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith(("_", "bench_")) or not _set(self, name, value, _is_users_subclass(type(self))):
            super().__setattr__(name, value)

    def bench_raw(self, name: str) -> Any:
        """The attribute as PySide gives it."""
        return super().__getattribute__(name)


class Guest(_Mannered):
    """An object that Qt made itself."""

    bench_guest = True

    def __init__(self, native: Any) -> None:
        self._bench_object = native
        self.bench_native = type(native)
        self.bench_api = class_api(f"qt.{type(native).__name__}")

    def __getattribute__(self, name: str) -> Any:
        if name.startswith(("_", "bench_")) or name in ("connect", "disconnect"):
            return super().__getattribute__(name)
        return _read(self, name, self.bench_raw)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith(("_", "bench_")):
            super().__setattr__(name, value)
        else:
            _set(self, name, value, False)

    def __eq__(self, other: object) -> bool:
        return unwrapped(other) is self._bench_object

    def __hash__(self) -> int:
        return hash(self._bench_object)

    def bench_raw(self, name: str) -> Any:
        """The attribute as PySide gives it."""
        return getattr(self._bench_object, name)


def adopt(value: Any) -> Any:
    """What PythonQt would hand to Python: a Qt-made object as a guest, lists as tuples, other values as they are."""
    if isinstance(value, list):
        return tuple(adopt(item) for item in value)
    return Guest(value) if type(value) in native_to_bench and not hasattr(value, "_bench_private") else value


def private(widget: Any) -> Any:
    """A stand-in's inner widget: it stays as Qt made it, for the stand-in's own use."""
    widget._bench_private = True
    return widget


def _is_users_subclass(cls: type) -> bool:
    return "bench_native" not in cls.__dict__


def _python_member(cls: type, name: str) -> bool:
    """Whether a Python class (a stand-in, a subclass of the code under test) defines `name`."""
    for base in cls.__mro__:
        if base in (Manners, Guest):
            return False
        if name in base.__dict__:
            return True
    return False


@functools.cache
def _native_properties(native: type) -> frozenset[str]:
    meta = native.staticMetaObject  # type: ignore[attr-defined]
    return frozenset(meta.property(i).name() for i in range(meta.propertyCount()))


def _properties(self: Any) -> Any:
    return self.bench_api.properties if self.bench_api else _native_properties(self.bench_native)


def _read(self: Any, name: str, raw: Callable[[str], Any]) -> Any:
    cls, api = type(self), self.bench_api
    if cls is not Guest and _is_users_subclass(cls) and (name in self.__dict__ or _python_member(cls, name)):
        return raw(name)
    if api and not api.has(name):
        return _refusal(self, name)
    if name == "name":
        return QtCore.QObject.objectName(unwrapped(self))
    if name == "className":
        return lambda: class_name(self)
    if name == "delete":
        return lambda: QtCore.QObject.deleteLater(unwrapped(self))
    if name in _properties(self):
        return adopt(_value(self, name, raw))
    if name in (api.signal_names if api else {s.split("(")[0] for s in native_signals(self.bench_native)}):
        return SignalHandle(self, name)
    return raw(name) if _python_member(cls, name) else _method(self, name, raw)


def _refusal(self: Any, name: str) -> Any:
    """Raise; or, for a native function, give one that raises when called: Qt itself looks names up too."""
    message = f"{class_name(self)} has no attribute {name} in Slicer 5.13"
    if not hasattr(self.bench_native, name):
        raise NotInSlicer(message)

    def refuse(*_: Any) -> None:
        raise NotInSlicer(message)

    return refuse


def _value(self: Any, name: str, raw: Callable[[str], Any]) -> Any:
    """A property's value: the stand-in's getter, Qt's own, or what was set."""
    getter = getattr(type(self), f"bench_get_{name}", None)
    if getter:
        return getter(self)
    if name in _native_properties(self.bench_native):
        found = getattr(self.bench_native, name, None)
        if callable(found) and not isinstance(found, QtCore.Signal) and name != "singleShot":
            return raw(name)()
        return QtCore.QObject.property(unwrapped(self), name)
    if not self.bench_stand_in:
        raise NotInSlicer(f"{class_name(self)}.{name} is in Qt 5 alone, not in Qt 6")
    stored = self.__dict__.setdefault("_bench_values", {})
    return stored.get(name, _DEFAULTS.get(self.bench_api.properties[name]))


def _set(self: Any, name: str, value: Any, open_ended: bool) -> bool:
    """Set a property; False if there is none and the class may have attributes of its own."""
    name = "objectName" if name == "name" else name
    if name not in _properties(self):
        if open_ended:
            return False
        raise NotInSlicer(f"{class_name(self)} has no property {name} to set")
    if self.bench_api and name in self.bench_api.read_only:
        raise NotInSlicer(f"{class_name(self)}.{name} is read-only")
    _write(self, name, unwrapped(value))
    return True


def _write(self: Any, name: str, value: Any) -> None:
    setter = getattr(type(self), f"bench_set_{name}", None)
    if setter:
        setter(self, value)
    elif name in _native_properties(self.bench_native):
        found = getattr(self.bench_native, f"set{name[0].upper()}{name[1:]}", None)
        if found:
            found(unwrapped(self), value)
        elif not QtCore.QObject.setProperty(unwrapped(self), name, value):
            raise TypeError(f"{class_name(self)}.{name} cannot be {value!r}")
    elif self.bench_stand_in:
        self.__dict__.setdefault("_bench_values", {})[name] = value
    else:
        raise NotInSlicer(f"{class_name(self)}.{name} is in Qt 5 alone, not in Qt 6")


def _method(self: Any, name: str, raw: Callable[[str], Any]) -> Any:
    name = "exec" if name == "exec_" else name
    try:
        found = raw(name)
    except AttributeError:
        stem = name[3:4].lower() + name[4:]
        if name.startswith("set") and stem in _properties(self):
            return lambda value: _write(self, stem, value)
        if self.bench_stand_in:
            raise NotImplementedError(f"the bench does not play {class_name(self)}.{name}") from None
        raise NotInSlicer(f"{class_name(self)}.{name} is not in Qt 6") from None
    return Function(self, name, found) if callable(found) else found


class Function:
    """A C++ function of an object; two are equal if object and name are, so that a slot can be disconnected."""

    def __init__(self, owner: Any, name: str, function: Any) -> None:
        self._owner, self._name, self._function = owner, name, function

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        if keywords:
            raise TypeError(f"{class_name(self._owner)}.{self._name}: PythonQt takes no keyword arguments")
        given = [unwrapped(argument) for argument in arguments]
        if self._name in ("findChild", "findChildren"):
            given[0] = _native_class(given[0])
        return adopt(self._function(*given))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Function) and self._owner == other._owner and self._name == other._name

    def __hash__(self) -> int:
        return hash((id(unwrapped(self._owner)), self._name))


def _native_class(named: Any) -> Any:
    """PythonQt finds children by a class or by its name."""
    if isinstance(named, str):
        return next((native for native in native_to_bench if native.__name__ == named), QtCore.QObject)
    return getattr(named, "bench_native", named)


def bench_of(native: type) -> type:
    """The bench class of a Qt class."""
    return native_to_bench[native]
