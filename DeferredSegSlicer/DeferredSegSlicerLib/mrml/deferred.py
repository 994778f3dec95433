"""The deferred regions in the scene: a segmentation node with a segment for each expert, rewritten at every new budget.

All segments share one labelmap layer on the volume's grid, in which the experts have the labels 1, 2, ... in the case's
order. Budget and duty change its voxels in place, so nothing in the scene is removed or added while a slider moves.
Segments that a user adds to the node are left as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import slicer
import vtk

from ..core.case import Case
from ..core.experts import Expert
from ..core.regions import Region
from ..core.segmentation_file import ALGORITHM_NAME_TAG, ALGORITHM_TYPE_TAG
from ..core.structures import Code, Terminology
from .compat import binary_labelmap
from .display import draw_in_front
from .grid import Alignment, array_of_matrix
from .names import (
    CASE_ID_ATTRIBUTE,
    DEFERRED_SUFFIX,
    EXPERT_TAG,
    ROLE_ATTRIBUTE,
    ROLE_DEFERRED,
    ROLE_RESULT,
)
from .placement import nodes_with_role, place_beside
from .segments import tag_of
from .shared_layer import layer_array, layer_modified, new_layer, one_event

SELECTED_REGION = Terminology(
    Code("SCT", "309825002", "Spatial and Relational Concept"), Code("DCM", "111099", "Selected region")
)
"""What a deferred region is in DICOM's codes: a place to look at, whatever tissue is there."""

FILL_OPACITY = 0.6
"""Of the regions in slice views. Much below it, a fill over mid-gray tissue is nearest to some other color."""

_SEGMENTATION_CLASS = "vtkMRMLSegmentationNode"


def segment_id(expert: Expert) -> str:
    """Id of an expert's segment."""
    return f"expert.{expert.id}"


