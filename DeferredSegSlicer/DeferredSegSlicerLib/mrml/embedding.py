"""A case inside the scene: an .mrb that is opened on another computer brings its case with it.

All files of a case but its image, which the volume node holds, are packed into the text of a hidden text node. The node
has a storage file of its own, so that the text is neither in the scene's XML nor lost.

Slicer tells nobody that it is about to save an .mrb (`vtkMRMLScene.StartSaveEvent` does not come), so a case has to be
embedded when it is shown and whenever its review changes. What is embedded already is not packed again.

The text is JSON: {"schema": 1, "case": id, "files": [{"name", "bytes", "sha256", "packed": base64 of zlib}, ...]}. The
node's attribute `DeferredSeg.Sha256` is the checksum of the text.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import slicer

from ..core.atomic import clear_write_errors, sync_folder, temporary_beside, write_bytes, write_json
from ..core.case import Case, open_case
from ..core.case_record import IMAGE_FILE, MAX_RECORD_BYTES, RECORD_FILE, REVIEW_FOLDER, CaseRecord, read_record
from ..core.case_writer import check_target
from ..core.errors import BadInputError, DamagedCaseError
from ..core.nrrd import write_nrrd
from .grid import align
from .names import CASE_ID_ATTRIBUTE, ROLE_ATTRIBUTE, ROLE_EMBEDDED_CASE
from .same_scan import voxels_of_case
from .shared_layer import one_event

SCHEMA = 1
MAX_BYTES = 1 << 30
"""A case whose files but the image are more bytes is not embedded, and such an embedding not restored."""
MAX_FILES = 4096

_TEXT_CLASS = "vtkMRMLTextNode"
_SHA256_ATTRIBUTE = "DeferredSeg.Sha256"
_NODE_NAME = "DeferredSegSlicer case"
_PART = re.compile(r"[^\x00-\x1f/\\:*?\"<>|]{1,200}")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class _Stored:
    """A file of a case: its name relative to the case folder, and its bytes."""

    name: str
    data: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def embed(scene: Any, case: Case) -> Any:
    """Keep a case inside the scene; a scene holds each case once.

    Parameters
    ----------
    case : every file of it is read and compared with its checksum.

    Returns
    -------
    The hidden text node, new or brought up to date. It is not modified if the case has not changed.

    Raises
    ------
    BadInputError : the case is too large, a file of its review has a name that no other system can have, or the folder
        cannot be read.
    DamagedCaseError : a file of the case was changed since it was written.
    """
    text = _pack(case)
    digest = _digest(text)
    node = _node_of(scene, case.id)
    if node is not None and node.GetAttribute(_SHA256_ATTRIBUTE) == digest:
        return node
    if node is None:
        node = scene.CreateNodeByClass(_TEXT_CLASS)
        node.UnRegister(None)  # the variable holds it now
        node.SetName(_NODE_NAME)
        node.SetHideFromEditors(True)
        node.SetAttribute(ROLE_ATTRIBUTE, ROLE_EMBEDDED_CASE)
        node.SetAttribute(CASE_ID_ATTRIBUTE, case.id)
        node.SetForceCreateStorageNode(slicer.vtkMRMLTextNode.CreateStorageNodeAlways)
        node = scene.AddNode(node)
    with one_event(node):
        node.SetText(text)
        node.SetAttribute(_SHA256_ATTRIBUTE, digest)
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
    return node


def embedded_cases(scene: Any) -> tuple[str, ...]:
    """Ids of the cases that the scene holds."""
    return tuple(str(node.GetAttribute(CASE_ID_ATTRIBUTE)) for node in _nodes(scene))


def remove(scene: Any, case_id: str) -> None:
    """Take a case out of the scene, if it is there; its folder stays."""
    node = _node_of(scene, case_id)
    if node is not None:
        storage = node.GetStorageNode()
        scene.RemoveNode(node)
        if storage is not None:
            scene.RemoveNode(storage)


def restore(scene: Any, volume_node: Any, folder: Path, case_id: str | None = None) -> Case:
    """Write a case that the scene holds to a folder, its image from the volume node, and open it.

    Everything is checked before the folder appears: it is whole or not there. A review comes back with the case. A case
    that only referred to its image has it in its folder afterwards.

    Parameters
    ----------
    volume_node : the volume that the case was made from; its voxels and their places are compared with the case.
    folder : a new one, as in `core.case.write_case`.
    case_id : which case; not needed if the scene holds one.

    Raises
    ------
    BadInputError : the scene holds no such case, the volume is another one, or the folder cannot be written.
    DamagedCaseError : what the scene holds was changed, is too large, or is not a case. Nothing was written.
    """
    node = _chosen(scene, case_id)
    files = _unpack(node)
    check_target(folder)
    target = folder.absolute()
    building = temporary_beside(target)
    with clear_write_errors(folder):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            building.mkdir()
            _write(building, files, node, volume_node)
            if target.is_dir():  # an empty one, as `check_target` has seen
                target.rmdir()
            os.rename(building, target)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
        sync_folder(target.parent)
    return open_case(folder)


def _write(building: Path, files: list[_Stored], node: Any, volume_node: Any) -> None:
    """Fill the folder of a case, and check it."""
    record = _write_record(building, files, node)
    _check_against(record, files, node)
    alignment = align(record.geometry, volume_node)
    voxels = voxels_of_case(Case(building, record), volume_node, alignment)
    for file in files:
        (building / file.name).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(building / file.name, file.data)
    written = write_nrrd(building / IMAGE_FILE, voxels, record.geometry)
    image = replace(record.image, file=IMAGE_FILE, path=None)
    if image != record.image or record.files.get(IMAGE_FILE) != written:  # packed by another zlib, or a reference
        whole = replace(record, image=image, files=record.files | {IMAGE_FILE: written})
        write_json(building / RECORD_FILE, whole.to_json())
    open_case(building)


def _write_record(building: Path, files: list[_Stored], node: Any) -> CaseRecord:
    """Write the record alone and read it as one reads a stranger's."""
    try:
        write_bytes(building / RECORD_FILE, next(file.data for file in files if file.name == RECORD_FILE))
        record = read_record(building)
    except (BadInputError, DamagedCaseError) as error:
        raise _damaged(node, f"its {RECORD_FILE} cannot be used ({_cause(error, building)})") from error
    if record.id != node.GetAttribute(CASE_ID_ATTRIBUTE):
        raise _damaged(node, "it is another case than its node says")
    return record


