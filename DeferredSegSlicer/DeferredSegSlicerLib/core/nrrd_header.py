"""The header of an NRRD file, read with limits and believed only if the file can hold what it claims."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from .errors import BadInputError
from .geometry import Geometry

HEADER_LIMIT = 4 << 20
"""A header of more bytes is refused."""

MAX_COMPONENTS = 4096

DEFLATE_BEST = 1032
"""Deflate never packs more bytes than this into one."""

NRRD_TYPES = {
    name: code
    for code, names in {
        "i1": "signed char|int8|int8_t",
        "u1": "uchar|unsigned char|uint8|uint8_t",
        "i2": "short|short int|signed short|signed short int|int16|int16_t",
        "u2": "ushort|unsigned short|unsigned short int|uint16|uint16_t",
        "i4": "int|signed int|int32|int32_t",
        "u4": "uint|unsigned int|uint32|uint32_t",
        "i8": "longlong|long long|long long int|signed long long|signed long long int|int64|int64_t",
        "u8": "ulonglong|unsigned long long|unsigned long long int|uint64|uint64_t",
        "f4": "float",
        "f8": "double",
    }.items()
    for name in names.split("|")
}
"""numpy's code of every name that NRRD has for a voxel type."""
_SIGNS_TO_LPS = {
    "left-posterior-superior": (1.0, 1.0),
    "lps": (1.0, 1.0),
    "right-anterior-superior": (-1.0, -1.0),
    "ras": (-1.0, -1.0),
    "left-anterior-superior": (1.0, -1.0),
    "las": (1.0, -1.0),
}
_PACKINGS: dict[str, Literal["raw", "gzip"]] = {"raw": "raw", "gzip": "gzip", "gz": "gzip"}


@dataclass(frozen=True)
class NrrdHeader:
    """What an NRRD file says of itself.

    Attributes
    ----------
    geometry : the grid of its three spatial axes.
    components : numbers a voxel, 1 for a plain volume.
    components_first : the numbers of a voxel lie together (Slicer, ITK); else one volume follows the other.
    dtype : type of one number, with its byte order.
    packing : "raw" or "gzip".
    data_file, start : the file with the voxels, and the byte at which they, or the packed stream, begin.
    metadata : its key/value pairs, unescaped.
    """

    geometry: Geometry
    components: int
    components_first: bool
    dtype: np.dtype[np.generic]
    packing: Literal["raw", "gzip"]
    data_file: Path
    start: int
    metadata: dict[str, str]

    @property
    def voxel_bytes(self) -> int:
        """Bytes of all voxels, unpacked."""
        return self.geometry.voxel_count * self.components * self.dtype.itemsize


def read_nrrd_header(path: Path) -> NrrdHeader:
    """Read the header of an NRRD file of one 3D grid; takes no memory for its voxels.

    The file must be long enough for what it claims: exactly so if it is raw, within what gzip can pack otherwise.

    Raises
    ------
    BadInputError : a sentence without the file's name: no NRRD, a damaged header, a variant that is not supported, or
        a header that claims more than the file can hold.
    OSError : the file cannot be opened.
    """
    fields, metadata, start = _fields(path)
    dtype = _dtype(fields)
    sizes = _sizes(fields)
    geometry, component_axis = _grid(fields, sizes)
    packing = _PACKINGS.get(fields.get("encoding", "").lower())
    if packing is None:
        raise BadInputError(f'has the encoding "{fields.get("encoding", "")[:40]}", expected raw or gzip')
    if any(fields.get(key, "0") not in ("0", "") for key in ("byte skip", "byteskip", "line skip", "lineskip")):
        raise BadInputError("skips bytes or lines before its voxels, which is not supported")
    name = fields.get("data file", fields.get("datafile"))
    data_file = path if name is None else _beside(path, name)
    header = NrrdHeader(
        geometry,
        1 if component_axis is None else sizes[component_axis],
        component_axis != 3,
        dtype,
        packing,
        data_file,
        start if name is None else 0,
        metadata,
    )
    _check_length(header, sizes)
    return header


def _fields(path: Path) -> tuple[dict[str, str], dict[str, str], int]:
    """Fields (names in lower case), key/value pairs, and the byte after the header."""
    with path.open("rb") as file:
        start = file.read(HEADER_LIMIT)
    if not re.match(rb"NRRD000[1-5]\r?\n", start):
        raise BadInputError("is not an NRRD file")
    end = re.search(rb"\r?\n\r?\n", start)
    detached = re.search(rb"(?im)^data ?file:", start[: end.start()] if end else start)
    if end is None and (len(start) == HEADER_LIMIT or not detached):
        raise BadInputError("is cut off within its header, or its header is too long")
    fields: dict[str, str] = {}
    metadata: dict[str, str] = {}
    for line in start[: end.start() if end else len(start)].decode("utf-8", "replace").splitlines()[1:]:
        if line.startswith("#"):
            continue
        name, colon, value = line.partition(":")
        if colon and value.startswith("="):
            metadata[name] = _unescaped(value[1:])
        elif colon:
            key = name.strip().lower()
            if key in fields:
                raise BadInputError(f'has a damaged header: the field "{key[:40]}" is there twice')
            fields[key] = value.strip()
        elif line.strip():
            raise BadInputError(f'has a damaged header: the line "{line[:60]}" is no field')
    return fields, metadata, end.end() if end else len(start)


