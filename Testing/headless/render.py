"""Slice and 3D views drawn off-screen by Slicer's own displayable managers, for tests that look at pixels.

    slice_view = SliceView(boot())
    slice_view.show(volume_node, (0.0, 0.0, 0.0))
    picture = slice_view.picture()          # uint8 [row, column, rgb], row 0 at the top

Keep a view no longer than a test, and call `close()`. The managers of the boxes and axis letters of 3D views are left
out: with them the process crashes at its end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
import vtk.util.numpy_support
import vtkmodules.vtkInteractionStyle
import vtkmodules.vtkRenderingFreeType
import vtkmodules.vtkRenderingOpenGL2  # noqa: F401  these three register what draws

SLICE_MANAGERS = (
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
)
THREE_D_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLMarkupsDisplayableManager",
)


class _View:
    """A render window without a screen, and the managers that draw a scene into it."""

    logic: Any
    node: Any

    def __init__(self, app: Any, factory: Any, managers: tuple[str, ...], size: tuple[int, int]) -> None:
        self.renderer, self.window = vtk.vtkRenderer(), vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetShowWindow(False)
        self.window.SetMultiSamples(0)
        self.window.SetSize(*size)
        self.window.AddRenderer(self.renderer)
        self._interactor = vtk.vtkRenderWindowInteractor()
        self._interactor.SetRenderWindow(self.window)
        self._interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        self._interactor.Initialize()
        factory.SetMRMLApplicationLogic(app.applicationLogic())
        self.group = slicer.vtkMRMLDisplayableManagerGroup()
        self.group.SetRenderer(self.renderer)
        self.managers: dict[str, Any] = {}
        for name in managers:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
            manager = getattr(slicer, name)()
            manager.SetMRMLApplicationLogic(app.applicationLogic())
            self.group.AddDisplayableManager(manager)
            self.managers[name] = manager
        self.group.GetInteractor()

    def picture(self, path: Path | None = None) -> np.ndarray:
        """What the view shows, uint8 [row, column, rgb] with row 0 at the top; also written to a PNG if asked for."""
        self.window.Render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self.window)
        grabber.ReadFrontBufferOff()
        grabber.Update()
        if path is not None:
            writer = vtk.vtkPNGWriter()
            writer.SetFileName(str(path))
            writer.SetInputConnection(grabber.GetOutputPort())
            writer.Write()
        image = grabber.GetOutput()
        width, height, _ = image.GetDimensions()
        pixels = vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
        return pixels.reshape(height, width, -1)[::-1, :, :3].copy()

    def close(self) -> None:
        """Let go of the window, and take the view's own nodes out of the scene: they outlive the closing of a scene,
        and a second view of the same name would find them and draw nothing.
        """
        scene, nodes = self.logic.GetMRMLScene(), self._nodes()
        self.group.SetMRMLDisplayableNode(None)
        self.window.Finalize()
        self.logic.SetMRMLScene(None)
        for node in nodes:
            if scene is not None and node is not None and scene.IsNodePresent(node):
                scene.RemoveNode(node)

    def _nodes(self) -> tuple[Any, ...]:
        return (self.node,)


class SliceView(_View):
    """A slice view like Slicer's Red (axial), Yellow (sagittal) and Green (coronal)."""

    def __init__(
        self, app: Any, name: str = "Red", orientation: str = "Axial", size: tuple[int, int] = (400, 400)
    ) -> None:
        super().__init__(app, slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance(), SLICE_MANAGERS, size)
        scene, application_logic = app.mrmlScene(), app.applicationLogic()
        if application_logic.GetSliceLogics() is None:
            application_logic.SetSliceLogics(vtk.vtkCollection())
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(application_logic)
        self.logic.SetMRMLScene(scene)
        self.node = self.logic.AddSliceNode(name)
        self.node.SetOrientation(orientation)
        application_logic.GetSliceLogics().AddItem(self.logic)
        self.node.SetDimensions(*size, 1)
        self.logic.ResizeSliceNode(*size)
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        background = vtk.vtkActor2D()
        background.SetMapper(self._mapper)
        background.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(background)
        self.group.SetMRMLDisplayableNode(self.node)
        self._application_logic = application_logic

    def show(self, volume_node: Any, center_ras: tuple[float, float, float] | None = None) -> None:
        """Show a volume, fitted to the view, at a place in world RAS mm (or at its middle)."""
        self.logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume_node.GetID())
        self.logic.FitSliceToBackground(*self.window.GetSize())
        if center_ras is not None:
            self.node.JumpSliceByCentering(*center_ras)
        self.node.UpdateMatrices()
        self._mapper.SetInputConnection(self.logic.GetImageDataConnection())

    def pixel_of(self, ras: tuple[float, float, float]) -> tuple[int, int]:
        """(row, column) in `picture` at which a point in world RAS mm is drawn."""
        to_ras = vtk.vtkMatrix4x4()
        to_ras.DeepCopy(self.node.GetXYToRAS())
        to_ras.Invert()
        x, y, _, _ = to_ras.MultiplyPoint((*ras, 1.0))
        return int(self.window.GetSize()[1] - 1 - round(y)), round(x)

    def close(self) -> None:
        self._mapper.RemoveAllInputs()
        self._application_logic.GetSliceLogics().RemoveItem(self.logic)
        super().close()

    def _nodes(self) -> tuple[Any, ...]:
        return self.node, self.logic.GetSliceCompositeNode()


class ThreeDView(_View):
    """A 3D view."""

    def __init__(self, app: Any, name: str = "View1", size: tuple[int, int] = (400, 400)) -> None:
        super().__init__(app, slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance(), THREE_D_MANAGERS, size)
        if app.applicationLogic().GetViewLogics() is None:
            app.applicationLogic().SetViewLogics(vtk.vtkCollection())
        self.logic = slicer.vtkMRMLViewLogic()
        self.logic.SetMRMLApplicationLogic(app.applicationLogic())
        self.logic.SetMRMLScene(app.mrmlScene())
        self.node = self.logic.AddViewNode(name)
        self.group.SetMRMLDisplayableNode(self.node)

    def fit(self) -> None:
        """Move the camera so that everything is in the picture."""
        self.window.Render()
        self.renderer.ResetCamera()
