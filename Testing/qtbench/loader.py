"""`qt.QUiLoader`: `.ui` files made of bench classes, their connections wired, their properties held to the table."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

from PySide6 import QtCore, QtUiTools, QtWidgets

from .api import NotInSlicer, short_name_api
from .manners import adopt, native_to_bench
from .signals import normalized

stand_ins: dict[str, type] = {}
# What Qt's form builder also leaves on layouts.
MARGINS = frozenset({"leftMargin", "topMargin", "rightMargin", "bottomMargin", "horizontalSpacing", "verticalSpacing"})
# Dynamic properties that Slicer's own tools read.
DYNAMIC = frozenset({"SlicerParameterName", "SlicerPackingName", "showLabelWhenCollapsed"})


class QUiLoader(QtUiTools.QUiLoader):
    """Reads a `.ui` file as Slicer does; raises NotInSlicer for a class or property that Slicer does not have."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._made: list[Any] = []
        self._by_name = {native.__name__: bench for native, bench in native_to_bench.items()} | stand_ins

    def createWidget(self, class_name: str, parent: Any = None, name: str = "") -> Any:
        bench = self._by_name.get(class_name)
        if bench is None:
            raise NotInSlicer(f"{name}: the bench has no widget class {class_name}")
        widget = bench(parent) if parent is not None else bench()
        QtCore.QObject.setObjectName(widget, name)
        self._made.append(widget)
        return widget

    def createLayout(self, class_name: str, parent: Any = None, name: str = "") -> Any:
        bench = self._by_name[class_name]
        layout = bench(parent) if isinstance(parent, QtWidgets.QWidget) else bench()
        QtCore.QObject.setObjectName(layout, name)
        self._made.append(layout)
        return layout

    def load(self, source: Any, parent: Any = None) -> Any:
        """The top widget; `source` is a `qt.QFile` or a path."""
        if isinstance(source, str):
            source = QtCore.QFile(source)
            source.open(QtCore.QFile.ReadOnly)
        tree = ElementTree.fromstring(bytes(source.readAll().data()))
        connections = tree.find("connections")
        if connections is not None:
            tree.remove(connections)
        used = [e.get("class") for e in tree.iter() if e.tag in ("widget", "layout")]
        if missing := set(used) - set(self._by_name):
            raise NotInSlicer(f"the bench has no class {sorted(missing)}")
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(tree))
        buffer.open(QtCore.QIODevice.ReadOnly)
        top = adopt(super().load(buffer, parent))
        for widget in self._made:
            _apply_dynamic_properties(widget)
        for connection in () if connections is None else connections:
            _wire(top, connection)
        self._made = []
        return top


def _apply_dynamic_properties(widget: Any) -> None:
    for key in QtCore.QObject.dynamicPropertyNames(widget):
        name = bytes(key.data()).decode()
        if name.startswith("_") or name in DYNAMIC or name in MARGINS:
            continue
        setattr(widget, name, QtCore.QObject.property(widget, name))


def _find(top: Any, name: str) -> Any:
    if QtCore.QObject.objectName(top) == name:
        return top
    found = QtCore.QObject.findChild(top, QtWidgets.QWidget, name)
    if found is None:
        raise NotInSlicer(f"a connection names {name}, which is not in the file")
    return adopt(found)


def _wire(top: Any, connection: ElementTree.Element) -> None:
    sender = _find(top, connection.findtext("sender", ""))
    receiver = _find(top, connection.findtext("receiver", ""))
    slot = normalized(connection.findtext("slot", ""))
    api = short_name_api(type(receiver).__name__)
    if api is None or slot not in api.slots:
        raise NotInSlicer(f"{type(receiver).__name__} has no slot {slot}")
    sender.connect(connection.findtext("signal", ""), getattr(receiver, slot.split("(")[0]))
