"""Python objects that play C++ ones which are no widgets: `slicer.app`, its managers and views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .api import ClassApi, NotInSlicer, class_api
from .signals import Connections, SignalHandle


class Facade:
    """Answers what the table lists and the subclass defines, refuses the rest; connects the table's signals."""

    bench_api: ClassApi | None = None
    bench_stand_in = True

    def __init_subclass__(cls, listed: str = "", **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.bench_api = class_api(listed)

    def __init__(self) -> None:
        self.bench_connections = Connections()

    def __getattribute__(self, name: str) -> Any:
        if name.startswith(("_", "bench_")) or name in ("connect", "disconnect"):
            return super().__getattribute__(name)
        listed = type(self).bench_api
        if not listed.has(name):
            raise NotInSlicer(f"{listed.name} has no attribute {name} in Slicer 5.13")
        if name in listed.signal_names:
            return SignalHandle(self, name)
        try:
            return super().__getattribute__(name)
        except AttributeError:
            raise NotImplementedError(f"the bench does not play {listed.name}.{name}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        listed = type(self).bench_api
        if not name.startswith(("_", "bench_")) and (name not in listed.properties or name in listed.read_only):
            raise NotInSlicer(f"{listed.name} has no property {name} to set")
        super().__setattr__(name, value)

    def connect(self, signature: str, target: Callable[..., Any]) -> bool:
        """Connect a signal of the table."""
        return self.bench_connections.add(self, signature, target)

    def disconnect(self, signature: str | None = None, target: Callable[..., Any] | None = None) -> bool:
        """Take connections away."""
        return self.bench_connections.remove(self, signature, target)

    def bench_emit(self, signature: str, *arguments: Any) -> None:
        """Fire a signal."""
        self.bench_connections.emit(signature, *arguments)
