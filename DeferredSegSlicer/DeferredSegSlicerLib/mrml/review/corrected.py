"""The corrected copy: a segmentation node with the labels as they stand after the review, and what is edited."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk

from ...core.case import Case
from ...core.errors import BadInputError
from ...core.review.corrected_file import TOUCHED
from ...core.segmentation_file import ALGORITHM_TYPE_TAG
from ..compat import binary_labelmap
from ..grid import Alignment, array_of_matrix, grid_copy
from ..names import CASE_ID_ATTRIBUTE, STRUCTURE_TAG
from ..placement import nodes_with_role, place_beside
from ..result import draw_as_outline, segments_of
from ..segments import tag_of
from ..shared_layer import fill_with_segments, layer_array, layer_modified, new_layer, one_event
from .helper_nodes import follow, remove_node
from .names import CORRECTED_SUFFIX, LIMIT_TAG, ROLE_CORRECTED
from .patches import Box, extent_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


class CorrectedCopy:
    """The corrected labels of a case over its volume.

    A node of the same case that the scene has already (from a saved scene) is taken over; segments that a user has
    added to it stay.

    Parameters
    ----------
    labels : uint8 [k, j, i] in the case's order, 0 background, s + 1 for structure s.
    """

    def __init__(
        self, scene: Any, case: Case, volume_node: Any, alignment: Alignment, labels: NDArray[np.uint8]
    ) -> None:
        self._scene, self._case, self._volume, self._alignment = scene, case, volume_node, alignment
        self._grid = grid_copy(volume_node)  # the volume's own may change while strokes are on this one
        self._node = find_corrected(scene, case.id, volume_node)
        if self._node is None:
            name = scene.GenerateUniqueName(f"{volume_node.GetName()}{CORRECTED_SUFFIX}")
            self._node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
            self._node.CreateDefaultDisplayNodes()
            draw_as_outline(self._node)
        else:
            remove_limits(self._node)
        with one_event(self._node):
            self._node.SetAttribute(CASE_ID_ATTRIBUTE, case.id)
            place_beside(scene, self._node, volume_node, ROLE_CORRECTED)
        self.fill(labels)

    @property
    def node(self) -> Any:
        """The segmentation node."""
        return self._node

    @property
    def in_scene(self) -> bool:
        """Whether the node is still there."""
        return self._node.GetScene() is self._scene

    def segment_id(self, structure_id: str) -> str:
        """Id of the segment that shows a structure; raises BadInputError if somebody has removed it."""
        segmentation = self._node.GetSegmentation()
        for number in range(segmentation.GetNumberOfSegments()):
            if tag_of(segmentation.GetNthSegment(number), STRUCTURE_TAG) == structure_id:
                return str(segmentation.GetNthSegmentID(number))
        raise BadInputError(
            f'the segment of structure "{structure_id}" was removed from "{self._node.GetName()}"; undo that in the '
            "editor, or cancel the edit"
        )

    def fill(self, labels: NDArray[np.uint8]) -> None:
        """Show other labels everywhere, uint8 [k, j, i] in the case's order."""
        with one_event(self._node):
            follow(self._node, self._volume)
            layer = self._own_layer()
            if layer is not None:
                self._alignment.to_case(layer_array(layer))[...] = labels
                layer_modified(self._node, layer)
                return
            layer = new_layer(self._grid, self._alignment.to_node(labels))
            segments = self._segments()
            if None in segments:
                fill_with_segments(self._node, layer, segments_of(self._case), STRUCTURE_TAG)
                return
            for number, segment in enumerate(segments, 1):  # users' segments keep the labelmap that they have
                segment.SetLabelValue(number)
                segment.AddRepresentation(binary_labelmap(), layer)

    def update(self, labels: NDArray[np.uint8], voxels: NDArray[Any]) -> None:
        """Show other labels at some voxels: flat indices into `labels`, uint8 [k, j, i] in the case's order.

        If the editor has trimmed or split the labelmap since, everything is filled anew.
        """
        layer = self._own_layer()
        if layer is None:
            self.fill(labels)
        elif len(voxels):
            with one_event(self._node):
                kji = np.unravel_index(voxels, labels.shape)
                self._alignment.to_case(layer_array(layer))[kji] = labels[kji]
                layer_modified(self._node, layer)

    def retag(self, touched: Collection[int]) -> None:
        """Say which labels (s + 1) a person's hand has changed: the algorithm type of their segments."""
        segmentation = self._node.GetSegmentation()
        for number, structure in enumerate(self._case.structures, 1):
            segment = segmentation.GetSegment(self.segment_id(structure.id))
            kind = TOUCHED if number in touched else "AUTOMATIC"
            if tag_of(segment, ALGORITHM_TYPE_TAG) != kind:
                segment.SetTag(ALGORITHM_TYPE_TAG, kind)

    def read(self, before: NDArray[np.uint8], drawn: str, box: Box | None = None) -> NDArray[np.uint8]:
        """The labels as the node has them now, whatever the editor has made of its labelmaps.

        Parameters
        ----------
        before : uint8 [k, j, i] in the case's order, the labels before the edit. drawn : id of the structure that is
            edited. Where segments overlap, it wins; then what was there before.
        box : slices (k, j, i) to read, or all.

        Returns
        -------
        uint8 of the box's shape in the case's order, a copy.

        Raises
        ------
        BadInputError : the segment of a structure was removed.
        """
        k, j, i = before.shape
        part = box or (slice(0, k), slice(0, j), slice(0, i))
        layer = self._own_layer()
        if layer is not None:
            return np.array(self._alignment.to_case(layer_array(layer))[part])
        seen = before[part]
        masks = [self._mask(self.segment_id(structure.id), part) for structure in self._case.structures]
        found = np.zeros_like(seen)
        for number, mask in enumerate(masks, 1):
            found[mask] = number
        for number, mask in enumerate(masks, 1):
            found[mask & (seen == number)] = number
        number = 1 + [s.id for s in self._case.structures].index(drawn)
        found[masks[number - 1]] = number
        return found

    def remove(self) -> None:
        """Take the node out of the scene."""
        remove_node(self._scene, self._node)

    def _mask(self, segment_id: str, box: Box) -> NDArray[np.bool_]:
        """Where a segment is, in a box of the case."""
        segment = self._node.GetSegmentation().GetSegment(segment_id)
        layer = segment.GetRepresentation(binary_labelmap())
        wanted = extent_of(self._grid, self._alignment, box)
        mask = np.zeros([wanted[2 * axis + 1] - wanted[2 * axis] + 1 for axis in (2, 1, 0)], dtype=bool)
        if layer is not None and layer.GetPointData().GetScalars() is not None and layer.GetNumberOfPoints():
            offset = _offset_of(layer, self._grid)
            if offset is None:
                layer, offset = _resampled(layer, self._grid), (0, 0, 0)
            _lay(mask, wanted, layer_array(layer), segment.GetLabelValue(), layer.GetExtent(), offset)
        return self._alignment.to_case(mask)

    def _segments(self) -> list[Any]:
        """The segments of the structures in the case's order, None for one that is not there."""
        segmentation = self._node.GetSegmentation()
        everybody = (segmentation.GetNthSegment(n) for n in range(segmentation.GetNumberOfSegments()))
        known = {tag_of(segment, STRUCTURE_TAG): segment for segment in everybody}
        return [known.get(structure.id) for structure in self._case.structures]

    def _own_layer(self) -> Any:
        """The labelmap that the structures' segments, and no others, share on the volume's whole grid, or None.

        It is None in a new node, after a scene was read, and after the editor has trimmed or split the labelmap.
        """
        segmentation, name = self._node.GetSegmentation(), binary_labelmap()
        mine = self._segments()
        if None in mine or [s.GetLabelValue() for s in mine] != list(range(1, len(mine) + 1)):
            return None
        layer = mine[0].GetRepresentation(name)
        everybody = (segmentation.GetNthSegment(n) for n in range(segmentation.GetNumberOfSegments()))
        sharing = [s for s in everybody if layer is not None and s.GetRepresentation(name) is layer]
        if len(sharing) != len(mine) or any(s.GetRepresentation(name) is not layer for s in mine):
            return None
        whole = layer.GetExtent() == self._grid.GetImageData().GetExtent()
        is_bytes = layer.GetScalarType() == vtk.VTK_UNSIGNED_CHAR and layer.GetPointData().GetScalars() is not None
        return layer if whole and is_bytes and _offset_of(layer, self._grid) == (0, 0, 0) else None


