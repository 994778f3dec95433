"""`.ui` files against the table: classes, properties and their types, connections, names."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from ..api import ClassApi, short_name_api
from ..loader import DYNAMIC, MARGINS
from ..signals import normalized
from . import qt6

LAYOUTS = frozenset({"QVBoxLayout", "QHBoxLayout", "QFormLayout", "QGridLayout"})
# XML elements that can hold a value of a C++ type; enums and flags (anything with "::" or a bare enum name) below.
_ELEMENTS = {
    "bool": {"bool"},
    "int": {"number"},
    "double": {"double", "number"},
    "QString": {"string"},
    "QStringList": {"stringlist"},
    "QIcon": {"iconset"},
    "QSize": {"size"},
    "QRect": {"rect"},
    "QColor": {"color"},
    "QFont": {"font"},
    "QSizePolicy": {"sizepolicy"},
    "QKeySequence": {"string"},
    "QPixmap": {"pixmap"},
    "QPalette": {"palette"},
    "QCursor": {"cursorShape", "cursor"},
    "QUrl": {"url"},
}


@dataclass(frozen=True)
class UiFile:
    """A parsed file: `classes` {object name: class name} of widgets and layouts, and what is wrong."""

    path: Path
    classes: dict[str, str]
    problems: tuple[str, ...]


def read_ui(path: Path) -> UiFile:
    """Read and check a file; a file that is no XML has one problem."""
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        return UiFile(path, {}, (f"{path.name}: no XML: {error}",))
    problems: list[str] = []
    classes: dict[str, str] = {}
    for element in root.iter():
        if element.tag in ("widget", "layout"):
            name, class_name = element.get("name", ""), element.get("class", "")
            if not name:
                problems.append(f"a {class_name} has no name")
            elif name in classes:
                problems.append(f"two objects are named {name}")
            classes[name] = class_name
            problems += _check_object(element, name, class_name)
    problems += _check_custom(root, set(classes.values()))
    problems += _check_connections(root, classes)
    problems += [f"{buddy} is no buddy: there is no such widget" for buddy in _buddies(root) if buddy not in classes]
    return UiFile(path, classes, tuple(f"{path.name}: {problem}" for problem in problems))


def _check_object(element: ElementTree.Element, name: str, class_name: str) -> list[str]:
    api = short_name_api(class_name)
    if api is None:
        return [f"{name}: Slicer has no class {class_name} in the table"]
    problems = []
    for found in element.findall("property"):
        key = found.get("name", "")
        if key in DYNAMIC or (found.get("stdset") == "0" and key.startswith("Slicer")):
            continue
        if element.tag == "layout" and (key in MARGINS or key == "spacing"):
            continue
        if key == "buddy" and class_name == "QLabel":
            continue
        problems += [f"{name}: {problem}" for problem in _check_property(api, class_name, key, found)]
    return problems


def _check_property(api: ClassApi, class_name: str, key: str, found: ElementTree.Element) -> list[str]:
    kind = api.properties.get(key)
    if kind is None:
        return [f"{class_name} has no property {key}"]
    if key in api.read_only:
        return [f"{class_name}.{key} is read-only"]
    if not qt6.has_attribute(class_name, key):
        return [f"{class_name}.{key} is in Qt 5 alone"]
    element = next((child.tag for child in found), "")
    if element not in _ELEMENTS.get(kind, {"enum", "set"}):
        return [f"{class_name}.{key} is a {kind}, not a <{element}>"]
    return []


def _check_custom(root: ElementTree.Element, used: set[str]) -> list[str]:
    """Classes that are not Qt's must be declared, with the header of their name."""
    declared = {c.findtext("class", ""): c for c in root.iter("customwidget")}
    custom = {name for name in used if not name.startswith("Q")}
    problems = [f"{name} is used but not declared as a custom widget" for name in sorted(custom - set(declared))]
    problems += [f"{name} is declared but not used" for name in sorted(set(declared) - used)]
    for name, element in declared.items():
        if element.findtext("header", f"{name}.h") != f"{name}.h":
            problems.append(f"{name} has the header {element.findtext('header')}")
    return problems


def _check_connections(root: ElementTree.Element, classes: dict[str, str]) -> list[str]:
    problems = []
    for connection in root.iter("connection"):
        for end, part, kind in (("sender", "signal", "signals"), ("receiver", "slot", "slots")):
            name, signature = connection.findtext(end, ""), normalized(connection.findtext(part, ""))
            api = short_name_api(classes.get(name, ""))
            if api is None:
                problems.append(f"a connection names {name}, which is not there")
            elif signature not in getattr(api, kind):
                problems.append(f"{name}: {classes[name]} has no {part} {signature}")
    return problems


def _buddies(root: ElementTree.Element) -> list[str]:
    found = (p for p in root.iter("property") if p.get("name") == "buddy")
    return [p.findtext("cstring", "") for p in found]
