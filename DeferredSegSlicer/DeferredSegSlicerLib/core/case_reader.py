"""Open a case folder, and only on the volume where it belongs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .case_record import (
    ERROR_MAP_FOLDER,
    IMAGE_FILE,
    PROBABILITY_FILE,
    ROUTING_FILE,
    SEGMENTATION_FILE,
    CaseRecord,
    read_record,
)
from .errors import BadInputError, DamagedCaseError
from .experts import Expert
from .geometry import Geometry
from .image_file import read_image_file
from .nrrd import check_map_header, check_place, read_map
from .nrrd_header import read_nrrd_header
from .structures import Structure
from .volume import VOXEL_TYPES, Volume, read_volume

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL_AGENT = "model"
"""Id of the last agent."""


@dataclass(frozen=True)
class Case:
    """A case folder, opened and checked against its own record; voxels are read when asked for.

    Every file is compared with its SHA-256 each time it is read; DamagedCaseError is raised if they differ.
    """

    folder: Path
    record: CaseRecord

    @property
    def id(self) -> str:
        """Random id of the case, the same as long as its files are."""
        return self.record.id

    @property
    def created(self) -> str:
        """When the case was made, UTC, ISO 8601."""
        return self.record.created

    @property
    def geometry(self) -> Geometry:
        """Grid of the volume and of every map."""
        return self.record.geometry

    @property
    def structures(self) -> tuple[Structure, ...]:
        """What was segmented, in the order of labels and of probability components."""
        return self.record.structures

    @property
    def experts(self) -> tuple[Expert, ...]:
        """The experts, in the order of routing components."""
        return self.record.experts

    @property
    def agents(self) -> tuple[str, ...]:
        """Ids of the agents in the order of routing components: experts first, the model last."""
        return (*(e.id for e in self.experts), MODEL_AGENT)

    @property
    def method(self) -> str:
        """How the deferral was decided: margin, entropy, tta, learned."""
        return self.record.method

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that was set for the run, in plain values."""
        return self.record.settings

    @property
    def model(self) -> dict[str, Any]:
        """The bundle: id, sha256, name, license."""
        return self.record.model

    @property
    def versions(self) -> dict[str, Any]:
        """Software versions of the run."""
        return self.record.versions

    @property
    def error_maps(self) -> tuple[str, ...]:
        """Methods whose error maps are in the case, the case's own first."""
        stored = [name[len(ERROR_MAP_FOLDER) + 1 : -len(".nrrd")] for name in self.record.files if "/" in name]
        return (self.method, *sorted(method for method in stored if method != self.method))

    def image(self) -> NDArray[np.generic]:
        """The voxels of the scan [k, j, i]; see `volume`."""
        return self.volume().image

    def volume(self) -> Volume:
        """The scan.

        Raises
        ------
        DamagedCaseError : image.nrrd was changed, or is gone.
        BadInputError : the case keeps only a reference, and the image is not at its place or is another one.
        """
        image = self.record.image
        if image.file is None:
            volume = read_volume(image.path or "", modality=image.modality)
            self.check_opens_on(volume.geometry, volume.sha256)
            return volume
        path = self._verified(IMAGE_FILE)
        try:
            volume = read_image_file(path, image.modality)
            self.check_opens_on(volume.geometry, volume.sha256)
        except BadInputError as error:
            raise DamagedCaseError(f'case "{self.folder}": {error}') from error
        return volume

    def probability(self) -> NDArray[np.uint8]:
        """Foreground probability times 255: uint8 [s, k, j, i]."""
        return self._map(PROBABILITY_FILE, len(self.structures))

    def routing(self) -> NDArray[np.uint8]:
        """Routing map times 255: uint8 [a, k, j, i], experts first, model last, adding up to 255."""
        routing = self._map(ROUTING_FILE, len(self.agents))
        for k in range(routing.shape[1]):
            if np.any(routing[:, k].sum(axis=0, dtype=np.uint16) != 255):
                raise DamagedCaseError(
                    f'case "{self.folder}": the agents in {ROUTING_FILE} do not add up to 255 in slice {k}'
                )
        return routing

    def error(self, method: str | None = None) -> NDArray[np.uint8]:
        """Probability, as a method sees it, that the model's label is wrong, times 255: uint8 [k, j, i].

        Without `method` it is the case's own; raises BadInputError for one that is not in `error_maps`.
        """
        wanted = self.method if method is None else method
        if wanted not in self.error_maps:
            raise BadInputError(f'case "{self.folder}" has no map of "{wanted}"; it has: {", ".join(self.error_maps)}')
        return self._map(f"{ERROR_MAP_FOLDER}/{wanted}.nrrd", 1)[0]

    def label(self) -> NDArray[np.uint8]:
        """The model's segmentation: uint8 [k, j, i], 0 background, s + 1 for structure s."""
        label = self._map(SEGMENTATION_FILE, 1)[0]
        highest = int(label.max())
        if highest > len(self.structures):
            raise DamagedCaseError(
                f'case "{self.folder}": {SEGMENTATION_FILE} has the label {highest}, but there are '
                f"{len(self.structures)} structures"
            )
        return label

    def check_opens_on(self, geometry: Geometry, image_sha256: str | None = None) -> None:
        """Raise BadInputError unless the case belongs to this volume: the same grid and, if given, the same voxels."""
        differences = self.geometry.differences_from(geometry)
        if differences:
            raise BadInputError(
                f'case "{self.folder}" belongs to another volume (maybe another patient): {"; ".join(differences)}'
            )
        if image_sha256 is not None and image_sha256 != self.record.image.sha256:
            raise BadInputError(
                f'case "{self.folder}" belongs to another volume (maybe another patient): its voxels differ'
            )

    def _map(self, name: str, components: int) -> NDArray[np.uint8]:
        path = self._verified(name)
        try:
            return read_map(path, self.geometry, components)
        except (BadInputError, OSError) as error:
            raise DamagedCaseError(f'case "{self.folder}": {name} {error}') from error

    def _verified(self, name: str) -> Path:
        """Path of a file of the case whose bytes are those that were written."""
        record = self.record.files.get(name)
        if record is None:
            raise DamagedCaseError(f'case "{self.folder}": {name} is missing from case.json')
        path = self.folder / name
        try:
            same = sha256_of_file(path) == record.sha256
        except OSError as error:
            raise DamagedCaseError(f'case "{self.folder}": {name} cannot be read: {error.strerror}') from error
        if not same:
            raise DamagedCaseError(f'case "{self.folder}": {name} was changed since it was written')
        return path


