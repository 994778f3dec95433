"""What class an expression of widget code has, as far as the code itself says it."""

from __future__ import annotations

import ast

from ..api import class_api, short_name_api

# What functions of listed classes return.
RETURNS = {
    ("slicer.app", "layoutManager"): "slicer.app.layoutManager()",
    ("slicer.app", "moduleManager"): "slicer.app.moduleManager()",
    ("slicer.app", "coreIOManager"): "slicer.app.coreIOManager()",
    ("slicer.app", "ioManager"): "slicer.app.ioManager()",
    ("slicer.app", "userSettings"): "qt.QSettings",
    ("slicer.app", "settings"): "qt.QSettings",
    ("slicer.app", "revisionUserSettings"): "qt.QSettings",
    ("slicer.app.layoutManager()", "sliceWidget"): "slicer.app.layoutManager().sliceWidget('Red')",
    ("slicer.app.layoutManager()", "threeDWidget"): "slicer.app.layoutManager().threeDWidget(0)",
    ("slicer.app.layoutManager().sliceWidget('Red')", "sliceView"): "slicer.qMRMLSliceView",
    ("slicer.app.layoutManager().sliceWidget('Red')", "sliceController"): "slicer.qMRMLSliceControllerWidget",
    ("slicer.app.layoutManager().threeDWidget(0)", "threeDView"): "slicer.qMRMLThreeDView",
    ("qt.QFormLayout", "parentWidget"): "qt.QWidget",
    ("qt.QTableWidget", "model"): "",
}
UI_NAMES = frozenset({"ui", "_ui"})


def dotted(node: ast.AST) -> str:
    """`slicer.app.layoutManager` as a text; empty if the expression is more than names."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""


class Types:
    """Classes of a file's expressions.

    widgets : {object name: class name} of the `.ui` files that the code works with.
    """

    def __init__(self, tree: ast.Module, widgets: dict[str, str]) -> None:
        self._widgets = widgets
        self._functions = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
        self._known: dict[str, str] = {}
        self._conflicts: set[str] = set()
        self._resolving: set[str] = set()
        for _ in range(2):  # an alias may come before what it stands for
            for node in ast.walk(tree):
                if isinstance(node, ast.Assign):
                    for target in node.targets:
                        self._learn(target, node.value)

    def _learn(self, target: ast.AST, value: ast.AST) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for one, its_value in zip(target.elts, value.elts, strict=True):
                self._learn(one, its_value)
            return
        name = dotted(target)
        if not name:
            return
        found = self.of(value)
        if name in self._known and self._known[name] != found:
            self._conflicts.add(name)  # one name, several classes: not told apart here
        self._known.setdefault(name, found)

    def of(self, node: ast.AST) -> str:
        """The listed class (`qt.QLabel`) of an expression; empty if the code does not say."""
        if isinstance(node, ast.Call):
            return self._of_call(node)
        name = dotted(node)
        if name == "slicer.app":
            return name
        if isinstance(node, ast.Attribute) and dotted(node.value).split(".")[-1] in UI_NAMES:
            api = short_name_api(self._widgets.get(node.attr, ""))
            return api.name if api else ""
        return self._known.get(name, "") if name not in self._conflicts else ""

    def _of_call(self, node: ast.Call) -> str:
        name = dotted(node.func)
        if class_api(name):
            return name
        if name == "slicer.util.mainWindow":
            return "slicer.util.mainWindow()"
        if isinstance(node.func, ast.Attribute):
            return RETURNS.get((self.of(node.func.value), node.func.attr), "")
        return self._of_function(name)

    def _of_function(self, name: str) -> str:
        """What a function of the same file returns, if it has one `return`."""
        function = self._functions.get(name)
        if function is None or name in self._resolving:
            return ""
        returned = [n.value for n in ast.walk(function) if isinstance(n, ast.Return) and n.value is not None]
        self._resolving.add(name)
        found = self.of(returned[0]) if len(returned) == 1 else ""
        self._resolving.discard(name)
        return found
