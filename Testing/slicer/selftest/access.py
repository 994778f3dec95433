"""The module's parts as the steps reach them: widget, panel, logic; and a few readings of the scene."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import slicer.util

from .stepper import Skipped, StepFailed

MODULE = "DeferredSegSlicer"


def widget() -> Any:
    """The Python object of the module's widget; it changes when the module is reloaded."""
    return slicer.util.getModuleWidget(MODULE)


def panel() -> Any:
    """ui.panel.Panel of the widget."""
    return widget().panel


def logic() -> Any:
    """logic.module_logic.ModuleLogic behind the panel."""
    return panel().logic


def shown() -> Any:
    """The case that is open; skips the step if there is none."""
    case = logic().shown
    if case is None:
        raise Skipped("no case is open")
    return case


def node_ids() -> set[str]:
    """Ids of all nodes of the scene."""
    scene = slicer.mrmlScene
    return {scene.GetNthNode(n).GetID() for n in range(scene.GetNumberOfNodes())}


def scene_observers() -> int:
    """How many observers there are on the scene, whoever's."""
    return str(slicer.mrmlScene).count("EventName:")


def deferred_voxels(case: Any) -> dict[str, int]:
    """Voxels of each expert's segment, by expert id, read back from the node that is drawn."""
    from DeferredSegSlicerLib.mrml.deferred import segment_id

    found = {}
    for expert in case.experts:
        found[expert.id] = int(np.count_nonzero(mask(case.deferred_node, segment_id(expert), case.volume_node)))
    return found


def mask(segmentation_node: Any, segment_id: str, volume_node: Any) -> np.ndarray:
    """A segment's voxels [k, j, i] on a volume's grid, through Slicer's own conversion."""
    return slicer.util.arrayFromSegmentBinaryLabelmap(segmentation_node, segment_id, volume_node)


def segment_ids(segmentation_node: Any) -> list[str]:
    """Ids of all segments in their order."""
    segmentation = segmentation_node.GetSegmentation()
    return [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]


def labels_on_volume(case: Any) -> np.ndarray:
    """The result node's segments as labels 1, 2, ... [k, j, i] on the volume's grid."""
    labels = None
    for number, segment_id in enumerate(segment_ids(case.result_node), 1):
        found = mask(case.result_node, segment_id, case.volume_node)
        if found is None:
            raise StepFailed(f"segment {segment_id} cannot be read")
        labels = np.zeros(found.shape, np.uint8) if labels is None else labels
        labels[found > 0] = number
    if labels is None:
        raise StepFailed("the result has no segment")
    return labels
