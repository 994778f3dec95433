"""Stand-ins of Slicer's markups and terminology widgets."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtGui, QtWidgets

from .classes import stand_in
from .manners import BenchMeta, bench_of
from .mrml_widgets import SceneWidget, qMRMLNodeComboBox


@stand_in("slicer.qSlicerTerminologyNavigatorWidget")
class qSlicerTerminologyNavigatorWidget(SceneWidget, QtWidgets.QWidget, metaclass=BenchMeta):
    """Holds one terminology entry; the user's choice is `bench_choose`."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._entry = slicer.vtkSlicerTerminologyEntry()
        self._list = QtWidgets.QListWidget()
        layout = QtWidgets.QVBoxLayout(self)
        layout.addWidget(QtWidgets.QLineEdit())
        layout.addWidget(self._list)

    def bench_choose(self, serialized: str, valid: bool = True) -> None:
        """As the user picks a type; `serialized` is the text that segments carry."""
        slicer.modules.terminologies.logic().DeserializeTerminologyEntry(serialized, self._entry)
        self.bench_emit("selectionValidityChanged(bool)", valid)

    def terminologyEntry(self, entry: Any) -> bool:
        entry.Copy(self._entry)
        return self._entry.GetTypeObject() is not None and bool(self._entry.GetTypeObject().GetCodeValue())

    def setTerminologyEntry(self, entry: Any) -> bool:
        self._entry.Copy(entry)
        return True

    def nameFromTerminology(self, entry: Any) -> str:
        return entry.GetTypeObject().GetCodeMeaning() or ""

    def recommendedColorFromTerminology(self, entry: Any) -> Any:
        return QtGui.QColor(*entry.GetTypeObject().GetRecommendedDisplayRGBValue())


@stand_in("slicer.qSlicerMarkupsPlaceWidget")
class qSlicerMarkupsPlaceWidget(SceneWidget, QtWidgets.QWidget, metaclass=BenchMeta):
    """The place button of one markups node."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._node: Any = None
        self._place = bench_of(QtWidgets.QToolButton)()
        self._place.setText("Place")
        self._place.setCheckable(True)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._place)
        self._place.connect("toggled(bool)", lambda on: self.bench_emit("activeMarkupsPlaceModeChanged(bool)", on))

    def currentNode(self) -> Any:
        return self._node

    def setCurrentNode(self, node: Any) -> None:
        self._node = node

    def placeButton(self) -> Any:
        return self._place

    def bench_get_placeModeEnabled(self) -> bool:
        return self._place.checked

    def bench_set_placeModeEnabled(self, enabled: bool) -> None:
        self._place.setChecked(enabled)


@stand_in("slicer.qSlicerSimpleMarkupsWidget")
class qSlicerSimpleMarkupsWidget(SceneWidget, QtWidgets.QWidget, metaclass=BenchMeta):
    """A markups selector, its place button and a table."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._selector, self._place = qMRMLNodeComboBox(), qSlicerMarkupsPlaceWidget()
        self._selector.nodeTypes = ["vtkMRMLMarkupsNode"]
        self._table = bench_of(QtWidgets.QTableWidget)(0, 4)
        layout = QtWidgets.QVBoxLayout(self)
        for widget in (self._selector, self._place, self._table):
            layout.addWidget(widget)
        self._selector.connect("currentNodeChanged(vtkMRMLNode*)", self._changed)

    def _changed(self, node: Any) -> None:
        self._place.setCurrentNode(node)
        self.bench_emit("markupsNodeChanged()")

    def _scene_set(self) -> None:
        self._selector.setMRMLScene(self._scene)

    def currentNode(self) -> Any:
        return self._selector.currentNode()

    def setCurrentNode(self, node: Any) -> None:
        self._selector.setCurrentNode(node)

    def markupsPlaceWidget(self) -> Any:
        return self._place

    def markupsSelectorComboBox(self) -> Any:
        return self._selector

    def tableWidget(self) -> Any:
        return self._table


@stand_in("slicer.qMRMLMarkupsROIWidget")
class qMRMLMarkupsROIWidget(SceneWidget, QtWidgets.QWidget, metaclass=BenchMeta):
    """The size and place of an ROI."""

    _node: Any = None

    def mrmlROINode(self) -> Any:
        return self._node

    def setMRMLROINode(self, node: Any) -> None:
        self._node = node
