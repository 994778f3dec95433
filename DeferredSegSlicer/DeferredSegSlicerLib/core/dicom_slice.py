"""What one DICOM file says of its image: series, place in the patient, size and kind of pixels."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .errors import BadInputError
from .image_file import simple_itk

if TYPE_CHECKING:
    from numpy.typing import NDArray

_IMAGE_CLASSES = re.compile(rb"1\.2\.840\.10008\.5\.1\.4\.1\.1\.(1|2|4|6|7|12|20|128)(\.\d+)*\Z")
"""SOP classes whose files hold images: CT, MR, ultrasound, secondary capture, X-ray, nuclear medicine, PET."""

_PIXEL_TYPES = {
    "sitkInt8": np.int8,
    "sitkUInt8": np.uint8,
    "sitkInt16": np.int16,
    "sitkUInt16": np.uint16,
    "sitkInt32": np.int32,
    "sitkUInt32": np.uint32,
    "sitkFloat32": np.float32,
    "sitkFloat64": np.float64,
}
"""Of SimpleITK's names for what a pixel is."""


@dataclass(frozen=True, eq=False)
class DicomSlice:
    """Header of one image file.

    Attributes
    ----------
    path : the file.
    group : what tells its series from another: the series UID, or without one the patient, study, frame of reference
        and series number.
    patient : an opaque key that differs between patients; compared, never shown or stored.
    position : ImagePositionPatient, LPS mm, or None.
    row, column : LPS unit vectors along which i and j grow (ImageOrientationPatient); zeros if there is none.
    spacing : (i, j) mm; NaN if there is none.
    thickness : SliceThickness in mm, or NaN.
    frames, samples : number of frames in the file and of values a pixel.
    dtype : type of the rescaled pixels.
    """

    path: Path
    group: tuple[str, ...] = field(repr=False)
    patient: tuple[str, ...] = field(repr=False)
    series_uid: str
    modality: str
    description: str = field(repr=False)
    position: NDArray[np.float64] | None
    row: NDArray[np.float64]
    column: NDArray[np.float64]
    spacing: tuple[float, float]
    thickness: float
    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    dtype: np.dtype[np.generic]


def read_slice_header(path: Path) -> DicomSlice | None:
    """The header, or None if the file is no DICOM image (a report, a contour set, a DICOMDIR, a text file).

    Raises
    ------
    BadInputError : the file says that it is an image, but cannot be read.
    OSError : it cannot be opened.
    """
    with path.open("rb") as file:
        start = file.read(2048)
    if start[128:132] != b"DICM" and start[:2] not in (b"\x02\x00", b"\x08\x00"):
        return None
    reader = simple_itk().ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        if _says_it_is_an_image(start):
            raise BadInputError(f'DICOM image "{path}" is damaged and cannot be read') from error
        return None
    keys = set(reader.GetMetaDataKeys())

    def text(tag: str) -> str:
        return reader.GetMetaData(tag).replace("\x00", "").strip() if tag in keys else ""

    def numbers(tag: str, count: int) -> list[float]:
        try:
            values = [float(v) for v in text(tag).split("\\")]
        except ValueError:
            return [math.nan] * count
        return values if len(values) == count else [math.nan] * count

    size = reader.GetSize()
    uid = text("0020|000e")
    patient = (text("0010|0020"), text("0010|0010"), text("0010|0030"))
    position = np.array(numbers("0020|0032", 3))
    axes = np.array(numbers("0020|0037", 6))
    between_rows, between_columns = numbers("0028|0030", 2)
    modality = text("0008|0060")
    described = text("0020|0011"), modality, text("0020|000d"), text("0020|0052")
    frames = text("0028|0008")
    return DicomSlice(
        path=path,
        group=(uid,) if uid else ("", *described, *patient),
        patient=patient,
        series_uid=uid,
        modality=modality,
        description=text("0008|103e"),
        position=position if np.isfinite(position).all() else None,
        row=axes[:3] if np.isfinite(axes).all() else np.zeros(3),
        column=axes[3:] if np.isfinite(axes).all() else np.zeros(3),
        spacing=(between_columns, between_rows),
        thickness=numbers("0018|0050", 1)[0],
        rows=size[1],
        columns=size[0],
        frames=max(int(frames) if frames.isdecimal() else 1, size[2] if len(size) > 2 else 1),
        samples=reader.GetNumberOfComponents(),
        photometric=text("0028|0004"),
        dtype=_dtype_of(reader.GetPixelID()),
    )


def _dtype_of(pixel_id: int) -> np.dtype[np.generic]:
    sitk = simple_itk()
    found = next((dtype for name, dtype in _PIXEL_TYPES.items() if getattr(sitk, name) == pixel_id), np.uint8)
    return np.dtype(found)


def _says_it_is_an_image(start: bytes) -> bool:
    """Whether MediaStorageSOPClassUID (0002,0002) in the file's first bytes is that of an image."""
    place = start.find(b"\x02\x00\x02\x00UI")
    if place < 0:
        return False
    length = int.from_bytes(start[place + 6 : place + 8], "little")
    uid = start[place + 8 : place + 8 + length].strip(b"\x00 ")
    return _IMAGE_CLASSES.fullmatch(uid) is not None
