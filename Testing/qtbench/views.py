"""The layout manager and its views: real slice and view logics and nodes, nothing drawn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import slicer
import vtk

from .facade import Facade

ORIENTATIONS = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}


class SliceWidget(Facade, listed="slicer.app.layoutManager().sliceWidget('Red')"):
    """One slice view of 400 x 400 pixels."""

    def __init__(self, application_logic: Any, scene: Any, name: str) -> None:
        super().__init__()
        self._name = name
        self._logic = slicer.vtkMRMLSliceLogic()
        self._logic.SetMRMLApplicationLogic(application_logic)
        self._logic.SetMRMLScene(scene)
        node = self._logic.AddSliceNode(name)
        node.SetOrientation(ORIENTATIONS[name])
        node.SetDimensions(400, 400, 1)
        self._logic.ResizeSliceNode(400, 400)
        node.SetMappedInLayout(1)
        application_logic.GetSliceLogics().AddItem(self._logic)
        self._application_logic = application_logic

    def bench_close(self) -> None:
        """Take the view out of the scene."""
        scene, nodes = self._logic.GetMRMLScene(), (self.mrmlSliceNode(), self.mrmlSliceCompositeNode())
        self._application_logic.GetSliceLogics().RemoveItem(self._logic)
        self._logic.SetMRMLScene(None)
        _remove(scene, nodes)

    def sliceLogic(self) -> Any:
        return self._logic

    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self) -> Any:
        return self._logic.GetSliceCompositeNode()

    def fitSliceToBackground(self) -> None:
        self._logic.FitSliceToBackground(400, 400)

    @property
    def sliceViewName(self) -> str:
        return self._name


class ThreeDWidget(Facade, listed="slicer.app.layoutManager().threeDWidget(0)"):
    """One 3D view."""

    def __init__(self, application_logic: Any, scene: Any) -> None:
        super().__init__()
        self._logic = slicer.vtkMRMLViewLogic()
        self._logic.SetMRMLApplicationLogic(application_logic)
        self._logic.SetMRMLScene(scene)
        self._logic.AddViewNode("1").SetMappedInLayout(1)
        self._view = ThreeDView()

    def bench_close(self) -> None:
        """Take the view out of the scene."""
        scene, node = self._logic.GetMRMLScene(), self.mrmlViewNode()
        self._logic.SetMRMLScene(None)
        _remove(scene, (node,))

    def mrmlViewNode(self) -> Any:
        return self._logic.GetViewNode()

    def viewLogic(self) -> Any:
        return self._logic

    def threeDView(self) -> Any:
        return self._view


class ThreeDView(Facade, listed="slicer.qMRMLThreeDView"):
    """Counts what it is asked for: `bench_calls`."""

    def __init__(self) -> None:
        super().__init__()
        self.bench_calls: list[str] = []

    def resetFocalPoint(self) -> None:
        self.bench_calls.append("resetFocalPoint")

    def resetCamera(self, *_: Any) -> None:
        self.bench_calls.append("resetCamera")

    def scheduleRender(self) -> None:
        self.bench_calls.append("scheduleRender")

    def forceRender(self) -> None:
        self.bench_calls.append("forceRender")


def _remove(scene: Any, nodes: Iterable[Any]) -> None:
    for node in nodes:
        if node is not None and scene.IsNodePresent(node):
            scene.RemoveNode(node)


def _collected(things: Iterable[Any]) -> Any:
    collection = vtk.vtkCollection()
    for thing in things:
        collection.AddItem(thing)
    return collection


class LayoutManager(Facade, listed="slicer.app.layoutManager()"):
    """Three slice views and a 3D view. A test begins with new ones, and their nodes are gone after it."""

    def __init__(self, app: Any) -> None:
        super().__init__()
        self._app = app
        self._slices: dict[str, SliceWidget] = {}
        self._three_d: ThreeDWidget | None = None
        self.layout = 3

    def bench_open(self) -> None:
        """Make the views, as Slicer does when it starts."""
        for name in ORIENTATIONS:
            self.sliceWidget(name)
        self.threeDWidget(0)

    def bench_close(self) -> None:
        """Take the views and their nodes out of the scene."""
        views = [*self._slices.values(), *([self._three_d] if self._three_d else [])]
        self._slices, self._three_d = {}, None
        for view in views:
            view.bench_close()
        self.layout = 3

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(ORIENTATIONS)

    def sliceWidget(self, name: str) -> Any:
        if name not in ORIENTATIONS:
            return None
        if name not in self._slices or self._slices[name].mrmlSliceNode() is None:
            logic, scene = self._app.applicationLogic(), self._app.mrmlScene()
            slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
            if logic.GetSliceLogics() is None:
                logic.SetSliceLogics(vtk.vtkCollection())
            self._slices[name] = SliceWidget(logic, scene, name)
        return self._slices[name]

    @property
    def threeDViewCount(self) -> int:
        return 1

    def threeDWidget(self, index: Any) -> Any:
        if index not in (0, "ViewNode1", "1"):
            return None
        if self._three_d is None or self._three_d.mrmlViewNode() is None:
            self._three_d = ThreeDWidget(self._app.applicationLogic(), self._app.mrmlScene())
        return self._three_d

    def mrmlSliceLogics(self) -> Any:
        return _collected(self.sliceWidget(name).sliceLogic() for name in ORIENTATIONS)

    def mrmlViewLogics(self) -> Any:
        return _collected([self.threeDWidget(0).viewLogic()])

    def activeMRMLThreeDViewNode(self) -> Any:
        return self.threeDWidget(0).mrmlViewNode()

    def setLayout(self, layout: int) -> None:
        self.layout = layout
        self.bench_emit("layoutChanged(int)", layout)

    def resetThreeDViews(self) -> None:
        self.threeDWidget(0).threeDView().resetFocalPoint()

    def resetSliceViews(self) -> None:
        for name in ORIENTATIONS:
            self.sliceWidget(name).fitSliceToBackground()

    def pauseRender(self) -> None:
        self._app.pauseRender()

    def resumeRender(self) -> None:
        self._app.resumeRender()

    def mrmlScene(self) -> Any:
        return self._app.mrmlScene()
