"""The panel's life, and the whole way from *Try it* to the overlay with the real logic and a scripted worker."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from DeferredSegSlicerLib.logic.job import JobStatus
from fakes import MemoryServices, QuietLogic, QuietSetUp, ScriptedUser
from panel_fixtures import *  # noqa: F403
from panel_fixtures import fire, settle, watched

CLERK = Path(__file__).parents[1] / "logic" / "clerk.py"


def observers(*subjects: Any) -> int:
    """How many observers there are on VTK objects, whoever's."""
    return sum(str(subject).count("EventName:") for subject in subjects)


def make_panel(a_host: Any, logic: Any, services: Any, user: Any, set_up: Any) -> Any:
    from DeferredSegSlicerLib.ui.panel import Panel

    return watched(Panel(a_host, logic, services, user, set_up))


# Life


def test_entering_and_leaving_leaves_no_observer_and_no_key(
    a_panel: Any, logic: QuietLogic, scene: Any, ct: Any
) -> None:
    a_panel.structures.on_add_box()
    settle()
    roi = scene.GetNodeByID(logic.state.prompts[0].node_id)
    a_panel.exit()
    watched = (scene, logic.state.node, ct, roi)
    before = observers(*watched)
    for _ in range(5):
        a_panel.enter()
        settle()
        assert observers(*watched) > before and a_panel.shortcuts.alive
        a_panel.exit()
    assert observers(*watched) == before
    assert len(a_panel.observers) == 0 and a_panel.shortcuts.alive == {}


def test_a_removed_box_is_no_longer_observed(a_panel: Any, logic: QuietLogic, scene: Any, ct: Any) -> None:
    a_panel.structures.on_add_box()
    settle()
    roi = scene.GetNodeByID(logic.state.prompts[0].node_id)
    assert roi in a_panel._followed
    logic.state.prompts = ()
    settle()
    assert roi not in a_panel._followed


def test_cleanup_disconnects_everything_and_may_come_twice(
    a_host: Any, logic: QuietLogic, services: Any, user: Any, set_up: Any, scene: Any
) -> None:
    before = observers(scene)
    panel = make_panel(a_host, logic, services, user, set_up)
    panel.enter()
    panel.cleanup()
    panel.cleanup()
    assert observers(scene) == before
    assert [len(signal) for signal in (logic.changed, logic.failed, logic.finished, logic.cancelled)] == [0] * 4
    logic.changed.emit()
    settle()


def test_a_panel_that_is_not_in_front_does_not_follow_the_scene_but_catches_up(
    a_panel: Any, logic: QuietLogic, scene: Any, ct: Any
) -> None:
    a_panel.exit()
    a_panel.structures.add_box()
    a_panel.refresh()
    a_panel.enter()
    assert a_panel.ui.structuresTable.rowCount == 1


def test_closing_the_scene_empties_the_panel(a_panel: Any, logic: QuietLogic, scene: Any, ct: Any) -> None:
    a_panel.structures.on_add_box()
    settle()
    scene.Clear(0)
    settle()
    assert a_panel.ui.structuresTable.rowCount == 0
    assert a_panel.ui.volumeSelector.currentNode() is None
    assert "Load a CT or MR" in a_panel.ui.statusLabel.text


def test_a_volume_after_the_scene_was_closed_raises_no_question(
    a_panel: Any, logic: QuietLogic, scene: Any, ct: Any, a_patient: Callable[[str], Any]
) -> None:
    scene.Clear(0)
    settle()
    node = a_patient("CT Jones")
    settle()
    assert logic.state.volume is node and a_panel.ui.volumeQuestionFrame.isHidden()


def test_esc_works_only_while_there_is_something_to_cancel(a_panel: Any, logic: QuietLogic, ct: Any) -> None:
    assert not a_panel.shortcuts.alive["cancel"].enabled
    logic.at(JobStatus("running", "segment"))
    settle()
    assert a_panel.shortcuts.alive["cancel"].enabled
    fire(a_panel.shortcuts.alive["cancel"], "activated()")
    settle()
    assert logic.named("cancel") and not a_panel.shortcuts.alive["cancel"].enabled


def test_the_keys_segment_and_add_boxes(a_panel: Any, logic: QuietLogic, ct: Any) -> None:
    fire(a_panel.shortcuts.alive["add_box"], "activated()")
    settle()
    assert len(logic.state.prompts) == 1
    fire(a_panel.shortcuts.alive["segment"], "activated()")
    assert len(logic.named("segment")) == 1


