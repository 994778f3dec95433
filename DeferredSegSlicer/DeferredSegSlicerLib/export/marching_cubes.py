"""Marching cubes on a binary volume, its cases derived and not typed in, so that every surface is closed.

A cell is the cube between eight voxel centers. On each of its faces the surface runs from voxel edge to voxel edge;
where two opposite corners of a face are inside and two are not, the inside corners are kept apart, on both sides of the
face alike. So the lines of neighboring cells meet, and every edge of the surface belongs to just two triangles. Loops
that run over one face twice get a triangle fan around a point of their own in the cell, the others around their first
point: no diagonal ever lies in a face, where a neighbor's could fall on it.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CORNERS = tuple((x, y, z) for z in (0, 1) for y in (0, 1) for x in (0, 1))
"""Offsets (i, j, k) of a cell's corners; corner n is bit n of the cell's code."""

_CENTER = 12
"""Number of the point within a cell, after those on its twelve edges."""


def cell_edges() -> list[tuple[int, int]]:
    """The twelve pairs of corners that differ along one axis, the lower corner first."""
    pairs = ((a, b) for a, b in product(range(8), repeat=2) if a < b)
    return [(a, b) for a, b in pairs if sum(p != q for p, q in zip(CORNERS[a], CORNERS[b], strict=True)) == 1]


def _faces() -> list[list[int]]:
    """The corners of the six faces, each in counterclockwise order seen from outside the cell."""
    number = {corner: n for n, corner in enumerate(CORNERS)}
    found = []
    for axis, side in product(range(3), (0, 1)):
        around = []
        for u, v in ((0, 0), (1, 0), (1, 1), (0, 1)):
            corner = [0, 0, 0]
            corner[axis], corner[(axis + 1) % 3], corner[(axis + 2) % 3] = side, u, v
            around.append(number[corner[0], corner[1], corner[2]])
        found.append(around if side else around[::-1])
    return found


def loops_of(code: int) -> list[tuple[list[int], bool]]:
    """Closed lines of the surface in a cell: their edges in order, and whether the line runs over a face twice.

    Seen from outside the structure the edges go counterclockwise. Bit n of `code` says if corner n is inside.
    """
    number = {pair: n for n, pair in enumerate(cell_edges())}
    following: dict[int, tuple[int, int]] = {}
    for face, corners in enumerate(_faces()):
        inside = [bool(code >> corner & 1) for corner in corners]
        crossed = [n for n in range(4) if inside[n] != inside[(n + 1) % 4]]
        edge = {n: number[min(pair), max(pair)] for n in crossed for pair in [(corners[n], corners[(n + 1) % 4])]}
        for leaving in (n for n in crossed if inside[n]):
            entering = max((n for n in crossed if not inside[n]), key=lambda n: -((leaving - n) % 4))
            following[edge[entering]] = edge[leaving], face
    loops = []
    while following:
        edges, faces, here = [], [], min(following)
        while here in following:
            edges.append(here)
            here, face = following.pop(here)
            faces.append(face)
        loops.append((edges, len(set(faces)) < len(faces)))
    return loops


@cache
def triangles_of_codes() -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """For each of the 256 codes its triangles (256, T, 3) as points of the cell, -1 beyond the last; their number."""
    lists: list[list[tuple[int, int, int]]] = []
    for code in range(256):
        triangles = []
        for edges, twice in loops_of(code):
            hub, ring = (_CENTER, [*edges, edges[0]]) if twice else (edges[0], edges[1:])
            triangles += [(hub, a, b) for a, b in pairwise(ring)]
        lists.append(triangles)
    most = max(map(len, lists))
    table = np.full((256, most, 3), -1, np.int8)
    for code, triangles in enumerate(lists):
        if triangles:
            table[code, : len(triangles)] = triangles
    return table, np.array([len(t) for t in lists], np.int8)


def extract(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The surface around the True voxels of a volume [k, j, i], closed also where they touch the volume's border.

    Returns
    -------
    points : (n, 3) voxel coordinates (i, j, k); voxel centers are whole numbers.
    triangles : (m, 3) indices of points, counterclockwise seen from outside in a right-handed (i, j, k).
    """
    padded = np.pad(mask, 1)
    codes = np.zeros(tuple(n - 1 for n in padded.shape), np.uint8)
    planes, rows, columns = codes.shape
    for n, (x, y, z) in enumerate(CORNERS):
        codes |= padded[z : z + planes, y : y + rows, x : x + columns].view(np.uint8) << np.uint8(n)
    flat = codes.reshape(-1)
    active = np.flatnonzero((flat != 0) & (flat != 255))
    code = flat[active]
    table, counts = triangles_of_codes()
    key_of_point = _key_offsets(padded.shape)
    corner = _corner_index(active, codes.shape, padded.shape)
    keys = []
    for step in range(table.shape[1]):
        has = np.flatnonzero(counts[code] > step)
        keys.append(4 * corner[has, None] + key_of_point[table[code[has], step]])
    unique, triangles = np.unique(np.concatenate(keys), return_inverse=True)
    points = _points(unique, padded.shape) - 1
    hubs = np.flatnonzero(unique % 4 == 3)
    triangles = triangles.reshape(-1, 3)
    if len(hubs):
        _center(points, triangles, hubs)
    return points, triangles


def _corner_index(cells: NDArray[np.intp], cell_shape: tuple[int, ...], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Flat index, in the padded volume, of the lowest corner of each cell."""
    k, rest = np.divmod(cells, cell_shape[1] * cell_shape[2])
    j, i = np.divmod(rest, cell_shape[2])
    return np.asarray((k * shape[1] + j) * shape[2] + i, np.int64)


def _key_offsets(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """What to add to 4 x corner index for each of a cell's points: 4 x step to the edge's low corner + its axis."""
    offsets = []
    for a, b in cell_edges():
        x, y, z = CORNERS[a]
        axis = next(n for n in range(3) if CORNERS[a][n] != CORNERS[b][n])
        offsets.append(4 * ((z * shape[1] + y) * shape[2] + x) + axis)
    return np.array([*offsets, 3], np.int64)


def _points(keys: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Middle of each key's voxel edge (i, j, k) in the padded volume."""
    place, axis = np.divmod(keys, 4)
    k, rest = np.divmod(place, shape[1] * shape[2])
    j, i = np.divmod(rest, shape[2])
    points = np.stack([i, j, k], axis=1).astype(np.float64)
    on_edge = np.flatnonzero(axis < 3)
    points[on_edge, axis[on_edge]] += 0.5
    return points


def _center(points: NDArray[np.float64], triangles: NDArray[np.int64], hubs: NDArray[np.intp]) -> None:
    """Move each point within a cell to the mean of the loop around it (each of whose points comes twice)."""
    fans = triangles[np.isin(triangles[:, 0], hubs)]
    number = np.searchsorted(hubs, fans[:, 0])
    total = np.bincount(number, minlength=len(hubs))
    for axis in range(3):
        points[hubs, axis] = np.bincount(number, points[fans[:, 1], axis], len(hubs)) / total
