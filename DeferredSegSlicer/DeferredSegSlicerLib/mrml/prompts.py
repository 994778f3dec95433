"""What the user points at, boxes in the views and segments that exist, as structures with boxes for the network."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import BadInputError
from ..core.geometry import transform_points
from ..core.structures import (
    PALETTE,
    Box,
    Structure,
    Terminology,
    check_inside,
    make_structures,
    terminology_of,
)
from .grid import array_of_matrix, check_usable, geometry_of, local_from_world
from .names import ROLE_PROMPT
from .placement import place_beside
from .segments import faces_of_segment, name_of_segment, terminology_of_segment

if TYPE_CHECKING:
    from numpy.typing import NDArray

BOX, SEGMENT = "box", "segment"


@dataclass(frozen=True)
class PromptEntry:
    """A row of the panel's table of structures.

    Attributes
    ----------
    key : letters and digits, unique among the rows and kept as long as the row is; see `new_key`.
    name, color, terminology : of the structure; color is red, green, blue in 0..1.
    kind : "box" for a markups ROI, "segment" for a segment of a segmentation.
    node_id : id of the ROI or of the segmentation in the scene.
    segment_id : id of the segment; empty for a box.
    """

    key: str
    name: str
    color: tuple[float, float, float]
    terminology: Terminology
    kind: str
    node_id: str
    segment_id: str = ""

    def __post_init__(self) -> None:
        if self.kind not in (BOX, SEGMENT):
            raise BadInputError(f'prompt of "{self.name}" is a "{self.kind}", expected "{BOX}" or "{SEGMENT}"')


def new_key() -> str:
    """A key that no other row has."""
    return secrets.token_hex(6)


def add_box(
    scene: Any,
    volume_node: Any,
    center_ras_world: Sequence[float],
    size_mm: Sequence[float] | float,
    name: str,
    color: Sequence[float],
) -> Any:
    """A markups ROI around a place, ready to be moved and sized in the views.

    It gets the volume's parent transform and lies along the volume's local RAS axes, so that the network's box is
    exactly the one that is seen.

    Parameters
    ----------
    center_ras_world : world RAS mm.
    size_mm : three edges along the volume's local R, A and S, or one for all.

    Raises
    ------
    BadInputError : a volume that cannot be used, or a size that is not finite and positive.
    """
    check_usable(volume_node)
    size = np.broadcast_to(np.asarray(size_mm, dtype=float), (3,))
    center = transform_points(local_from_world(volume_node), center_ras_world)
    if not np.all(np.isfinite(center)) or not np.all(np.isfinite(size)) or size.min() <= 0:
        raise BadInputError(f'box for "{name}" has the size {size.tolist()} mm at {center.tolist()} mm')
    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    roi.CreateDefaultDisplayNodes()
    place_beside(scene, roi, volume_node, ROLE_PROMPT)
    roi.SetSize(*size.tolist())
    roi.SetCenter(*center.tolist())
    display = roi.GetDisplayNode()
    for set_color in (display.SetSelectedColor, display.SetColor):
        set_color(*color)
    display.SetFillVisibility(False)
    display.SetOutlineVisibility(True)
    display.SetHandlesInteractive(True)
    display.SetTranslationHandleVisibility(True)
    display.SetScaleHandleVisibility(True)
    display.SetRotationHandleVisibility(False)
    display.SetPropertiesLabelVisibility(True)
    return roi


def entry_of_box(
    roi: Any, name: str, color: tuple[float, float, float], terminology: Terminology | None = None
) -> PromptEntry:
    """The row of a ROI; without `terminology` the codes follow from the name."""
    return PromptEntry(new_key(), name, color, terminology or terminology_of(name), BOX, roi.GetID())


def entries_of_segmentation(
    segmentation_node: Any, segment_ids: Iterable[str], taken: int = 0
) -> tuple[PromptEntry, ...]:
    """Rows for segments, with their names and codes.

    Colors are those of the library's palette and not the segments', which may be those of the experts.

    Parameters
    ----------
    taken : number of rows that there are already; the palette goes on from there.

    Raises
    ------
    BadInputError : the segmentation has no such segment.
    """
    entries = []
    for number, segment_id in enumerate(segment_ids, taken):
        name = name_of_segment(segmentation_node, segment_id)
        codes = terminology_of_segment(segmentation_node, segment_id) or terminology_of(name)
        color = PALETTE[number % len(PALETTE)]
        entries.append(PromptEntry(new_key(), name, color, codes, SEGMENT, segmentation_node.GetID(), segment_id))
    return tuple(entries)


def box_of_roi(roi: Any, volume_node: Any) -> Box:
    """The smallest box along the volume's local RAS axes around a ROI's eight corners, as the views show them.

    The ROI may be turned, and both may be under transforms; the volume's must be linear.

    Raises
    ------
    BadInputError : the ROI is not placed yet or has no volume, or the volume cannot be used.
    """
    size = np.asarray(roi.GetSize())
    if roi.GetNumberOfDefinedControlPoints() == 0 and not size.any():
        raise BadInputError("the box is not placed yet; click two opposite corners in a slice view")
    signs = np.array(list(np.ndindex(2, 2, 2))) - 0.5
    corners = transform_points(array_of_matrix(roi.GetObjectToWorldMatrix()), signs * size)
    return _box_around(transform_points(local_from_world(volume_node), corners))


def box_of_segment(segmentation_node: Any, segment_id: str, volume_node: Any) -> Box:
    """The smallest box along the volume's local RAS axes around a segment of any segmentation.

    As on the command line, it spans the corners of the segment's range of voxels in its own grid. A segmentation
    without voxels (surfaces, contours) is measured at its points. The user's node stays as it is.

    Raises
    ------
    BadInputError : no such segment, an empty one, or a segmentation or volume under a non-linear transform.
    """
    faces = transform_points(local_from_world(volume_node), faces_of_segment(segmentation_node, segment_id))
    thin = np.ptp(faces, axis=0) == 0  # one planar contour: as thick as the thinnest voxel
    half = np.where(thin, min(geometry_of(volume_node).spacing) / 2, 0.0)
    return _box_around(np.concatenate([faces - half, faces + half]))


def structure_of(entry: PromptEntry, scene: Any, volume_node: Any) -> Structure:
    """The structure of a row, its box in the volume's local RAS mm.

    Raises
    ------
    BadInputError : naming the structure: its ROI, segmentation or segment is gone, not placed or empty, or its box does
        not reach the volume.
    """
    return structures_of((entry,), scene, volume_node)[0]


def structures_of(entries: Iterable[PromptEntry], scene: Any, volume_node: Any) -> tuple[Structure, ...]:
    """The structures of all rows in their order, with the ids that a prompts file of them gives.

    Raises
    ------
    BadInputError : as `structure_of`; or two structures of one name (capitals do not count), or none.
    """
    check_usable(volume_node)
    rows = tuple(entries)
    if not rows:
        raise BadInputError("no structure to segment; add a box or take a segment first")
    boxes = [_box_of(entry, scene, volume_node) for entry in rows]
    dealt = make_structures(zip((entry.name for entry in rows), boxes, strict=True))
    structures = tuple(
        replace(structure, color=entry.color, terminology=entry.terminology)
        for structure, entry in zip(dealt, rows, strict=True)
    )
    check_inside(structures, geometry_of(volume_node))
    return structures


def _box_of(entry: PromptEntry, scene: Any, volume_node: Any) -> Box:
    node = scene.GetNodeByID(entry.node_id) if entry.node_id else None
    is_box = entry.kind == BOX
    if node is None or not node.IsA("vtkMRMLMarkupsROINode" if is_box else "vtkMRMLSegmentationNode"):
        gone = "box" if is_box else "segmentation"
        raise BadInputError(
            f'the {gone} of structure "{entry.name}" is no longer there; remove the structure or give it a new prompt'
        )
    try:
        return box_of_roi(node, volume_node) if is_box else box_of_segment(node, entry.segment_id, volume_node)
    except BadInputError as error:
        raise BadInputError(f'structure "{entry.name}": {error}') from error


def _box_around(points: NDArray[np.float64]) -> Box:
    low, high = (
        np.round(points.min(axis=0), 3),
        np.round(points.max(axis=0), 3),
    )  # a micrometer, as `core.segment_boxes`
    return Box(tuple(low.tolist()), tuple(high.tolist()))
