"""Whether what a Slicer with Qt 5.15 offers is there with Qt 6 too, asked of PySide6's own classes."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

# PythonQt adds these to every object.
PYTHONQT = frozenset({"connect", "disconnect", "delete", "className", "name", "exec_", "help"})
# Classes that are no widgets of the table: in Qt 5.15 and in Qt 6, and wrapped by PythonQt.
OTHER_CLASSES = frozenset(
    [
        "Qt",
        "QAbstractItemView",
        "QAbstractButton",
        "QApplication",
        "QBrush",
        "QByteArray",
        "QColor",
        "QColorDialog",
        "QCursor",
        "QDateTime",
        "QDesktopServices",
        "QDir",
        "QEvent",
        "QEventLoop",
        "QFile",
        "QFileInfo",
        "QFont",
        "QFontMetrics",
        "QHeaderView",
        "QIcon",
        "QImage",
        "QItemSelection",
        "QKeySequence",
        "QLayout",
        "QListWidgetItem",
        "QLocale",
        "QModelIndex",
        "QObject",
        "QPainter",
        "QPalette",
        "QPen",
        "QPixmap",
        "QPoint",
        "QPointF",
        "QRect",
        "QRectF",
        "QSize",
        "QSizePolicy",
        "QSpacerItem",
        "QStandardItem",
        "QStandardPaths",
        "QStyle",
        "QTableWidgetItem",
        "QTextCursor",
        "QTreeWidgetItem",
        "QUiLoader",
        "QUrl",
        "QUrlQuery",
        "QVariant",
        "QBoxLayout",
        "QAbstractScrollArea",
        "QScrollBar",
    ]
)
# Signals and setters that mean something else, or nothing, in the other Qt.
FORBIDDEN = {
    "stateChanged": "toggled(bool)",
    "setMargin": "setContentsMargins(left, top, right, bottom)",
    "QTextCodec": "str.encode",
    "QRegExp": "re",
    "QDesktopWidget": "widget.screen()",
    "QStringRef": "str",
}


def native(class_name: str) -> Any:
    """The PySide6 class of a Qt name, or None."""
    for module in (QtWidgets, QtGui, QtCore):
        found = getattr(module, class_name, None)
        if found is not None:
            return found
    return None


def has_signal(class_name: str, signature: str) -> bool:
    """Whether Qt 6 has the signal; True for classes that are not Qt's."""
    cls = native(class_name)
    return cls is None or cls.staticMetaObject.indexOfSignal(signature) >= 0


def signal_of_others(signature: str) -> bool:
    """Whether a class of OTHER_CLASSES has the signal."""
    found = (native(name) for name in OTHER_CLASSES)
    return any(c.staticMetaObject.indexOfSignal(signature) >= 0 for c in found if hasattr(c, "staticMetaObject"))


def has_attribute(class_name: str, attribute: str) -> bool:
    """Whether Qt 6 has the property, function or enum; True for classes that are not Qt's."""
    cls = native(class_name)
    if cls is None or attribute in PYTHONQT or hasattr(cls, attribute):
        return True
    return hasattr(cls, "staticMetaObject") and cls.staticMetaObject.indexOfProperty(attribute) >= 0
