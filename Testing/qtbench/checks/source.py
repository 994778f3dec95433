"""Widget code against the table: classes, attributes, signals, and the functions of Slicer's Python modules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from ..api import ClassApi, class_api, functions, slicer_names, table
from ..signals import normalized
from . import qt6
from .types import UI_NAMES, Types, dotted

# Modules that Slicer or an extension has although the examined Slicer was built without them.
OTHER_MODULES = frozenset({"deferredsegslicer", "pytorchutils", "dicom", "cropvolume", "volumerendering"})
# Members of listed objects, for the same reason.
OTHER_MEMBERS = {"slicer.app": frozenset({"extensionsManagerModel"})}
LISTED_MODULES = ("slicer.util", "slicer.packaging", "slicer.i18n", "slicer.testing", "slicer.cli")


def check_source(path: Path, widgets: dict[str, str], text: str | None = None) -> list[str]:
    """What is wrong in a file, one line each, as `name.py:12: ...`."""
    tree = ast.parse(path.read_text(encoding="utf-8") if text is None else text)
    checker = _Checker(tree, widgets)
    found = sorted({(line, problem) for line, problem in checker.problems()})
    return [f"{path.name}:{line}: {problem}" for line, problem in found]


class _Checker:
    def __init__(self, tree: ast.Module, widgets: dict[str, str]) -> None:
        self._tree, self._widgets = tree, widgets
        self._types = Types(tree, widgets)
        self._called = {id(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
        self._stored = {id(n) for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)}

    def problems(self) -> Iterator[tuple[int, str]]:
        """All problems with their lines."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Attribute):
                yield from ((node.lineno, p) for p in self._attribute(node))
            if isinstance(node, ast.Call):
                yield from ((node.lineno, p) for p in self._call(node))
            if isinstance(node, ast.ImportFrom) and node.module in LISTED_MODULES:
                yield from self._import(node)
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from self._old_signature(node)

    def _attribute(self, node: ast.Attribute) -> Iterator[str]:
        name = dotted(node)
        if node.attr in qt6.FORBIDDEN:
            yield f"{node.attr} is not the same in Qt 5 and Qt 6: use {qt6.FORBIDDEN[node.attr]}"
            return
        yield from self._named(name)
        if dotted(node.value).split(".")[-1] in UI_NAMES and node.attr not in self._widgets:
            yield f"no .ui file has a widget {node.attr}"
        listed = self._types.of(node.value)
        api = class_api(listed) if listed else None
        if api:
            yield from self._member(api, node)

    @staticmethod
    def _named(name: str) -> Iterator[str]:
        """`qt.X`, `qt.X.Member`, `ctk.X`, `slicer.X`, `slicer.util.f`."""
        parts = name.split(".")
        if parts[0] == "qt" and len(parts) > 3:
            yield f"{name}: name the member of the class itself, qt.{parts[1]}.{parts[-1]}"
        if parts[0] == "qt" and len(parts) == 2 and not class_api(name) and parts[1] not in qt6.OTHER_CLASSES:
            yield f"{name} is not in the table; if both Qt 5.15 and Qt 6 have it, add it to qt6.OTHER_CLASSES"
        if parts[0] == "qt" and len(parts) == 3 and not qt6.has_attribute(parts[1], parts[2]):
            yield f"Qt 6 has no {name}"
        api = class_api(".".join(parts[:2])) if len(parts) == 3 and parts[0] in ("qt", "ctk") else None
        if api and not api.has(parts[2]):
            yield f"{api.name} has no {parts[2]}"
        if parts[0] == "ctk" and len(parts) == 2 and not class_api(name):
            yield f"{name} is not in the table"
        if parts[0] == "slicer" and len(parts) == 2 and parts[1] not in slicer_names():
            yield f"Slicer has no {name}"
        if parts[:2] == ["slicer", "modules"] and len(parts) == 3:
            known = set(table()["slicer_modules"]) | OTHER_MODULES
            if parts[2] not in known and not parts[2].endswith(("Widget", "Instance")):
                yield f"Slicer has no module {parts[2]}"
        module = ".".join(parts[:2])
        if len(parts) == 3 and module in LISTED_MODULES and parts[2] not in functions(module):
            yield f"{module} has no {parts[2]}"

    def _member(self, api: ClassApi, node: ast.Attribute) -> Iterator[str]:
        name, stored, called = node.attr, id(node) in self._stored, id(node) in self._called
        if name.startswith("__") or name in OTHER_MEMBERS.get(api.name, ()):
            return
        if stored and name != "name" and (name not in api.properties or name in api.read_only):
            yield f"{api.name} has no property {name} that can be set"
        elif not api.has(name):
            yield f"{api.name} has no {name}"
        elif called and name in api.properties and not (api.name == "qt.QTimer" and name == "singleShot"):
            yield f"{api.name}.{name} is a property: read it without parentheses"
        elif api.name.startswith("qt.") and not qt6.has_attribute(api.name[3:], name):
            yield f"{api.name}.{name} is in Qt 5 alone"

    def _call(self, node: ast.Call) -> Iterator[str]:
        name = dotted(node.func)
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("connect", "disconnect"):
            yield from self._connection(node.func, node)
        module, _, function = name.rpartition(".")
        if module in LISTED_MODULES and isinstance(functions(module).get(function), str):
            yield from _check_arguments(name, functions(module)[function], node)
        listed = self._types.of(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        if node.keywords and listed and name != "slicer.app":
            yield f"{listed}.{name.rpartition('.')[2]}: PythonQt takes no keyword arguments"
        if class_api(name) and node.keywords:
            yield f"{name}: PythonQt takes no keyword arguments"

    def _connection(self, function: ast.Attribute, node: ast.Call) -> Iterator[str]:
        first = node.args[0] if node.args else None
        if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
            return
        signature = normalized(first.value)
        if "(" not in signature:
            yield f"connect {first.value!r}: a signature has parentheses"
            return
        api = class_api(self._types.of(function.value))
        if api is None:
            known = any(signature in entry.get("signals", ()) for entry in table()["classes"].values())
            if not known and not qt6.signal_of_others(signature):
                yield f"no class of the table has a signal {signature}"
        elif signature not in api.signals:
            yield f"{api.name} has no signal {signature}"
        elif api.name.startswith("qt.") and not qt6.has_signal(api.name[3:], signature):
            yield f"{api.name}: the signal {signature} is in Qt 5 alone"

    @staticmethod
    def _import(node: ast.ImportFrom) -> Iterator[tuple[int, str]]:
        for alias in node.names:
            if alias.name != "*" and alias.name not in functions(node.module or ""):
                yield node.lineno, f"{node.module} has no {alias.name}"

    @staticmethod
    def _old_signature(node: ast.Constant) -> Iterator[tuple[int, str]]:
        stem = node.value.split("(")[0]
        if "(" in node.value and stem in qt6.FORBIDDEN:
            yield node.lineno, f"{node.value} is not the same in Qt 5 and Qt 6: use {qt6.FORBIDDEN[stem]}"


def _check_arguments(name: str, signature: str, node: ast.Call) -> Iterator[str]:
    """A call against a signature such as `(text, windowTitle=None, **kwargs)`."""
    arguments = ast.parse(f"def f{signature}: ...").body[0].args  # type: ignore[attr-defined]
    if any(isinstance(a, ast.Starred) for a in node.args) or any(k.arg is None for k in node.keywords):
        return
    names = [a.arg for a in arguments.posonlyargs + arguments.args]
    given = {k.arg for k in node.keywords}
    if len(node.args) > len(names) and arguments.vararg is None:
        yield f"{name} takes {len(names)} arguments, not {len(node.args)}"
    unknown = given - set(names) - {a.arg for a in arguments.kwonlyargs}
    if unknown and arguments.kwarg is None:
        yield f"{name} has no argument {sorted(unknown)[0]}"
    needed = names[: len(names) - len(arguments.defaults)]
    missing = set(needed[len(node.args) :]) - given
    if missing:
        yield f"{name} needs the argument {sorted(missing)[0]}"
