"""Choosing segments of a segmentation as prompts."""

from __future__ import annotations

from typing import Any

import qt
import slicer

from .text import _


class SegmentDialog:
    """A selector of segmentations over a list of its segments with check boxes.

    parent : widget over which it comes up. scene : where the segmentations are.
    """

    def __init__(self, parent: Any, scene: Any) -> None:
        self._ids: list[str] = []
        self._items: list[Any] = []
        self.dialog = qt.QDialog(parent)
        self.dialog.setWindowTitle(_("Take segments as prompts"))
        self.selector = slicer.qMRMLNodeComboBox()
        self.selector.nodeTypes = ["vtkMRMLSegmentationNode"]
        self.selector.noneEnabled = True
        self.selector.noneDisplay = _("Select a segmentation")
        self.selector.addEnabled = False
        self.selector.removeEnabled = False
        self.selector.renameEnabled = False
        self.selector.setMRMLScene(scene)
        self.list = qt.QListWidget()
        self.note = qt.QLabel()
        self.note.setWordWrap(True)
        self.ok = qt.QPushButton(_("Take as prompts"))
        self.ok.setDefault(True)
        self.cancel = qt.QPushButton(_("Cancel"))
        row = qt.QHBoxLayout()
        row.addStretch(1)
        row.addWidget(self.ok)
        row.addWidget(self.cancel)
        column = qt.QVBoxLayout(self.dialog)
        for widget in (self.selector, self.list, self.note):
            column.addWidget(widget)
        column.addLayout(row)
        self.selector.connect("currentNodeChanged(vtkMRMLNode*)", self._on_segmentation)
        self.list.connect("itemChanged(QListWidgetItem*)", self._on_item)
        self.ok.connect("clicked()", self.dialog.accept)
        self.cancel.connect("clicked()", self.dialog.reject)
        only = scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
        if only is not None and scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1:
            self.selector.setCurrentNode(only)
        self._fill()

    def ask(self) -> tuple[Any, tuple[str, ...]] | None:
        """Let the user choose; None if nothing was chosen."""
        accepted = self.dialog.exec_()
        node, chosen = self.selector.currentNode(), self.checked()
        self.selector.setMRMLScene(None)
        self.dialog.deleteLater()
        return (node, chosen) if accepted and node is not None and chosen else None

    def checked(self) -> tuple[str, ...]:
        """Ids of the segments that are ticked."""
        ticked = [item.checkState() == qt.Qt.Checked for item in self._items]
        return tuple(i for i, on in zip(self._ids, ticked, strict=True) if on)

    def _on_segmentation(self, _node: Any) -> None:
        self._fill()

    def _on_item(self, _item: Any) -> None:
        self._update_button()

    def _fill(self) -> None:
        self.list.blockSignals(True)
        self.list.clear()
        self._ids, self._items = [], []
        node = self.selector.currentNode()
        segmentation: Any = node.GetSegmentation() if node is not None else None
        for n in range(segmentation.GetNumberOfSegments() if segmentation is not None else 0):
            segment = segmentation.GetNthSegment(n)
            item = qt.QListWidgetItem(segment.GetName())
            pixmap = qt.QPixmap(14, 14)
            pixmap.fill(qt.QColor.fromRgbF(*segment.GetColor()))
            item.setIcon(qt.QIcon(pixmap))
            item.setCheckState(qt.Qt.Unchecked)
            self.list.addItem(item)
            self._ids.append(segmentation.GetNthSegmentID(n))
            self._items.append(item)
        self.list.blockSignals(False)
        self._update_button()

    def _update_button(self) -> None:
        count = len(self.checked())
        self.ok.setEnabled(count > 0)
        if self.selector.currentNode() is None:
            reason = _("Select a segmentation first.")
        elif not self._items:
            reason = _("This segmentation has no segment.")
        elif not count:
            reason = _("Tick at least one segment.")
        else:
            reason = ""
        self.ok.setToolTip(reason or _("The box around each ticked segment becomes a prompt."))
        self.note.setText(
            reason or _("The box around each ticked segment becomes a prompt; the segments stay as they are.")
        )
