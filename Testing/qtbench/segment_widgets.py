"""Stand-ins of the segment widgets: table, selector, editor (no effects), 3D button."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from . import api
from .classes import stand_in
from .ctk_widgets import ctkSliderWidget
from .manners import BenchMeta, Manners, bench_of, private
from .mrml_widgets import SceneWidget, qMRMLNodeComboBox


def _segment_ids(node: Any) -> list[str]:
    return list(node.GetSegmentation().GetSegmentIDs()) if node else []


class _SegmentationWidget(SceneWidget):
    _node: Any = None

    def segmentationNode(self) -> Any:
        return self._node

    def setSegmentationNode(self, node: Any) -> None:
        self._node = node
        self._refill()

    def _refill(self) -> None:
        """The segmentation is another one."""


@stand_in("slicer.qMRMLSegmentsTableView")
class qMRMLSegmentsTableView(_SegmentationWidget, QtWidgets.QWidget, metaclass=BenchMeta):
    """Segments by name and color; filled when the node is set."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._table = bench_of(QtWidgets.QTableWidget)(0, 2)
        self._table.setHorizontalHeaderLabels(["Color", "Name"])
        self._table.horizontalHeader().setStretchLastSection(True)
        self._table.verticalHeader().hide()
        self._table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectRows)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._table)
        self._table.connect("itemSelectionChanged()", self._selected)
        self._hidden: tuple[str, ...] = ()

    def setHideSegments(self, ids: Any) -> None:
        self._hidden = tuple(ids)
        self._refill()

    def _selected(self) -> None:
        nothing = QtCore.QItemSelection()
        self.bench_emit("selectionChanged(QItemSelection,QItemSelection)", nothing, nothing)

    def _refill(self) -> None:
        ids = [i for i in _segment_ids(self._node) if i not in self._hidden]
        self._table.setRowCount(len(ids))
        for row, segment_id in enumerate(ids):
            segment = self._node.GetSegmentation().GetSegment(segment_id)
            color = QtWidgets.QTableWidgetItem()
            color.setBackground(QtGui.QBrush(QtGui.QColor.fromRgbF(*segment.GetColor())))
            name = QtWidgets.QTableWidgetItem(segment.GetName())
            name.setData(QtCore.Qt.UserRole, segment_id)
            self._table.setItem(row, 0, color)
            self._table.setItem(row, 1, name)

    def tableWidget(self) -> Any:
        return self._table

    def selectedSegmentIDs(self) -> tuple[str, ...]:
        rows = sorted({item.row() for item in self._table.selectedItems()})
        return tuple(self._table.item(row, 1).data(QtCore.Qt.UserRole) for row in rows)

    def setSelectedSegmentIDs(self, ids: Any) -> None:
        self._table.clearSelection()
        self._table.setSelectionMode(QtWidgets.QAbstractItemView.MultiSelection)
        for row in range(self._table.rowCount):
            if self._table.item(row, 1).data(QtCore.Qt.UserRole) in ids:
                self._table.selectRow(row)
        self._table.setSelectionMode(QtWidgets.QAbstractItemView.ExtendedSelection)

    def clearSelection(self) -> None:
        self._table.clearSelection()

    def bench_get_segmentCount(self) -> int:
        return len(_segment_ids(self._node))

    def bench_set_selectionMode(self, mode: Any) -> None:
        self._table.setSelectionMode(QtWidgets.QAbstractItemView.SelectionMode(mode))

    def bench_set_headerVisible(self, visible: bool) -> None:
        self._table.horizontalHeader().setVisible(visible)


@stand_in("slicer.qMRMLSegmentationShow3DButton")
class qMRMLSegmentationShow3DButton(Manners, QtWidgets.QPushButton, metaclass=BenchMeta):
    """Makes the closed surface of a segmentation, or takes it away, as it is checked."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._node: Any = None
        QtWidgets.QPushButton.setCheckable(self, True)
        QtWidgets.QPushButton.setText(self, QtWidgets.QPushButton.text(self) or "Show 3D")
        self.bench_raw("toggled").connect(self._show)

    def segmentationNode(self) -> Any:
        return self._node

    def setSegmentationNode(self, node: Any) -> None:
        self._node = node
        name = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
        shown = bool(node) and node.GetSegmentation().ContainsRepresentation(name)
        QtCore.QObject.blockSignals(self, True)
        QtWidgets.QPushButton.setChecked(self, shown)
        QtCore.QObject.blockSignals(self, False)

    def _show(self, shown: bool) -> None:
        if self._node is None:
            return
        if shown:
            self._node.CreateClosedSurfaceRepresentation()
        else:
            self._node.RemoveClosedSurfaceRepresentation()


@stand_in("slicer.qMRMLSegmentSelectorWidget")
class qMRMLSegmentSelectorWidget(SceneWidget, QtWidgets.QWidget, metaclass=BenchMeta):
    """A segmentation and one of its segments."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._nodes, self._segments = qMRMLNodeComboBox(), private(QtWidgets.QComboBox())
        self._nodes.nodeTypes = ["vtkMRMLSegmentationNode"]
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._nodes)
        layout.addWidget(self._segments)
        self._nodes.connect("currentNodeChanged(vtkMRMLNode*)", self._refill)
        self._segments.currentIndexChanged.connect(
            lambda _: self.bench_emit("currentSegmentChanged(QString)", self.currentSegmentID())
        )

    def _scene_set(self) -> None:
        self._nodes.setMRMLScene(self._scene)

    def _refill(self, node: Any) -> None:
        self._segments.clear()
        for segment_id in _segment_ids(node):
            self._segments.addItem(node.GetSegmentation().GetSegment(segment_id).GetName(), segment_id)
        self.bench_emit("currentNodeChanged(vtkMRMLNode*)", node)

    def currentNode(self) -> Any:
        return self._nodes.currentNode()

    def setCurrentNode(self, node: Any) -> None:
        self._nodes.setCurrentNode(node)

    def currentSegmentID(self) -> str:
        return self._segments.currentData() or ""

    def setCurrentSegmentID(self, segment_id: str) -> None:
        self._segments.setCurrentIndex(self._segments.findData(segment_id))

    def bench_set_noneEnabled(self, enabled: bool) -> None:
        self._nodes.noneEnabled = enabled


