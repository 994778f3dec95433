"""The scan in memory: voxels in their native type, the grid, the modality and a checksum of the voxels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from .errors import BadInputError
from .geometry import Geometry

if TYPE_CHECKING:
    from numpy.typing import NDArray

Modality = Literal["CT", "MR", "other"]
"""What windowing needs to know of a scan: Hounsfield units (CT), arbitrary units (MR), or neither."""

VOXEL_TYPES = ("int8", "uint8", "int16", "uint16", "int32", "float32")
"""The voxel types that a volume may have."""


@dataclass(frozen=True, eq=False)
class Volume:
    """One scan.

    Attributes
    ----------
    image : voxels [k, j, i] in one of `VOXEL_TYPES`, little- or native-endian, C-contiguous; HU for CT. It may be
        read-only: copy the part that you change.
    geometry : its grid.
    modality : "CT", "MR" or "other".
    sha256 : `sha256_of_voxels` of the image, or None if it was not asked for.
    source : the path it was read from, as the user gave it; never a DICOM text. It may name a patient all the same,
        so it goes into a file only when the user asks for a reference to the image.

    Raises
    ------
    BadInputError : a voxel type, a shape or a modality that does not fit.
    """

    image: NDArray[np.generic]
    geometry: Geometry
    modality: Modality = "other"
    sha256: str | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if self.image.shape != self.geometry.shape:
            raise BadInputError(f"image of shape {self.image.shape} is not on the grid of shape {self.geometry.shape}")
        if self.image.dtype.name not in VOXEL_TYPES:
            raise BadInputError(f"voxels are {self.image.dtype.name}, expected one of {', '.join(VOXEL_TYPES)}")
        if self.modality not in get_args(Modality):
            raise BadInputError(f'modality is "{self.modality}", expected one of {", ".join(get_args(Modality))}')


def sha256_of_voxels(image: NDArray[np.generic]) -> str:
    """SHA-256 (hex) of the voxels and their type and size, whatever file format they were stored in.

    Hashed are the ASCII line `<type> <i>x<j>x<k>` and a line feed, with the numpy type name (`int16`), then the voxels
    as little-endian bytes, i fastest. Spacing, origin and direction are not hashed, since formats round them
    differently: compare those with `Geometry.differences_from`.

    Parameters
    ----------
    image : [k, j, i]; read slice by slice, never copied whole.
    """
    k, j, i = image.shape
    digest = hashlib.sha256(f"{image.dtype.name} {i}x{j}x{k}\n".encode("ascii"))
    little = image.dtype.newbyteorder("<")
    for plane in image:
        digest.update(np.ascontiguousarray(plane, dtype=little).data)
    return digest.hexdigest()


CT_AIR = -500.0
"""A file whose lowest voxel is at most this is taken for a CT in Hounsfield units (air is -1000)."""


def guess_modality(lowest: float) -> Modality:
    """ "CT" if the lowest voxel is at most `CT_AIR`, else "other"; a file says nothing better on itself."""
    return "CT" if lowest <= CT_AIR else "other"


def read_volume(path: str | Path, series: str | int | None = None, modality: Modality | None = None) -> Volume:
    """Read an NRRD, NIfTI or MetaImage file, or a folder of DICOM slices, with its checksum.

    Parameters
    ----------
    path : the file, or the DICOM folder (subfolders included).
    series : which DICOM series, by its number in `dicom.list_series` (from 1) or its UID; needed if there are several.
    modality : what the scan is, if known. Without it, DICOM says it itself; for a file it is guessed from the lowest
        voxel (`guess_modality`), which a signed phase image of an MR, for one, deceives.

    Raises
    ------
    BadInputError : one sentence that names the file and what is wrong with it.
    """
    from . import dicom, image_file

    place = Path(path)
    if place.is_dir():
        return dicom.read_series(place, series, modality)
    return image_file.read_image_file(place, modality)
