"""The `.ui` files are sound: classes, properties, connections, names; and every widget in them is used."""

from __future__ import annotations

import ast
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from qtbench.checks.ui_files import LAYOUTS, read_ui

ROOT = Path(__file__).parents[2]
UI_FILES = sorted((ROOT / "Resources" / "UI").glob("*.ui"))
CODE = sorted((ROOT / "DeferredSegSlicer").glob("DeferredSegSlicerLib/ui/**/*.py"))
# Widgets that a user does not act on.
PASSIVE = ("QFrame", "QLabel", "QGroupBox", "ctkCollapsibleButton", "ctkCollapsibleGroupBox", "QWidget", "qMRMLWidget")


@pytest.mark.parametrize("path", UI_FILES, ids=lambda path: path.name)
def test_classes_properties_and_connections_are_slicers_own(path: Path) -> None:
    assert read_ui(path).problems == ()


@pytest.mark.parametrize("path", UI_FILES, ids=lambda path: path.name)
def test_the_top_is_a_scene_widget_named_as_the_file(path: Path) -> None:
    root = ElementTree.parse(path).getroot()
    top = root.find("widget")
    assert top is not None
    assert (top.get("class"), top.get("name"), root.findtext("class")) == ("qMRMLWidget", path.stem, path.stem)


def test_no_two_files_share_a_name() -> None:
    names = [name for path in UI_FILES for name in read_ui(path).classes]
    assert sorted({name for name in names if names.count(name) > 1}) == []


@pytest.mark.parametrize("path", UI_FILES, ids=lambda path: path.name)
def test_every_widget_that_the_user_acts_on_is_used_by_the_code(path: Path) -> None:
    known = {
        n.attr for file in CODE for n in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(n, ast.Attribute)
    }
    classes = read_ui(path).classes
    active = [n for n, c in classes.items() if c not in LAYOUTS and c not in PASSIVE and n != path.stem]
    assert sorted(set(active) - known) == []


@pytest.mark.parametrize("path", UI_FILES, ids=lambda path: path.name)
def test_every_button_has_a_caption_and_every_input_a_tool_tip(path: Path) -> None:
    code = "".join(file.read_text("utf-8") for file in CODE)
    silent: list[str | None] = []
    for widget in ElementTree.parse(path).getroot().iter("widget"):
        name, class_name = widget.get("name"), widget.get("class", "")
        given = {p.get("name"): p for p in widget.findall("property")}
        if class_name in ("QPushButton", "QCheckBox", "QRadioButton", "ctkPushButton", "ctkCollapsibleButton"):
            silent += [name] if not given["text"].findtext("string") else []
        if class_name not in (*PASSIVE, "QProgressBar", "QTableWidget") and f"{name}.setToolTip(" not in code:
            silent += [name] if "toolTip" not in given else []
    assert silent == []


@pytest.mark.parametrize("path", UI_FILES, ids=lambda path: path.name)
def test_slicers_loader_makes_all_of_it(path: Path, bench: Any) -> None:
    import slicer.util

    top = slicer.util.loadUI(str(path))
    made = vars(slicer.util.childWidgetVariables(top))
    classes = read_ui(path).classes
    assert {name: made[name].className() for name in classes} == classes
    top.setMRMLScene(slicer.mrmlScene)


def _ui(inside: str, tail: str = "") -> str:
    top = '<widget class="qMRMLWidget" name="a"><layout class="QVBoxLayout" name="b"><item>'
    declared = "<customwidgets><customwidget><class>qMRMLWidget</class><header>qMRMLWidget.h</header></customwidget>"
    return (
        f'<ui version="4.0"><class>a</class>{top}{inside}</item></layout></widget>{declared}</customwidgets>{tail}</ui>'
    )


def _label(inside: str) -> str:
    return _ui(f'<widget class="QLabel" name="c">{inside}</widget>')


_CONNECTION = (
    "<connections><connection><sender>{}</sender><signal>{}</signal><receiver>{}</receiver><slot>{}</slot>"
    "</connection></connections>"
)
BROKEN = {
    "a misspelt class": (_ui('<widget class="QLable" name="c"/>'), "no class QLable"),
    "a class that nobody declared": (_ui('<widget class="ctkSliderWidget" name="c"/>'), "not declared"),
    "a misspelt property": (_label('<property name="tooltip"><string>x</string></property>'), "no property tooltip"),
    "a wrong type": (_label('<property name="wordWrap"><string>x</string></property>'), "wordWrap is a bool"),
    "a property that cannot be set": (_label('<property name="width"><number>3</number></property>'), "read-only"),
    "a property of Qt 5 alone": (
        _ui('<widget class="QComboBox" name="c"><property name="autoCompletion"><bool>true</bool></property></widget>'),
        "Qt 5 alone",
    ),
    "a name twice": (_ui('<widget class="QLabel" name="a"/>'), "two objects are named a"),
    "no name": (_ui('<widget class="QLabel"/>'), "has no name"),
    "a missing buddy": (_label('<property name="buddy"><cstring>d</cstring></property>'), "d is no buddy"),
    "a signal that is not there": (
        _ui("", _CONNECTION.format("a", "sceneChanged()", "a", "update()")),
        "qMRMLWidget has no signal sceneChanged()",
    ),
    "a slot that is not there": (
        _ui("", _CONNECTION.format("a", "mrmlSceneChanged(vtkMRMLScene*)", "a", "setScene(vtkMRMLScene*)")),
        "qMRMLWidget has no slot setScene(vtkMRMLScene*)",
    ),
    "a sender that is not there": (_ui("", _CONNECTION.format("z", "x()", "a", "update()")), "names z"),
    "no XML": ("<ui>", "no XML"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_reported(case: str, tmp_path: Path) -> None:
    text, expected = BROKEN[case]
    path = tmp_path / "a.ui"
    path.write_text(text, encoding="utf-8")
    found = read_ui(path).problems
    assert any(expected in problem for problem in found), found


def test_a_sound_file_is_not_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.ui"
    path.write_text(_label('<property name="wordWrap"><bool>true</bool></property>'), encoding="utf-8")
    assert read_ui(path).problems == ()
