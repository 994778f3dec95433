"""The DICOM series that a case was made from: found in a folder, proven by place and voxels, whatever way it lies."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.case import Case
from ..core.dicom import Series, list_series, read_series
from ..core.dicom_grid import grid_of
from ..core.dicom_slice import DicomSlice
from ..core.errors import BadInputError
from ..core.geometry import Geometry
from ..core.volume import sha256_of_voxels

if TYPE_CHECKING:
    from numpy.typing import NDArray

PLACE_TOLERANCE_MM = 0.01
"""How far corner voxels may be apart: a file format in between may have rounded; the voxels must be the same anyway."""

_PARALLEL = 1e-3


@dataclass(frozen=True)
class Turn:
    """How the index axes of one grid lie in another grid of the same voxels.

    Attributes
    ----------
    axes : for each index axis i, j, k of the second grid, the axis of the first that runs along it.
    flipped : whether it runs the other way.
    """

    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    def apply(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """A view [k, j, i] in the second grid's order of an array [k, j, i] in the first's."""
        turned = array.transpose(2, 1, 0).transpose(self.axes)
        return turned[tuple(slice(None, None, -1 if f else 1) for f in self.flipped)].transpose(2, 1, 0)

    def undo(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """The opposite of `apply`."""
        ijk = array.transpose(2, 1, 0)[tuple(slice(None, None, -1 if f else 1) for f in self.flipped)]
        return ijk.transpose(tuple(int(n) for n in np.argsort(self.axes))).transpose(2, 1, 0)

    def of_grid(self, grid: Geometry) -> Geometry:
        """The first grid with its axes in the second's order and directions."""
        directions = np.asarray(grid.direction_lps).reshape(3, 3)[:, self.axes]
        size, spacing = (np.asarray(values)[list(self.axes)] for values in (grid.size, grid.spacing))
        origin = np.asarray(grid.origin_lps)
        for axis, flipped in enumerate(self.flipped):
            if flipped:
                origin = origin + directions[:, axis] * spacing[axis] * (size[axis] - 1)
        turned = directions * np.where(self.flipped, -1, 1)
        return Geometry(tuple(size), tuple(spacing), tuple(origin), tuple(turned.ravel()))


def turn_between(grid: Geometry, other: Geometry) -> Turn | None:
    """How `other`'s axes lie in `grid`, or None if they are not parallel to its axes."""
    cosines = np.asarray(grid.direction_lps).reshape(3, 3).T @ np.asarray(other.direction_lps).reshape(3, 3)
    axes = tuple(int(n) for n in np.abs(cosines).argmax(axis=0))
    along = cosines[axes, (0, 1, 2)]
    if sorted(axes) != [0, 1, 2] or np.any(np.abs(np.abs(along) - 1) > _PARALLEL):
        return None
    return Turn((axes[0], axes[1], axes[2]), (bool(along[0] < 0), bool(along[1] < 0), bool(along[2] < 0)))


@dataclass(frozen=True)
class SourceSeries:
    """The series of a case.

    Attributes
    ----------
    slices : in the order of increasing position along row x column.
    turn : from the series' grid to the case's.
    """

    slices: tuple[DicomSlice, ...]
    turn: Turn

    def frames_of(self, label: NDArray[np.uint8]) -> NDArray[np.generic]:
        """A label [k, j, i] of the case as frames (n, rows, columns), one for each of `slices`."""
        return np.ascontiguousarray(self.turn.undo(label))


class SourceFolder:
    """A folder with DICOM series, among them those of one or of many cases; its headers are read once."""

    def __init__(self, folder: str | Path) -> None:
        """Raises BadInputError if there is no such folder."""
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise BadInputError(f'source "{self.folder}" is no folder; give the folder of the scan\'s DICOM series')

    @cached_property
    def series(self) -> list[Series]:
        """The series in it and its subfolders; raises BadInputError for none or for an unreadable image."""
        found = list_series(self.folder)
        if not found:
            raise BadInputError(f'folder "{self.folder}" has no DICOM images')
        return found

    def series_of(self, case: Case, series: str | int | None = None) -> SourceSeries:
        """The series that is the scan of a case: the same voxels at the same places of the patient.

        Parameters
        ----------
        series : its number (from 1) or UID; without it, the one that fits is taken.

        Raises
        ------
        BadInputError : none of them is the case's scan, or several are.
        """
        fitting, reasons = [], []
        for number in self._numbers(series):
            try:
                fitting.append((number, _matched(case, self.series[number - 1])))
            except BadInputError as error:
                reasons.append(str(error))
        if len(fitting) > 1:
            listing = self._listing([number for number, _ in fitting])
            raise BadInputError(
                f'folder "{self.folder}" has the scan {len(fitting)} times, choose one with --series: {listing}'
            )
        if not fitting:
            what = "the DICOM series" if len(reasons) == 1 else f"none of the {len(reasons)} DICOM series"
            verb = "is not" if len(reasons) == 1 else "is"
            raise BadInputError(
                f'{what} in "{self.folder}" {verb} the scan of case "{case.folder}" (maybe another patient): '
                f"{reasons[0]}"
            )
        return fitting[0][1]

    def _numbers(self, series: str | int | None) -> Sequence[int]:
        everything = range(1, len(self.series) + 1)
        if series is None:
            return everything
        wanted = str(series).strip()
        numbers = [n for n in everything if wanted in (str(n), self.series[n - 1].uid)]
        if len(numbers) != 1:
            raise BadInputError(
                f'folder "{self.folder}" has no series "{wanted}"; there are {self._listing(everything)}'
            )
        return numbers

    def _listing(self, numbers: Sequence[int]) -> str:
        return "; ".join(f"{n}: {self.series[n - 1].summary}" for n in numbers)


def _matched(case: Case, series: Series) -> SourceSeries:
    """The series, turned to the case's grid; raises BadInputError with what differs."""
    slices, grid = grid_of(series.slices)
    turn = turn_between(grid, case.geometry)
    if turn is None:
        raise BadInputError("its slices lie at another angle")
    differences = case.geometry.differences_from(turn.of_grid(grid), PLACE_TOLERANCE_MM)
    if differences:
        raise BadInputError("; ".join(differences))
    voxels = turn.apply(_voxels(series))
    if sha256_of_voxels(voxels) != case.record.image.sha256 and not _same_values(case, voxels):
        raise BadInputError("it lies at the same place, but its voxels differ")
    return SourceSeries(tuple(slices), turn)


def _voxels(series: Series) -> NDArray[np.generic]:
    """Of a series, read as any scan is, from the smallest folder that holds it."""
    folder = Path(os.path.commonpath([item.path.parent for item in series.slices]))
    files = {item.path for item in series.slices}
    number = next(n for n, s in enumerate(list_series(folder), 1) if {item.path for item in s.slices} == files)
    return read_series(folder, number).image


def _same_values(case: Case, voxels: NDArray[np.generic]) -> bool:
    """Whether only the type of the voxels differs, as after a conversion of the series to a file of floats."""
    image = case.volume().image
    if image.dtype == voxels.dtype and image.dtype.kind != "f":
        return False
    reach = max(1.0, float(np.abs(voxels).max()))
    return all(np.allclose(a, b, rtol=0, atol=1e-6 * reach) for a, b in zip(image, voxels, strict=True))
