"""Stand-ins of CTK's widgets, drawn by plain Qt widgets. Behavior as in CTK; look and size are only near."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from . import dialogs
from .classes import stand_in
from .manners import BenchMeta, Manners, private


@stand_in("ctk.ctkCollapsibleButton")
class ctkCollapsibleButton(Manners, QtWidgets.QWidget, metaclass=BenchMeta):
    """A header with a triangle; its children show while it is not collapsed."""

    _HEADER = 24

    def __init__(self, *arguments: Any) -> None:
        text = arguments[0] if arguments and isinstance(arguments[0], str) else ""
        parent = next((a for a in arguments if isinstance(a, QtWidgets.QWidget)), None)
        super().__init__(parent)
        self._header = private(QtWidgets.QToolButton(self))
        self._header.setToolButtonStyle(QtCore.Qt.ToolButtonTextBesideIcon)
        self._header.setCheckable(True)
        self._header.setChecked(True)
        self._header.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        self._header.setFocusPolicy(QtCore.Qt.StrongFocus)
        self._header.setText(text)
        self._header.setStyleSheet("QToolButton { text-align: left; padding: 3px; font-weight: bold; }")
        self._header.toggled.connect(self._toggled)
        self._header.clicked.connect(lambda: self.bench_emit("clicked(bool)", self._header.isChecked()))
        self._toggled(True)

    def _toggled(self, opened: bool) -> None:
        self._header.setArrowType(QtCore.Qt.DownArrow if opened else QtCore.Qt.RightArrow)
        for child in QtCore.QObject.children(self):
            if isinstance(child, QtWidgets.QWidget) and child is not self._header:
                QtWidgets.QWidget.setVisible(child, opened)
        limit = 16777215 if opened else self._HEADER + 4
        QtWidgets.QWidget.setMaximumHeight(self, limit)
        QtWidgets.QWidget.updateGeometry(self)
        self.bench_emit("toggled(bool)", opened)
        self.bench_emit("contentsCollapsed(bool)", not opened)

    def childEvent(self, event: Any) -> None:
        child = event.child()
        hidden = "_header" in self.__dict__ and not self._header.isChecked()
        if event.added() and hidden and child.isWidgetType():
            QtWidgets.QWidget.setVisible(child, False)

    def resizeEvent(self, event: Any) -> None:
        self._header.setGeometry(0, 0, event.size().width(), self._HEADER)
        QtWidgets.QWidget.setContentsMargins(self, 0, self._HEADER, 0, 0)

    def event(self, event: Any) -> bool:
        if event.type() == QtCore.QEvent.Polish:
            QtWidgets.QWidget.setContentsMargins(self, 0, self._HEADER, 0, 0)
        return QtWidgets.QWidget.event(self, event)

    def minimumSizeHint(self) -> Any:
        inside = QtWidgets.QWidget.minimumSizeHint(self)
        opened = "_header" in self.__dict__ and self._header.isChecked()
        return QtCore.QSize(max(inside.width(), 0), max(inside.height(), self._HEADER) if opened else self._HEADER + 4)

    def bench_get_text(self) -> str:
        return self._header.text()

    def bench_set_text(self, text: str) -> None:
        self._header.setText(text)

    def bench_get_collapsed(self) -> bool:
        return not self._header.isChecked()

    def bench_set_collapsed(self, collapsed: bool) -> None:
        self._header.setChecked(not collapsed)

    def bench_get_checked(self) -> bool:
        return self._header.isChecked()

    def bench_set_checked(self, checked: bool) -> None:
        self._header.setChecked(checked)

    def collapse(self, collapsed: bool) -> None:
        self._header.setChecked(not collapsed)

    def click(self) -> None:
        self._header.click()

    def toggle(self) -> None:
        self._header.toggle()


@stand_in("ctk.ctkCollapsibleGroupBox")
class ctkCollapsibleGroupBox(Manners, QtWidgets.QGroupBox, metaclass=BenchMeta):
    """A group box whose check box hides the children."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        QtWidgets.QGroupBox.setCheckable(self, True)
        self.bench_raw("toggled").connect(self._show)

    def _show(self, opened: bool) -> None:
        for child in QtCore.QObject.children(self):
            if isinstance(child, QtWidgets.QWidget):
                QtWidgets.QWidget.setVisible(child, opened)

    def bench_get_collapsed(self) -> bool:
        return not QtWidgets.QGroupBox.isChecked(self)

    def bench_set_collapsed(self, collapsed: bool) -> None:
        QtWidgets.QGroupBox.setChecked(self, not collapsed)


