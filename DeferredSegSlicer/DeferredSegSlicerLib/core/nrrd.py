"""NRRD files of a case: volumes and maps, written in one pass and read only if they fit what is expected of them."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from .atomic import write_via
from .errors import BadInputError
from .geometry import Geometry
from .nrrd_header import NrrdHeader, read_nrrd_header

if TYPE_CHECKING:
    from numpy.typing import NDArray

COMPRESSION_LEVEL = 1
"""Of gzip: maps are mostly constant, so the fastest level packs them nearly as well as the best."""

_TYPE_NAMES = {"int8", "uint8", "int16", "uint16", "int32", "float32"}
_NRRD_NAMES = {"float32": "float"}

_CHUNK = 1 << 22
_PACKED_CHUNK = 1 << 18


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


def read_nrrd(path: Path, header: NrrdHeader | None = None) -> NDArray[np.generic]:
    """The voxels of an NRRD file, planar: [c, k, j, i], also for one component, in native byte order.

    The file must hold exactly what its header claims, and its gzip checksum must be right.

    Raises
    ------
    BadInputError : a sentence without the file's name; see `nrrd_header.read_nrrd_header`, or the voxels are cut off,
        damaged, or more than the header claims.
    OSError : the file cannot be opened.
    """
    found = header or read_nrrd_header(path)
    planes, rows, columns = found.geometry.shape
    result = np.empty((found.components, planes, rows, columns), dtype=found.dtype.newbyteorder("="))
    together = found.components if found.components_first else 1
    stacks = 1 if found.components_first else found.components
    slabs = _slabs(found, together * rows * columns * found.dtype.itemsize)
    for stack in range(stacks):
        for k in range(planes):
            plane = next(slabs).view(found.dtype).reshape(rows, columns, together)
            result[stack : stack + together, k] = np.moveaxis(plane, -1, 0)
    for _ in slabs:  # to the end of the stream, where its checksum is
        raise BadInputError("unpacks to more than its header claims")
    return result


def read_map(path: Path, geometry: Geometry, components: int) -> NDArray[np.uint8]:
    """Read a uint8 map; returns [c, k, j, i], planar and contiguous.

    Raises
    ------
    BadInputError : a sentence without the file's name: not such a map, another grid, cut off or damaged.
    OSError : the file cannot be opened.
    """
    header = check_map_header(path, geometry, components)
    return np.asarray(read_nrrd(path, header), dtype=np.uint8)


def check_map_header(path: Path, geometry: Geometry, components: int) -> NrrdHeader:
    """Header of a uint8 map on a grid; raises BadInputError (a sentence without the file's name) if it is another."""
    header = read_nrrd_header(path)
    if header.dtype != np.uint8 or header.components != components:
        raise BadInputError(
            f"has {header.components} numbers of {header.dtype.name} a voxel, expected {components} of uint8"
        )
    check_place(header, path, geometry)
    return header


def check_place(header: NrrdHeader, path: Path, geometry: Geometry) -> None:
    """Raise BadInputError unless a file holds its own voxels and lies on the grid."""
    if header.data_file != path:
        raise BadInputError("keeps its voxels in another file, expected them inside")
    differences = geometry.differences_from(header.geometry)
    if differences:
        raise BadInputError(f"lies elsewhere than its case: {'; '.join(differences)}")


def _slabs(header: NrrdHeader, slab_bytes: int) -> Iterator[NDArray[np.uint8]]:
    """The voxels in equal pieces of bytes, in order; each is valid until the next is asked for."""
    slab = np.empty(slab_bytes, dtype=np.uint8)
    filled = 0
    for data in _unpacked(header):
        piece = np.frombuffer(data, dtype=np.uint8)
        while len(piece):
            taken = min(len(piece), slab_bytes - filled)
            slab[filled : filled + taken] = piece[:taken]
            filled += taken
            piece = piece[taken:]
            if filled == slab_bytes:
                yield slab
                filled = 0


def _unpacked(header: NrrdHeader) -> Iterator[bytes]:
    """Exactly the bytes that the header claims, a few at a time; raises BadInputError if there are fewer or more."""
    left = header.voxel_bytes
    with header.data_file.open("rb") as file:
        file.seek(header.start)
        if header.packing == "raw":
            while left and (data := file.read(min(_CHUNK, left))):
                left -= len(data)
                yield data
            if left:
                raise BadInputError(f"is cut off: {left} bytes of its voxels are missing")
            return
        unpacker = zlib.decompressobj(wbits=31)
        while not unpacker.eof:
            packed = unpacker.unconsumed_tail or file.read(_PACKED_CHUNK)
            try:
                data = unpacker.decompress(packed, _CHUNK)
            except zlib.error as error:
                raise BadInputError(f"is damaged: its packed voxels cannot be unpacked ({error})") from error
            if not packed and not data and not unpacker.eof:
                raise BadInputError("is cut off: its packed voxels end too early")
            left -= len(data)
            if left < 0:
                raise BadInputError("unpacks to more than its header claims")
            yield data
        if left:
            raise BadInputError(f"is cut off: {left} bytes of its voxels are missing")
        if unpacker.unused_data or file.read(1):
            raise BadInputError("has bytes after its voxels that do not belong there")
