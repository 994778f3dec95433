"""Stand-ins of qMRML's base widget and node selector, on the real scene.

What the selector chooses by itself is what its C++ source (Slicer 5.13) makes its QComboBox do: with "none" disabled
the first fitting node that appears is chosen, with "none" enabled nothing is; when the chosen node goes, the node below
it is chosen. Signals fire when the shown text changes: not between two nodes of one name, but also at a rename.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import shiboken6
import vtk
from PySide6 import QtCore, QtWidgets

from .classes import stand_in
from .manners import BenchMeta, Manners, private


class SceneObserver:
    """Tells a widget about nodes that come, go and change, until the widget or the scene is gone."""

    def __init__(self, widget: Any, scene: Any, changed: str) -> None:
        self._widget, self._changed, self._tags = widget, changed, []
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndBatchProcessEvent, scene.EndCloseEvent):
            self._tags.append((scene, scene.AddObserver(event, self._call)))
        self._nodes: dict[str, tuple[Any, int]] = {}
        QtCore.QObject.connect(widget, QtCore.SIGNAL("destroyed()"), self.stop)

    def watch(self, nodes: Iterable[Any]) -> None:
        """Hear when one of these nodes changes, such as its name; let go of all others."""
        kept = {node.GetID(): node for node in nodes}
        for node_id in [i for i in self._nodes if i not in kept]:
            node, tag = self._nodes.pop(node_id)
            node.RemoveObserver(tag)
        for node_id, node in kept.items():
            if node_id not in self._nodes:
                self._nodes[node_id] = (node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._call))

    def stop(self) -> None:
        """Take all observers away."""
        self.watch(())
        for watched, tag in self._tags:
            watched.RemoveObserver(tag)
        self._tags = []

    def _call(self, *_: Any) -> None:
        if shiboken6.isValid(self._widget):
            getattr(self._widget, self._changed)()
        else:
            self.stop()


class SceneWidget(Manners):
    """What every MRML widget has: a scene."""

    _scene: Any = None
    _observer: SceneObserver | None = None

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is self._scene:
            return
        if self._observer:
            self._observer.stop()
        self._scene = scene
        self._observer = SceneObserver(self, scene, "_scene_changed") if scene else None
        self._scene_set()
        if self.bench_api and "mrmlSceneChanged(vtkMRMLScene*)" in self.bench_api.signals:
            self.bench_emit("mrmlSceneChanged(vtkMRMLScene*)", scene)

    def _scene_set(self) -> None:
        """The scene is another one."""

    def _scene_changed(self) -> None:
        """A node came, went or changed."""


@stand_in("slicer.qMRMLWidget")
class qMRMLWidget(SceneWidget, QtWidgets.QWidget, metaclass=BenchMeta):
    """A widget with a scene, the top of most `.ui` files."""


@stand_in("slicer.qSlicerWidget")
class qSlicerWidget(SceneWidget, QtWidgets.QWidget, metaclass=BenchMeta):
    """A widget with a scene."""


@stand_in("slicer.qMRMLNodeComboBox")
class qMRMLNodeComboBox(SceneWidget, QtWidgets.QWidget, metaclass=BenchMeta):
    """The node selector, disabled until it has a scene."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._types: list[str] = []
        self._attributes: list[tuple[str, str, str | None]] = []
        self._requested: str | None = None
        self._bench_values = {"addEnabled": True, "removeEnabled": True, "selectNodeUponCreation": True}
        self._bench_values |= {"noneDisplay": "None", "showChildNodeTypes": True, "hideChildNodeTypes": ()}
        self._bench_values |= {"interactionNodeSingletonTag": "Singleton"}
        self._combo = private(QtWidgets.QComboBox())
        self._combo.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self._combo.currentTextChanged.connect(self._emit_changed)
        self._combo.activated.connect(lambda _: self.bench_emit("nodeActivated(vtkMRMLNode*)", self.currentNode()))
        QtWidgets.QWidget.setEnabled(self, False)

    def bench_choose(self, node: Any) -> None:
        """As the user picks a node (or None) from the list; raises if it is not in it."""
        row = self._combo.findData(node.GetID() if node else "")
        if row < 0:
            raise LookupError(f"{node.GetName() if node else 'none'} is not in the list")
        self._combo.setCurrentIndex(row)
        self._combo.activated.emit(row)

    def bench_names(self) -> list[str]:
        """The texts of the list."""
        return [self._combo.itemText(row) for row in range(self._combo.count())]

    def currentNode(self) -> Any:
        node_id = self._combo.currentData()
        return self._scene.GetNodeByID(node_id) if self._scene and node_id else None

    def setCurrentNode(self, node: Any) -> None:
        self._select(node.GetID() if node else "")

    def setCurrentNodeID(self, node_id: str) -> None:
        self._select(node_id or "")

    def setCurrentNodeIndex(self, index: int) -> None:
        self._combo.setCurrentIndex(index + (1 if self._none() else 0))

    def nodeCount(self) -> int:
        return self._combo.count() - (1 if self._none() else 0)

    def nodeFromIndex(self, index: int) -> Any:
        return self._scene.GetNodeByID(self._combo.itemData(index + (1 if self._none() else 0)) or "")

    def addAttribute(self, node_type: str, name: str, value: Any = None) -> None:
        self._attributes.append((node_type, name, None if value is None else str(value)))
        self._scene_changed()

    def removeAttribute(self, node_type: str, name: str) -> None:
        self._attributes = [a for a in self._attributes if a[:2] != (node_type, name)]
        self._scene_changed()

    def addNode(self, node_type: str = "") -> Any:
        node = self._scene.AddNewNodeByClass(node_type or self._types[0], self._bench_values.get("baseName", ""))
        if self._bench_values["selectNodeUponCreation"]:
            self.setCurrentNode(node)
        self.bench_emit("nodeAddedByUser(vtkMRMLNode*)", node)
        return node

    def removeCurrentNode(self) -> None:
        self._scene.RemoveNode(self.currentNode())

    def bench_get_currentNodeID(self) -> str:
        return self._combo.currentData() or ""

    def bench_set_currentNodeID(self, node_id: str) -> None:
        self._select(node_id or "")

    def bench_get_nodeTypes(self) -> tuple[str, ...]:
        return tuple(self._types)

    def bench_set_nodeTypes(self, types: Any) -> None:
        self._types = [name for name in types if name]
        self._scene_changed()

    def bench_set_noneEnabled(self, enabled: bool) -> None:
        if enabled != self._none():
            self._bench_values["noneEnabled"] = enabled
            if enabled:
                self._combo.insertItem(0, self._bench_values["noneDisplay"], "")
            else:
                self._combo.removeItem(0)

    def bench_set_noneDisplay(self, text: str) -> None:
        self._bench_values["noneDisplay"] = text
        if self._none():
            self._combo.setItemText(0, text)

    def _set_and_look(self, name: str, value: Any) -> None:
        self._bench_values[name] = value
        self._scene_changed()

    def bench_set_showHidden(self, shown: bool) -> None:
        self._set_and_look("showHidden", shown)

    def bench_set_showChildNodeTypes(self, shown: bool) -> None:
        self._set_and_look("showChildNodeTypes", shown)

    def bench_set_hideChildNodeTypes(self, types: Any) -> None:
        self._set_and_look("hideChildNodeTypes", tuple(types))

    def _none(self) -> bool:
        return bool(self._bench_values.get("noneEnabled"))

    def _select(self, node_id: str) -> None:
        if not self._scene:
            self._requested = node_id
            return
        self._scene_changed()
        row = self._combo.findData(node_id) if node_id else -1
        self._combo.setCurrentIndex(row if row >= 0 else 0 if self._none() else -1)

    def _scene_set(self) -> None:
        chosen = self.bench_get_currentNodeID()
        self._scene_changed()
        if self._requested is not None or chosen:
            self._select(self._requested or chosen)
        self._requested = None
        QtWidgets.QWidget.setEnabled(self, self._scene is not None)

    def _fits(self, node: Any) -> bool:
        values = self._bench_values
        if node.GetHideFromEditors() and not values.get("showHidden"):
            return False
        if not any(
            node.IsA(name) if values["showChildNodeTypes"] else node.GetClassName() == name for name in self._types
        ):
            return False
        if any(node.IsA(name) for name in values["hideChildNodeTypes"] or ()):
            return False
        wanted = [a for a in self._attributes if node.IsA(a[0])]
        return all((node.GetAttribute(n) if v is None else node.GetAttribute(n) == v) for _, n, v in wanted)

    def _scene_changed(self) -> None:
        if self._scene is None:
            nodes = []
        else:
            count = self._scene.GetNumberOfNodes()
            nodes = [n for n in (self._scene.GetNthNode(i) for i in range(count)) if self._types and self._fits(n)]
        if self._observer:
            self._observer.watch(nodes)
        first, kept = 1 if self._none() else 0, {node.GetID(): node for node in nodes}
        for row in reversed(range(first, self._combo.count())):
            if self._combo.itemData(row) not in kept:
                self.bench_emit("nodeAboutToBeRemoved(vtkMRMLNode*)", None)
                self._combo.removeItem(row)
        for node_id, node in kept.items():
            row = self._combo.findData(node_id)
            if row < 0:
                self._combo.addItem(node.GetName() or "", node_id)
                self.bench_emit("nodeAdded(vtkMRMLNode*)", node)
            elif self._combo.itemText(row) != node.GetName():
                self._combo.setItemText(row, node.GetName() or "")

    def _emit_changed(self, _text: str) -> None:
        node = self.currentNode()
        self.bench_emit("currentNodeChanged(vtkMRMLNode*)", node)
        self.bench_emit("currentNodeChanged(bool)", node is not None)
        self.bench_emit("currentNodeIDChanged(QString)", node.GetID() if node else "")

    def paintEvent(self, event: Any) -> None:
        """The hint of an empty selector."""
        self._combo.setPlaceholderText("Select a node" if self._combo.currentIndex() < 0 else "")
        QtWidgets.QWidget.paintEvent(self, event)
