"""The windows that wait for the user, played on the bench; and the keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from DeferredSegSlicerLib.core.structures import terminology_of


@pytest.fixture
def dialogs(bench: Any) -> Any:
    """Slicer's own dialogs."""
    from DeferredSegSlicerLib.ui.dialogs import SlicerDialogs

    return SlicerDialogs()


@pytest.fixture
def a_segmentation(scene: Any, a_volume_node: Any) -> Any:
    """Two segments on a CT."""
    import slicer.util

    volume = a_volume_node()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "by hand")
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for name in ("liver", "spleen"):
        segment_id = node.GetSegmentation().AddEmptySegment(name, name)
        voxels = np.ones(slicer.util.arrayFromVolume(volume).shape, np.uint8)
        slicer.util.updateSegmentBinaryLabelmapFromArray(voxels, node, segment_id, volume)
    return node


def test_consent_is_yes_or_no(dialogs: Any, bench: Any) -> None:
    import qt

    bench.user.answer(qt.QMessageBox.Yes, qt.QMessageBox.No)
    assert dialogs.consent("Set-up", "Install now?") is True
    assert dialogs.consent("Set-up", "Install now?") is False
    assert "Install now?" in bench.user.shown[0].text


def test_a_failure_shows_sentence_and_advice_and_opens_the_log_on_request(
    dialogs: Any, bench: Any, tmp_path: Path
) -> None:
    import qtbench.qt_module

    log = tmp_path / "worker.log"
    log.write_text("traceback")
    qtbench.qt_module.opened_urls.clear()
    seen: list[str] = []

    def read(box: Any) -> int:
        seen.extend([box.text, box.informativeText])
        return 0

    bench.user.answer(read)
    dialogs.failure("Segmentation failed", "The worker crashed.", "Try the CPU.", str(log))
    assert seen == ["The worker crashed.", "Try the CPU."]
    assert qtbench.qt_module.opened_urls == []
    dialogs.open_file(str(log))
    assert qtbench.qt_module.opened_urls == [log.as_uri()]


def test_a_failure_without_a_log_has_no_button_for_it(dialogs: Any, bench: Any) -> None:
    captions: list[str] = []
    bench.user.answer(lambda box: captions.extend(b.text for b in box.buttons()) or 0)
    dialogs.failure("Set-up", "It failed.")
    assert "Show log" not in captions


def test_a_color_is_chosen_or_not(dialogs: Any, bench: Any) -> None:
    import qt

    bench.user.answer(qt.QColor(255, 0, 51), qt.QColor())
    assert np.allclose(dialogs.color("Color", (0.5, 0.5, 0.5)), (1.0, 0.0, 0.2))
    assert dialogs.color("Color", (0.5, 0.5, 0.5)) is None


def test_the_terminology_navigator_starts_at_the_old_code_and_can_be_left(dialogs: Any, bench: Any) -> None:
    bench.user.answer(0)
    assert dialogs.terminology("Code", terminology_of("liver")) is None
    bench.user.answer(1)
    assert dialogs.terminology("Code", terminology_of("right kidney")) == terminology_of("right kidney")


def test_files_and_folders_are_paths_or_nothing(dialogs: Any, bench: Any) -> None:
    bench.user.answer("/a/readers.json", "/a/folder", "", "")
    assert dialogs.file("Profiles", "Profiles (*.json)") == "/a/readers.json"
    assert dialogs.folder("Folder") == "/a/folder"
    assert dialogs.file("Profiles", "Profiles (*.json)") == "" and dialogs.folder("Folder") == ""


def test_segments_are_ticked_in_a_list(bench: Any, scene: Any, a_segmentation: Any) -> None:
    import qt
    from DeferredSegSlicerLib.ui.segment_dialog import SegmentDialog

    dialog = SegmentDialog(None, scene)
    assert dialog.selector.currentNode() is a_segmentation, "the only segmentation is offered at once"
    assert not dialog.ok.enabled and "Tick" in dialog.ok.toolTip
    dialog._items[1].setCheckState(qt.Qt.Checked)
    assert dialog.ok.enabled and dialog.checked() == ("spleen",)
    bench.user.answer(1)
    assert dialog.ask() == (a_segmentation, ("spleen",))


def test_of_several_segmentations_none_is_chosen(bench: Any, scene: Any, a_segmentation: Any) -> None:
    from DeferredSegSlicerLib.ui.segment_dialog import SegmentDialog

    scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "another")
    dialog = SegmentDialog(None, scene)
    assert dialog.selector.currentNode() is None and "Select" in dialog.ok.toolTip
    bench.user.answer(1)
    assert dialog.ask() is None


def test_a_cancelled_choice_of_segments_is_none(dialogs: Any, bench: Any, scene: Any, a_segmentation: Any) -> None:
    bench.user.answer(0)
    assert dialogs.segments(scene) is None


def test_keys_live_between_enter_and_exit(bench: Any) -> None:
    import qt
    from DeferredSegSlicerLib.ui.shortcuts import Shortcuts

    window, pressed = qt.QWidget(), []
    keys = Shortcuts(lambda: window, {"segment": lambda: pressed.append("segment"), "cancel": lambda: None})
    keys.enter()
    keys.enter()
    assert len([c for c in window.children() if c.className() == "QShortcut"]) == 2
    keys.enable("cancel", False)
    assert not keys.alive["cancel"].enabled and keys.alive["segment"].enabled
    keys.exit()
    bench_process()
    assert [c for c in window.children() if c.className() == "QShortcut"] == [] and keys.alive == {}
    keys.enable("cancel", True)


def bench_process() -> None:
    """Let Qt delete what is to be deleted later."""
    import slicer

    slicer.app.processEvents()
