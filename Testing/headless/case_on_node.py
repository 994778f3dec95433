"""Cases that lie on volume nodes, and deferral regions in them, for the tests of what is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import vtk
import vtk.util.numpy_support
from DeferredSegSlicerLib.core.case import Case
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.regions import Region, RegionList
from DeferredSegSlicerLib.core.volume import Volume
from DeferredSegSlicerLib.core.worklist import Worklist, worklist
from DeferredSegSlicerLib.mrml.grid import array_of_matrix
from hard_volumes import scan_on

LABELMAP = "Binary labelmap"


def case_of_scan(write_a_case: Callable[..., Case], path: Path, grid: Geometry, **changes: Any) -> Case:
    """A case on the scan that `hard_volumes` puts on a grid."""
    return write_a_case(path, Volume(scan_on(grid), grid, "CT"), **changes)


def worklist_of(case: Case) -> Worklist:
    """The case's worklist; a region may be as small as one voxel."""
    settings = case.settings | {"min_region_ml": 0.0, "min_region_voxels": 1}
    maps = case.probability(), case.routing(), case.error()
    return worklist(*maps, case.structures, case.experts, case.geometry, settings)


def region_of(mask: np.ndarray, case: Case, expert_id: str) -> Region:
    """The deferral region of a mask [k, j, i] on the case's grid."""
    indices, grid = np.flatnonzero(mask), case.geometry
    kji = np.argwhere(mask)
    low, high = kji.min(axis=0)[::-1].tolist(), (kji.max(axis=0) + 1)[::-1].tolist()
    return Region(
        id=f"{case.structures[0].id}:{expert_id}:{len(indices):012x}",
        structure=case.structures[0].id,
        expert=expert_id,
        voxels=len(indices),
        volume_ml=len(indices) * grid.voxel_ml,
        slice_count=high[2] - low[2],
        slice_range=(low[2], high[2] - 1),
        box_ijk=(tuple(low), tuple(high)),
        centroid_ras=tuple(grid.ras_of(kji[:, ::-1].mean(axis=0)).tolist()),
        expected_error_voxels=len(indices) / 2,
        expected_error_ml=len(indices) / 2 * grid.voxel_ml,
        seconds=20.0,
        value=1.0,
        indices=indices,
    )


def places_of_segment(node: Any, segment_id: str) -> np.ndarray:
    """World RAS mm (n, 3) of a segment's voxels as Slicer places them, in ascending order."""
    segment = node.GetSegmentation().GetSegment(segment_id)
    image = segment.GetRepresentation(LABELMAP)
    if image is None or image.GetPointData().GetScalars() is None:
        return np.empty((0, 3))
    labels = vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    found = np.argwhere(labels.reshape(image.GetDimensions()[::-1]) == segment.GetLabelValue())
    to_ras, to_world = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(to_ras)
    if node.GetParentTransformNode() is not None:
        node.GetParentTransformNode().GetMatrixTransformToWorld(to_world)
    points = _moved(array_of_matrix(to_ras), found[:, ::-1] + np.array(image.GetExtent()[::2]))
    return in_order(_moved(array_of_matrix(to_world), points))


def places_of_regions(
    regions: RegionList | tuple[Region, ...], expert_id: str, case: Case, to_world: Any
) -> np.ndarray:
    """World RAS mm (n, 3) of an expert's deferred voxels; `to_world` is the 4x4 matrix of the volume's transforms."""
    own = [region.indices for region in regions if region.expert == expert_id]
    if not own:
        return np.empty((0, 3))
    kji = np.stack(np.unravel_index(np.concatenate(own), case.geometry.shape), axis=1)
    return in_order(_moved(np.asarray(to_world), case.geometry.ras_of(kji[:, ::-1])))


def in_order(points: np.ndarray) -> np.ndarray:
    """Points (n, 3) sorted by place to the micrometer."""
    return points[np.lexsort(np.round(points, 3).T)]


def node_ids(scene: Any) -> set[str]:
    """Ids of all nodes in the scene."""
    return {scene.GetNthNode(n).GetID() for n in range(scene.GetNumberOfNodes())}


def _moved(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:3, :3].T + matrix[:3, 3]
