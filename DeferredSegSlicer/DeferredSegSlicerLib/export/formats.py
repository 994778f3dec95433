"""The formats of an export, the files of each, and the writing of them: one that fails leaves the others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.atomic import clear_write_errors, write_json
from ..core.case_record import RECORD_FILE, SEGMENTATION_FILE
from ..core.errors import BadInputError, DeferredSegError
from .content import Content
from .dicom_seg import write_dicom_seg
from .nifti import write_nifti
from .seg_nrrd import write_seg_nrrd
from .source_series import SourceSeries
from .stl import write_stl
from .surface import surface_of
from .tables import write_decisions_csv, write_regions_csv, write_review_json

DEFAULT_FORMATS = ("seg.nrrd", "nifti", "csv")
_LONGEST_STEM_BYTES = 150


@dataclass(frozen=True)
class Failure:
    """A format that could not be written, and why."""

    format: str
    error: DeferredSegError


@dataclass(frozen=True)
class Exported:
    """What an export wrote, in order, and the formats that failed."""

    files: tuple[Path, ...]
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True)
class Target:
    """Where a case is exported to.

    Attributes
    ----------
    folder, stem : every file is `<folder>/<stem><ending>`.
    source : finds the scan's series for DICOM SEG, or raises BadInputError; called only if that format is wanted.
    """

    folder: Path
    stem: str
    source: Callable[[], SourceSeries] | None = None

    def file(self, ending: str) -> Path:
        """A file of the export."""
        return self.folder / f"{self.stem}{ending}"


@dataclass(frozen=True)
class Format:
    """A format: what it is, the endings of its files, and what writes them to the target."""

    name: str
    what: str
    endings: Callable[[Content], list[str]]
    write: Callable[[Content, Target], None]


def _seg_nrrd(content: Content, target: Target) -> None:
    write_seg_nrrd(target.file(".seg.nrrd"), content)


def _nifti(content: Content, target: Target) -> None:
    facts = content.to_json()
    write_nifti(target.file(".nii.gz"), content.label, content.case.geometry, f"DeferredSeg: {content.summary}", facts)
    write_json(target.file(".json"), facts)


def _dicom_seg(content: Content, target: Target) -> None:
    if target.source is None:
        raise BadInputError("a DICOM SEG needs the series of the scan; give its folder with --source")
    write_dicom_seg(target.file("_seg.dcm"), content, target.source())


def _csv(content: Content, target: Target) -> None:
    write_regions_csv(target.file("_regions.csv"), content)
    write_decisions_csv(target.file("_decisions.csv"), content)


def _json(content: Content, target: Target) -> None:
    write_review_json(target.file("_review.json"), content)


def _stl(content: Content, target: Target) -> None:
    for item in content.structures:
        if item.voxels:
            surface = surface_of(content.label == item.number, content.case.geometry)
            state = f"UNREVIEWED={item.unreviewed}/{item.regions}"
            write_stl(target.file(f"_{item.structure.id}.stl"), surface, state)


FORMATS = {
    f.name: f
    for f in (
        Format("seg.nrrd", "labelmap in Slicer's segmentation format", lambda _: [".seg.nrrd"], _seg_nrrd),
        Format("nifti", "labelmap as NIfTI, its names and codes beside it", lambda _: [".nii.gz", ".json"], _nifti),
        Format("dicom-seg", "DICOM SEG; needs the scan's series", lambda _: ["_seg.dcm"], _dicom_seg),
        Format("csv", "tables of regions and of decisions", lambda _: ["_regions.csv", "_decisions.csv"], _csv),
        Format("json", "regions, decisions and figures", lambda _: ["_review.json"], _json),
        Format("stl", "a closed surface of each structure", lambda c: _surfaces(c), _stl),
    )
}
"""By name, in the order in which they are written."""


def _surfaces(content: Content) -> list[str]:
    return [f"_{item.structure.id}.stl" for item in content.structures if item.voxels]


def parse_formats(names: Iterable[str]) -> tuple[str, ...]:
    """Names of formats, each perhaps several with commas between, in the order of `FORMATS`.

    Raises BadInputError for an unknown one; no name at all means the defaults.
    """
    wanted = [part.strip().lower() for name in names for part in name.split(",") if part.strip()]
    unknown = [name for name in wanted if name not in FORMATS]
    if unknown:
        raise BadInputError(f'format "{unknown[0]}" is unknown, expected one of {", ".join(FORMATS)}')
    return tuple(name for name in FORMATS if name in wanted) or DEFAULT_FORMATS


def stem_of(case_folder: Path) -> str:
    """The beginning of the names of a case's exported files: the name of its folder, shortened if it is very long."""
    name = case_folder.absolute().name or "case"
    while len(name.encode("utf-8", "surrogateescape")) > _LONGEST_STEM_BYTES:
        name = name[:-1]
    return name


def planned_files(content: Content, target: Target, formats: Sequence[str]) -> list[Path]:
    """The files that an export will write."""
    return [target.file(ending) for name in formats for ending in FORMATS[name].endings(content)]


def export_case(
    content: Content, target: Target, formats: Sequence[str] = DEFAULT_FORMATS, overwrite: bool = False
) -> Exported:
    """Write a case in the formats named; the folder is made if it is not there.

    Every file is written whole or not at all. A format that fails leaves none of its files that were not there before,
    and the others are written all the same.

    Raises
    ------
    BadInputError : a file is there already and `overwrite` is off, the folder is inside a case, or it cannot be made;
        nothing is written.
    """
    _check_outside_cases(target.folder)
    stale = _stale_surfaces(content, target) if "stl" in formats else []
    with clear_write_errors(target.folder):
        there = [path for path in [*planned_files(content, target, formats), *stale] if os.path.lexists(path)]
        if there and not overwrite:
            raise BadInputError(f'"{there[0]}" is there already; give another folder, or --overwrite to replace it')
        target.folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    failures = []
    for name in formats:
        files = planned_files(content, target, [name])
        try:
            FORMATS[name].write(content, target)
            for path in stale if name == "stl" else ():
                with clear_write_errors(path):
                    path.unlink(missing_ok=True)
        except DeferredSegError as error:
            failures.append(Failure(name, error))
            for path in files:
                if path not in there:
                    path.unlink(missing_ok=True)
        else:
            written += files
    return Exported(tuple(written), tuple(failures))


def _stale_surfaces(content: Content, target: Target) -> list[Path]:
    """Where an earlier export may have left the surface of a structure of which nothing remains."""
    return [target.file(f"_{item.structure.id}.stl") for item in content.structures if not item.voxels]


def _check_outside_cases(folder: Path) -> None:
    """Raise BadInputError for a folder in a case: an export could take the place of the case's own files."""
    place = Path(os.path.realpath(folder))
    for parent in (place, *place.parents):
        if all((parent / name).is_file() for name in (RECORD_FILE, SEGMENTATION_FILE)):
            raise BadInputError(f'output "{folder}" is inside the case "{parent}"; choose a folder outside of it')
