"""Segments of any segmentation node: their names, codes, and where they are, without changing the node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk
import vtk.util.numpy_support

from ..core.errors import BadInputError
from ..core.geometry import Geometry, transform_points
from ..core.segment_boxes import label_box
from ..core.structures import Terminology
from .compat import binary_labelmap, closed_surface, planar_contour
from .grid import array_of_matrix, world_from_local

if TYPE_CHECKING:
    from numpy.typing import NDArray


def name_of_segment(segmentation_node: Any, segment_id: str) -> str:
    """The segment's name; raises BadInputError if there is no such segment."""
    return str(_segment(segmentation_node, segment_id).GetName())


def terminology_of_segment(segmentation_node: Any, segment_id: str) -> Terminology | None:
    """The segment's codes, or None if it has none that can be read or only the "Tissue" that Slicer gives to all."""
    text = tag_of(_segment(segmentation_node, segment_id), slicer.vtkSegment.GetTerminologyEntryTagName())
    if text is None:
        return None
    try:
        found = Terminology.from_slicer(text)
    except BadInputError:
        return None  # a foreign terminology text is no reason to refuse the segment
    return found if found != Terminology() else None


def tag_of(segment: Any, name: str) -> str | None:
    """Text of a segment's tag, or None."""
    value = vtk.reference("")
    return str(value) if segment.GetTag(name, value) else None


def faces_of_segment(segmentation_node: Any, segment_id: str) -> NDArray[np.float64]:
    """Points (n, 3) in world RAS mm that span a segment.

    They are the eight corners, on the outer voxel faces, of the range of voxels that the segment has in its own grid;
    or the points of its surface or contours, if it has no labelmap.

    Raises
    ------
    BadInputError : no such segment, an empty one, or a segmentation under a transform that is not linear.
    """
    segment = _segment(segmentation_node, segment_id)
    to_world = world_from_local(segmentation_node)
    labelmap = segment.GetRepresentation(binary_labelmap())
    if labelmap is not None:
        return transform_points(to_world, _corners_of_labelmap(labelmap, segment.GetLabelValue(), segment.GetName()))
    for kind in (closed_surface(), planar_contour()):
        surface = segment.GetRepresentation(kind)
        if surface is not None and surface.GetNumberOfPoints() > 0:
            points = vtk.util.numpy_support.vtk_to_numpy(surface.GetPoints().GetData())
            return transform_points(to_world, points)
    copied = _converted(segmentation_node.GetSegmentation(), segment_id)
    if copied is None:
        raise _empty(segment.GetName())
    found = _corners_of_labelmap(copied.GetRepresentation(binary_labelmap()), copied.GetLabelValue(), copied.GetName())
    return transform_points(to_world, found)


def _segment(segmentation_node: Any, segment_id: str) -> Any:
    segment = segmentation_node.GetSegmentation().GetSegment(segment_id)
    if segment is None:
        raise BadInputError(
            f'segmentation "{segmentation_node.GetName()}" has no segment "{segment_id}" any more; choose another one'
        )
    return segment


def _corners_of_labelmap(labelmap: Any, value: int, name: str) -> NDArray[np.float64]:
    """The eight corners in the segmentation's local RAS."""
    scalars, extent = labelmap.GetPointData().GetScalars(), labelmap.GetExtent()
    if scalars is None or labelmap.GetNumberOfPoints() == 0:
        raise _empty(name)
    labels = vtk.util.numpy_support.vtk_to_numpy(scalars).reshape(labelmap.GetDimensions()[::-1])
    # On this grid RAS is the index itself, counted as the image counts it.
    first = (-float(extent[0]), -float(extent[2]), float(extent[4]))
    index = Geometry(labelmap.GetDimensions(), (1.0, 1.0, 1.0), first, (-1, 0, 0, 0, -1, 0, 0, 0, 1))
    try:
        box = label_box(labels, value, index)
    except BadInputError as error:
        raise _empty(name) from error
    to_ras = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(to_ras)
    corners = np.array([[(box.low, box.high)[bit][axis] for axis, bit in enumerate(b)] for b in np.ndindex(2, 2, 2)])
    return transform_points(array_of_matrix(to_ras), corners)


def _converted(segmentation: Any, segment_id: str) -> Any:
    """A copy of the segment that has a binary labelmap, or None if it cannot have one."""
    copy = slicer.vtkSegmentation()
    copy.SetSourceRepresentationName(segmentation.GetSourceRepresentationName())
    if not copy.CopySegmentFromSegmentation(segmentation, segment_id) or not copy.CreateRepresentation(
        binary_labelmap()
    ):
        return None
    return copy.GetSegment(segment_id)


def _empty(name: str) -> BadInputError:
    return BadInputError(f'segment "{name}" is empty; choose a segment with voxels')