def find_corrected(scene: Any, case_id: str, volume_node: Any) -> Any:
    """The corrected copy of a case on a volume, or None."""
    candidates = nodes_with_role(scene, ROLE_CORRECTED, volume_node)
    return next((node for node in candidates if node.GetAttribute(CASE_ID_ATTRIBUTE) == case_id), None)


def remove_limits(node: Any) -> None:
    """Take edit limits out of a corrected copy: a scene that was saved during an edit has one."""
    segmentation = node.GetSegmentation()
    ids = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
    for segment_id in ids:
        if segmentation.GetSegment(segment_id).HasTag(LIMIT_TAG):
            segmentation.RemoveSegment(segment_id)


def _offset_of(layer: Any, volume_node: Any) -> tuple[int, int, int] | None:
    """What must be added to a labelmap's indices to get the volume's; None if it is not on the volume's grid."""
    there, here = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    layer.GetImageToWorldMatrix(there)
    volume_node.GetIJKToRASMatrix(here)
    between = np.linalg.inv(array_of_matrix(here)) @ array_of_matrix(there)
    whole = np.rint(between[:3, 3])
    reach = max(volume_node.GetImageData().GetDimensions())
    if np.abs(between[:3, :3] - np.eye(3)).max() * reach > 1e-2 or np.abs(between[:3, 3] - whole).max() > 1e-2:
        return None
    i, j, k = (int(n) for n in whole)
    return i, j, k


def _lay(
    mask: NDArray[np.bool_], wanted: Any, labels: NDArray[Any], value: int, extent: Any, offset: tuple[int, int, int]
) -> None:
    """Set a mask [k, j, i] of the extent `wanted` where a labelmap of another extent has a value.

    `offset` is what must be added to the labelmap's indices.
    """
    there, here = [], []
    for axis in (2, 1, 0):
        first, start = wanted[2 * axis], extent[2 * axis] + offset[axis]
        low = max(first, start)
        high = min(wanted[2 * axis + 1], extent[2 * axis + 1] + offset[axis]) + 1
        if low >= high:
            return
        there.append(slice(low - first, high - first))
        here.append(slice(low - start, high - start))
    mask[tuple(there)] = labels[tuple(here)] == value


def _resampled(layer: Any, volume_node: Any) -> Any:
    """A labelmap of another grid on the volume's, each voxel from the nearest."""
    moved = slicer.vtkOrientedImageData()
    if not slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(
        layer, new_layer(volume_node), moved
    ):
        raise BadInputError(
            "the edited segment lies on a grid that cannot be brought back to the scan's; cancel the edit"
        )
    return moved
