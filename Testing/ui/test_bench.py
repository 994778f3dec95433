"""The bench refuses what Slicer refuses and behaves as PythonQt does."""

from __future__ import annotations

import functools
from typing import Any

import pytest


def test_a_signal_that_slicer_lacks_is_refused_with_those_that_it_has(bench: Any) -> None:
    import qt
    import slicer

    with pytest.raises(bench.NotInSlicer, match=r"no signal pressed\(int\).*'pressed\(\)'"):
        qt.QPushButton().connect("pressed(int)", print)
    with pytest.raises(bench.NotInSlicer, match="is not a signature"):
        qt.QPushButton().connect("pressed", print)
    with pytest.raises(bench.NotInSlicer, match="no signal currentNodeChanged"):
        slicer.qMRMLNodeComboBox().connect("currentNodeChanged(vtkMRMLVolumeNode*)", print)


def test_a_signal_of_qt_5_alone_is_refused(bench: Any) -> None:
    import qt

    with pytest.raises(bench.NotInSlicer, match="Qt 5 alone"):
        qt.QComboBox().connect("currentIndexChanged(QString)", print)


def test_names_that_slicer_lacks_are_refused(bench: Any) -> None:
    import ctk
    import qt
    import slicer

    button, slider = qt.QPushButton(), ctk.ctkSliderWidget()
    for wrong in (
        lambda: button.caption,
        lambda: setattr(button, "caption", "a"),
        lambda: setattr(button, "width", 3),
        lambda: setattr(button, "setText", 3),
        lambda: slider.setMaximum(3),
        lambda: slicer.app.applicationLogics(),
        lambda: slicer.app.layoutManager().sliceWidget("Red").sliceLogics(),
    ):
        with pytest.raises(bench.NotInSlicer):
            wrong()
    assert not hasattr(button, "caption")


def test_a_property_is_read_without_parentheses_and_set_either_way(bench: Any) -> None:
    import qt

    button = qt.QPushButton("one")
    with pytest.raises(TypeError, match="not callable"):
        button.text()
    button.text = "two"
    assert button.text == "two"
    button.setText("three")
    assert (button.text, button.enabled, button.name, button.className()) == ("three", True, "", "QPushButton")
    with pytest.raises(TypeError, match="no keyword arguments"):
        button.setText(text="four")


def test_a_slot_gets_as_many_arguments_as_it_takes(bench: Any) -> None:
    import qt

    got: list[Any] = []
    button = qt.QPushButton()
    button.setCheckable(True)
    button.connect("clicked(bool)", lambda: got.append("none"))
    button.connect("clicked(bool)", got.append)
    button.connect("clicked()", lambda: got.append("plain"))
    button.connect("clicked(bool)", functools.partial(lambda *all_of_them: got.append(all_of_them), "bound"))
    button.click()
    assert got == ["none", True, "plain", ("bound", True)]


def test_a_bound_qt_function_can_be_connected_and_disconnected(bench: Any) -> None:
    import qt

    button, dialog = qt.QPushButton(), qt.QDialog()
    button.connect("clicked()", dialog.accept)
    button.click()
    assert dialog.result() == qt.QDialog.Accepted
    assert bench.connections(button) == 1
    assert button.disconnect("clicked()", dialog.accept)
    assert not button.disconnect("clicked()", dialog.accept)
    assert bench.connections(button) == 0


def test_a_signal_attribute_connects_if_there_is_one_signature(bench: Any) -> None:
    import qt
    import slicer

    got: list[Any] = []
    check = qt.QCheckBox()
    check.toggled.connect(got.append)
    check.setChecked(True)
    assert got == [True]
    with pytest.raises(bench.NotInSlicer, match="several signatures"):
        slicer.qMRMLNodeComboBox().currentNodeChanged.connect(got.append)


def test_a_slot_that_raises_is_noted_and_the_next_slot_still_runs(bench: Any) -> None:
    import qt

    got: list[str] = []
    button = qt.QPushButton()
    button.connect("clicked()", lambda: 1 / 0)
    button.connect("clicked()", lambda: got.append("next"))
    button.click()
    assert got == ["next"]
    assert len(bench.problems()) == 1
    assert "ZeroDivisionError" in bench.problems()[0]
    bench.slot_errors.clear()


def test_a_warning_of_qt_is_a_problem(bench: Any) -> None:
    import qt

    widget = qt.QWidget()
    qt.QVBoxLayout(widget)
    qt.QHBoxLayout(widget)
    assert len(bench.problems()) == 1
    assert "already has a layout" in bench.problems()[0]
    bench.messages.warnings.clear()


def test_blocked_signals_stay_away_of_stand_ins_too(bench: Any) -> None:
    import ctk

    got: list[float] = []
    slider = ctk.ctkSliderWidget()
    slider.connect("valueChanged(double)", got.append)
    slider.blockSignals(True)
    slider.value = 3
    slider.blockSignals(False)
    slider.value = 4
    assert got == [4.0]


def test_enums_are_integers_and_lists_are_tuples(bench: Any) -> None:
    import qt
    import slicer

    item = qt.QTableWidgetItem("a")
    item.setCheckState(qt.Qt.Checked)
    assert item.checkState() == 2
    assert slicer.app.layoutManager().sliceViewNames() == ("Red", "Yellow", "Green")
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode", ""]
    assert selector.nodeTypes == ("vtkMRMLScalarVolumeNode",)


def test_objects_that_qt_makes_have_the_same_manners(bench: Any) -> None:
    import qt

    widget = qt.QWidget()
    qt.QVBoxLayout(widget).setContentsMargins(1, 2, 3, 4)
    assert widget.layout().spacing >= 0
    table = qt.QTableWidget(2, 3)
    header = table.horizontalHeader()
    header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
    assert isinstance(header, qt.QHeaderView)
    assert isinstance(header, qt.QWidget)
    with pytest.raises(AttributeError):
        header.noSuchThing  # noqa: B018


def test_a_subclass_may_have_members_of_its_own(bench: Any) -> None:
    import qt

    class Filter(qt.QObject):  # type: ignore[misc, name-defined]
        def __init__(self, parent: Any) -> None:
            super().__init__(parent)
            self.seen: list[int] = []

        def eventFilter(self, watched: Any, event: Any) -> bool:
            self.seen.append(int(event.type()))
            return False

    button = qt.QPushButton()
    watcher = Filter(button)
    button.installEventFilter(watcher)
    button.setText("a")
    button.setEnabled(False)
    assert int(qt.QEvent.EnabledChange) in watcher.seen


def test_children_are_found_by_class_or_class_name(bench: Any) -> None:
    import qt

    widget = qt.QWidget()
    label = qt.QLabel("a", widget)
    assert widget.findChildren("QLabel") == (label,)
    assert widget.findChildren(qt.QLabel) == (label,)
    assert widget.findChildren("QPushButton") == ()
