"""Steps on an open case: budget, duty, geometry, tags, display, 3D. No network is run."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import qt
import slicer
import slicer.util
import vtk

from .access import deferred_voxels, labels_on_volume, logic, panel, segment_ids, shown
from .stepper import Skipped, require
from .waiting import live, wait_for
from .walk import Walk

BUDGET_SECONDS = 0.5


def a_case_is_open(walk: Walk) -> str:
    """The case of the run; without a worker, one that was made from reference labels."""
    if logic().shown is not None:
        return "of the run"
    if walk.volume is None:
        raise Skipped("the sample is not loaded")
    prepared = _prepared()
    case = prepared.sample_case(walk.folder / "cases" / "prepared")
    logic().open_case(case.folder, walk.volume)
    live(0.5)
    require(logic().shown is not None, "the prepared case was not opened")
    return "prepared from the reference labels, since there is no worker"


def _prepared() -> Any:
    """Cases without a network; not imported before, since a Slicer can be built without SimpleITK."""
    try:
        from . import prepared
    except ImportError as error:
        raise Skipped(f"no case can be prepared: {error}") from error
    return prepared


def budget_changes_the_overlay_at_once(walk: Walk) -> str:
    """The slider changes the voxels that are drawn, within half a second and with no job."""
    case, module, ui = shown(), logic(), panel().ui
    counts, times = [], []
    for percent in (1.0, 20.0, 5.0, 0.0):
        begun = time.monotonic()
        ui.budgetSlider.value = percent
        wait_for(
            lambda p=percent: abs(module.state.budget - p / 100) < 1e-9 and case.budget == p / 100, "the budget", 5
        )
        times.append(time.monotonic() - begun)
        require(not module.job.busy, "a job was started")
        counts.append(sum(deferred_voxels(case).values()))
    low, high, middle, none = counts
    require(none == 0 and 0 < low < middle < high, f"voxels at 1, 5, 20 and 0 %: {low}, {middle}, {high}, {none}")
    require(max(times) < BUDGET_SECONDS, f"it took {max(times):.2f} s")
    ui.budgetSlider.value = 5.0
    wait_for(lambda: case.budget == 0.05, "the budget", 5)
    return f"{low}, {middle}, {high} voxels at 1, 5, 20 %; {max(times) * 1000:.0f} ms at most"


def duty_changes_the_overlay_at_once(walk: Walk) -> str:
    """An expert without the tick gets nothing, the others get more, and it comes back."""
    case, ui = shown(), panel().ui
    before = deferred_voxels(case)
    row = next(n for n, expert in enumerate(panel().experts.profiles) if before.get(expert.id))
    who = panel().experts.profiles[row].id
    begun = time.monotonic()
    ui.expertsTable.item(row, 0).setCheckState(qt.Qt.Unchecked)
    wait_for(lambda: who in case.off_duty, "the expert to be off duty", 5)
    seconds = time.monotonic() - begun
    after = deferred_voxels(case)
    require(after[who] == 0, f"{who} still has {after[who]} voxels")
    require(sum(after.values()) > 0, "nobody has anything any more")
    require(seconds < BUDGET_SECONDS, f"it took {seconds:.2f} s")
    ui.expertsTable.item(row, 0).setCheckState(qt.Qt.Checked)
    wait_for(lambda: who not in case.off_duty, "the expert to be back", 5)
    require(deferred_voxels(case) == before, "the voxels of before did not come back")
    return f"{who}: {before[who]} voxels to 0 and back; {seconds * 1000:.0f} ms"


def result_lies_on_the_volume(walk: Walk) -> str:
    """Both nodes have the volume's grid, reference and transform, and the voxels of the case."""
    case = shown()
    wanted, found = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    case.volume_node.GetIJKToRASMatrix(wanted)
    for node in (case.result_node, case.deferred_node):
        layer = node.GetSegmentation().GetNthSegment(0).GetRepresentation("Binary labelmap")
        layer.GetImageToWorldMatrix(found)
        off = max(abs(wanted.GetElement(r, c) - found.GetElement(r, c)) for r in range(4) for c in range(4))
        require(off < 1e-6, f"{node.GetName()} is off by {off:g} mm")
        require(
            layer.GetExtent() == case.volume_node.GetImageData().GetExtent(), f"{node.GetName()} has another extent"
        )
        require(node.GetSegmentation().GetNumberOfLayers() == 1, f"{node.GetName()} has more than one layer")
        role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
        require(node.GetNodeReferenceID(role) == case.volume_node.GetID(), f"{node.GetName()} has another reference")
        require(node.GetTransformNodeID() == case.volume_node.GetTransformNodeID(), "another transform")
    stored = case.alignment.to_node(case.case.label())
    require((labels_on_volume(case) == stored).all(), "the voxels are not the case's")
    return "same grid, extent, reference, transform, voxels"