def _unescaped(text: str) -> str:
    return re.sub(r"\\(n|\\)", lambda found: "\n" if found[1] == "n" else "\\", text)


def _dtype(fields: dict[str, str]) -> np.dtype[np.generic]:
    code = NRRD_TYPES.get(fields.get("type", "").lower())
    if code is None:
        raise BadInputError(f'has the voxel type "{fields.get("type", "")[:40]}", which is not supported')
    order = {"little": "<", "big": ">"}.get(fields.get("endian", "").lower(), "|")
    if order == "|" and code[1] != "1":
        raise BadInputError("does not say its byte order (endian)")
    return np.dtype(order + code)


def _sizes(fields: dict[str, str]) -> tuple[int, ...]:
    text, dimension = fields.get("sizes", ""), fields.get("dimension", "")
    if not re.fullmatch(r"[0-9]{1,18}( +[0-9]{1,18}){1,6}", text) or dimension != str(len(text.split())):
        raise BadInputError(f'has a damaged header: dimension "{dimension[:20]}" and sizes "{text[:80]}"')
    return tuple(int(n) for n in text.split())


def _grid(fields: dict[str, str], sizes: tuple[int, ...]) -> tuple[Geometry, int | None]:
    """The 3D grid, and which axis holds the numbers of a voxel, if any."""
    signs = _SIGNS_TO_LPS.get(fields.get("space", "").lower())
    if signs is None:
        raise BadInputError(
            f'has the space "{fields.get("space", "")[:60]}", expected an anatomical one (left-posterior-superior)'
        )
    vectors = re.findall(r"none|\([^()]*\)", fields.get("space directions", ""))
    others = [axis for axis, vector in enumerate(vectors) if vector == "none"]
    if len(vectors) != len(sizes) or len(sizes) - len(others) != 3 or others not in ([], [0], [3]):
        raise BadInputError(
            f"has {len(sizes)} axes, {len(vectors) - len(others)} of them in space; expected one 3D volume, with or"
            " without several numbers a voxel"
        )
    columns = [_vector(vector, signs) for vector in vectors if vector != "none"]
    origin = _vector(fields.get("space origin", "(0,0,0)"), signs)
    spacing = [math.hypot(*column) for column in columns]
    if not all(math.isfinite(s) and s > 0 for s in spacing):
        raise BadInputError(f"has the voxel spacing {tuple(spacing)} mm, expected three finite numbers above 0")
    direction = (np.array(columns) / np.array(spacing)[:, None]).T
    axis = others[0] if others else None
    if axis is not None and not 1 <= sizes[axis] <= MAX_COMPONENTS:
        raise BadInputError(f"has {sizes[axis]} numbers a voxel, expected 1 to {MAX_COMPONENTS}")
    size = tuple(n for number, n in enumerate(sizes) if number != axis)
    return Geometry(size, tuple(spacing), origin, tuple(direction.ravel())), axis  # type: ignore[arg-type]


def _vector(text: str, signs: tuple[float, float]) -> tuple[float, float, float]:
    """Three numbers in LPS."""
    try:
        x, y, z = (float(part) for part in text.strip().strip("()").split(","))
    except ValueError as error:
        raise BadInputError(f'has a damaged header: "{text[:60]}" is not three numbers') from error
    return x * signs[0], y * signs[1], z


def _beside(path: Path, name: str) -> Path:
    """The voxel file of a detached header: one plain file in the same folder."""
    if Path(name).name != name or name.upper().startswith("LIST") or "%" in name or name in ("", ".", ".."):
        raise BadInputError(f'has its voxels in "{name[:80]}", expected one file in the same folder')
    if not path.with_name(name).is_file():
        raise BadInputError(f'has its voxels in "{name[:80]}", which is not there')
    return path.with_name(name)


def _check_length(header: NrrdHeader, sizes: tuple[int, ...]) -> None:
    there = header.data_file.stat().st_size - header.start
    claim = f"its header claims {'x'.join(map(str, sizes))} voxels ({header.voxel_bytes} bytes)"
    if header.packing == "gzip":
        if header.voxel_bytes > there * DEFLATE_BEST:
            raise BadInputError(f"is cut off: {claim}, which {there} packed bytes cannot hold")
    elif there < header.voxel_bytes:
        raise BadInputError(f"is cut off: {claim}, the file has {there}")
    elif there > header.voxel_bytes:
        raise BadInputError(f"has {there - header.voxel_bytes} bytes too many: {claim}")
