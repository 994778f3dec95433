"""The panel: its sections, what makes them show anew, and its life from setup to cleanup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt
import slicer
import slicer.util
import vtk

from ..logic.observers import Observers
from ..logic.setup import SetUp
from ..resources import find_resources
from .context import Context
from .dialogs import Dialogs, SlicerDialogs
from .experts_section import ExpertsSection
from .presenters.shortcuts import panel_keys
from .result_section import ResultSection
from .review.sections import ReviewSections
from .run_section import RunSection
from .setup_section import SetupSection
from .shortcuts import Shortcuts
from .structures_section import StructuresSection
from .tables import columns, fit_height, text_item
from .top_line import TopLine
from .volume_section import VolumeSection

if TYPE_CHECKING:
    from ..logic.module_logic import ModuleLogic
    from ..logic.review import ReviewLogic
    from ..logic.services import Services

UI_FILE = "UI/DeferredSegSlicer.ui"

_REFRESH_MS = 30
"""Changes of the scene within this time are shown together."""


class Panel:
    """All that the radiologist sees of the module.

    Parameters
    ----------
    parent : widget with a layout that the panel is put into.
    logic : does the work; the panel does not close it.
    services : settings and folders.
    dialogs : asks the user; Slicer's own by default.
    set_up : the installation; of the services by default.
    review : a reader's work on the shown case; without it the sections for that are left out.

    Attributes
    ----------
    ui : every named widget of the `.ui` file. further : sections that are put into places of it.
    """

    def __init__(
        self,
        parent: Any,
        logic: ModuleLogic,
        services: Services,
        dialogs: Dialogs | None = None,
        set_up: SetUp | None = None,
        review: ReviewLogic | None = None,
    ) -> None:
        self.logic = logic
        self.observers = Observers()
        self._followed: list[Any] = []
        self.widget = slicer.util.loadUI(str(find_resources() / UI_FILE))
        parent.layout().addWidget(self.widget)
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.dialogs = dialogs or SlicerDialogs(parent)
        self.context = Context(logic.scene, logic, services, self.dialogs, self.refresh_soon)
        self._entered = self._closed = False
        self._busy = False
        self._failures: list[tuple[str, str, str]] = []
        self._refresh_timer = _single_shot(_REFRESH_MS, self.refresh)
        self._failure_timer = _single_shot(0, self._tell_failures)
        self._make_sections(set_up or SetUp(services))
        self.shortcuts = Shortcuts(
            self._window,
            {
                "segment": self.run.segment,
                "cancel": self.run.cancel,
                "add_box": self.structures.on_add_box,
                "toggle_deferred": self.result.toggle_deferred,
                "toggle_model": self.result.toggle_model,
            },
        )
        self._disconnect = [
            logic.changed.connect(self._on_changed),
            logic.failed.connect(self._on_failed),
            logic.finished.connect(self._on_finished),
            logic.cancelled.connect(self._on_cancelled),
        ]
        places = (self.widget, self.ui, self.context)
        self.further = () if review is None else (ReviewSections(*places, review, self._window),)
        self._list_shortcuts()
        self.setup.look()
        self.refresh()

    def _make_sections(self, set_up: SetUp) -> None:
        ui, context = self.ui, self.context
        self.volume = VolumeSection(ui, context)
        self.structures = StructuresSection(ui, context, self._volume_problem)
        self.experts = ExpertsSection(ui, context)
        self.setup = SetupSection(ui, context, set_up)
        self.run = RunSection(ui, context, self.volume, self.structures, self.experts, self._setup_problem)
        self.result = ResultSection(ui, context)
        self.top_line = TopLine(ui, context, self.volume, self.setup)

    # Its life

    def enter(self) -> None:
        """The module comes to the front: follow the scene, let the keys work, warm the worker up."""
        if self._entered or self._closed:
            return
        self._entered = True
        scene = self.context.scene
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent):
            self.observers.add(scene, event, self._on_nodes)
        for event in (scene.EndBatchProcessEvent, scene.EndImportEvent):
            self.observers.add(scene, event, self.refresh_soon)
        self.observers.add(scene, scene.EndCloseEvent, self._on_closed_scene)
        self.shortcuts.enter()
        for section in self.further:
            section.enter()
        self.setup.look()
        self.setup.resume()
        if self.setup.ready:
            self.logic.start_worker()
        self.refresh()

    def exit(self) -> None:
        """Another module comes to the front."""
        self._entered = False
        self.shortcuts.exit()
        for section in self.further:
            section.exit()
        self.observers.remove_all()
        self._followed = []

    def cleanup(self) -> None:
        """The panel goes for good; a second call changes nothing."""
        if self._closed:
            return
        self.exit()
        self._closed = True
        for section in self.further:
            section.close()
        for disconnect in self._disconnect:
            disconnect()
        for timer in (self._refresh_timer, self._failure_timer):
            timer.stop()
        self.experts.close()
        self.result.close()
        self.ui.volumeSelector.setMRMLScene(None)

    # Showing

    def refresh_soon(self) -> None:
        """Show the state anew when the present events are dealt with."""
        if not self._closed and not self._refresh_timer.active:
            self._refresh_timer.start()

    def refresh(self) -> None:
        """Show the state anew, now."""
        if self._closed:
            return
        self._refresh_timer.stop()
        if self._entered:
            self.volume.choose_the_only_one()
        self._busy = self.logic.job.busy
        for section in (
            self.volume,
            self.structures,
            self.experts,
            self.setup,
            self.run,
            self.result,
            self.top_line,
            *self.further,
        ):
            section.update()
        self.shortcuts.enable("cancel", self._busy)
        if self._entered:
            self._follow_nodes()

    def _follow_nodes(self) -> None:
        """Observe the nodes that the sections speak of, and no others."""
        state = self.logic.state
        nodes = [
            state.node,
            state.volume,
            *(self.context.scene.GetNodeByID(e.node_id) for e in state.prompts if e.node_id),
        ]
        wanted = [node for node in nodes if node is not None]
        for node in [node for node in self._followed if node not in wanted]:
            self.observers.remove(node)
        for node in wanted:
            if node not in self._followed:
                for event in _events_of(node):
                    self.observers.add(node, event, self.refresh_soon)
                self._followed.append(node)
        self._followed = [node for node in self._followed if node in wanted]

    def _on_nodes(self) -> None:
        if not self.context.scene.IsBatchProcessing():
            self.refresh_soon()

    def _on_closed_scene(self) -> None:
        self.volume.forget()
        self.run.forget()
        self.refresh_soon()

    # What the logic tells

    def _on_changed(self) -> None:
        if self._busy and self.logic.job.busy:
            self.run.update()  # progress: nothing else moves while a job runs
        else:
            self.refresh_soon()

    def _on_finished(self, _shown: Any) -> None:
        self.run.finished()
        self.structures.hide_boxes()
        self.ui.resultCollapsibleButton.collapsed = False
        self.refresh_soon()

    def _on_cancelled(self) -> None:
        self.run.cancelled()
        self.refresh_soon()

    def _on_failed(self, error: Any) -> None:
        """A job failed: a window tells. A worker without a job failed: Set-up tells, nobody is interrupted."""
        log = error.log or ""
        if not self.setup.failed(error.message, error.advice):
            self.run.failed(error.message, error.advice, log)
            if error.job is not None:
                self._failures.append((error.message, error.advice, log))
                self._failure_timer.start()  # not from within the logic's timer: a window waits for the user
        if error.packages:
            self.ui.setupCollapsibleButton.collapsed = False
        self.refresh_soon()

    def _tell_failures(self) -> None:
        while self._failures:
            message, advice, log = self._failures.pop(0)
            self.dialogs.failure(self.run.title(), message, advice, log)

    # The rest

    def try_it(self) -> None:
        """Load the sample CT and place its boxes, ready to click."""
        self.top_line.try_it()
        self.refresh()

    def _list_shortcuts(self) -> None:
        table = self.ui.shortcutsTable
        columns(table, (1,))
        keys = (*panel_keys(), *(key for section in self.further for key in section.all_keys()))
        table.setRowCount(len(keys))
        self._key_items = [[text_item(key.keys), text_item(key.text)] for key in keys]
        for at, items in enumerate(self._key_items):
            for column, item in enumerate(items):
                table.setItem(at, column, item)
        fit_height(table, most_rows=len(keys))

    def _volume_problem(self) -> str:
        return self.volume.problem or self.volume.question

    def _setup_problem(self) -> str:
        return self.setup.problem

    def _window(self) -> Any:
        return slicer.util.mainWindow() or self.widget


def _single_shot(milliseconds: int, action: Any) -> Any:
    timer = qt.QTimer()
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.connect("timeout()", action)
    return timer


def _events_of(node: Any) -> tuple[int, ...]:
    """What can change on a node that a section speaks of."""
    events = [vtk.vtkCommand.ModifiedEvent]
    if node.IsA("vtkMRMLTransformableNode"):
        events.append(slicer.vtkMRMLTransformableNode.TransformModifiedEvent)
    if node.IsA("vtkMRMLMarkupsNode"):
        events += [slicer.vtkMRMLMarkupsNode.PointModifiedEvent, slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent]
    if node.IsA("vtkMRMLSegmentationNode"):
        events += [slicer.vtkSegmentation.SegmentModified, slicer.vtkSegmentation.SegmentRemoved]
        events.append(slicer.vtkSegmentation.SourceRepresentationModified)
    return tuple(events)