def segments_have_tags_and_codes(walk: Walk) -> str:
    """Terminology that Slicer understands, algorithm type and name, and a place beside the volume."""
    case = shown()
    terminologies = slicer.modules.terminologies.logic()
    names = []
    for node in (case.result_node, case.deferred_node):
        for segment_id in segment_ids(node):
            segment = node.GetSegmentation().GetSegment(segment_id)
            require(_tag(segment, "DICOM.SegmentAlgorithmType") == "AUTOMATIC", f"{segment_id} has no algorithm type")
            require(_tag(segment, "DICOM.SegmentAlgorithmName"), f"{segment_id} has no algorithm name")
            entry = slicer.vtkSlicerTerminologyEntry()
            text = _tag(segment, slicer.vtkSegment.GetTerminologyEntryTagName())
            require(
                terminologies.DeserializeTerminologyEntry(text, entry), f"{segment_id}: Slicer cannot read {text!r}"
            )
            names.append(entry.GetTypeObject().GetCodeMeaning())
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    parents = {hierarchy.GetItemParent(hierarchy.GetItemByDataNode(n)) for n in (case.volume_node, case.result_node)}
    require(len(parents) == 1, "the result is not beside the volume in the subject hierarchy")
    return ", ".join(names)


def _tag(segment: object, key: str) -> str:
    value = vtk.reference("")
    return str(value) if segment.GetTag(key, value) else ""


def display_follows_the_panel(walk: Walk) -> str:
    """Outlines for the model, fills for what is handed over; sliders and check boxes change them."""
    case, ui = shown(), panel().ui
    model, deferred = case.result_node.GetDisplayNode(), case.deferred_node.GetDisplayNode()
    require(not model.GetVisibility2DFill() and model.GetVisibility2DOutline(), "the model is not drawn as an outline")
    require(deferred.GetVisibility2DFill(), "what is handed over is not filled")
    ui.deferredFillSlider.value = 30
    ui.modelOutlineSlider.value = 80
    wait_for(lambda: abs(deferred.GetOpacity2DFill() - 0.3) < 1e-6, "the fill's opacity", 5)
    wait_for(lambda: abs(model.GetOpacity2DOutline() - 0.8) < 1e-6, "the outline's opacity", 5)
    ui.showDeferredBox.click()
    wait_for(lambda: not deferred.GetVisibility(), "what is handed over to be hidden", 5)
    ui.showDeferredBox.click()
    wait_for(lambda: deferred.GetVisibility(), "what is handed over to be shown", 5)
    ui.deferredFillSlider.value = 60
    ui.modelOutlineSlider.value = 100
    live(0.2)
    return "fill, outline, visibility"


def legend_says_what_is_drawn(walk: Walk) -> str:
    """A row for each expert, with the regions of the case."""
    case, table = shown(), panel().ui.legendTable
    live(0.2)
    require(table.rowCount >= len(case.experts), f"{table.rowCount} rows for {len(case.experts)} experts")
    rows = case.legend()
    require([row.expert_id for row in rows] == [e.id for e in case.experts], "experts in another order")
    for number, row in enumerate(rows):
        said = table.item(number, 1).text()
        require(said == str(row.regions), f"{row.name}: the table says {said} regions, the case {row.regions}")
    return "; ".join(f"{row.name} {row.regions} regions, {row.ml:.1f} ml" for row in rows)


def surfaces_in_3d(walk: Walk) -> str:
    """The check box makes surfaces, shows them, and hides them again."""
    case, ui = shown(), panel().ui
    begun = time.monotonic()
    ui.show3DBox.click()
    wait_for(lambda: case.result_node.GetSegmentation().ContainsRepresentation("Closed surface"), "surfaces", 60)
    seconds = time.monotonic() - begun
    live(0.5)
    points = 0
    for segment_id in segment_ids(case.result_node):
        surface = vtk.vtkPolyData()
        case.result_node.GetClosedSurfaceRepresentation(segment_id, surface)
        points += surface.GetNumberOfPoints()
    require(points > 1000, f"the surfaces have {points} points")
    require(case.result_node.GetDisplayNode().GetVisibility3D(), "they are not shown")
    ui.budgetSlider.value = 10.0
    wait_for(lambda: case.budget == 0.1, "the budget", 5)
    live(1.0)
    require(
        case.deferred_node.GetSegmentation().ContainsRepresentation("Closed surface"), "regions lost their surfaces"
    )
    ui.budgetSlider.value = 5.0
    wait_for(lambda: case.budget == 0.05, "the budget", 5)
    live(0.6)
    return f"{points} points; {seconds:.1f} s"


def picture(walk: Walk) -> str:
    """A picture of the whole window for a person to look at."""
    window = slicer.util.mainWindow()
    if window is None:
        raise Skipped("there is no main window")
    case = logic().shown
    if case is not None:
        center = case.result_node.GetSegmentCenterRAS(segment_ids(case.result_node)[0])
        for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
            node.JumpSliceByCentering(*center)
        slicer.util.resetThreeDViews()
    live(1.0)
    path = walk.folder / "window.png"
    require(window.grab().save(str(path)), f'"{path}" could not be written')
    return str(path)


def off_3d(walk: Walk) -> str:
    """Hide the surfaces again."""
    case, ui = shown(), panel().ui
    if logic().state.show_3d:
        ui.show3DBox.click()
    wait_for(lambda: not case.result_node.GetDisplayNode().GetVisibility3D(), "the surfaces to be hidden", 5)
    shapes = np.unique(labels_on_volume(case)).size
    return f"{shapes - 1} structures stay in the slices"
