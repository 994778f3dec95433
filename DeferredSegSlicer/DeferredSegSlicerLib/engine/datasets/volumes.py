"""A scan and its masks from files, the masks put on the scan's voxels or refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import BadInputError
from ...core.geometry import Geometry
from ...core.image_file import read_image_file
from ...core.volume import Modality, Volume, read_volume
from .base import LoadedCase

if TYPE_CHECKING:
    from numpy.typing import NDArray


def load_case(image: Path, mask: Path, modality: Modality, classes: int) -> LoadedCase:
    """The scan of a file or DICOM folder, with the labels of a mask file; see `read_labels`."""
    volume = read_volume(image, modality=modality)
    return LoadedCase(volume, read_labels(mask, volume, classes))


def read_labels(path: Path, volume: Volume, classes: int) -> NDArray[np.uint8]:
    """Labels 0..classes of a mask file on a scan's grid, uint8 [k, j, i].

    A mask whose voxels are the scan's, but stored along other axes or in the other direction, is turned by its
    physical points. Nothing is resampled.

    Raises
    ------
    BadInputError : a mask that cannot be read or is empty, that does not lie on the scan's voxels (to
        `Geometry.differences_from`'s tolerance), or that has other labels.
    """
    stored = read_image_file(path)
    labels = as_labels(stored.image, classes, f'mask "{path}"')
    return on_grid(labels, stored.geometry, volume.geometry, f'mask "{path}"', f'image "{volume.source}"')


def as_labels(stored: NDArray[Any], classes: int, who: str) -> NDArray[np.uint8]:
    """The array as uint8 labels; BadInputError, beginning with `who`, if it has others than 0..classes."""
    labels = stored.astype(np.uint8, copy=False) if stored.dtype.kind in "biu" else _rounded(stored)
    if stored.min() < 0 or stored.max() > classes or not np.array_equal(labels, stored):
        wrong = [value for value in np.unique(stored).tolist() if value not in range(classes + 1)]
        shown = ", ".join(f"{value:g}" for value in wrong[:5])
        raise BadInputError(f"{who} has the labels {shown}, expected whole numbers from 0 to {classes}")
    return labels


def _rounded(stored: NDArray[Any]) -> NDArray[np.uint8]:
    """Nearest uint8 of floats; whatever does not fit becomes another number."""
    return np.clip(np.nan_to_num(stored), 0, 255).round().astype(np.uint8)


def on_grid(
    labels: NDArray[np.uint8], grid: Geometry, wanted: Geometry, who: str, whose: str = "image"
) -> NDArray[np.uint8]:
    """Labels [k, j, i] of one grid on another grid of the same voxels, by flips and transposes alone.

    Raises
    ------
    BadInputError : the two grids' voxels are not the same points; begins with `who` and names `whose` grid it is.
    """
    differences = grid.differences_from(wanted)
    if not differences:
        return labels
    ours, theirs = (np.asarray(g.direction_lps).reshape(3, 3) for g in (grid, wanted))
    cosines = theirs.T @ ours
    sources = np.abs(cosines).argmax(axis=1)
    if len(set(sources.tolist())) == 3:
        turned = _turned(grid, sources.tolist(), [cosines[b, a] < 0 for b, a in enumerate(sources)])
        if not turned.differences_from(wanted):
            moved = labels.transpose([2 - int(sources[2 - axis]) for axis in range(3)])
            steps = [-1 if cosines[2 - axis, sources[2 - axis]] < 0 else 1 for axis in range(3)]
            return np.ascontiguousarray(moved[tuple(slice(None, None, step) for step in steps)])
    raise BadInputError(
        f"{who} does not lie on the voxels of {whose}: {'; '.join(differences)}; expected the same grid"
    )


def _turned(grid: Geometry, sources: Sequence[int], backward: Sequence[bool]) -> Geometry:
    """The grid whose index axis b is the old axis sources[b], walked backward where `backward[b]`."""
    direction = np.asarray(grid.direction_lps).reshape(3, 3)
    origin = np.asarray(grid.origin_lps)
    columns = []
    for source, back in zip(sources, backward, strict=True):
        if back:
            origin = origin + direction[:, source] * grid.spacing[source] * (grid.size[source] - 1)
        columns.append(direction[:, source] * (-1 if back else 1))
    i, j, k = sources
    return Geometry(
        (grid.size[i], grid.size[j], grid.size[k]),
        (grid.spacing[i], grid.spacing[j], grid.spacing[k]),
        (float(origin[0]), float(origin[1]), float(origin[2])),
        tuple(np.stack(columns, axis=1).ravel().tolist()),
    )


def marked_by_half(masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """What at least half of the readers marked: two of four, three of five."""
    votes = np.zeros(masks[0].shape, dtype=np.uint8)
    for mask in masks:
        votes += mask
    return np.asarray(2 * votes.astype(np.uint16) >= len(masks))