@stand_in("ctk.ctkDoubleSpinBox")
class ctkDoubleSpinBox(Manners, QtWidgets.QWidget, metaclass=BenchMeta):
    """A spin box inside a widget, as CTK's is."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._box = private(QtWidgets.QDoubleSpinBox(self))
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        self._box.valueChanged.connect(lambda value: self.bench_emit("valueChanged(double)", value))
        self._box.editingFinished.connect(lambda: self.bench_emit("editingFinished()"))


@stand_in("ctk.ctkSliderWidget")
class ctkSliderWidget(Manners, QtWidgets.QWidget, metaclass=BenchMeta):
    """A slider and a spin box of one value; 0 to 99 by steps of 1 until it is told otherwise, as CTK's."""

    _STEPS = 10000

    def __init__(self, *arguments: Any) -> None:
        super().__init__(next((a for a in arguments if isinstance(a, QtWidgets.QWidget)), None))
        self._slider = private(QtWidgets.QSlider(QtCore.Qt.Horizontal))
        self._box = private(QtWidgets.QDoubleSpinBox())
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider)
        layout.addWidget(self._box)
        self._slider.setRange(0, self._STEPS)
        self._box.setRange(0.0, 99.0)
        self._box.valueChanged.connect(self._changed)
        self._slider.sliderMoved.connect(self._dragged)
        self._slider.sliderReleased.connect(self._released)

    def _changed(self, value: float) -> None:
        width = self._box.maximum() - self._box.minimum()
        self._slider.setValue(round((value - self._box.minimum()) / width * self._STEPS) if width else 0)
        self.bench_emit("valueChanged(double)", value)

    def _dragged(self, step: int) -> None:
        value = self._box.minimum() + step / self._STEPS * (self._box.maximum() - self._box.minimum())
        if self._tracks():
            self._box.setValue(value)
        else:
            self.bench_emit("valueIsChanging(double)", value)

    def _tracks(self) -> bool:
        return bool(self.__dict__.get("_bench_values", {}).get("tracking", True))

    def _released(self) -> None:
        low, high = self._box.minimum(), self._box.maximum()
        self._box.setValue(low + self._slider.value() / self._STEPS * (high - low))

    def bench_drag(self, value: float) -> None:
        """As the user drags the slider's knob to a value, without letting go."""
        low, high = self._box.minimum(), self._box.maximum()
        self._slider.setSliderDown(True)
        self._slider.setSliderPosition(round((value - low) / (high - low) * self._STEPS))

    def bench_release(self) -> None:
        """As the user lets go of the knob."""
        self._slider.setSliderDown(False)

    def bench_get_tracking(self) -> bool:
        return self._tracks()

    def bench_set_spinBoxVisible(self, visible: bool) -> None:
        self._box.setVisible(visible)

    def bench_get_spinBoxVisible(self) -> bool:
        return not self._box.isHidden()


_SPIN_BOX = ("value", "minimum", "maximum", "singleStep", "decimals", "suffix", "prefix")


def _forward(cls: type, inner: str, names: tuple[str, ...]) -> None:
    """Give a stand-in the properties of a widget inside it."""
    for name in names:
        setter = f"set{name[0].upper()}{name[1:]}"
        setattr(cls, f"bench_get_{name}", lambda self, name=name: getattr(getattr(self, inner), name)())
        setattr(cls, f"bench_set_{name}", lambda self, value, s=setter: getattr(getattr(self, inner), s)(value))


_forward(ctkSliderWidget, "_box", _SPIN_BOX)
_forward(ctkDoubleSpinBox, "_box", _SPIN_BOX)


@stand_in("ctk.ctkColorPickerButton")
class ctkColorPickerButton(Manners, QtWidgets.QPushButton, metaclass=BenchMeta):
    """Shows its color as an icon; a click asks for another (the scripted answer is a color or None)."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*[a for a in arguments if not isinstance(a, QtGui.QColor)])
        self._color = next((a for a in arguments if isinstance(a, QtGui.QColor)), QtGui.QColor(0, 0, 0))
        self.bench_raw("clicked").connect(lambda: self.changeColor())
        self._draw()

    def _draw(self) -> None:
        pixmap = QtGui.QPixmap(16, 16)
        pixmap.fill(self._color)
        QtWidgets.QPushButton.setIcon(self, QtGui.QIcon(pixmap))
        shown = self.__dict__.get("_bench_values", {}).get("displayColorName", True)
        QtWidgets.QPushButton.setText(self, self._color.name() if shown else "")

    def changeColor(self) -> None:
        chosen = dialogs.user.ask("ctkColorPickerButton", "", "", self)
        if chosen is not None:
            self.bench_set_color(chosen)

    def bench_get_color(self) -> Any:
        return QtGui.QColor(self._color)

    def bench_set_color(self, color: Any) -> None:
        if color != self._color:
            self._color = QtGui.QColor(color)
            self._draw()
            self.bench_emit("colorChanged(QColor)", QtGui.QColor(color))

    def bench_set_displayColorName(self, shown: bool) -> None:
        self.__dict__.setdefault("_bench_values", {})["displayColorName"] = shown
        self._draw()