def _check_against(record: CaseRecord, files: list[_Stored], node: Any) -> None:
    """Raise DamagedCaseError unless the files are those of the record, byte for byte, and besides them a review."""
    there = {file.name: file for file in files}
    for name, written in record.files.items():
        if name == IMAGE_FILE:
            continue
        file = there.pop(name, None)
        if file is None or len(file.data) != written.bytes or file.sha256 != written.sha256:
            raise _damaged(node, f"{name} is {'missing' if file is None else 'not what was written'}")
    there.pop(RECORD_FILE)
    foreign = [name for name in there if not name.startswith(f"{REVIEW_FOLDER}/")]
    if foreign:
        raise _damaged(node, f'"{foreign[0][:80]}" does not belong in a case')


def _pack(case: Case) -> str:
    files, total = [], 0
    for name in (RECORD_FILE, *sorted(set(case.record.files) - {IMAGE_FILE}), *_review_files(case.folder)):
        file = _read(case, name, MAX_BYTES - total)
        total += len(file.data)
        packed = base64.b64encode(zlib.compress(file.data, 1)).decode("ascii")
        files.append({"name": name, "bytes": len(file.data), "sha256": file.sha256, "packed": packed})
    if len(files) > MAX_FILES:
        raise BadInputError(f'case "{case.folder}" has {len(files)} files, more than the {MAX_FILES} of a saved scene')
    return json.dumps({"schema": SCHEMA, "case": case.id, "files": files}, ensure_ascii=False)


def _read(case: Case, name: str, room: int) -> _Stored:
    """A file of the case folder; of the case's own files only what its record says."""
    path = case.folder / name
    try:
        with path.open("rb") as stream:
            data = stream.read(room + 1)
    except OSError as error:
        raise BadInputError(f'"{path}" cannot be read: {error.strerror or error}') from error
    if len(data) > room:
        raise BadInputError(
            f'case "{case.folder}" is larger than the {MAX_BYTES >> 20} MiB that a scene can hold; keep its folder'
        )
    file, expected = _Stored(name, data), case.record.files.get(name)
    if expected is not None and (len(data) != expected.bytes or file.sha256 != expected.sha256):
        raise DamagedCaseError(f'case "{case.folder}": {name} was changed since it was written')
    return file


