"""What the classes of a real Slicer 5.13 offer to Python, read from `qt_api.json`."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TABLE = Path(__file__).with_name("qt_api.json")
PARTS = ("signals", "slots", "methods", "attributes")
# PythonQt answers these on every object although `dir()` does not list them.
ALWAYS = frozenset({"name", "exec_"})


class NotInSlicer(AttributeError):
    """A class, property, signal or function that the real Slicer does not have."""


@dataclass(frozen=True)
class ClassApi:
    """One class: `properties` {name: C++ type}, exact `signals`, `slots` and `methods`, and all `attributes`."""

    name: str
    properties: dict[str, str]
    read_only: frozenset[str]
    signals: frozenset[str]
    slots: frozenset[str]
    methods: frozenset[str]
    attributes: frozenset[str]

    @functools.cached_property
    def signal_names(self) -> frozenset[str]:
        """Signals without their arguments."""
        return frozenset(signal.split("(")[0] for signal in self.signals)

    def has(self, attribute: str) -> bool:
        """Whether `object.attribute` exists in Slicer."""
        return attribute in self.attributes or attribute in self.properties or attribute in ALWAYS


@functools.cache
def table() -> dict[str, Any]:
    """The whole table."""
    return json.loads(_TABLE.read_text(encoding="utf-8"))


@functools.cache
def class_api(name: str) -> ClassApi | None:
    """The entry of a class (`qt.QLabel`, `ctk.ctkSliderWidget`, `slicer.qMRMLWidget`); None if not in the table."""
    entry = table()["classes"].get(name)
    if entry is None:
        return None
    base = class_api(entry["base"]) if "base" in entry else None
    properties = entry.get("properties", {})
    return ClassApi(
        name,
        (dict(base.properties) if base else {}) | {k: v.rstrip("!") for k, v in properties.items()},
        (base.read_only if base else frozenset()) | {k for k, v in properties.items() if v.endswith("!")},
        *((getattr(base, part) if base else frozenset()) | frozenset(entry.get(part, ())) for part in PARTS),
    )


def short_name_api(name: str) -> ClassApi | None:
    """The entry of a class named as C++ and `.ui` files name it, such as `ctkSliderWidget`."""
    return next(filter(None, (class_api(f"{module}.{name}") for module in ("qt", "ctk", "slicer"))), None)


@functools.cache
def functions(module: str) -> dict[str, Any]:
    """Functions and classes of a Python module such as `slicer.util`: {name: signature or {method: signature}}."""
    return table()["modules"].get(module, {})


@functools.cache
def slicer_names() -> frozenset[str]:
    """What `slicer.` has."""
    return frozenset(table()["slicer"])
