"""Stand-ins of CTK's inputs: paths, folders, combo boxes with check marks, and message boxes."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from . import dialogs
from .classes import stand_in
from .manners import BenchMeta, Manners, private


@stand_in("ctk.ctkPathLineEdit")
class ctkPathLineEdit(Manners, QtWidgets.QWidget, metaclass=BenchMeta):
    """A path that can be typed, or picked by the "..." button (the scripted answer is a path or "")."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(next((a for a in arguments if isinstance(a, QtWidgets.QWidget)), None))
        self._combo, self._button = private(QtWidgets.QComboBox()), private(QtWidgets.QToolButton())
        self._combo.setEditable(True)
        self._combo.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        self._combo.setMinimumContentsLength(8)
        self._combo.setSizeAdjustPolicy(QtWidgets.QComboBox.AdjustToMinimumContentsLengthWithIcon)
        self._button.setText("...")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        layout.addWidget(self._button)
        self._combo.editTextChanged.connect(lambda path: self.bench_emit("currentPathChanged(QString)", path))
        self._button.clicked.connect(lambda: self.browse())

    def browse(self) -> None:
        chosen = dialogs.user.ask("ctkPathLineEdit.browse", "", self._combo.currentText(), None)
        if chosen:
            self._combo.setEditText(str(chosen))

    def addCurrentPathToHistory(self) -> None:
        """There is no history here."""

    def bench_get_currentPath(self) -> str:
        return self._combo.currentText()

    def bench_set_currentPath(self, path: str) -> None:
        self._combo.setEditText(path)

    def bench_set_showBrowseButton(self, shown: bool) -> None:
        self._button.setVisible(shown)


@stand_in("ctk.ctkDirectoryButton")
class ctkDirectoryButton(Manners, QtWidgets.QWidget, metaclass=BenchMeta):
    """A button that shows a folder (the scripted answer of a click is a path or "")."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(next((a for a in arguments if isinstance(a, QtWidgets.QWidget)), None))
        self._directory = next((a for a in arguments if isinstance(a, str)), QtCore.QDir.currentPath())
        self._button = private(QtWidgets.QPushButton())
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._button)
        self._button.setText(self._directory)
        self._button.clicked.connect(lambda: self.browse())

    def browse(self) -> None:
        chosen = dialogs.user.ask("ctkDirectoryButton.browse", "", self._directory, None)
        if chosen:
            self.bench_set_directory(str(chosen))
            self.bench_emit("directorySelected(QString)", str(chosen))

    def bench_get_directory(self) -> str:
        return self._directory

    def bench_set_directory(self, path: str) -> None:
        if path != self._directory:
            self._directory = path
            self._button.setText(path)
            self.bench_emit("directoryChanged(QString)", path)


@stand_in("ctk.ctkCheckableComboBox")
class ctkCheckableComboBox(Manners, QtWidgets.QComboBox, metaclass=BenchMeta):
    """A combo box whose items have check marks."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        QtWidgets.QComboBox.setModel(self, QtGui.QStandardItemModel(0, 1, self))
        model = QtWidgets.QComboBox.model(self)
        model.rowsInserted.connect(self._make_checkable)
        model.dataChanged.connect(lambda *_: self.bench_emit("checkedIndexesChanged()"))

    def _make_checkable(self, _parent: Any, first: int, last: int) -> None:
        model = QtWidgets.QComboBox.model(self)
        for row in range(first, last + 1):
            item = model.item(row)
            item.setFlags(QtCore.Qt.ItemIsUserCheckable | QtCore.Qt.ItemIsEnabled | QtCore.Qt.ItemIsSelectable)
            item.setData(QtCore.Qt.Unchecked, QtCore.Qt.CheckStateRole)

    def checkedIndexes(self) -> list[Any]:
        model = QtWidgets.QComboBox.model(self)
        rows = (model.index(row, 0) for row in range(model.rowCount()))
        return [i for i in rows if model.itemFromIndex(i).checkState() == QtCore.Qt.Checked]

    def checkState(self, index: Any) -> Any:
        return QtWidgets.QComboBox.model(self).itemFromIndex(index).checkState()

    def setCheckState(self, index: Any, state: Any) -> None:
        QtWidgets.QComboBox.model(self).itemFromIndex(index).setCheckState(state)

    def checkableModel(self) -> Any:
        return QtWidgets.QComboBox.model(self)

    def allChecked(self) -> bool:
        return len(self.checkedIndexes()) == QtWidgets.QComboBox.count(self)

    def noneChecked(self) -> bool:
        return not self.checkedIndexes()


@stand_in("ctk.ctkMessageBox")
class ctkMessageBox(Manners, QtWidgets.QMessageBox, metaclass=BenchMeta):
    """A message box; `exec_` takes the scripted answer."""

    def exec(self) -> Any:
        return dialogs.run(self)


@stand_in("ctk.ctkPushButton")
class ctkPushButton(Manners, QtWidgets.QPushButton, metaclass=BenchMeta):
    """A push button."""


@stand_in("ctk.ctkMenuButton")
class ctkMenuButton(Manners, QtWidgets.QPushButton, metaclass=BenchMeta):
    """A push button with a menu arrow."""


@stand_in("ctk.ctkCheckBox")
class ctkCheckBox(Manners, QtWidgets.QCheckBox, metaclass=BenchMeta):
    """A check box."""


@stand_in("ctk.ctkComboBox")
class ctkComboBox(Manners, QtWidgets.QComboBox, metaclass=BenchMeta):
    """A combo box."""


@stand_in("ctk.ctkSearchBox")
class ctkSearchBox(Manners, QtWidgets.QLineEdit, metaclass=BenchMeta):
    """A line edit with a magnifier."""


@stand_in("ctk.ctkFittedTextBrowser")
class ctkFittedTextBrowser(Manners, QtWidgets.QTextBrowser, metaclass=BenchMeta):
    """A text browser as high as its text."""


@stand_in("ctk.ctkExpandButton")
class ctkExpandButton(Manners, QtWidgets.QToolButton, metaclass=BenchMeta):
    """A tool button with an arrow."""


@stand_in("ctk.ctkDynamicSpacer")
class ctkDynamicSpacer(Manners, QtWidgets.QWidget, metaclass=BenchMeta):
    """Takes space while it is active."""
