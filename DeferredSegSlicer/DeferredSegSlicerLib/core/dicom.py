"""Read one DICOM series from a folder as a volume, placed by its slices' own positions.

Files are grouped and ordered here and not by GDCM's series listing: that one takes files without a series UID for
one series, accepts gaps, and may take the slice spacing from a tag. The distance of slices comes from the positions
alone; the tags SliceThickness and SpacingBetweenSlices are not looked at (but for a series of one image). What
cannot be put on a regular grid is refused and never resampled: gaps, slices twice, mixed orientation, gantry tilt.
No DICOM text is kept in the volume.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .dicom_grid import grid_of
from .dicom_slice import DicomSlice, read_slice_header
from .errors import BadInputError
from .geometry import MAX_VOXELS
from .image_file import checked_volume, itk_cause, narrowed, quiet_itk, simple_itk
from .volume import Modality, Volume

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Series:
    """One DICOM series in a folder.

    Attributes
    ----------
    uid : its SeriesInstanceUID, or "" if the files have none.
    modality : DICOM's code: CT, MR, PT ...
    images : number of files.
    size : columns, rows and images of it.
    spacing : (i, j, k) mm; k is the median distance of the slices, or NaN if it cannot be told.
    description : SeriesDescription, to show on the terminal; it may hold anything, so it is never stored or logged.
    slices : its images, unsorted.
    """

    uid: str
    modality: str
    images: int
    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    description: str = field(repr=False)
    slices: tuple[DicomSlice, ...] = field(repr=False)

    @property
    def summary(self) -> str:
        """Modality, number of images, size and spacing, without any text from the file."""
        size, spacing = "x".join(map(str, self.size)), "x".join(f"{s:.3g}" for s in self.spacing)
        return f"{self.modality or 'no modality'}, {self.images} images, {size}, {spacing} mm"


def list_series(folder: Path) -> list[Series]:
    """The series of images in a folder and its subfolders, most images first; files that are no DICOM are passed over.

    Raises
    ------
    BadInputError : an image among them cannot be read, or the folder cannot.
    """
    groups: dict[tuple[str, ...], list[DicomSlice]] = {}
    try:
        files = sorted(p for p in Path(folder).rglob("*") if p.is_file())
        with quiet_itk():
            headers = [header for file in files if (header := read_slice_header(file)) is not None]
    except OSError as error:
        raise BadInputError(f'folder "{folder}" cannot be read: {error.strerror or error}') from error
    for header in headers:
        groups.setdefault(header.group, []).append(header)
    series = [_series_of(slices) for slices in groups.values()]
    return sorted(series, key=lambda s: (-s.images, s.uid, s.modality))


def read_series(folder: Path, series: str | int | None = None, modality: Modality | None = None) -> Volume:
    """The volume of one series, in the native integers of its rescaled values (HU for CT).

    Parameters
    ----------
    folder : searched with its subfolders.
    series : number in `list_series` from 1, or UID; may be None if there is one alone.
    modality : overrides what DICOM says.

    Raises
    ------
    BadInputError : none, several or no such series; or slices that are no regular volume, naming them.
    """
    chosen = _choose(list_series(folder), series, folder)
    who = f'DICOM series in "{folder}"'
    try:
        slices, geometry = grid_of(chosen.slices)
        if geometry.voxel_count > MAX_VOXELS:
            raise BadInputError(f"has {geometry.voxel_count} voxels, more than any scan")
        image = _read_pixels(slices)
    except BadInputError as error:
        raise BadInputError(f"{who} {error}") from error
    kind = modality if modality is not None else {"CT": "CT", "MR": "MR"}.get(chosen.modality, "other")
    return checked_volume(image, geometry, kind, Path(folder), who)  # type: ignore[arg-type]


def _series_of(slices: Sequence[DicomSlice]) -> Series:
    first = slices[0]
    normal = np.cross(first.row, first.column)
    along = np.unique(np.round([float(s.position @ normal) for s in slices if s.position is not None], 3))
    step = float(np.median(np.diff(along))) if len(along) > 1 else math.nan
    return Series(
        first.series_uid,
        first.modality,
        len(slices),
        (first.columns, first.rows, len(slices)),
        (first.spacing[0], first.spacing[1], step),
        first.description,
        tuple(slices),
    )


def _choose(found: list[Series], series: str | int | None, folder: Path) -> Series:
    if not found:
        raise BadInputError(f'folder "{folder}" has no DICOM images')
    listing = "; ".join(f"{n}: {s.summary}" for n, s in enumerate(found, 1))
    if series is None or str(series).strip() == "":
        if len(found) > 1:
            raise BadInputError(
                f'folder "{folder}" has {len(found)} series, choose one with --series NUMBER: {listing}'
            )
        return found[0]
    wanted = str(series).strip()
    if wanted.isdecimal() and 1 <= int(wanted) <= len(found):
        return found[int(wanted) - 1]
    by_uid = [s for s in found if s.uid == wanted]
    if len(by_uid) != 1:
        raise BadInputError(f'folder "{folder}" has no series "{wanted}"; there are {listing}')
    return by_uid[0]


def _read_pixels(slices: Sequence[DicomSlice]) -> NDArray[np.generic]:
    """[k, j, i], one file after the other, each rescaled with its own slope and intercept."""
    floats = any(s.dtype.kind == "f" for s in slices)
    common = np.dtype(np.float32) if floats else np.result_type(*{s.dtype for s in slices})
    if common.itemsize > 4 or common == np.uint32:
        raise BadInputError(f"has voxels of type {common.name}, which is not supported")
    image = np.empty((len(slices), slices[0].rows, slices[0].columns), common)
    sitk = simple_itk()
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    for k, item in enumerate(slices):
        reader.SetFileName(str(item.path))
        try:
            with quiet_itk():
                plane = reader.Execute()
        except RuntimeError as error:
            raise BadInputError(
                f'has an image that cannot be unpacked, "{item.path.name}": {itk_cause(error)}'
            ) from error
        # The view does not keep the image alive: the name does, until the copy is made.
        image[k] = sitk.GetArrayViewFromImage(plane)[0]
    return narrowed(image)