class DeferredDisplay:
    """The deferred regions of a case over its volume; nothing is shown before `show`.

    A node of the same case that the scene has already (from a saved scene) is taken over.

    Parameters
    ----------
    scene : the MRML scene.
    case : its experts have the labels 1, 2, ... in their order.
    volume_node : the volume that the case is shown on.
    alignment : of the case on the volume, from `grid.align`.
    """

    def __init__(self, scene: Any, case: Case, volume_node: Any, alignment: Alignment) -> None:
        self._scene, self._case, self._volume, self._alignment = scene, case, volume_node, alignment
        self._labels = {expert.id: number for number, expert in enumerate(case.experts, 1)}
        self._node = find_node(scene, case.id, volume_node)
        self.show((), case.experts)

    @property
    def node(self) -> Any:
        """The segmentation node."""
        return self._node

    def show(self, regions: Iterable[Region], experts: Sequence[Expert]) -> None:
        """Show these regions, and nothing else, each in its expert's color.

        Closed surfaces of the regions before are dropped; `display.refresh_3d` makes new ones. A node that the user
        deleted meanwhile is made again.

        Parameters
        ----------
        regions : of this case; their voxels are indices into the case's grid.
        experts : with today's names and colors; those without regions keep an empty segment.
        """
        if self._node is None or self._node.GetScene() is None:
            self._node = self._new_node()
        with one_event(self._node):
            added = self._make_segments(experts)
            layer = self._own_layer() or self._replaced_layer()
            voxels = self._alignment.to_case(layer_array(layer))
            voxels[...] = 0
            # A view of all voxels in a row, if the case counts them as the node does; writing through it is faster.
            row = voxels.reshape(-1) if self._alignment.identity else None
            for region in regions:
                if row is not None:
                    row[region.indices] = self._labels[region.expert]
                else:
                    voxels[np.unravel_index(region.indices, voxels.shape)] = self._labels[region.expert]
            layer_modified(self._node, layer)
            if self._node.GetTransformNodeID() != self._volume.GetTransformNodeID():
                self._node.SetAndObserveTransformNodeID(self._volume.GetTransformNodeID())
        if added:  # open views draw what came last over the rest
            for result in nodes_with_role(self._scene, ROLE_RESULT, self._volume):
                draw_in_front(result)

    def remove(self) -> None:
        """Take the node out of the scene, with its display and storage."""
        if self._node.GetScene() is not None:
            helpers = [self._node.GetNthDisplayNode(n) for n in range(self._node.GetNumberOfDisplayNodes())]
            helpers.append(self._node.GetStorageNode())
            for node in (self._node, *helpers):
                if node is not None and node.GetScene() is not None:
                    self._scene.RemoveNode(node)

    def _new_node(self) -> Any:
        """A node before the model's in the scene: new views draw in that order, and lines have to be over fills."""
        node = self._scene.CreateNodeByClass(_SEGMENTATION_CLASS)
        node.UnRegister(None)  # the variable holds it now
        node.SetName(self._scene.GenerateUniqueName(f"{self._volume.GetName()}{DEFERRED_SUFFIX}"))
        result = next(nodes_with_role(self._scene, ROLE_RESULT, self._volume), None)
        node = self._scene.AddNode(node) if result is None else self._scene.InsertBeforeNode(result, node)
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetOpacity2DFill(FILL_OPACITY)
        node.SetAttribute(CASE_ID_ATTRIBUTE, self._case.id)
        node.GetSegmentation().SetSourceRepresentationName(binary_labelmap())
        place_beside(self._scene, node, self._volume, ROLE_DEFERRED)
        # After the transform: else that would go into the geometry, and saving would resample the voxels.
        node.SetReferenceImageGeometryParameterFromVolumeNode(self._volume)
        return node

    def _make_segments(self, experts: Sequence[Expert]) -> bool:
        """Give every expert of the case a segment with today's name and color, and the tags that exports need.

        Returns whether any was not there before.
        """
        segmentation, added = self._node.GetSegmentation(), False
        today = {expert.id: expert for expert in experts}
        for known in self._case.experts:
            expert = today.get(known.id, known)
            segment = segmentation.GetSegment(segment_id(expert)) or slicer.vtkSegment()
            segment.SetName(expert.name)
            segment.SetNameAutoGenerated(False)
            segment.SetColor(*expert.color)
            segment.SetColorAutoGenerated(False)
            segment.SetLabelValue(self._labels[expert.id])
            for name, text in self._tags_of(expert).items():
                if tag_of(segment, name) != text:  # setting a tag modifies the segment in any case
                    segment.SetTag(name, text)
            if segmentation.GetSegment(segment_id(expert)) is None:
                added = segmentation.AddSegment(segment, segment_id(expert))
        return added

    def _tags_of(self, expert: Expert) -> dict[str, str]:
        return {
            EXPERT_TAG: expert.id,
            ROLE_ATTRIBUTE: ROLE_DEFERRED,
            slicer.vtkSegment.GetTerminologyEntryTagName(): SELECTED_REGION.to_slicer(),
            ALGORITHM_TYPE_TAG: "AUTOMATIC",
            ALGORITHM_NAME_TAG: str(self._case.model.get("name", "DeferredSegSlicer")),
        }

    def _segments(self) -> list[Any]:
        segmentation = self._node.GetSegmentation()
        return [segmentation.GetSegment(segment_id(expert)) for expert in self._case.experts]

    def _own_layer(self) -> Any:
        """The layer that the experts' segments have to themselves, on the volume's whole grid; None if it is not so.

        It is not so in a new node, after a scene was read (Slicer trims layers), and after a user has edited or added
        segments.
        """
        segmentation, name = self._node.GetSegmentation(), binary_labelmap()
        mine = self._segments()
        layer = mine[0].GetRepresentation(name)
        everybody = (segmentation.GetNthSegment(n) for n in range(segmentation.GetNumberOfSegments()))
        if layer is None or [s for s in everybody if s.GetRepresentation(name) is layer] != mine:
            return None
        image, there, here = self._volume.GetImageData(), vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
        layer.GetImageToWorldMatrix(there)
        self._volume.GetIJKToRASMatrix(here)
        whole = layer.GetExtent() == image.GetExtent() and layer.GetScalarType() == vtk.VTK_UNSIGNED_CHAR
        has_voxels = layer.GetPointData().GetScalars() is not None
        in_place = np.allclose(array_of_matrix(there), array_of_matrix(here), rtol=0, atol=1e-6)
        return layer if whole and has_voxels and in_place else None

    def _replaced_layer(self) -> Any:
        """A new layer of the experts' segments; users' segments keep what they have."""
        layer = new_layer(self._volume)
        self._node.GetSegmentation().SetSourceRepresentationName(binary_labelmap())
        for segment in self._segments():
            segment.AddRepresentation(binary_labelmap(), layer)
        return layer


def find_node(scene: Any, case_id: str, volume_node: Any) -> Any:
    """The deferred node of a case on a volume, or None."""
    candidates = nodes_with_role(scene, ROLE_DEFERRED, volume_node)
    return next((node for node in candidates if node.GetAttribute(CASE_ID_ATTRIBUTE) == case_id), None)
