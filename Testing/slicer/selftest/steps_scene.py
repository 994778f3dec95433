"""Steps on the scene around the module: saving, hard volumes, transforms, leaving, reloading."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import slicer
import slicer.util
import vtk

from .access import MODULE, deferred_voxels, labels_on_volume, logic, panel, scene_observers, segment_ids, shown, widget
from .stepper import Skipped, StepFailed, require
from .waiting import live, wait_for
from .walk import Walk

ELSEWHERE = "Data"


def save_close_reopen(walk: Walk) -> str:
    """An .mrb brings the panel back with its case, once from its folder and once from the copy in the scene."""
    case, module = shown(), logic()
    budget, labels, voxels = case.budget, labels_on_volume(case), deferred_voxels(case)
    names, case_id = [e.name for e in module.state.prompts], case.case.id
    file = walk.files("scene.mrb")
    require(slicer.util.saveScene(str(file)), f'"{file}" could not be saved')
    for where in ("folder", "scene"):
        slicer.mrmlScene.Clear(0)
        live(0.3)
        require(module.shown is None, "the closed scene still shows a case")
        if where == "scene":
            shutil.rmtree(case.case.folder)
        slicer.util.loadScene(str(file))
        wait_for(lambda: module.shown is not None and not module.job.busy, f"the case from its {where}", 120)
        again = module.shown
        live(0.5)
        require(again.case.id == case_id, f"another case came from its {where}")
        require(again.budget == budget, f"the budget is {again.budget}, expected {budget}")
        require((labels_on_volume(again) == labels).all(), f"from its {where}: other voxels")
        require(deferred_voxels(again) == voxels, f"from its {where}: others are handed over")
        require([e.name for e in module.state.prompts] == names, f"from its {where}: other structures")
        require(all(e.node_id for e in module.state.prompts), f"from its {where}: boxes are gone")
        require(panel().ui.structuresTable.rowCount == len(names), "the table is not filled")
    walk.volume = module.state.volume
    return f"{file.stat().st_size / 1e6:.1f} MB, case from its folder and from the scene"


def left_handed_volume(walk: Walk) -> str:
    """A case of a left-handed file lies where it belongs, though Slicer turns the slices around."""
    prepared = _prepared()
    hard = prepared.left_handed(walk.files("left_handed"))
    slicer.mrmlScene.Clear(0)
    node = slicer.util.loadVolume(str(hard.file))
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    module = logic()
    module.open_case(hard.case.folder, node)
    live(0.3)
    case = module.shown
    center = case.result_node.GetSegmentCenterRAS(segment_ids(case.result_node)[0])
    middle = _center_of_mass(case)
    off = float(np.linalg.norm(np.subtract(middle, hard.center_ras)))
    require(off < 3.0, f"the liver is {off:.1f} mm away from where the file has it")
    kind = "left" if matrix.Determinant() < 0 else "right"
    return f"axes of the node {kind}-handed, flips {case.alignment.flips}, {off:.2f} mm off, center {center[2]:.0f} mm"


def _prepared() -> Any:
    """Cases without a network; not imported before, since a Slicer can be built without SimpleITK."""
    try:
        from . import prepared
    except ImportError as error:
        raise Skipped(f"no case can be prepared: {error}") from error
    return prepared


def _center_of_mass(case: Any) -> tuple[float, ...]:
    labels, matrix = labels_on_volume(case), vtk.vtkMatrix4x4()
    case.volume_node.GetIJKToRASMatrix(matrix)
    k, j, i = np.argwhere(labels == 1).mean(axis=0)
    return tuple(matrix.MultiplyPoint((i, j, k, 1.0))[:3])


def under_a_transform(walk: Walk) -> str:
    """A linear transform over the volume moves the result with it; a bent one is refused with the reason."""
    case, module = shown(), logic()
    volume = case.volume_node
    before = _world_center(case)
    linear = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    move = vtk.vtkTransform()
    move.Translate(30, -20, 10)
    move.RotateZ(25)
    linear.SetMatrixTransformToParent(move.GetMatrix())
    volume.SetAndObserveTransformNodeID(linear.GetID())
    folder = case.case.folder
    module.close_case()
    module.open_case(folder, volume)
    live(0.3)
    moved = module.shown
    require(moved.result_node.GetTransformNodeID() == linear.GetID(), "the result is not under the transform")
    off = float(np.linalg.norm(np.subtract(_world_center(moved), move.TransformPoint(*before))))
    require(off < 0.01, f"the result is {off:.2f} mm away from the moved volume")
    reason = _refusal_under_a_bent_transform(volume)
    volume.SetAndObserveTransformNodeID(linear.GetID())
    return f"{off:.4f} mm off; a bent one: {reason}"


def _world_center(case: Any) -> tuple[float, ...]:
    """Where the first structure is in the world, through the node's own transform."""
    center = case.result_node.GetSegmentCenterRAS(segment_ids(case.result_node)[0])
    return tuple(center)