def test_the_shortcuts_are_listed_in_the_panel(a_panel: Any) -> None:
    table = a_panel.ui.shortcutsTable
    listed = {table.item(row, 0).text() for row in range(table.rowCount)}
    assert listed == {"Ctrl+Return", "Esc", "Ctrl+Shift+B", "Ctrl+Shift+D", "Ctrl+Shift+M"}
    assert a_panel.ui.shortcutsCollapsibleButton.collapsed


def test_review_and_export_are_empty_places_out_of_sight(a_panel: Any) -> None:
    for name in ("review", "export"):
        assert getattr(a_panel.ui, f"{name}CollapsibleButton").isHidden()
        assert getattr(a_panel.ui, f"{name}Layout").count() == 0


def test_no_widget_is_wider_than_slicers_module_panel_whatever_the_names(
    a_panel: Any, logic: QuietLogic, a_shown_case: Any, a_patient: Callable[[str], Any], a_host: Any
) -> None:
    before = a_host.minimumSizeHint.width()
    a_shown_case.volume_node.SetName("CT ABDOMEN PELVIS WITH CONTRAST portal venous phase 1.0 mm B30f " * 3)
    a_patient("another series with a name that is far too long for any panel " * 3)
    settle()
    a_panel.refresh()
    assert a_host.minimumSizeHint.width() <= max(before, 430)


# The whole way


class EventLoopServices(MemoryServices):
    """Timers of the event loop."""

    def every(self, milliseconds: int, action: Callable[[], None]) -> Callable[[], None]:
        from DeferredSegSlicerLib.logic.desktop import DesktopServices

        return DesktopServices().every(milliseconds, action)