def open_case(path: str | Path) -> Case:
    """Open a case folder.

    Its record is read and checked, and every file that it names must be there, be a plain file inside the folder, have
    the right length and a header that agrees with the record. Voxels are verified when they are read
    (`core.case_check.check_case` reads everything).

    Raises
    ------
    BadInputError : there is no such folder, or it is no case.
    DamagedCaseError : the case is not whole, unsafe, or of a newer schema.
    """
    folder = Path(path)
    record = read_record(folder)
    case = Case(folder, record)
    for name, written in record.files.items():
        check_file(folder, name, written.bytes)
        check_header(case, name)
    return case


def check_header(case: Case, name: str) -> None:
    """Raise DamagedCaseError unless the NRRD header of a file of the case has the grid and type that it should."""
    path = case.folder / name
    components = {PROBABILITY_FILE: len(case.structures), ROUTING_FILE: len(case.agents)}.get(name, 1)
    try:
        if name != IMAGE_FILE:
            check_map_header(path, case.geometry, components)
            return
        header = read_nrrd_header(path)
        check_place(header, path, case.geometry)
        if header.components != 1 or header.dtype.name not in VOXEL_TYPES:
            raise BadInputError(f"has {header.components} numbers of {header.dtype.name} a voxel, expected a scan")
    except (BadInputError, OSError) as error:
        raise DamagedCaseError(f'case "{case.folder}": {name} {error}') from error


def check_file(folder: Path, name: str, length: int) -> None:
    """Raise DamagedCaseError unless a file of a case is there, is no link, and has its length."""
    place = folder
    try:
        for part in name.split("/"):
            place = place / part
            if place.is_symlink():
                raise DamagedCaseError(f'case "{folder}": {name} is a link, expected a file inside the case')
        if not place.is_file():
            raise DamagedCaseError(f'case "{folder}": {name} is missing')
        there = place.stat().st_size
    except OSError as error:
        raise DamagedCaseError(f'case "{folder}": {name} cannot be read: {error.strerror}') from error
    if there != length:
        raise DamagedCaseError(f'case "{folder}": {name} has {there} bytes, expected {length}')


def sha256_of_file(path: Path) -> str:
    """SHA-256 (hex) of a file, read piece by piece."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            digest.update(data)
    return digest.hexdigest()
