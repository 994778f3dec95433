"""Widget code and `.ui` files use what a real Slicer 5.13 offers, in Qt 5.15 and Qt 6, and nothing else.

The table behind it, `Testing/qtbench/qt_api.json`, was read from a running Slicer. The snippets below show that each
rule reports what it is for.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from qtbench.checks.source import check_source
from qtbench.checks.strings import check_strings
from qtbench.checks.ui_files import read_ui

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "DeferredSegSlicer"
LIBRARY = MODULE / "DeferredSegSlicerLib"
UI_FILES = sorted((ROOT / "Resources" / "UI").glob("*.ui"))
SCREEN = sorted([*LIBRARY.glob("ui/**/*.py"), *MODULE.glob("*.py")])
CODE = sorted([*SCREEN, *LIBRARY.glob("logic/**/*.py"), *LIBRARY.glob("mrml/**/*.py")])
WIDGETS = {name: cls for path in UI_FILES for name, cls in read_ui(path).classes.items()}


def _id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_is_something_to_check() -> None:
    assert UI_FILES
    assert {"ui", "presenters", "logic", "DeferredSegSlicer"} <= {path.parent.name for path in CODE}


@pytest.mark.parametrize("path", CODE, ids=_id)
def test_code_uses_only_what_slicer_has(path: Path) -> None:
    assert check_source(path, WIDGETS) == []


@pytest.mark.parametrize("path", SCREEN, ids=_id)
def test_every_text_on_the_screen_is_translatable(path: Path) -> None:
    assert check_strings(path) == []


@pytest.mark.parametrize("path", CODE, ids=_id)
def test_code_knows_nothing_of_the_bench(path: Path) -> None:
    assert re.findall(r"qtbench|bench_\w+|(?:import|from) PySide\w*", path.read_text(encoding="utf-8")) == []


BROKEN_CODE = {
    "ui.segmentButon.setEnabled(True)": "no .ui file has a widget segmentButon",
    "ui.button.enable = True": "qt.QPushButton has no property enable that can be set",
    "ui.button.width = 3": "qt.QPushButton has no property width that can be set",
    "ui.button.text()": "qt.QPushButton.text is a property",
    "ui.button.settext('a')": "qt.QPushButton has no settext",
    "ui.button.setText(text='a')": "PythonQt takes no keyword arguments",
    "ui.button.connect('clicked(int)', f)": "qt.QPushButton has no signal clicked(int)",
    "ui.button.connect('clicked', f)": "a signature has parentheses",
    "ui.selector.connect('currentNodeChanged(vtkMRMLVolumeNode*)', f)": "has no signal currentNodeChanged",
    "ui.selector.setNodeTypes([])": "slicer.qMRMLNodeComboBox has no setNodeTypes",
    "ui.slider.setMaximum(4)": "ctk.ctkSliderWidget has no setMaximum",
    "s = self.ui.slider; s.maxmum = 4": "ctk.ctkSliderWidget has no property maxmum that can be set",
    "self.box = ctk.ctkCheckableComboBox()\nself.box.checkedItems()": "ctk.ctkCheckableComboBox has no checkedItems",
    "x.connect('nodeChangedAtLast()', f)": "no class of the table has a signal nodeChangedAtLast()",
    "timer = qt.QTimer(); timer.isActive = 1": "qt.QTimer has no property isActive that can be set",
    "box = qt.QComboBox(); box.connect('currentIndexChanged(QString)', f)": "is in Qt 5 alone",
    "group = qt.QButtonGroup(); group.connect('buttonClicked(int)', f)": "is in Qt 5 alone",
    "ui.check.connect('stateChanged(int)', f)": "stateChanged(int) is not the same in Qt 5 and Qt 6",
    "layout.setMargin(0)": "setMargin is not the same in Qt 5 and Qt 6",
    "qt.QTextCodec.codecForName('x')": "QTextCodec is not the same in Qt 5 and Qt 6",
    "qt.QDesktopWidget()": "QDesktopWidget is not the same in Qt 5 and Qt 6",
    "qt.QMagicLabel()": "qt.QMagicLabel is not in the table",
    "qt.QLabel.Sunk": "Qt 6 has no qt.QLabel.Sunk",
    "qt.Qt.MidButton": "Qt 6 has no qt.Qt.MidButton",
    "qt.Qt.CheckState.Checked": "name the member of the class itself",
    "ctk.ctkSlider()": "ctk.ctkSlider is not in the table",
    "slicer.qMRMLNodeComboxBox()": "Slicer has no slicer.qMRMLNodeComboxBox",
    "slicer.vtkMRMLSegmentNode": "Slicer has no slicer.vtkMRMLSegmentNode",
    "slicer.modules.segmentaditor": "Slicer has no module segmentaditor",
    "slicer.util.loadUi('a')": "slicer.util has no loadUi",
    "slicer.util.loadUI()": "slicer.util.loadUI needs the argument path",
    "slicer.util.loadUI('a', 'b')": "slicer.util.loadUI takes 1 arguments, not 2",
    "slicer.util.findChild(w, title='a')": "slicer.util.findChild has no argument title",
    "slicer.packaging.pip_ensure(['a'], asker='b')": "slicer.packaging.pip_ensure has no argument asker",
    "slicer.packaging.pip_check_all([])": "slicer.packaging has no pip_check_all",
    "from slicer.util import loadUi": "slicer.util has no loadUi",
    "from slicer.i18n import gettext": "slicer.i18n has no gettext",
    "slicer.app.applicationLogics()": "slicer.app has no applicationLogics",
    "slicer.app.temporaryPath()": "slicer.app.temporaryPath is a property",
    "slicer.app.connect('startUpCompleted()', f)": "slicer.app has no signal startUpCompleted()",
    "slicer.app.layoutManager().sliceWidget('Red').sliceLogics()": "has no sliceLogics",
    "def app():\n    return slicer.app\napp().settingz()": "slicer.app has no settingz",
    "slicer.util.mainWindow().moduleSelecter()": "slicer.util.mainWindow() has no moduleSelecter",
}
SOUND_CODE = """
import qt, slicer, slicer.packaging
ui.button.enabled = ui.check.checked
ui.button.connect("clicked(bool)", f)
ui.check.toggled.connect(f)
slider = self.ui.slider
slider.maximum = 3.0
slider.setValue(2.0)
ui.selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
ui.selector.connect("currentNodeChanged(vtkMRMLNode*)", f)
timer = qt.QTimer()
timer.setInterval(3)
qt.QTimer.singleShot(0, f)
layoutManager = slicer.app.layoutManager()
layoutManager.sliceWidget("Red").sliceLogic().GetSliceNode()
slicer.app.processEvents()
slicer.util.confirmYesNoDisplay("a", windowTitle="b", parent=None, dontShowAgainSettingsKey="c")
slicer.packaging.pip_ensure(["a"], requester="b")
item = qt.QTableWidgetItem("a")
item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
slicer.modules.segmentations.logic()
qt.QDialog(ui.button).exec_()
"""
SNIPPET_WIDGETS = {
    "button": "QPushButton",
    "check": "QCheckBox",
    "selector": "qMRMLNodeComboBox",
    "slider": "ctkSliderWidget",
}


@pytest.mark.parametrize("code", BROKEN_CODE)
def test_broken_code_is_reported(code: str) -> None:
    found = check_source(Path("snippet.py"), SNIPPET_WIDGETS, code)
    assert any(BROKEN_CODE[code] in problem for problem in found), found


def test_sound_code_is_not_reported() -> None:
    assert check_source(Path("snippet.py"), SNIPPET_WIDGETS, SOUND_CODE) == []


BROKEN_TEXTS = {
    'label.setText("Segment")': "'Segment' does not go through _()",
    'label.text = "Segment"': "'Segment' does not go through _()",
    'qt.QPushButton("OK")': "'OK' does not go through _()",
    'label.setToolTip(f"{count} regions")': "an f-string with words",
    'label.setText("Cancel" if busy else _("Run"))': "'Cancel' does not go through _()",
    'label.setText(_("a") + " of ten")': "' of ten' does not go through _()",
    'box.addItems(["CPU", _("GPU")])': "'CPU' does not go through _()",
    'slicer.util.errorDisplay("It failed")': "'It failed' does not go through _()",
    'def hint():\n    return "Draw a box first"': "'Draw a box first' does not go through _()",
    'x = _(f"{count} regions")': "_() takes one text",
    'x = _("a " + name)': "_() takes one text",
    "x = _(name)": "_() takes one text",
}
SOUND_TEXTS = '''
"""Docstrings are no texts of the panel."""
label.setText(_("Segment with deferral"))
label.setText(_("{count} regions").format(count=3))
label.setText("")
label.setText(" \\u2022 ")
_log.info("reading the case")
slider.connect("valueChanged(double)", f)
frame.setStyleSheet("QFrame { border: 1px solid red }")
raise ValueError("no such thing")
key = "DeferredSegSlicer/CasesFolder"
NODE_NAME = "Body CT"
'''


@pytest.mark.parametrize("code", BROKEN_TEXTS)
def test_a_bare_text_is_reported(code: str) -> None:
    found = check_strings(Path("snippet.py"), code)
    assert any(BROKEN_TEXTS[code] in problem for problem in found), found


def test_translated_texts_and_texts_for_programmers_are_not_reported() -> None:
    assert check_strings(Path("snippet.py"), SOUND_TEXTS) == []
