"""NRRD files of a case: volumes and maps, written in one pass and read only if they fit what is expected of them."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from .atomic import write_via
from .errors import BadInputError
from .geometry import Geometry
from .image_file import itk_cause, quiet_itk, unpacked
from .image_header import StoredImage, read_header

if TYPE_CHECKING:
    from numpy.typing import NDArray

COMPRESSION_LEVEL = 1
"""Of gzip: maps are mostly constant, so the fastest level packs them nearly as well as the best."""

_TYPE_NAMES = {"int8", "uint8", "int16", "uint16", "int32", "float32"}
_NRRD_NAMES = {"float32": "float"}


@dataclass(frozen=True)
class WrittenFile:
    """Size in bytes and SHA-256 (hex) of a file as it was written."""

    bytes: int
    sha256: str


class _Hashing:
    """A file that hashes what goes into it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._bytes = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self._bytes += len(data)

    def record(self) -> WrittenFile:
        return WrittenFile(self._bytes, self._digest.hexdigest())


def write_nrrd(
    path: str | Path, array: NDArray[np.generic], geometry: Geometry, metadata: Mapping[str, str] | None = None
) -> WrittenFile:
    """Write a volume [k, j, i] or a map of several components [c, k, j, i] as gzip NRRD, atomically.

    Components of a voxel lie together in the file (`vector` kind), as SimpleITK and Slicer read them; one component
    is written as a plain 3D volume. Numbers in the header round-trip exactly. The array is packed slice by slice.

    Raises
    ------
    BadInputError : the path cannot be written.
    ValueError : an array that does not fit the grid or has a type that is not supported.
    """
    components = 1 if array.ndim == 3 else len(array)
    if array.shape[-3:] != geometry.shape or array.ndim not in (3, 4) or array.dtype.name not in _TYPE_NAMES:
        raise ValueError(f"array {array.dtype} {array.shape} cannot be stored on the grid of shape {geometry.shape}")
    header = _header(array.dtype, components, geometry, metadata or {})
    written: list[WrittenFile] = []

    def write(file: IO[bytes]) -> None:
        hashing = _Hashing(file)
        hashing.write(header)
        packer = zlib.compressobj(COMPRESSION_LEVEL, wbits=31)
        for plane in _planes(array):
            hashing.write(packer.compress(plane))
        hashing.write(packer.flush())
        written.append(hashing.record())

    write_via(path, write)
    return written[0]


def _planes(array: NDArray[np.generic]) -> Iterator[memoryview]:
    little = array.dtype.newbyteorder("<")
    for k in range(array.shape[-3]):
        plane = array[k] if array.ndim == 3 else np.moveaxis(array[:, k], 0, -1)
        yield np.ascontiguousarray(plane, dtype=little).reshape(-1).view(np.uint8).data


def _header(dtype: np.dtype[np.generic], components: int, geometry: Geometry, metadata: Mapping[str, str]) -> bytes:
    columns = geometry.ijk_to_lps[:3, :3].T
    directions = " ".join("(" + ",".join(repr(float(x)) for x in column) + ")" for column in columns)
    many = components > 1
    lines = [
        "NRRD0004",
        "# Complete NRRD file format specification at: http://teem.sourceforge.net/nrrd/format.html",
        f"type: {_NRRD_NAMES.get(dtype.name, dtype.name)}",
        f"dimension: {4 if many else 3}",
        "space: left-posterior-superior",
        "sizes: " + (f"{components} " if many else "") + " ".join(map(str, geometry.size)),
        "space directions: " + ("none " if many else "") + directions,
        "kinds: " + ("vector " if many else "") + "domain domain domain",
        *(["endian: little"] if dtype.itemsize > 1 else []),
        "encoding: gzip",
        "space origin: (" + ",".join(repr(float(x)) for x in geometry.origin_lps) + ")",
    ]
    for key, value in metadata.items():
        if ":=" in key or "\n" in key:
            raise ValueError(f"NRRD key {key!r} cannot be written")
        lines.append(f"{key}:={escaped(value)}")
    return ("\n".join(lines) + "\n\n").encode("utf-8")


def escaped(value: str) -> str:
    """A value of an NRRD key/value pair with its backslashes and line ends escaped, as the format asks."""
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def read_map(path: Path, geometry: Geometry, components: int) -> NDArray[np.uint8]:
    """Read a uint8 map; returns [c, k, j, i], planar and contiguous.

    The header is read and compared with what is expected before memory is taken for the voxels.

    Raises
    ------
    BadInputError : a sentence without the file's name: not such a map, another grid, cut off or damaged.
    OSError : the file cannot be opened.
    """
    stored = read_header(path)
    expected = ((components,) if components > 1 else ()) + geometry.size
    if stored.sizes != _significant(expected) or stored.reader != "NrrdImageIO" or stored.data_file != path:
        raise BadInputError(f"claims the sizes {stored.sizes}, expected an NRRD map of {expected}")
    found, pixel, channels = _information(path)
    if pixel != sitk.sitkUInt8 or channels != components:
        raise BadInputError(f"has {channels} numbers a voxel of another type, expected {components} of uint8")
    differences = geometry.differences_from(found)
    if differences:
        raise BadInputError(f"lies elsewhere than its case: {'; '.join(differences)}")
    result = np.empty((components, *geometry.shape), dtype=np.uint8)
    plane_bytes = components * geometry.size[0] * geometry.size[1]
    for k, plane in enumerate(_slabs(replace(stored, dtype=np.dtype(np.uint8)), plane_bytes, geometry.size[2])):
        result[:, k] = np.moveaxis(plane.reshape(geometry.size[1], geometry.size[0], components), -1, 0)
    return result


def _significant(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Sizes without axes of 1 after the third, as headers are compared."""
    end = len(sizes)
    while end > 3 and sizes[end - 1] == 1:
        end -= 1
    return sizes[:end]


def _information(path: Path) -> tuple[Geometry, int, int]:
    """Grid, ITK pixel type of one component, and number of components, from the header alone."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("NrrdImageIO")
    try:
        with quiet_itk():
            reader.ReadImageInformation()
    except RuntimeError as error:
        raise BadInputError(f"has a damaged header: {itk_cause(error)}") from error
    if reader.GetDimension() != 3:
        raise BadInputError(f"has {reader.GetDimension()} dimensions, expected 3")
    geometry = Geometry(reader.GetSize(), reader.GetSpacing(), reader.GetOrigin(), reader.GetDirection())
    pixel = reader.GetPixelID()
    if pixel == sitk.sitkVectorUInt8:
        pixel = sitk.sitkUInt8
    return geometry, pixel, reader.GetNumberOfComponents()


def _slabs(stored: StoredImage, plane_bytes: int, planes: int) -> Iterator[NDArray[np.uint8]]:
    """Exactly `planes` planes of bytes, in order; raises BadInputError if the file has fewer or more."""
    rest = b""
    done = 0
    try:
        for data in unpacked(stored):
            rest = rest + data if rest else data
            start = 0
            while len(rest) - start >= plane_bytes:
                if done == planes:
                    raise BadInputError("unpacks to more than its header claims")
                yield np.frombuffer(rest, np.uint8, plane_bytes, start)
                start += plane_bytes
                done += 1
            rest = rest[start:]
    except zlib.error as error:
        raise BadInputError(f"is damaged: its packed voxels cannot be unpacked ({error})") from error
    if done < planes or rest:
        raise BadInputError(f"has {done} whole slices, expected exactly {planes}")
