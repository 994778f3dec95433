"""Labelmaps as NIfTI-1 files, written here so that a full disk is noticed and the remark travels with the voxels."""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ..core.atomic import write_via
from ..core.geometry import Geometry

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HEADER_BYTES = 348
_INTENT_LABEL = 1002
_UINT8 = 2
_MILLIMETERS = 2
_SCANNER = 1
_COMMENT = 6
_MOST_COMMENT_BYTES = 1 << 20
_LONGEST_SIDE = 32767
_QFORM_TOLERANCE_MM = 1e-3


def write_nifti(
    path: str | Path, label: NDArray[np.uint8], geometry: Geometry, description: str, comment: Mapping[str, Any]
) -> None:
    """Write a labelmap as `.nii.gz`, atomically.

    Both orientations of the format are set, in RAS mm. The one by quaternion is left out where its 32-bit numbers could
    not hold the direction to a thousandth of a millimeter at the volume's corners.

    Parameters
    ----------
    label : uint8 [k, j, i].
    description : for the header's field `descrip`: at most 79 characters, ASCII.
    comment : plain values, stored as JSON in an extension of code 6 that readers skip.

    Raises
    ------
    BadInputError : the path cannot be written.
    ValueError : a label that does not fit the grid, or a side longer than the format can say.
    """
    if label.shape != geometry.shape or label.dtype != np.uint8:
        raise ValueError(f"label {label.dtype} {label.shape} is not uint8 on the grid of shape {geometry.shape}")
    if max(geometry.size) > _LONGEST_SIDE:
        raise ValueError(f"a NIfTI-1 file has at most {_LONGEST_SIDE} voxels along an axis, not {geometry.size}")
    extension = _extension(comment)
    start = _HEADER_BYTES + 4 + len(extension)
    head = _header(geometry, description, start) + (b"\x01\x00\x00\x00" if extension else bytes(4)) + extension

    def write(file: IO[bytes]) -> None:
        packer = zlib.compressobj(6, wbits=31)
        file.write(packer.compress(head))
        for plane in label:
            file.write(packer.compress(np.ascontiguousarray(plane).data))
        file.write(packer.flush())

    write_via(path, write)


def _extension(comment: Mapping[str, Any]) -> bytes:
    """A header extension of code 6 (comment), padded to a multiple of 16 bytes; nothing if it would be huge."""
    text = json.dumps(comment, ensure_ascii=False, allow_nan=False).encode("utf-8")
    if len(text) > _MOST_COMMENT_BYTES:
        return b""
    size = math.ceil((len(text) + 8) / 16) * 16
    return struct.pack("<ii", size, _COMMENT) + text.ljust(size - 8, b"\x00")


def _header(geometry: Geometry, description: str, start: int) -> bytes:
    matrix = geometry.ijk_to_ras
    handed, quaternion = quaternion_of(matrix[:3, :3] / np.asarray(geometry.spacing))
    usable = _error_of(geometry, handed, quaternion) <= _QFORM_TOLERANCE_MM
    fields = struct.pack(
        "<i35xB8h3f4h8f3fhBB4f2i80s24s2h3f3f4f4f4f16s4s",
        _HEADER_BYTES, 0,
        3, *geometry.size, 1, 1, 1, 1,
        0.0, 0.0, 0.0,
        _INTENT_LABEL, _UINT8, 8, 0,
        handed, *geometry.spacing, 0.0, 0.0, 0.0, 0.0,
        float(start), 1.0, 0.0,
        0, 0, _MILLIMETERS,
        0.0, 0.0, 0.0, 0.0,
        0, 0,
        description.encode("ascii", "replace")[:79], b"",
        _SCANNER if usable else 0, _SCANNER,
        *quaternion, *matrix[:3, 3],
        *matrix[0], *matrix[1], *matrix[2],
        b"labels", b"n+1\x00",
    )  # fmt: skip
    assert len(fields) == _HEADER_BYTES
    return fields


def quaternion_of(axes: NDArray[np.float64]) -> tuple[float, tuple[float, float, float]]:
    """NIfTI's qfac (-1 for a left-handed grid) and the quaternion b, c, d, with a >= 0, of a direction matrix (RAS)."""
    handed = -1.0 if np.linalg.det(axes) < 0 else 1.0
    turn = axes * (1, 1, handed)
    u, _, v = np.linalg.svd(turn)
    turn = u @ v  # the nearest rotation: directions may be off by the rounding of a header
    # The eigenvector of the largest eigenvalue of this symmetric matrix is the quaternion, also near half turns.
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = turn
    symmetric = np.array(
        [
            [xx + yy + zz, zy - yz, xz - zx, yx - xy],
            [zy - yz, xx - yy - zz, xy + yx, xz + zx],
            [xz - zx, xy + yx, yy - xx - zz, yz + zy],
            [yx - xy, xz + zx, yz + zy, zz - xx - yy],
        ]
    )
    a, b, c, d = np.linalg.eigh(symmetric)[1][:, -1]
    sign = -1.0 if a < 0 else 1.0
    return handed, (float(sign * b), float(sign * c), float(sign * d))


def _error_of(geometry: Geometry, handed: float, quaternion: tuple[float, float, float]) -> float:
    """By how many mm a corner voxel is off if the direction is read from the 32-bit quaternion."""
    b, c, d = (float(np.float32(x)) for x in quaternion)
    a = math.sqrt(max(0.0, 1.0 - b * b - c * c - d * d))
    axes = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    ) * (1, 1, handed)
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.asarray(geometry.size) - 1)
    there = (corners * np.asarray(geometry.spacing)) @ axes.T
    return float(np.abs(there - (geometry.ras_of(corners) - geometry.ras_of((0, 0, 0)))).max())
