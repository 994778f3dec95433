"""Tight boxes around the segments of an existing segmentation, for use as prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from .errors import BadInputError
from .geometry import Geometry
from .image_file import check_length, itk_cause, quiet_itk, read_image_file
from .image_header import read_header
from .structures import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class _Segment:
    """One segment: its name, the voxel value that stands for it and the layer where that holds."""

    name: str
    identifier: str
    label: int
    layer: int = 0


def segment_boxes(path: Path, names: Sequence[str] = ()) -> list[tuple[str, Box]]:
    """Name and box of each segment, or of those named, in their order.

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
    layers, geometry, segments = _read(path)
    found: list[tuple[str, Box]] = []
    for segment in _choose(segments, names, path):
        ranges = _index_range(layers[segment.layer], segment.label)
        if ranges is None:
            if not names:
                continue
            raise BadInputError(f'segment "{segment.name}" of "{path}" is empty')
        found.append((segment.name, _box_around(ranges, geometry)))
    if not found:
        raise BadInputError(f'segmentation "{path}" has no segment with any voxel')
    return found


def _read(path: Path) -> tuple[list[NDArray[np.generic]], Geometry, list[_Segment]]:
    """Layers [k, j, i], their grid, and the segments (labels as names where the file has no names)."""
    who = f'segmentation "{path}"'
    try:
        stored = read_header(path)
        if stored.reader == "NrrdImageIO":
            reader = sitk.ImageFileReader()
            check_length(stored)
            reader.SetFileName(str(path))
            reader.SetImageIO("NrrdImageIO")
            with quiet_itk():
                reader.ReadImageInformation()
            fields = {key: reader.GetMetaData(key).strip() for key in reader.GetMetaDataKeys()}
            segments = _segments_in(fields)
            if segments:
                with quiet_itk():
                    image = reader.Execute()
                return _layers_of(image, segments), Geometry.of_image(image), segments
    except BadInputError as error:
        raise BadInputError(f"{who} {error}") from error
    except RuntimeError as error:
        raise BadInputError(f"{who} cannot be read: {itk_cause(error)}") from error
    except FileNotFoundError as error:
        raise BadInputError(f"{who} does not exist") from error
    except OSError as error:
        raise BadInputError(f"{who} cannot be read: {error.strerror or error}") from error
    volume = read_image_file(path, "other")
    labels: set[float] = set()
    for plane in volume.image:
        labels.update(np.unique(plane).tolist())
        if len(labels) > 4096 or any(not float(label).is_integer() or label < 0 for label in labels):
            raise BadInputError(f"{who} is no label image: its voxels are not labels 0, 1, 2 ...")
    named = [_Segment(str(int(label)), str(int(label)), int(label)) for label in sorted(labels - {0})]
    return [volume.image], volume.geometry, named


def _segments_in(fields: dict[str, str]) -> list[_Segment]:
    """Segments in the header of a Slicer segmentation, in their order."""
    segments = []
    for number in range(4096):
        prefix = f"Segment{number}_"
        identifier = fields.get(f"{prefix}ID")
        if identifier is None:
            break
        try:
            label, layer = int(fields.get(f"{prefix}LabelValue", "")), int(fields.get(f"{prefix}Layer", "0"))
        except ValueError as error:
            raise BadInputError(f"has a damaged header: segment {number} has no whole label value or layer") from error
        segments.append(_Segment(fields.get(f"{prefix}Name", identifier), identifier, label, layer))
    return segments


def _layers_of(image: sitk.Image, segments: Sequence[_Segment]) -> list[NDArray[np.generic]]:
    array = sitk.GetArrayFromImage(image)
    layers = [array] if array.ndim == 3 else [array[..., n] for n in range(array.shape[-1])]
    lost = [s.name for s in segments if not 0 <= s.layer < len(layers)]
    if lost:
        raise BadInputError(f'has a damaged header: segment "{lost[0]}" is on a layer that is not there')
    return layers


def _choose(segments: Sequence[_Segment], names: Sequence[str], path: Path) -> list[_Segment]:
    if not names:
        return list(segments)
    chosen = []
    for wanted in names:
        matches = [s for s in segments if wanted.strip() in (s.name, s.identifier)]
        matches = matches or [s for s in segments if wanted.strip().casefold() == s.name.casefold()]
        given_name, equals, key = wanted.rpartition("=")
        if not matches and equals and given_name.strip():
            matches = [
                _Segment(given_name.strip(), s.identifier, s.label, s.layer)
                for s in segments
                if key.strip() in (s.name, s.identifier)
            ]
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
