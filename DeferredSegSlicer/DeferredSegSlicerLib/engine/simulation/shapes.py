"""Distances and pieces of a mask in mm and ml, in 2D and 3D, by SimpleITK."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk

if TYPE_CHECKING:
    from numpy.typing import NDArray


def check_spacing(truth: NDArray[Any], spacing: Sequence[float]) -> tuple[float, ...]:
    """The spacing as floats; raises ValueError unless it has one positive number of mm for each of 2 or 3 axes."""
    steps = tuple(float(s) for s in spacing)
    if truth.ndim not in (2, 3) or len(steps) != truth.ndim or not all(s > 0 and np.isfinite(s) for s in steps):
        raise ValueError(f"spacing is {steps} mm for labels of shape {truth.shape}, expected one above 0 for each axis")
    return steps


def signed_distance(mask: NDArray[np.bool_], spacing: tuple[float, ...]) -> NDArray[np.float32]:
    """Distance in mm from the edge of a mask, negative inside; about half a voxel on either side of the edge.

    The mask must have foreground. spacing : mm, in the order of the axes.
    """
    inside = _image(mask, spacing)
    outside = _image(~mask, spacing)

    def to_nearest(image: sitk.Image) -> NDArray[np.float32]:
        distance = sitk.SignedMaurerDistanceMap(
            image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
        )
        return np.maximum(sitk.GetArrayFromImage(distance), 0).astype(np.float32)

    half = np.float32(min(spacing) / 2)
    out = to_nearest(inside)
    if mask.all():
        return np.full(mask.shape, -np.inf, dtype=np.float32)
    into = to_nearest(outside)
    return np.where(mask, half - into, out - half).astype(np.float32)


def pieces(mask: NDArray[np.bool_]) -> tuple[NDArray[np.uint32], int]:
    """Connected pieces (diagonals included): labels 1..n of the mask's shape, and n."""
    found = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)), True)
    labels = sitk.GetArrayFromImage(found).astype(np.uint32)
    return labels, int(labels.max(initial=0))


def crop_around(mask: NDArray[np.bool_], margin_mm: float, spacing: tuple[float, ...]) -> tuple[slice, ...]:
    """The bounding box of a mask that is not empty, grown by a margin and cut to the array."""
    box = []
    for axis, (size, step) in enumerate(zip(mask.shape, spacing, strict=True)):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        found = np.flatnonzero(mask.any(axis=others))
        grown = int(np.ceil(margin_mm / step)) + 1
        box.append(slice(max(0, int(found[0]) - grown), min(size, int(found[-1]) + grown + 1)))
    return tuple(box)


def points_mm(where: NDArray[np.bool_], spacing: tuple[float, ...], first: Sequence[int]) -> NDArray[np.float32]:
    """Positions (n, axes) in mm of the voxels of a crop that starts at index `first` of the whole array."""
    indices = np.argwhere(where) + np.asarray(first)
    return (indices * np.asarray(spacing)).astype(np.float32)


def _image(mask: NDArray[np.bool_], spacing: tuple[float, ...]) -> sitk.Image:
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing(spacing[::-1])
    return image
