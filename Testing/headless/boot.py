"""A Slicer without a window for the tests: real scene, logics and file readers, gathered as `slicer.app` offers them.

`boot()` may be called by every test folder: it builds the application once in a process, since displayable managers
keep the first application logic that they see. Tests clear the scene and never replace it.
"""

from __future__ import annotations

import tempfile
import types
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import slicer
import slicer.util
import vtk
from core_io import CoreIO

LOGICS = {
    "Terminologies": "vtkSlicerTerminologiesModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Units": "vtkSlicerUnitsLogic",
    "Colors": "vtkSlicerColorLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
    "Models": "vtkSlicerModelsLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Texts": "vtkSlicerTextsLogic",
}
"""Module name to the class of its logic."""


class HeadlessSlicer:
    """What `slicer.app` has and tests need. `temporaryPath` is an attribute, as PythonQt makes it."""

    def __init__(self, temporary: Path) -> None:
        self.temporaryPath = str(temporary)
        self._scene = slicer.vtkMRMLScene()
        self._application_logic = slicer.vtkSlicerApplicationLogic()
        self._application_logic.SetTemporaryPath(self.temporaryPath)
        self._remote = slicer.vtkMRMLRemoteIOLogic()  # scenes are not read from an .mrb without it
        self._remote.SetMRMLScene(self._scene)
        self._remote.AddDataIOToScene()
        cache = temporary / "RemoteIO"
        cache.mkdir(exist_ok=True)
        self._remote.GetCacheManager().SetRemoteCacheDirectory(str(cache))
        self._data_io = slicer.vtkDataIOManagerLogic()
        self._data_io.SetMRMLApplicationLogic(self._application_logic)
        self._data_io.SetAndObserveDataIOManager(self._remote.GetDataIOManager())
        self._application_logic.SetMRMLScene(self._scene)
        self.logics = {name: self._logic(name, kind) for name, kind in LOGICS.items()}
        self._io = CoreIO(self._scene)

    def applicationLogic(self) -> Any:
        return self._application_logic

    def mrmlScene(self) -> Any:
        return self._scene

    def coreIOManager(self) -> CoreIO:
        return self._io

    def moduleLogic(self, name: str) -> Any:
        return self.logics[name]

    def processEvents(self) -> None:
        """There are no events."""

    def _logic(self, name: str, kind: str) -> Any:
        logic = getattr(slicer, kind)()
        logic.SetMRMLApplicationLogic(self._application_logic)
        logic.SetMRMLScene(self._scene)
        self._application_logic.SetModuleLogic(name, logic)
        return logic


class _Module:
    def __init__(self, name: str, logic: Any) -> None:
        self.name, self._logic = name, logic

    def logic(self) -> Any:
        return self._logic


_booted: list[HeadlessSlicer] = []


def boot() -> HeadlessSlicer:
    """The application of this process; sets `slicer.app`, `slicer.mrmlScene` and `slicer.modules`."""
    if not _booted:
        with quiet_vtk():  # the wheel has no color tables and no terminologies, and says so
            app = HeadlessSlicer(Path(tempfile.mkdtemp(prefix="headless-slicer-")))
        _booted.append(app)
        slicer.app, slicer.mrmlScene = app, app.mrmlScene()
        modules = {name.lower(): _Module(name, logic) for name, logic in app.logics.items()}
        slicer.modules = types.SimpleNamespace(**modules)
    return _booted[0]


@contextmanager
def quiet_vtk() -> Any:
    """VTK's log stays off stderr meanwhile."""
    before = vtk.vtkLogger.GetCurrentVerbosityCutoff()
    vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)
    try:
        yield
    finally:
        vtk.vtkLogger.SetStderrVerbosity(before)
