"""The stand-ins of CTK's and Slicer's widgets behave as their C++ sources say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

UI = """<ui version="4.0"><class>a</class><widget class="qMRMLWidget" name="a"><layout class="QVBoxLayout" name="b">
<item><widget class="qMRMLNodeComboBox" name="selector">{property}</widget></item></layout></widget>
<customwidgets>
<customwidget><class>qMRMLWidget</class><extends>QWidget</extends><container>1</container></customwidget>
<customwidget><class>qMRMLNodeComboBox</class><extends>QWidget</extends></customwidget></customwidgets>
<connections><connection><sender>a</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
<receiver>selector</receiver><slot>{slot}</slot></connection></connections></ui>"""
TYPES = '<property name="nodeTypes"><stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist></property>'


@pytest.fixture
def add_volume(bench: Any) -> Callable[[str], Any]:
    """A function that adds a volume node of a name."""
    import slicer

    return lambda name: slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)


@pytest.fixture
def a_selector(bench: Any) -> Any:
    """A selector of volumes on the scene, with "none"."""
    import slicer

    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.noneEnabled = True
    selector.setMRMLScene(slicer.mrmlScene)
    return selector


def test_a_selector_with_none_chooses_nothing_by_itself(a_selector: Any, add_volume: Callable[[str], Any]) -> None:
    add_volume("CT")
    assert a_selector.currentNode() is None
    assert a_selector.bench_names() == ["None", "CT"]
    assert a_selector.nodeCount() == 1


def test_a_selector_without_none_chooses_the_first_node(bench: Any, add_volume: Callable[[str], Any]) -> None:
    import slicer

    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    assert not selector.enabled
    selector.setMRMLScene(slicer.mrmlScene)
    assert selector.enabled
    first = add_volume("CT")
    add_volume("MR")
    assert selector.currentNode() is first


def test_a_selector_goes_to_the_next_node_when_its_own_goes(a_selector: Any, add_volume: Callable[[str], Any]) -> None:
    import slicer

    first, second = add_volume("CT"), add_volume("MR")
    a_selector.setCurrentNode(first)
    slicer.mrmlScene.RemoveNode(first)
    assert a_selector.currentNode() is second


def test_a_selector_tells_node_and_state(a_selector: Any, add_volume: Callable[[str], Any]) -> None:
    got: list[Any] = []
    node = add_volume("CT")
    a_selector.connect("currentNodeChanged(vtkMRMLNode*)", got.append)
    a_selector.connect("currentNodeChanged(bool)", got.append)
    a_selector.connect("currentNodeIDChanged(QString)", got.append)
    a_selector.connect("nodeActivated(vtkMRMLNode*)", lambda n: got.append(("activated", n)))
    a_selector.setCurrentNodeID(node.GetID())
    assert got == [node, True, node.GetID()]
    got.clear()
    a_selector.bench_choose(None)
    assert got == [None, False, "", ("activated", None)]
    with pytest.raises(LookupError):
        a_selector.bench_choose(_hidden(add_volume))


def _hidden(add_volume: Callable[[str], Any]) -> Any:
    node = add_volume("hidden")
    node.SetHideFromEditors(1)
    return node


def test_a_selector_shows_what_its_properties_let_through(a_selector: Any, add_volume: Callable[[str], Any]) -> None:
    import slicer

    add_volume("CT")
    _hidden(add_volume)
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "segments")
    assert a_selector.bench_names() == ["None", "CT", "labels"]
    a_selector.showChildNodeTypes = False
    a_selector.noneDisplay = "Select a volume"
    assert a_selector.bench_names() == ["Select a volume", "CT"]
    a_selector.showHidden = True
    assert a_selector.bench_names() == ["Select a volume", "CT", "hidden"]
    a_selector.addAttribute("vtkMRMLScalarVolumeNode", "Phase", "venous")
    assert a_selector.bench_names() == ["Select a volume"]


def test_a_selector_follows_names_and_closed_scenes(a_selector: Any, add_volume: Callable[[str], Any]) -> None:
    import slicer

    node = add_volume("CT")
    node.SetName("CT thorax")
    assert a_selector.bench_names() == ["None", "CT thorax"]
    slicer.mrmlScene.Clear(0)
    assert a_selector.bench_names() == ["None"]


def test_a_selector_that_is_deleted_lets_go_of_the_scene(bench: Any) -> None:
    import qt
    import slicer

    def observers() -> int:
        return str(slicer.mrmlScene).count("EventName:")

    before = observers()
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.setMRMLScene(slicer.mrmlScene)
    assert observers() > before
    selector.deleteLater()
    slicer.app.sendPostedEvents(None, qt.QEvent.DeferredDelete)
    assert observers() == before


def test_a_selector_keeps_no_node_alive(a_selector: Any, add_volume: Callable[[str], Any]) -> None:
    import slicer

    node = add_volume("CT")
    a_selector.setCurrentNode(node)
    slicer.mrmlScene.RemoveNode(node)
    assert node.GetReferenceCount() == 1


def test_a_ui_file_is_wired_as_it_says(bench: Any, tmp_path: Path, add_volume: Callable[[str], Any]) -> None:
    import slicer.util

    path = tmp_path / "a.ui"
    path.write_text(UI.format(property=TYPES, slot="setMRMLScene(vtkMRMLScene*)"), encoding="utf-8")
    top = slicer.util.loadUI(str(path))
    ui = slicer.util.childWidgetVariables(top)
    top.setMRMLScene(slicer.mrmlScene)
    assert ui.selector.mrmlScene() is slicer.mrmlScene
    node = add_volume("CT")
    assert ui.selector.currentNode() is node


@pytest.mark.parametrize(
    ("ui_property", "slot"),
    [
        ('<property name="nodeType"><string>vtkMRMLNode</string></property>', "setMRMLScene(vtkMRMLScene*)"),
        (TYPES, "setScene(vtkMRMLScene*)"),
    ],
)
def test_a_ui_file_with_a_wrong_name_is_refused(bench: Any, tmp_path: Path, ui_property: str, slot: str) -> None:
    import slicer.util

    path = tmp_path / "a.ui"
    path.write_text(UI.format(property=ui_property, slot=slot), encoding="utf-8")
    with pytest.raises(bench.NotInSlicer):
        slicer.util.loadUI(str(path))


def test_a_slider_tells_its_value_while_it_is_dragged_as_tracking_says(bench: Any) -> None:
    import ctk

    changed: list[float] = []
    changing: list[float] = []
    slider = ctk.ctkSliderWidget()
    slider.maximum = 10
    slider.connect("valueChanged(double)", changed.append)
    slider.connect("valueIsChanging(double)", changing.append)
    slider.bench_drag(4)
    assert (changed, changing) == ([4.0], [])
    slider.bench_release()
    slider.tracking = False
    slider.bench_drag(6)
    assert (changed, changing) == ([4.0], [6.0])
    slider.bench_release()
    assert changed == [4.0, 6.0]
    assert slider.value == 6.0


def test_a_collapsed_button_hides_its_children(bench: Any) -> None:
    import ctk
    import qt
    import slicer

    window = qt.QWidget()
    column = qt.QVBoxLayout(window)
    button = ctk.ctkCollapsibleButton()
    button.text = "Volume"
    column.addWidget(button)
    label = qt.QLabel("inside")
    qt.QVBoxLayout(button).addWidget(label)
    window.show()
    slicer.app.processEvents()
    told: list[bool] = []
    button.connect("contentsCollapsed(bool)", told.append)
    tall = button.height
    button.collapsed = True
    slicer.app.processEvents()
    assert (label.visible, told, button.text) == (False, [True], "Volume")
    assert button.height < tall
    button.collapsed = False
    assert label.visible


def test_checked_items_of_a_combo_box_are_told(bench: Any) -> None:
    import ctk
    import qt

    told: list[int] = []
    box = ctk.ctkCheckableComboBox()
    box.addItems(["liver", "spleen"])
    box.connect("checkedIndexesChanged()", lambda: told.append(len(box.checkedIndexes())))
    index = box.checkableModel().index(1, 0)
    box.setCheckState(index, qt.Qt.Checked)
    assert told == [1]
    assert box.checkedIndexes()[0].row() == 1


def test_paths_and_colors_come_from_the_user(bench: Any) -> None:
    import ctk
    import qt

    told: list[Any] = []
    path, folder, color = ctk.ctkPathLineEdit(), ctk.ctkDirectoryButton(), ctk.ctkColorPickerButton()
    path.connect("currentPathChanged(QString)", told.append)
    folder.connect("directorySelected(QString)", told.append)
    color.connect("colorChanged(QColor)", lambda chosen: told.append(chosen.name()))
    bench.user.answer("/a/python", "/cases", qt.QColor(255, 0, 0), None)
    path.browse()
    folder.browse()
    color.click()
    color.click()
    assert told == ["/a/python", "/cases", "#ff0000"]
    assert (path.currentPath, folder.directory, color.color.red()) == ("/a/python", "/cases", 255)


@pytest.fixture
def a_segmentation(bench: Any) -> Any:
    """A segmentation with two empty segments."""
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "organs")
    for name in ("liver", "spleen"):
        node.GetSegmentation().AddEmptySegment(name, name, (1.0, 0.5, 0.0))
    return node


def test_the_segments_table_shows_and_selects_segments(a_segmentation: Any) -> None:
    import slicer

    told: list[Any] = []
    table = slicer.qMRMLSegmentsTableView()
    table.setSegmentationNode(a_segmentation)
    table.connect("selectionChanged(QItemSelection,QItemSelection)", lambda: told.append(table.selectedSegmentIDs()))
    table.setSelectedSegmentIDs(["spleen"])
    assert table.selectedSegmentIDs() == ("spleen",)
    assert told[-1] == ("spleen",)
    assert (table.segmentCount, table.tableWidget().rowCount) == (2, 2)


def test_the_segment_editor_needs_its_node_first(a_segmentation: Any) -> None:
    import slicer

    editor = slicer.qMRMLSegmentEditorWidget()
    with pytest.raises(RuntimeError, match="setMRMLSegmentEditorNode"):
        editor.setSegmentationNode(a_segmentation)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
    editor.setMRMLSegmentEditorNode(node)
    editor.setSegmentationNode(a_segmentation)
    editor.setCurrentSegmentID("liver")
    editor.setActiveEffectByName("Paint")
    assert node.GetSegmentationNode() is a_segmentation
    assert (editor.currentSegmentID(), node.GetActiveEffectName()) == ("liver", "Paint")


def test_the_terminology_navigator_gives_the_chosen_entry(bench: Any) -> None:
    import slicer

    navigator, entry = slicer.qSlicerTerminologyNavigatorWidget(), slicer.vtkSlicerTerminologyEntry()
    assert not navigator.terminologyEntry(entry)
    valid: list[bool] = []
    navigator.connect("selectionValidityChanged(bool)", valid.append)
    navigator.bench_choose("list~SCT^85756007^Tissue~SCT^10200004^Liver~^^~list~^^~^^")
    assert navigator.terminologyEntry(entry)
    assert (entry.GetTypeObject().GetCodeMeaning(), valid) == ("Liver", [True])