@pytest.fixture
def a_real_logic(bench: Any, scene: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Makes the module's logic with a clerk for a worker."""
    from DeferredSegSlicerLib.logic.module_logic import ModuleLogic
    from DeferredSegSlicerLib.worker.client import Patience, WorkerClient

    made: list[Any] = []

    def make(behavior: str = "work", argument: object = "") -> Any:
        command = [sys.executable, str(CLERK), behavior, str(argument)]
        client = functools.partial(WorkerClient, command=command, patience=Patience(startup=60.0, silence=20.0))
        made.append(ModuleLogic(scene, EventLoopServices(tmp_path), client))
        return made[-1]

    yield make
    for logic in made:
        logic.close()


@pytest.fixture
def sample_data(monkeypatch: pytest.MonkeyPatch, bench: Any) -> list[dict[str, Any]]:
    """Slicer's Sample Data module as far as it is used: sources are registered, and loaded from their addresses."""
    import types
    import urllib.parse
    import urllib.request

    registered: list[dict[str, Any]] = []

    class SampleDataLogic:
        @staticmethod
        def registerCustomSampleDataSource(**source: Any) -> None:
            if source not in registered:
                registered.append(source)

        def downloadSamples(self, name: str) -> list[Any]:
            import slicer.util

            source = next(s for s in registered if s["sampleName"] == name)
            path = urllib.request.url2pathname(urllib.parse.urlparse(source["uris"]).path)
            node = slicer.util.loadVolume(path)
            node.SetName(source["nodeNames"])
            return [node]

    module = types.ModuleType("SampleData")
    module.SampleDataLogic = SampleDataLogic  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "SampleData", module)
    return registered


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Be the event loop until the condition holds."""
    import slicer

    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        slicer.app.processEvents()
        time.sleep(0.005)


def qt_unchecked() -> Any:
    """An unchecked box, as `checkState` has it."""
    import qt

    return qt.Qt.Unchecked


def test_from_try_it_to_the_overlay_and_back(
    a_host: Any, a_real_logic: Any, scene: Any, user: ScriptedUser, sample_data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("DeferredSegSlicerLib.logic.packages.missing_to_start", lambda: ())
    logic = a_real_logic()
    panel = make_panel(a_host, logic, logic._services, user, QuietSetUp())
    panel.enter()
    fire(panel.ui.tryItLabel, "linkActivated(QString)", "try-it")
    settle()
    table = panel.ui.structuresTable
    assert [table.item(row, 2).text() for row in range(3)] == ["liver", "spleen", "right kidney"]
    assert panel.ui.volumeSelector.currentNode().GetName() == "Body CT (sample)"
    assert panel.ui.segmentButton.enabled

    panel.ui.segmentButton.click()
    seen: set[str] = set()

    def done() -> bool:
        seen.add(panel.ui.statusLabel.text)
        return logic.shown is not None and not logic.job.busy

    wait_for(done)
    settle()
    assert "Segmenting" in seen and "Done in" in panel.ui.statusLabel.text
    assert panel.ui.resultCollapsibleButton.text == "Result on \u201cBody CT (sample)\u201d"
    assert [table.item(row, 5).text() for row in range(3)] == ["done"] * 3
    boxes = [scene.GetNodeByID(entry.node_id).GetDisplayNode() for entry in logic.state.prompts]
    assert not any(box.GetVisibility() for box in boxes), "the boxes would lie over the regions"
    assert [table.item(row, 0).checkState() for row in range(3)] == [qt_unchecked()] * 3
    assert int(panel.ui.legendTable.item(3, 1).text()) == len(logic.shown.regions) > 0

    jobs = logic.job.job
    before = logic.shown.regions.voxels
    panel.ui.budgetSlider.setValue(1.0)
    settle()
    assert logic.shown.regions.voxels < before and logic.job.job == jobs, "a budget must not run the network"

    scene.Clear(0)
    settle()
    assert logic.shown is None and panel.ui.resultCollapsibleButton.text == "Result"
    assert user.asked == []
    panel.cleanup()


def test_a_run_is_cancelled_within_a_second_and_leaves_the_scene_as_it_was(
    a_host: Any, a_real_logic: Any, scene: Any, user: ScriptedUser, sample_data: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("DeferredSegSlicerLib.logic.packages.missing_to_start", lambda: ())
    logic = a_real_logic("slow", tmp_path / "pids")
    panel = make_panel(a_host, logic, logic._services, user, QuietSetUp())
    panel.enter()
    panel.try_it()
    nodes = scene.GetNumberOfNodes()
    panel.ui.segmentButton.click()
    wait_for(lambda: logic.job.state == "running")
    settle()
    began = time.monotonic()
    panel.ui.segmentButton.click()
    wait_for(lambda: not logic.job.busy)
    assert time.monotonic() - began < 1.0
    settle()
    assert "Cancelled" in panel.ui.statusLabel.text and scene.GetNumberOfNodes() == nodes
    assert panel.ui.segmentButton.text == "Segment with deferral" and panel.ui.segmentButton.enabled
    panel.cleanup()


def test_closing_the_scene_while_running_cancels_cleanly(
    a_host: Any, a_real_logic: Any, scene: Any, user: ScriptedUser, sample_data: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("DeferredSegSlicerLib.logic.packages.missing_to_start", lambda: ())
    logic = a_real_logic("slow", tmp_path / "pids")
    panel = make_panel(a_host, logic, logic._services, user, QuietSetUp())
    panel.enter()
    panel.try_it()
    panel.ui.segmentButton.click()
    wait_for(lambda: logic.job.state == "running")
    scene.Clear(0)
    wait_for(lambda: not logic.job.busy)
    settle()
    assert user.asked == [] and not panel.ui.segmentButton.enabled
    assert panel.ui.structuresTable.rowCount == 0
    panel.cleanup()


def test_a_saved_scene_brings_the_panel_back_with_its_case(
    a_host: Any, a_real_logic: Any, scene: Any, user: ScriptedUser, sample_data: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    import slicer.util

    monkeypatch.setattr("DeferredSegSlicerLib.logic.packages.missing_to_start", lambda: ())
    logic = a_real_logic()
    panel = make_panel(a_host, logic, logic._services, user, QuietSetUp())
    panel.enter()
    panel.try_it()
    panel.ui.segmentButton.click()
    wait_for(lambda: logic.shown is not None and not logic.job.busy)
    panel.ui.deferredFillSlider.setValue(35.0)
    settle()
    summary = panel.ui.summaryLabel.text
    assert slicer.util.saveScene(str(tmp_path / "day.mrb"))
    scene.Clear(0)
    settle()
    slicer.util.loadScene(str(tmp_path / "day.mrb"))
    wait_for(lambda: logic.shown is not None and not logic.job.busy)
    settle()
    assert panel.ui.summaryLabel.text == summary and panel.ui.deferredFillSlider.value == 35.0
    assert panel.ui.structuresTable.rowCount == 3 and panel.ui.volumeQuestionFrame.isHidden()
    assert "Done" not in panel.ui.statusLabel.text, "nothing was segmented just now"
    panel.cleanup()


def test_try_it_asks_before_it_replaces_structures(
    a_panel: Any, logic: QuietLogic, user: ScriptedUser, sample_data: Any, ct: Any, scene: Any
) -> None:
    a_panel.structures.on_add_box()
    mine = logic.state.prompts
    roi = scene.GetNodeByID(mine[0].node_id)
    user.answers["consent"] = False
    a_panel.try_it()
    assert logic.state.prompts == mine and logic.state.volume is ct
    user.answers["consent"] = True
    a_panel.try_it()
    assert [entry.name for entry in logic.state.prompts] == ["liver", "spleen", "right kidney"]
    assert roi.GetScene() is scene, "a box that the user drew stays in the scene"


def test_try_it_twice_loads_the_sample_once(
    a_panel: Any, logic: QuietLogic, user: ScriptedUser, sample_data: Any, scene: Any
) -> None:
    user.answers["consent"] = True
    a_panel.try_it()
    a_panel.try_it()
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1
    assert len(sample_data) == 1
    assert user.asked[0][0] == "consent"


def test_a_sample_that_cannot_be_loaded_is_a_failure_and_no_traceback(
    a_panel: Any, user: ScriptedUser, sample_data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["SampleData"].SampleDataLogic, "downloadSamples", lambda self, name: [])
    a_panel.try_it()
    kind, (_, message, *_rest) = user.asked[-1]
    assert kind == "failure" and "could not be loaded" in message


def test_the_boxes_of_the_sample_are_those_of_its_file(
    a_panel: Any, logic: QuietLogic, sample_data: Any, scene: Any
) -> None:
    from DeferredSegSlicerLib.ui import self_test

    a_panel.try_it()
    self_test.check_places(scene, logic.state.volume, logic.state.prompts)


def test_the_top_line_invites_leads_to_the_set_up_or_leaves_room(
    a_panel: Any, set_up: QuietSetUp, a_patient: Callable[[str], Any], sample_data: Any
) -> None:
    assert "Try it" in a_panel.ui.tryItLabel.text and not a_panel.ui.tryItLabel.isHidden()
    set_up.installed.clear()
    a_panel.setup.look()
    a_panel.ui.setupCollapsibleButton.collapsed = True
    a_panel.refresh()
    assert "torch" in a_panel.ui.tryItLabel.text
    fire(a_panel.ui.tryItLabel, "linkActivated(QString)", "set-up")
    assert not a_panel.ui.setupCollapsibleButton.collapsed
    set_up.installed = dict(set_up.floors)
    a_panel.setup.look()
    a_panel.volume.choose(a_patient("CT Smith"))
    a_panel.refresh()
    assert a_panel.ui.tryItLabel.isHidden()


# Every disabled button says why

BUTTONS = (
    "QPushButton",
    "QToolButton",
    "QCheckBox",
    "QComboBox",
    "ctkSliderWidget",
    "qMRMLNodeComboBox",
    "QTableWidget",
)
SITUATIONS = (
    "nothing is loaded",
    "a volume",
    "ready",
    "running",
    "a result",
    "another patient",
    "nothing is installed",
)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_disabled_input_says_why_in_its_tool_tip(
    situation: str, a_panel: Any, logic: QuietLogic, set_up: QuietSetUp, a_patient: Callable[[str], Any],
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    if situation == "a result":
        request.getfixturevalue("a_shown_case")
    elif situation == "nothing is installed":
        set_up.installed.clear()
        a_panel.setup.look()
    elif situation != "nothing is loaded":
        a_panel.volume.choose(a_patient("CT Smith"))
    if situation in ("ready", "running", "another patient", "nothing is installed"):
        a_panel.structures.on_add_box()
    if situation == "running":
        logic.at(JobStatus("running", "segment"))
    if situation == "another patient":
        a_patient("CT Jones")
    settle()
    texts = {form.get("name"): form for form in widgets_of_the_form()}
    for name, widget in inputs(a_panel):
        if not widget.enabled and widget.isEnabledTo(widget.parentWidget()) is False:
            own = texts[name].findtext("property[@name='toolTip']/string") or ""
            assert widget.toolTip and widget.toolTip != own, f"{name} is disabled and does not say why"


def inputs(panel: Any) -> list[tuple[str, Any]]:
    """Widgets of the form that the user acts on."""
    names = [form.get("name") for form in widgets_of_the_form() if form.get("class") in BUTTONS]
    return [(name, getattr(panel.ui, name)) for name in names]


def widgets_of_the_form() -> list[Any]:
    """The widgets of the .ui file, as XML."""
    import xml.etree.ElementTree as ElementTree

    form = Path(__file__).parents[2] / "Resources" / "UI" / "DeferredSegSlicer.ui"
    return list(ElementTree.parse(form).getroot().iter("widget"))
