"""Where voxels are, computed by SimpleITK and numpy alone, to compare the scene layer with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import vtk
import vtk.util.numpy_support
from DeferredSegSlicerLib.core.geometry import Geometry

LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])


def itk_image(voxels: np.ndarray, grid: Geometry) -> sitk.Image:
    """An ITK image of an array [k, j, i] on a grid."""
    image = sitk.GetImageFromArray(voxels)
    image.SetOrigin(grid.origin_lps)
    image.SetSpacing(grid.spacing)
    image.SetDirection(grid.direction_lps)
    return image


def places_by_value(image: sitk.Image) -> dict[float, np.ndarray]:
    """RAS mm of every voxel of an image in which no two voxels are alike, by voxel value."""
    found = {}
    for k, j, i in np.ndindex(*image.GetSize()[::-1]):
        point = image.TransformIndexToPhysicalPoint((i, j, k))
        found[float(image[i, j, k])] = np.array(point) * LPS_TO_RAS
    return found


def places_in_file(path: Path) -> dict[float, np.ndarray]:
    return places_by_value(sitk.ReadImage(str(path)))


def moved(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (n, 3) after a 4x4 matrix."""
    return np.array([(matrix @ (*point, 1.0))[:3] for point in np.atleast_2d(points)])


def places_of_segment(node: Any, segment_id: str) -> np.ndarray:
    """World RAS mm of a segment's voxels (n, 3), as the labelmap and its node's transforms place them."""
    segment = node.GetSegmentation().GetSegment(segment_id)
    labelmap = segment.GetRepresentation("Binary labelmap")
    matrix = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    voxels = vtk.util.numpy_support.vtk_to_numpy(labelmap.GetPointData().GetScalars())
    extent = labelmap.GetExtent()
    ijk = np.argwhere(voxels.reshape(labelmap.GetDimensions()[::-1]) == segment.GetLabelValue())[:, ::-1]
    points = []
    for index in ijk + np.array(extent[::2]):
        local = matrix.MultiplyPoint((*index.astype(float), 1.0))[:3]
        world = [0.0, 0.0, 0.0]
        node.TransformPointToWorld(local, world)
        points.append(world)
    return np.array(points).reshape(-1, 3)


def in_order(points: np.ndarray) -> np.ndarray:
    """Points sorted, so that two sets of them can be compared."""
    return points[np.lexsort(np.round(points, 3).T)]
