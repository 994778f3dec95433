"""Put a series' slices in order on one regular grid, or say which of them prevent it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from .dicom_slice import DicomSlice
from .errors import BadInputError
from .geometry import Geometry

ORIENTATION_TOLERANCE = 1e-3
"""Largest difference of direction cosines within a series (half a millimeter over half a meter)."""


def grid_of(slices: Sequence[DicomSlice]) -> tuple[list[DicomSlice], Geometry]:
    """The slices in the order of increasing position along row x column, and their grid (always right-handed).

    A slice may be up to 0.1 mm (or 2 % of the slice distance, if that is more) from its place on the grid along the
    normal, and 0.2 mm (or a quarter pixel) beside it, for scanners that round their positions.

    Raises
    ------
    BadInputError : a sentence without the series' name: color, several frames in a file, different sizes, spacings,
        orientations or patients, positions missing or twice, gaps, uneven distances, gantry tilt.
    """
    _check_alike(slices)
    row, column = _orthonormal(slices[0])
    normal = np.cross(row, column)
    positions = np.array([s.position for s in slices])
    order = np.argsort(positions @ normal, kind="stable")
    ordered = [slices[n] for n in order]
    positions = positions[order]
    step = _step(ordered, positions, normal)
    direction = np.stack([row, column, normal], axis=1)
    size = (ordered[0].columns, ordered[0].rows, len(ordered))
    geometry = Geometry(size, (*ordered[0].spacing, step), tuple(positions[0]), tuple(direction.ravel()))
    return ordered, geometry


def _check_alike(slices: Sequence[DicomSlice]) -> None:
    for item in slices:
        name = f'"{item.path.name}"'
        if item.samples != 1 or item.photometric not in ("MONOCHROME2", ""):
            raise BadInputError(f"has an image in color or inverted gray ({item.photometric}): {name}")
        if item.frames != 1:
            raise BadInputError(
                f"has a file with {item.frames} frames (enhanced DICOM), which is not supported: {name}; "
                "convert it to NIfTI or to single-frame files"
            )
        if item.position is None or not item.row.any():
            raise BadInputError(f"has an image without position or orientation in the patient: {name}")
        if not all(math.isfinite(s) and s > 0 for s in item.spacing):
            raise BadInputError(f"has an image with the pixel spacing {item.spacing} mm: {name}")
    _refuse_odd(slices, lambda s: s.patient, lambda _: "another patient", "images of different patients")
    _refuse_odd(slices, lambda s: (s.columns, s.rows), lambda s: f"{s.columns}x{s.rows}", "images of different size")
    _refuse_odd(
        slices,
        lambda s: (round(s.spacing[0], 4), round(s.spacing[1], 4)),
        lambda s: f"{s.spacing[0]:.4g}x{s.spacing[1]:.4g} mm",
        "images of different pixel spacing",
    )
    kinds: list[NDArray[np.float64]] = []

    def kind(item: DicomSlice) -> int:
        axes = np.concatenate([item.row, item.column])
        for number, known in enumerate(kinds):
            if np.abs(axes - known).max() <= ORIENTATION_TOLERANCE:
                return number
        kinds.append(axes)
        return len(kinds) - 1

    _refuse_odd(slices, kind, _plane, "images of mixed orientation")


def _refuse_odd(
    slices: Sequence[DicomSlice],
    key: Callable[[DicomSlice], Hashable],
    describe: Callable[[DicomSlice], str],
    what: str,
) -> None:
    """Raise BadInputError naming the slices that differ from the majority."""
    keys = [key(s) for s in slices]
    usual = Counter(keys).most_common(1)[0][0]
    odd = [s for s, k in zip(slices, keys, strict=True) if k != usual]
    if odd:
        normal = next(s for s, k in zip(slices, keys, strict=True) if k == usual)
        named = ", ".join(f'"{s.path.name}" ({describe(s)})' for s in odd[:5]) + (", ..." if len(odd) > 5 else "")
        raise BadInputError(f"has {what}: {len(odd)} of {len(slices)} differ from {describe(normal)}: {named}")


def _plane(item: DicomSlice) -> str:
    normal = np.abs(np.cross(item.row, item.column))
    cosines = ", ".join(f"{c:.3g}" for c in (*item.row, *item.column))
    return f"{('sagittal', 'coronal', 'axial')[int(np.argmax(normal))]}, cosines {cosines}"


def _orthonormal(item: DicomSlice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Row and column vectors with the rounding of their text taken off."""
    if abs(float(item.row @ item.column)) > 1e-3 or not np.allclose(
        [np.linalg.norm(item.row), np.linalg.norm(item.column)], 1, atol=1e-3
    ):
        raise BadInputError(f'has an orientation that is not orthonormal: "{item.path.name}"')
    row = item.row / np.linalg.norm(item.row)
    column = item.column - (item.column @ row) * row
    return row, column / np.linalg.norm(column)


def _step(slices: Sequence[DicomSlice], positions: NDArray[np.float64], normal: NDArray[np.float64]) -> float:
    """Distance of slices in mm, from positions in order; raises BadInputError if it is not one number."""
    if len(slices) == 1:
        if not slices[0].thickness > 0:
            raise BadInputError("is one image without a slice thickness")
        return slices[0].thickness
    along = positions @ normal
    distances = np.diff(along)
    usual = float(np.sort(distances)[(len(distances) - 1) // 2])
    twice = np.flatnonzero(distances < max(1e-3, 0.05 * float(distances.max(initial=0.0))))
    if len(twice):
        n = int(twice[0])
        raise BadInputError(
            f"has {len(twice)} images at a position that another has already, the first at {_place(positions[n])}: "
            f'"{slices[n].path.name}" and "{slices[n + 1].path.name}" (several phases, or a slice twice?)'
        )
    gaps = [int(n) for n in np.flatnonzero(distances > 1.5 * usual)]
    if gaps:
        missing = sum(max(1, round(float(distances[n]) / usual) - 1) for n in gaps)
        named = ", ".join(
            f"between {_place(positions[n])} and {_place(positions[n + 1])} "
            f'(slices {n + 1} and {n + 2} of {len(slices)}, "{slices[n].path.name}" and "{slices[n + 1].path.name}")'
            for n in gaps[:5]
        )
        more = ", ..." if len(gaps) > 5 else ""
        raise BadInputError(f"has gaps, {missing} slices of {usual:.3g} mm are missing: {named}{more}")
    step = float(along[-1] - along[0]) / (len(slices) - 1)
    off = np.abs(along - along[0] - step * np.arange(len(slices)))
    if off.max() > max(min(0.1, 0.25 * step), 0.02 * step):
        raise BadInputError(
            f"has uneven slice distances, {distances.min():.3g} to {distances.max():.3g} mm; slice "
            f"{int(np.argmax(off)) + 1} at {_place(positions[int(np.argmax(off))])} is {off.max():.2g} mm off its place"
        )
    beside = np.linalg.norm(positions - positions[0] - np.outer(along - along[0], normal), axis=1)
    if beside.max() > max(0.2, 0.25 * min(slices[0].spacing)):
        angle = math.degrees(math.atan2(float(beside[-1]), float(along[-1] - along[0])))
        raise BadInputError(
            f"has slices that are shifted against each other by up to {beside.max():.3g} mm (gantry tilt of about "
            f"{angle:.2g} degrees); resample it to a straight grid first"
        )
    return step


def _place(position_lps: NDArray[np.float64]) -> str:
    """RAS mm, for a message."""
    ras = (-position_lps[0], -position_lps[1], position_lps[2])
    return "R {:.1f} A {:.1f} S {:.1f} mm".format(*ras)