def _review_files(folder: Path) -> Iterator[str]:
    """What readers have left in the review folder, but links and hidden files (locks and unfinished writes)."""
    for place in sorted((folder / REVIEW_FOLDER).rglob("*")):
        parts = place.relative_to(folder).parts
        if place.is_file() and not place.is_symlink() and not any(part.startswith(".") for part in parts):
            name = "/".join(parts)
            if not _is_safe(name):
                raise BadInputError(f'"{place}" has a name that not every system can have; rename it')
            yield name


def _is_safe(name: Any) -> bool:
    """Whether a name is one of a file inside a case folder, on every system."""
    parts = name.split("/") if isinstance(name, str) else []
    return 1 <= len(parts) <= 4 and all(
        _PART.fullmatch(part) and not part.startswith(".") and part[-1] not in ". " and not _RESERVED.fullmatch(part)
        for part in parts
    )


def _unpack(node: Any) -> list[_Stored]:
    """The files of an embedding, each no longer than it says and as it was; raises DamagedCaseError."""
    text = node.GetText() or ""
    if len(text) > 2 * MAX_BYTES:
        raise _damaged(node, f"it is larger than {MAX_BYTES >> 20} MiB")
    if _digest(text) != node.GetAttribute(_SHA256_ATTRIBUTE):
        raise _damaged(node, "it was changed or cut off since it was saved")
    try:
        content = json.loads(text)
        schema, entries = content["schema"], list(content["files"])
        if schema != SCHEMA:
            raise _damaged(node, f"it has the schema {schema!r}; update DeferredSegSlicer")
        names = [str(entry["name"]).casefold() for entry in entries]
        if len(entries) > MAX_FILES or len(set(names)) != len(names) or names.count(RECORD_FILE) != 1:
            raise _damaged(node, "its files are too many, twice there, or without a record")
        if sum(_length(entry) for entry in entries) > MAX_BYTES:
            raise _damaged(node, f"it unpacks to more than {MAX_BYTES >> 20} MiB")
        return [_unpacked(entry, node) for entry in entries]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, zlib.error, binascii.Error) as error:
        if isinstance(error, DamagedCaseError):
            raise
        raise _damaged(node, f"it cannot be read ({type(error).__name__})") from error


def _length(entry: dict[str, Any]) -> int:
    length = entry["bytes"]
    if isinstance(length, bool) or not isinstance(length, int) or length < 0:
        raise ValueError(f"{length!r} is no length")
    if entry["name"] == RECORD_FILE and length > MAX_RECORD_BYTES:
        raise ValueError(f"{RECORD_FILE} is too long")
    return length


def _unpacked(entry: dict[str, Any], node: Any) -> _Stored:
    name, length = entry["name"], _length(entry)
    if not _is_safe(name):
        raise _damaged(node, f'"{str(name)[:80]}" is no name of a file in a case')
    unpacker = zlib.decompressobj()
    packed = base64.b64decode(entry["packed"], validate=True)
    data = unpacker.decompress(packed, length + 1)  # never more memory than it says
    if len(data) != length or not unpacker.eof or unpacker.unused_data:
        raise _damaged(node, f"{name} does not have the length that it should")
    file = _Stored(name, data)
    if file.sha256 != entry["sha256"]:
        raise _damaged(node, f"{name} was changed")
    return file


def _chosen(scene: Any, case_id: str | None) -> Any:
    nodes = list(_nodes(scene))
    fitting = [node for node in nodes if case_id in (None, node.GetAttribute(CASE_ID_ATTRIBUTE))]
    if not fitting:
        raise BadInputError("the scene does not hold this case; open its case folder instead")
    if len(fitting) > 1:
        raise BadInputError(f"the scene holds {len(fitting)} cases; say which one")
    return fitting[0]


def _node_of(scene: Any, case_id: str) -> Any:
    return next((node for node in _nodes(scene) if node.GetAttribute(CASE_ID_ATTRIBUTE) == case_id), None)


def _nodes(scene: Any) -> Iterator[Any]:
    for number in range(scene.GetNumberOfNodesByClass(_TEXT_CLASS)):
        node = scene.GetNthNodeByClass(number, _TEXT_CLASS)
        if node.GetAttribute(ROLE_ATTRIBUTE) == ROLE_EMBEDDED_CASE and node.GetAttribute(CASE_ID_ATTRIBUTE):
            yield node


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _damaged(node: Any, what: str) -> DamagedCaseError:
    return DamagedCaseError(f'the case in the scene ("{node.GetName()}") cannot be restored: {what}')


def _cause(error: Exception, building: Path) -> str:
    """An error's sentence without the name of the hidden folder."""
    return str(error).replace(f'case "{building}": ', "").replace(str(building), "the case")
