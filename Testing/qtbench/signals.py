"""Connections as PythonQt makes them: by C++ signature, extra arguments cut to what the function takes."""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore

from .api import NotInSlicer

# Objects that Qt made itself and that have connections: their Python side must not be forgotten.
kept: list[Any] = []
# Exceptions of slots: PythonQt prints them and goes on; a test asserts that there were none.
slot_errors: list[BaseException] = []
_NATIVE_CALLS = {
    0: lambda f: lambda: f(),
    1: lambda f: lambda a: f(a),
    2: lambda f: lambda a, b: f(a, b),
    3: lambda f: lambda a, b, c: f(a, b, c),
    4: lambda f: lambda a, b, c, d: f(a, b, c, d),
}


def unwrapped(value: Any) -> Any:
    """The Qt object of a guest (see `manners.Guest`); anything else as it is."""
    return value._bench_object if getattr(type(value), "bench_guest", False) else value


def class_name(thing: Any) -> str:
    """Name of the Qt class that an object is or plays."""
    return thing.bench_native.__name__ if getattr(type(thing), "bench_guest", False) else type(thing).__name__


def normalized(signature: str) -> str:
    """`valueChanged( int )` as the table writes it: `valueChanged(int)`."""
    return bytes(QtCore.QMetaObject.normalizedSignature(signature).data()).decode()


def argument_count(signature: str) -> int:
    """How many arguments a signal carries."""
    inside = signature[signature.index("(") + 1 : -1]
    return inside.count(",") + 1 if inside else 0


def accepted(target: Callable[..., Any], count: int) -> int:
    """How many of `count` arguments PythonQt hands to a function: all that its positional parameters can take.

    Only plain functions and bound methods are cut; a partial, a class or a C function gets them all.
    """
    function = getattr(target, "__func__", target)
    if not inspect.isfunction(function) or function.__code__.co_flags & inspect.CO_VARARGS:
        return count
    return min(count, function.__code__.co_argcount - (1 if inspect.ismethod(target) else 0))


def deliver(target: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Call a slot; an exception is printed and kept in `slot_errors`, and the caller goes on."""
    from .manners import adopt

    try:
        target(*(adopt(argument) for argument in arguments[: accepted(target, len(arguments))]))
    except Exception as error:
        traceback.print_exc()
        slot_errors.append(error)


class Connections:
    """The connections of one object: native Qt signals where Qt has them, own ones for the stand-ins' signals."""

    def __init__(self) -> None:
        self._made: list[tuple[str, Callable[..., Any], Any]] = []

    def add(self, sender: Any, signature: str, target: Callable[..., Any]) -> bool:
        """Connect a signature that the class of `sender` has in the table; raises NotInSlicer else."""
        signature = check_signature(sender, signature)
        if not callable(target):
            raise TypeError(f"{signature}: {target!r} cannot be called")
        native = None
        if is_native_signal(sender, signature):
            call = _NATIVE_CALLS[argument_count(signature)](lambda *arguments: deliver(target, arguments))
            native = QtCore.QObject.connect(unwrapped(sender), QtCore.SIGNAL(signature), call)
            if unwrapped(sender) is not sender:
                kept.append(unwrapped(sender))
        self._made.append((signature, target, native))
        return True

    def remove(self, sender: Any, signature: str | None, target: Callable[..., Any] | None) -> bool:
        """Take away the connections that fit; False if there was none."""
        signature = signature and check_signature(sender, signature)
        fitting = [c for c in self._made if signature in (None, c[0]) and (target is None or c[1] == target)]
        for connection in fitting:
            if connection[2] is not None:
                QtCore.QObject.disconnect(connection[2])
            self._made.remove(connection)
        return bool(fitting)

    def emit(self, signature: str, *arguments: Any) -> None:
        """Fire an own signal."""
        for made, target, native in list(self._made):
            if made == signature and native is None:
                deliver(target, arguments)

    def count(self) -> int:
        """How many connections there are: a leak test counts them."""
        return len(self._made)


def check_signature(sender: Any, signature: str) -> str:
    """The normalized signature; raises NotInSlicer if the class has no such signal."""
    name = class_name(sender)
    if not isinstance(signature, str) or "(" not in signature:
        raise NotInSlicer(f"{name}.connect: {signature!r} is not a signature such as 'clicked(bool)'")
    signature = normalized(signature)
    api = sender.bench_api
    known = signature in (api.signals if api else native_signals(sender.bench_native))
    if not known:
        others = sorted(api.signals) if api else "those of Qt"
        raise NotInSlicer(f"{name} has no signal {signature}; it has {others}")
    return signature


def is_native_signal(sender: Any, signature: str) -> bool:
    """Whether Qt itself has the signal on this object."""
    if not hasattr(sender, "bench_native"):
        return False
    found = signature in native_signals(sender.bench_native)
    if not found and not sender.bench_stand_in:
        raise NotInSlicer(f"{signature} of {class_name(sender)} is in Qt 5 alone, not in Qt 6")
    return found


@functools.cache
def native_signals(native: type) -> frozenset[str]:
    """Signatures of a Qt class. Asked of the class: what an object's `metaObject()` gives dies with the object."""
    meta = native.staticMetaObject  # type: ignore[attr-defined]
    methods = (meta.method(i) for i in range(meta.methodCount()))
    signals = (m for m in methods if m.methodType() == QtCore.QMetaMethod.Signal)
    return frozenset(bytes(m.methodSignature().data()).decode() for m in signals)


class SignalHandle:
    """`object.signal` as an attribute: `connect`, `disconnect`, `emit`."""

    def __init__(self, sender: Any, name: str) -> None:
        self._sender = sender
        api = sender.bench_api
        signatures = sorted((s for s in api.signals if s.split("(")[0] == name), key=argument_count) if api else []
        kinds = {s for s in signatures if argument_count(s)}
        self._signature = signatures[-1] if signatures and len(kinds) < 2 else None
        self._name = name

    def _one(self) -> str:
        if self._signature is None:
            raise NotInSlicer(f"{self._name} has several signatures: name one, as in connect('{self._name}(int)', f)")
        return self._signature

    def connect(self, target: Callable[..., Any]) -> bool:
        """Connect the one signature of this name."""
        return self._sender.connect(self._one(), target)

    def disconnect(self, target: Callable[..., Any] | None = None) -> bool:
        """Disconnect a function, or all."""
        return self._sender.disconnect(self._one(), target)

    def emit(self, *arguments: Any) -> None:
        """Fire it."""
        self._sender.bench_emit(self._one(), *arguments)

    __call__ = emit
