"""Tight boxes around the segments of an existing segmentation, for use as prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .errors import BadInputError
from .geometry import Geometry
from .segmentation_file import Segment, read_segmentation
from .structures import Box, Terminology

if TYPE_CHECKING:
    from numpy.typing import NDArray


def segment_boxes(path: Path, names: Sequence[str] = ()) -> list[tuple[str, Box, Terminology | None]]:
    """Name, box and codes (if the file has them) of each segment, or of those named, in their order.

    The box is the smallest one, along the patient's axes, around the outer faces of the segment's index range, in
    RAS mm; the segmentation may be on any grid, oblique or not.

    Parameters
    ----------
    path : a Slicer segmentation (.seg.nrrd, overlapping layers too), whose segments go by name or id, or a label image
        (NRRD, NIfTI, MetaImage) of whole numbers, whose segments go by their label, "5", or as "liver=5" to give label
        5 a name.

    Raises
    ------
    BadInputError : a file that is no segmentation, an unknown segment (those there are listed), or an empty one.
    """
    file = read_segmentation(path)
    found: list[tuple[str, Box, Terminology | None]] = []
    for segment in _choose(file.segments, names, path):
        ranges = _index_range(file.layers[segment.layer], segment.label)
        if ranges is not None:
            found.append((segment.name, _box_around(ranges, file.geometry), segment.terminology))
        elif names:
            raise BadInputError(f'segment "{segment.name}" of "{path}" is empty')
    if not found:
        raise BadInputError(f'segmentation "{path}" has no segment with any voxel')
    return found


def label_box(labels: NDArray[np.generic], label: int, geometry: Geometry) -> Box:
    """The smallest box along the patient's axes, in RAS mm, around the voxels [k, j, i] of one label.

    Raises
    ------
    BadInputError : there is no such voxel.
    """
    ranges = _index_range(labels, label)
    if ranges is None:
        raise BadInputError(f"no voxel has label {label}, so there is no box around it")
    return _box_around(ranges, geometry)


def _choose(segments: Sequence[Segment], names: Sequence[str], path: Path) -> list[Segment]:
    if not names:
        return list(segments)
    chosen = []
    for wanted in names:
        matches = [s for s in segments if wanted.strip() in (s.name, s.id)]
        matches = matches or [s for s in segments if wanted.strip().casefold() == s.name.casefold()]
        given_name, equals, key = wanted.rpartition("=")
        if not matches and equals and given_name.strip():
            matches = [replace(s, name=given_name.strip()) for s in segments if key.strip() in (s.name, s.id)]
        if not matches:
            known = ", ".join(s.name for s in segments[:40]) or "none"
            raise BadInputError(f'segmentation "{path}" has no segment "{wanted}"; there are: {known}')
        if len(matches) > 1:
            raise BadInputError(
                f'segmentation "{path}" has {len(matches)} segments called "{wanted}"; give the id of one'
            )
        chosen.append(matches[0])
    return chosen


def _index_range(layer: NDArray[np.generic], label: int) -> NDArray[np.int64] | None:
    """(2, 3) first and last index (i, j, k) with the label, or None."""
    low, high = np.full(3, np.iinfo(np.int64).max), np.full(3, -1)
    for k, plane in enumerate(layer):
        mask = plane == label
        rows = np.flatnonzero(mask.any(axis=1))
        if len(rows):
            columns = np.flatnonzero(mask.any(axis=0))
            low = np.minimum(low, (columns[0], rows[0], k))
            high = np.maximum(high, (columns[-1], rows[-1], k))
    return None if high[2] < 0 else np.stack([low, high])


def _box_around(ranges: NDArray[np.int64], geometry: Geometry) -> Box:
    faces = ranges + np.array([[-0.5], [0.5]])
    corners = np.array([[faces[bit][axis] for axis, bit in enumerate(bits)] for bits in np.ndindex(2, 2, 2)])
    ras = geometry.ras_of(corners)
    # Rounded to a micrometer, so that a file's rounding of its origin does not show.
    low, high = np.round(ras.min(axis=0), 3), np.round(ras.max(axis=0), 3)
    return Box(tuple(low.tolist()), tuple(high.tolist()))
