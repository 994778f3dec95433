"""case.json: what it holds, and how it is read without trusting it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from .errors import BadInputError, DamagedCaseError, DeferredSegError
from .experts import Expert, check_experts
from .geometry import Geometry
from .nrrd import WrittenFile
from .structures import Box, Structure, Terminology
from .volume import Modality

SCHEMA = 1
RECORD_FILE = "case.json"
IMAGE_FILE = "image.nrrd"
SEGMENTATION_FILE = "segmentation.seg.nrrd"
PROBABILITY_FILE = "probability.nrrd"
ROUTING_FILE = "routing.nrrd"
ERROR_MAP_FOLDER = "uncertainty"
REVIEW_FOLDER = "review"

MAX_RECORD_BYTES = 16 << 20
"""A longer case.json is refused."""

_FIXED_FILES = {IMAGE_FILE, SEGMENTATION_FILE, PROBABILITY_FILE, ROUTING_FILE}
_METHOD = re.compile(r"[a-z][a-z0-9-]{0,31}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ImageRecord:
    """The scan of a case.

    Attributes
    ----------
    modality : "CT", "MR" or "other".
    sha256 : of the voxels, as `core.volume.sha256_of_voxels` makes it.
    file : "image.nrrd", or None if the case keeps only a reference.
    path : where the scan lies, if the case keeps only a reference.
    """

    modality: Modality
    sha256: str
    file: str | None = IMAGE_FILE
    path: str | None = None


@dataclass(frozen=True)
class CaseRecord:
    """What case.json says; see docs/case_format.md."""

    id: str
    created: str
    geometry: Geometry
    structures: tuple[Structure, ...]
    experts: tuple[Expert, ...]
    method: str
    image: ImageRecord
    settings: dict[str, Any]
    model: dict[str, Any]
    versions: dict[str, Any]
    files: dict[str, WrittenFile]

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "schema": SCHEMA,
            "id": self.id,
            "created": self.created,
            "geometry": {
                "size": list(self.geometry.size),
                "spacing_mm": list(self.geometry.spacing),
                "origin_lps_mm": list(self.geometry.origin_lps),
                "direction_lps": list(self.geometry.direction_lps),
            },
            "image": {
                "modality": self.image.modality,
                "sha256": self.image.sha256,
                "file": self.image.file,
                "path": self.image.path,
            },
            "structures": [_structure_to_json(s) for s in self.structures],
            "experts": [e.to_json() for e in self.experts],
            "agents": [*(e.id for e in self.experts), "model"],
            "method": self.method,
            "model": self.model,
            "settings": self.settings,
            "versions": self.versions,
            "files": {name: {"bytes": f.bytes, "sha256": f.sha256} for name, f in sorted(self.files.items())},
        }


def error_map_file(method: str) -> str:
    """Name of the error map of a method; raises BadInputError for a method that cannot be a file name."""
    if not _METHOD.fullmatch(method):
        raise BadInputError(f'method "{method}" may have small letters, digits and "-" alone')
    return f"{ERROR_MAP_FOLDER}/{method}.nrrd"


def read_record(folder: Path) -> CaseRecord:
    """Read case.json of a case folder.

    Raises
    ------
    BadInputError : no such folder, or it has no case.json.
    DamagedCaseError : case.json is not whole, names a file outside the case, or is of a newer schema.
    """
    path = folder / RECORD_FILE
    try:
        if not folder.is_dir():
            raise BadInputError(
                f'case "{folder}" {"is a file, expected a folder" if folder.exists() else "does not exist"}'
            )
        if path.is_symlink():
            raise DamagedCaseError(f'case "{folder}": {RECORD_FILE} is a link, expected a file inside the case')
        if path.stat().st_size > MAX_RECORD_BYTES:
            raise DamagedCaseError(f'case "{folder}": {RECORD_FILE} is larger than {MAX_RECORD_BYTES >> 20} MiB')
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except FileNotFoundError as error:
        raise BadInputError(f'folder "{folder}" is no case: it has no {RECORD_FILE}') from error
    except OSError as error:
        raise BadInputError(f'case "{folder}" cannot be read: {error.strerror or error}') from error
    except DeferredSegError:
        raise
    except (ValueError, RecursionError) as error:
        raise DamagedCaseError(f'case "{folder}": {RECORD_FILE} is damaged: {error}') from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise DamagedCaseError(f'case "{folder}": {RECORD_FILE} has no schema number')
    if schema > SCHEMA:
        raise DamagedCaseError(
            f'case "{folder}" has schema {schema}, this version reads up to {SCHEMA}; update DeferredSegSlicer'
        )
    try:
        return _record(content)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        cause = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise DamagedCaseError(f'case "{folder}": {RECORD_FILE} is damaged: {cause}') from error


def _no_number(text: str) -> float:
    """NaN and infinity are no JSON."""
    raise ValueError(f"{text} is not a number of JSON")


def _record(content: dict[str, Any]) -> CaseRecord:
    grid = content["geometry"]
    geometry = Geometry(
        tuple(grid["size"]), tuple(grid["spacing_mm"]), tuple(grid["origin_lps_mm"]), tuple(grid["direction_lps"])
    )
    experts = check_experts([Expert.from_json(e) for e in content["experts"]])
    structures = tuple(_structure_from_json(s) for s in content["structures"])
    if not structures or len({s.id for s in structures}) != len(structures):
        raise BadInputError("structures are missing or share an id")
    if content["agents"] != [*(e.id for e in experts), "model"]:
        raise BadInputError("agents are not the experts in order and then the model")
    method = content["method"]
    image = _image_from_json(content["image"])
    needed = _FIXED_FILES | {error_map_file(method)}
    if image.file is None:
        needed = needed - {IMAGE_FILE}
    files = {name: _written(name, values) for name, values in content["files"].items()}
    absent = sorted(needed - set(files))
    if absent:
        raise BadInputError(f"files do not list {', '.join(absent)}")
    for key in ("settings", "model", "versions"):
        if not isinstance(content[key], dict):
            raise BadInputError(f"{key} is not an object")
    return CaseRecord(
        str(content["id"]),
        str(content["created"]),
        geometry,
        structures,
        experts,
        method,
        image,
        content["settings"],
        content["model"],
        content["versions"],
        files,
    )


def _written(name: str, values: dict[str, Any]) -> WrittenFile:
    folder, _, stem = name.partition("/")
    is_error_map = folder == ERROR_MAP_FOLDER and stem.endswith(".nrrd") and _METHOD.fullmatch(stem[: -len(".nrrd")])
    if name not in _FIXED_FILES and not is_error_map:
        raise BadInputError(f'file name "{name[:80]}" does not belong in a case')
    length, digest = values["bytes"], values["sha256"]
    if not isinstance(length, int) or length < 0 or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise BadInputError(f"length or sha256 of {name} is not valid")
    return WrittenFile(length, digest)


def _image_from_json(values: dict[str, Any]) -> ImageRecord:
    modality, digest, file, path = values["modality"], values["sha256"], values["file"], values["path"]
    if modality not in get_args(Modality):
        raise BadInputError(f'modality is "{modality}", expected one of {", ".join(get_args(Modality))}')
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise BadInputError("sha256 of the image is not valid")
    if file not in (IMAGE_FILE, None) or (file is None) != isinstance(path, str):
        raise BadInputError(f"image is neither {IMAGE_FILE} nor a path")
    return ImageRecord(modality, digest, file, path)


def _structure_to_json(structure: Structure) -> dict[str, Any]:
    box = structure.box
    return {
        "id": structure.id,
        "name": structure.name,
        "color": list(structure.color),
        "terminology": structure.terminology.to_slicer(),
        "box_ras_mm": [*box.low, *box.high] if box else None,
    }


def _structure_from_json(values: dict[str, Any]) -> Structure:
    box = values["box_ras_mm"]
    red, green, blue = (float(c) for c in values["color"])
    return Structure(
        str(values["id"]),
        str(values["name"]),
        Box.of_numbers(box) if box is not None else None,
        (red, green, blue),
        Terminology.from_slicer(values["terminology"]),
    )
