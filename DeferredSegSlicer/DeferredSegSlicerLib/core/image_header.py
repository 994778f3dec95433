"""What an NRRD, NIfTI or MetaImage file says of itself: voxel type, size, where its voxels lie and how they are packed.

ITK's readers replace a spacing of 0, infinity or NaN by 1, read a truncated NIfTI as if it were whole, and take memory
for whatever size a header claims. So the headers are read here first, with limits, and believed only if they fit the
file.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from .errors import BadInputError
from .nrrd_header import NRRD_TYPES

HEADER_LIMIT = 1 << 20
"""A text header of more bytes is refused."""


@dataclass(frozen=True)
class StoredImage:
    """How an image lies in its file.

    Attributes
    ----------
    reader : name of ITK's reader for the format.
    sizes : number of voxels along each stored axis, the fastest first.
    dtype : stored voxel type with its byte order, or None for colors and other composite types.
    spacing : what the header says, mm, before anybody mends it; may hold anything.
    data_file, start : the file with the voxels and its byte at which they, or the packed stream, begin.
    packing : "raw", or "deflate" for gzip and zlib streams.
    oriented : the header says how the grid lies in the patient.
    skip : bytes of the unpacked stream before the first voxel.
    slope, intercept : value = stored * slope + intercept.
    """

    reader: str
    sizes: tuple[int, ...]
    dtype: np.dtype[np.generic] | None
    spacing: tuple[float, ...]
    data_file: Path
    start: int
    packing: Literal["raw", "deflate"]
    oriented: bool = True
    skip: int = 0
    slope: float = 1.0
    intercept: float = 0.0

    @property
    def voxel_bytes(self) -> int:
        """Bytes of all voxels, unpacked."""
        return math.prod(self.sizes) * (self.dtype.itemsize if self.dtype is not None else 1)


def read_header(path: Path) -> StoredImage:
    """Header of an NRRD, NIfTI or MetaImage file, told apart by content.

    Raises
    ------
    BadInputError : a sentence without the file's name: not such a file, a damaged header, or a variant of the format
        that is not supported.
    OSError : the file cannot be opened.
    """
    with path.open("rb") as file:
        start = file.read(HEADER_LIMIT)
    if not start:
        raise BadInputError("is empty")
    if start.startswith(b"NRRD00"):
        return _read_nrrd(path, start)
    if start[:2] == b"\x1f\x8b":
        return _read_nifti(path, _gunzip_start(path), "deflate")
    if start[:4] in _NIFTI_SIZES:
        return _read_nifti(path, start, "raw")
    if start[128:132] == b"DICM":
        raise BadInputError("is a single DICOM file; give the folder that holds the series")
    if b"NDims" in start[:4096] and b"DimSize" in start[:4096]:
        return _read_metaimage(path, start)
    raise BadInputError("is not an NRRD, NIfTI or MetaImage file")


_NIFTI_SIZES = {struct.pack(order + "i", size): (order, size) for order in "<>" for size in (348, 540)}
_NIFTI_TYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
_NIFTI_COLOR_TYPES = (32, 128, 1536, 1792, 2048, 2304)


def _gunzip_start(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            return file.read(544)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInputError("is damaged or cut off: its gzip stream cannot be unpacked") from error


def _read_nifti(path: Path, start: bytes, packing: Literal["raw", "deflate"]) -> StoredImage:
    order, length = _NIFTI_SIZES.get(start[:4], ("", 0))
    if not order or len(start) < length:
        raise BadInputError("is not an NRRD, NIfTI or MetaImage file, or is cut off within its header")
    if length == 348:
        magic, dims, (datatype,) = (
            start[344:348],
            struct.unpack_from(order + "8h", start, 40),
            struct.unpack_from(order + "h", start, 70),
        )
        pixdim = struct.unpack_from(order + "8f", start, 76)
        offset, slope, intercept = struct.unpack_from(order + "3f", start, 108)
        codes = struct.unpack_from(order + "2h", start, 252)
        rows = struct.unpack_from(order + "12f", start, 280)
    else:
        magic, (datatype,) = start[4:8], struct.unpack_from(order + "h", start, 12)
        dims = struct.unpack_from(order + "8q", start, 16)
        pixdim = struct.unpack_from(order + "8d", start, 104)
        (offset,) = struct.unpack_from(order + "q", start, 168)
        slope, intercept = struct.unpack_from(order + "2d", start, 176)
        codes = struct.unpack_from(order + "2i", start, 344)
        rows = struct.unpack_from(order + "12d", start, 400)
    if magic[:3] not in (b"n+1", b"n+2"):
        raise BadInputError("is not a single-file NIfTI (Analyze, or a pair of .hdr and .img); save it as .nii.gz")
    if not path.name.lower().endswith((".nii.gz", ".nii")) or (packing == "deflate") != path.name.lower().endswith(
        "gz"
    ):
        raise BadInputError("is a NIfTI file but its name does not end in .nii (or, gzipped, in .nii.gz); rename it")
    if not 1 <= dims[0] <= 7 or min(dims[1 : dims[0] + 1]) < 1:
        raise BadInputError(f"has a damaged header: its dimensions are {dims}")
    if not math.isfinite(offset) or offset < length:
        raise BadInputError(f"has a damaged header: its voxels begin at byte {offset:g}")
    if datatype not in _NIFTI_TYPES and datatype not in _NIFTI_COLOR_TYPES:
        raise BadInputError(f"has a voxel type (NIfTI datatype {datatype}) that is not supported")
    spacing = tuple(float(p) for p in pixdim[1 : min(dims[0], 3) + 1])
    if codes[1] > 0 and not (codes[0] > 0 and codes[1] > 2) and dims[0] >= 3 and min(spacing) > 0:
        # ITK takes the spacing from pixdim, other readers from the sform: where they differ, nobody knows.
        by_sform = tuple(float(s) for s in np.linalg.norm(np.reshape(rows, (3, 4))[:, :3], axis=0))
        if not np.allclose(by_sform, spacing, rtol=0.01):
            raise BadInputError(f"contradicts itself: spacing {spacing} mm in pixdim, {by_sform} mm in its sform")
    plain = datatype in _NIFTI_TYPES and not (dims[0] >= 5 and dims[5] > 1)
    scaled = math.isfinite(slope) and slope != 0 and math.isfinite(intercept)
    return StoredImage(
        "NiftiImageIO",
        _without_last_ones(dims[1 : dims[0] + 1]),
        np.dtype(order + _NIFTI_TYPES[datatype]) if plain else None,
        spacing,
        path,
        0 if packing == "deflate" else int(offset),
        packing,
        max(codes) > 0,
        int(offset) if packing == "deflate" else 0,
        float(slope) if scaled else 1.0,
        float(intercept) if scaled else 0.0,
    )


_NRRD_SPACES = {
    name for long in ("right", "left") for name in (f"{long}-anterior-superior", f"{long}-posterior-superior")
} | {"ras", "las", "lps"}
_NRRD_GRID_KINDS = {"domain", "space", "time", "list", "none", "???"}
_NRRD_ENCODINGS: dict[str, Literal["raw", "deflate"]] = {"raw": "raw", "gzip": "deflate", "gz": "deflate"}


def _read_nrrd(path: Path, start: bytes) -> StoredImage:
    text, offset = _text_header(
        start, lambda line: not line.strip(b"\r\n"), needs_end=b"data file:" not in start.lower()
    )
    fields = {
        key.strip().lower().replace("datafile", "data file"): value.strip()
        for key, found, value in (line.partition(":") for line in text[1:] if not line.startswith("#"))
        if found and not value.startswith("=")
    }
    sizes = _whole_numbers(fields, "sizes")
    kind = fields.get("type", "").lower()
    packing = _NRRD_ENCODINGS.get(fields.get("encoding", "").lower())
    if packing is None:
        raise BadInputError(f'has the encoding "{fields.get("encoding", "")}"; save it as raw or gzip')
    if any(fields.get(key, "0") not in ("0", "") for key in ("byte skip", "byteskip", "line skip", "lineskip")):
        raise BadInputError("skips bytes or lines before its voxels, which is not supported; save it again")
    if kind not in NRRD_TYPES and kind != "block":
        raise BadInputError(f'has a damaged header: its voxel type is "{kind}"')
    try:
        vectors = [v for v in fields.get("space directions", "").split() if v != "none"]
        spacing = tuple(math.hypot(*(float(x) for x in v.strip("()").split(","))) for v in vectors)
        if not vectors:
            spacing = tuple(float(x) for x in fields.get("spacings", "1 1 1").split()[:3])
        origin = [float(x) for x in fields.get("space origin", "(0,0,0)").strip("()").split(",")]
    except ValueError as error:
        raise BadInputError("has a damaged header: its space directions or origin are not numbers") from error
    if not all(math.isfinite(x) for x in origin):
        raise BadInputError(f"has the origin {tuple(origin)} mm, expected finite numbers")
    order = {"little": "<", "big": ">"}.get(fields.get("endian", "").lower(), "|")
    kinds = {k.lower() for k in fields.get("kinds", "").split()}
    code = NRRD_TYPES.get(kind) if kinds <= _NRRD_GRID_KINDS else None
    if code and order == "|" and code[1] != "1":
        raise BadInputError("does not say its byte order (endian)")
    data_file = _detached(path, fields["data file"]) if "data file" in fields else path
    return StoredImage(
        "NrrdImageIO",
        _without_last_ones(sizes),
        np.dtype(order + code) if code else None,
        spacing,
        data_file,
        offset if data_file == path else 0,
        packing,
        bool(vectors) and fields.get("space", "").lower() in _NRRD_SPACES,
    )


_META_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}


def _read_metaimage(path: Path, start: bytes) -> StoredImage:
    text, offset = _text_header(start, lambda line: line.lstrip().startswith(b"ElementDataFile"), needs_end=True)
    fields = {key.strip(): value.strip() for key, found, value in (line.partition("=") for line in text) if found}
    sizes = _whole_numbers(fields, "DimSize")
    kind = fields.get("ElementType", "")
    channels = fields.get("ElementNumberOfChannels", "1")
    code = _META_TYPES.get(kind) if channels == "1" else None
    if kind.removesuffix("_ARRAY") not in _META_TYPES:
        raise BadInputError(f'has a voxel type ("{kind}") that is not supported')
    if fields.get("BinaryData", "False").lower() != "true" or fields.get("HeaderSize", "0") != "0":
        raise BadInputError("stores its voxels as text or after a foreign header; save it as a plain .mha")
    if float(fields.get("ElementToIntensityFunctionSlope", "1")) != 1:
        raise BadInputError("scales its voxels, which is not supported for MetaImage; save it again")
    big = fields.get("BinaryDataByteOrderMSB", fields.get("ElementByteOrderMSB", "False")).lower() == "true"
    local = fields["ElementDataFile"].upper() == "LOCAL"
    try:
        spacing = tuple(float(s) for s in fields.get("ElementSpacing", fields.get("ElementSize", "")).split())
    except ValueError as error:
        raise BadInputError("has a damaged header: its spacing is not numbers") from error
    if len(spacing) != len(sizes):
        raise BadInputError("does not say the spacing of its voxels")
    return StoredImage(
        "MetaImageIO",
        _without_last_ones(sizes),
        np.dtype((">" if big else "<") + code) if code else None,
        spacing[:3],
        path if local else _detached(path, fields["ElementDataFile"]),
        offset if local else 0,
        "deflate" if fields.get("CompressedData", "False").lower() == "true" else "raw",
    )


def _text_header(start: bytes, is_last: Callable[[bytes], bool], needs_end: bool) -> tuple[list[str], int]:
    """Lines of a text header and the byte after it."""
    lines, position = [], 0
    while position < len(start):
        end = start.find(b"\n", position)
        line = start[position:] if end < 0 else start[position : end + 1]
        position += len(line)
        lines.append(line.decode("latin-1").rstrip("\r\n"))
        if is_last(line):
            return lines, position
    if needs_end:
        raise BadInputError("is cut off within its header")
    return lines, position


def _whole_numbers(fields: dict[str, str], name: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(n) for n in fields.get(name, "").split())
    except ValueError:
        sizes = ()
    if not 1 <= len(sizes) <= 7 or min(sizes) < 1:
        raise BadInputError(f'has a damaged header: its {name} are "{fields.get(name, "")[:60]}"')
    return sizes


def _detached(path: Path, name: str) -> Path:
    """The one voxel file beside a detached header; raises BadInputError for lists, patterns and other folders."""
    if Path(name).name != name or name.upper().startswith("LIST") or "%" in name or name in ("", ".", ".."):
        raise BadInputError(f'has its voxels in "{name[:80]}", expected one file in the same folder')
    file = path.with_name(name)
    if not file.is_file():
        raise BadInputError(f'has its voxels in "{name}", which is not there')
    return file


def _without_last_ones(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Sizes without axes of 1 after the third."""
    end = len(sizes)
    while end > 3 and sizes[end - 1] == 1:
        end -= 1
    return tuple(int(n) for n in sizes[:end])
