"""The bench around the widgets: dialogs, settings, timers, rendering, and the end of the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TESTING = Path(__file__).parents[1]


def test_dialogs_take_scripted_answers_and_never_wait(bench: Any) -> None:
    import qt
    import slicer.util

    bench.user.answer(qt.QMessageBox.Yes, "/data/wheels", bench.user.press("Show log"), 1)
    assert slicer.util.confirmYesNoDisplay("Install 2 GB?", windowTitle="Set-up") is True
    assert qt.QFileDialog.getExistingDirectory(None, "Wheels", "") == "/data/wheels"
    box = qt.QMessageBox()
    log = box.addButton("Show log", qt.QMessageBox.ActionRole)
    box.exec_()
    assert box.clickedButton() == log
    assert qt.QDialog().exec_() == qt.QDialog.Accepted
    assert [(s.kind, s.title, s.text) for s in bench.user.shown[:2]] == [
        ("ctkMessageBox.exec", "Set-up", "Install 2 GB?"),
        ("QFileDialog.getExistingDirectory", "Wheels", ""),
    ]
    with pytest.raises(bench.UnansweredDialog, match="would wait for the user"):
        qt.QMessageBox.question(None, "Title", "Text")


def test_a_button_with_a_menu_takes_a_scripted_action(bench: Any) -> None:
    import qt

    taken: list[str] = []
    menu = qt.QMenu()
    action = menu.addAction("Reassign")
    action.connect("triggered()", lambda: taken.append("reassigned"))
    button = qt.QToolButton()
    button.setMenu(menu)
    button.popupMode = qt.QToolButton.InstantPopup
    bench.user.answer(action, None)
    button.click()
    button.click()
    assert taken == ["reassigned"]


def test_answers_that_nobody_asked_for_are_a_problem(bench: Any) -> None:
    bench.user.answer(1)
    assert bench.problems() == ["1 scripted answers were not asked for"]
    bench.user.clear()


def test_settings_are_the_bench_s_own_and_empty_for_each_test(bench: Any) -> None:
    import qt
    import slicer

    assert qt.QSettings().allKeys() == ()
    qt.QSettings().setValue("DeferredSegSlicer/Key", "value")
    assert slicer.app.userSettings().value("DeferredSegSlicer/Key") == "value"
    assert "qtbench" in slicer.app.slicerUserSettingsFilePath


def test_timers_run_while_events_are_processed(bench: Any) -> None:
    import qt
    import slicer

    ticks: list[str] = []
    timer = qt.QTimer()
    timer.setSingleShot(True)
    timer.setInterval(0)
    timer.connect("timeout()", lambda: ticks.append("timer"))
    timer.start()
    qt.QTimer.singleShot(0, lambda: ticks.append("once"))
    assert timer.active
    for _ in range(20):
        slicer.app.processEvents()
    assert sorted(ticks) == ["once", "timer"]
    assert not timer.active


def test_render_pauses_must_be_taken_back(bench: Any) -> None:
    import slicer
    import slicer.util

    with slicer.util.RenderBlocker():
        assert bench.problems() == ["pauseRender was called without resumeRender"]
    assert bench.problems() == []
    slicer.app.pauseRender()
    assert bench.problems()
    slicer.app.resumeRender()


def test_a_part_of_slicer_that_the_bench_does_not_play_says_so(bench: Any) -> None:
    import slicer

    with pytest.raises(NotImplementedError, match=r"does not play slicer\.app\.pythonManager"):
        slicer.app.pythonManager()
    with pytest.raises(NotImplementedError, match=r"does not play qMRMLSegmentEditorWidget\.activeEffect"):
        slicer.qMRMLSegmentEditorWidget().activeEffect()


PROGRAM = """
import sys
sys.path += [{headless!r}, {testing!r}]
import qtbench
sys.path.remove({testing!r})
qtbench.install()
import qt, slicer, slicer.util
widget = slicer.qMRMLWidget()
layout = qt.QVBoxLayout(widget)
selector = slicer.qMRMLNodeComboBox()
selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
layout.addWidget(selector)
selector.setMRMLScene(slicer.mrmlScene)
selector.connect("currentNodeChanged(vtkMRMLNode*)", print)
slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
widget.show()
slicer.app.processEvents()
{end}
"""


@pytest.mark.parametrize(("end", "code"), [("", 0), ("raise SystemExit(3)", 3), ("raise ValueError('x')", 1)])
def test_a_process_with_widgets_and_a_scene_ends_with_its_own_exit_code(end: str, code: int) -> None:
    program = PROGRAM.format(testing=str(TESTING), headless=str(TESTING / "headless"), end=end)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stderr