def _refusal_under_a_bent_transform(volume: Any) -> str:
    from DeferredSegSlicerLib.core.errors import BadInputError

    bent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "bent")
    spline = vtk.vtkThinPlateSplineTransform()
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for point in ((0, 0, 0), (100, 0, 0), (0, 100, 0), (0, 0, 100), (100, 100, 100)):
        source.InsertNextPoint(point)
        target.InsertNextPoint([c + 5 * (n == 2) * (point[0] > 0) for n, c in enumerate(point)])
    spline.SetSourceLandmarks(source)
    spline.SetTargetLandmarks(target)
    bent.SetAndObserveTransformToParent(spline)
    volume.SetAndObserveTransformNodeID(bent.GetID())
    try:
        logic().segment(volume, wait=True)
    except BadInputError as error:
        require("bent" in error.sentence, f"the refusal does not name the transform: {error.sentence}")
        return error.sentence
    raise StepFailed("a volume under a bent transform was segmented")


def leave_and_enter(walk: Walk) -> str:
    """Leaving and entering, three times over, leaves no observer behind."""
    if slicer.util.mainWindow() is None:
        raise Skipped("there is no main window")
    for module in (ELSEWHERE, MODULE, ELSEWHERE):
        slicer.util.selectModule(module)
        live(0.3)
    outside = scene_observers()
    counts = []
    for _ in range(3):
        slicer.util.selectModule(MODULE)
        live(0.3)
        counts.append(scene_observers())
        require(panel().shortcuts.alive, "the keys do not work in the module")
        slicer.util.selectModule(ELSEWHERE)
        live(0.3)
        require(not panel().shortcuts.alive, "the keys still work outside the module")
        require(scene_observers() == outside, f"observers on the scene: {outside} before, {scene_observers()} after")
    require(len(set(counts)) == 1, f"observers on the scene while entered: {counts}")
    slicer.util.selectModule(MODULE)
    live(0.3)
    return f"{outside} observers on the scene outside, {counts[0]} inside"


def reload(walk: Walk) -> str:
    """Reloading, twice, leaves no observer behind; the new panel works and the old one is dead."""
    old = panel()
    before = scene_observers()
    for _ in range(2):
        widget().onReload()
        live(0.5)
    if slicer.util.mainWindow() is not None:
        slicer.util.selectModule(ELSEWHERE)
        live(0.3)
        slicer.util.selectModule(MODULE)
        live(0.5)
    require(panel() is not old, "the panel is the old one")
    after = scene_observers()
    require(after == before, f"observers on the scene: {before} before, {after} after")
    require(len(old.logic.changed) == 0, "the old logic still has listeners")
    require(panel().ui.segmentButton.text, "the new panel's button has no text")
    require(widget().parent.visible or slicer.util.mainWindow() is None, "the new panel is not to be seen")
    return f"{after} observers on the scene"