@stand_in("slicer.qMRMLSegmentEditorWidget")
class qMRMLSegmentEditorWidget(SceneWidget, QtWidgets.QWidget, metaclass=BenchMeta):
    """The editor's outside: its nodes, segments and the choice of an effect; effects do nothing here."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._editor: Any = None
        self._segmentation: Any = None
        self._effect = ""
        self.bench_shortcuts = False
        self._segments = qMRMLSegmentsTableView()
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._segments)
        self._grid = QtWidgets.QGridLayout()
        self._buttons = {}
        for name in ("None", *self.availableEffectNames()):
            button = QtWidgets.QToolButton()
            button.setText(name)
            button.setCheckable(True)
            button.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
            self._buttons[name] = private(button)
        layout.addLayout(self._grid)
        self._order: tuple[str, ...] = ()
        self._arrange()

    def _arrange(self) -> None:
        """Effects of the order come first; the others only if they are to be seen."""
        unordered = self.__dict__.get("_bench_values", {}).get("unorderedEffectsVisible", True)
        rest = [name for name in self.availableEffectNames() if name not in self._order] if unordered else []
        shown = ["None", *self._order, *rest]
        for name, button in self._buttons.items():
            if name in shown:
                self._grid.addWidget(button, shown.index(name) // 5, shown.index(name) % 5)
            button.setVisible(name in shown)

    def bench_set_unorderedEffectsVisible(self, visible: bool) -> None:
        self.__dict__.setdefault("_bench_values", {})["unorderedEffectsVisible"] = visible
        self._arrange()

    def mrmlSegmentEditorNode(self) -> Any:
        return self._editor

    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        self._editor = node
        if node is None:  # the widget keeps what it shows
            return
        segmentation = node.GetSegmentationNode()
        self._segments.setSegmentationNode(segmentation)
        if segmentation is not self._segmentation and _segment_ids(segmentation):
            node.SetSelectedSegmentID(_segment_ids(segmentation)[0])  # as Slicer's own does with a new segmentation
        self._segmentation = segmentation

    def segmentationNode(self) -> Any:
        return self._editor.GetSegmentationNode() if self._editor else None

    def setSegmentationNode(self, node: Any) -> None:
        self._need_editor().SetAndObserveSegmentationNode(node)
        self._segments.setSegmentationNode(node)
        self.bench_emit("segmentationNodeChanged(vtkMRMLSegmentationNode*)", node)

    def sourceVolumeNode(self) -> Any:
        return self._editor.GetSourceVolumeNode() if self._editor else None

    def setSourceVolumeNode(self, node: Any) -> None:
        self._need_editor().SetAndObserveSourceVolumeNode(node)
        self.bench_emit("sourceVolumeNodeChanged(vtkMRMLVolumeNode*)", node)

    def currentSegmentID(self) -> str:
        return (self._editor.GetSelectedSegmentID() or "") if self._editor else ""

    def setCurrentSegmentID(self, segment_id: str) -> None:
        self._need_editor().SetSelectedSegmentID(segment_id)
        self._segments.setSelectedSegmentIDs([segment_id])
        self.bench_emit("currentSegmentIDChanged(QString)", segment_id)

    def availableEffectNames(self) -> tuple[str, ...]:
        return tuple(api.table()["segment_editor_effects"])

    def setActiveEffectByName(self, name: str) -> None:
        self._effect = name if name in self.availableEffectNames() else ""
        for known, button in self._buttons.items():
            button.setChecked(known == (self._effect or "None"))
        if self._editor:
            self._editor.SetActiveEffectName(self._effect)

    def setActiveEffect(self, effect: Any) -> None:
        self.setActiveEffectByName(effect.name if effect is not None else "")

    def setEffectNameOrder(self, names: Any) -> None:
        self._order = tuple(names)
        self._arrange()

    def effectNameOrder(self) -> tuple[str, ...]:
        return self._order

    def turnOffLightboxes(self) -> bool:
        return False

    def installKeyboardShortcuts(self, _parent: Any = None) -> None:
        self.bench_shortcuts = True

    def uninstallKeyboardShortcuts(self) -> None:
        self.bench_shortcuts = False

    def setupViewObservations(self) -> None:
        """There are no views."""

    def removeViewObservations(self) -> None:
        """There are no views."""

    def updateWidgetFromMRML(self) -> None:
        self._segments.setSegmentationNode(self.segmentationNode())

    def _need_editor(self) -> Any:
        if self._editor is None:
            raise RuntimeError("qMRMLSegmentEditorWidget ignores nodes until setMRMLSegmentEditorNode was called")
        return self._editor


@stand_in("slicer.qMRMLSliderWidget")
class qMRMLSliderWidget(SceneWidget, ctkSliderWidget, metaclass=BenchMeta):
    """A slider that knows units."""
