"""Surfaces as binary STL files, in the space that Slicer writes and expects: LPS mm, named in the header."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..core.atomic import write_bytes
from .surface import Surface

HEADER_BYTES = 80
_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def write_stl(path: str | Path, surface: Surface, remark: str = "") -> None:
    """Write a binary STL file atomically.

    Its 80-byte header says `SPACE=LPS`, which Slicer reads, the unit, and as much of the remark as fits (ASCII). Other
    programs take the numbers as they are: x grows to the patient's left, y to the back, z to the head.

    Raises
    ------
    BadInputError : the path cannot be written.
    """
    text = f"DeferredSegSlicer SPACE=LPS UNIT=mm {remark}".encode("ascii", "replace")[:HEADER_BYTES]
    corners = surface.points_lps[surface.triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    triangles = np.zeros(len(corners), _TRIANGLE)
    triangles["corners"] = corners
    triangles["normal"] = np.divide(normal, length, out=np.zeros_like(normal), where=length > 0)
    count = np.array(len(triangles), "<u4").tobytes()
    write_bytes(path, text.ljust(HEADER_BYTES, b" ") + count + triangles.tobytes())
