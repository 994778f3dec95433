"""A case inside the scene: an .mrb that is opened on another computer brings its case with it.

All files of a case but its image, which the volume node holds, are packed into the text of a hidden text node. The node
has a storage file of its own, so that the text is neither in the scene's XML nor lost.

Slicer tells nobody that it is about to save an .mrb (`vtkMRMLScene.StartSaveEvent` does not come), so a case has to be
embedded when it is shown and whenever its review changes. What is embedded already is not packed again.

What the text is: `packing`. The node's attribute `DeferredSeg.Sha256` is its checksum.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import slicer

from ..core.atomic import clear_write_errors, sync_folder, temporary_beside, write_bytes, write_json
from ..core.case import Case, open_case
from ..core.case_record import IMAGE_FILE, RECORD_FILE, REVIEW_FOLDER, CaseRecord, read_record
from ..core.case_writer import check_target
from ..core.errors import BadInputError, DamagedCaseError
from ..core.nrrd import write_nrrd
from .grid import align
from .names import CASE_ID_ATTRIBUTE, ROLE_ATTRIBUTE, ROLE_EMBEDDED_CASE
from .packing import PackedFile, damaged, digest_of, pack, unpack
from .same_scan import voxels_of_case
from .shared_layer import one_event

_TEXT_CLASS = "vtkMRMLTextNode"
_SHA256_ATTRIBUTE = "DeferredSeg.Sha256"
_NODE_NAME = "DeferredSegSlicer case"


def embed(scene: Any, case: Case, text: str | None = None) -> Any:
    """Keep a case inside the scene; a scene holds each case once.

    Parameters
    ----------
    case : every file of it is read and compared with its checksum.
    text : `packing.pack(case)`, if it was made already (in a thread, for one); the case's files are not read then.

    Returns
    -------
    The hidden text node, new or brought up to date. It is not modified if the case has not changed.

    Raises
    ------
    BadInputError : the case is too large, a file of its review has a name that no other system can have, or the folder
        cannot be read.
    DamagedCaseError : a file of the case was changed since it was written.
    """
    text = pack(case) if text is None else text
    digest = digest_of(text)
    node = node_of(scene, case.id)
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


def text_of(scene: Any, case_id: str) -> tuple[str | None, str | None]:
    """What the scene holds of a case, for `packing.unpack`: text and checksum; (None, None) if there is nothing."""
    node = node_of(scene, case_id)
    text = node.GetText() if node is not None else None
    return (text, node.GetAttribute(_SHA256_ATTRIBUTE)) if isinstance(text, str) else (None, None)


def remove(scene: Any, case_id: str) -> None:
    """Take a case out of the scene, if it is there; its folder stays."""
    node = node_of(scene, case_id)
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
    text = node.GetText()
    if not isinstance(text, str):  # None, or bytes that are no UTF-8
        raise damaged("its text is missing or damaged")
    files = unpack(text, node.GetAttribute(_SHA256_ATTRIBUTE))
    check_target(folder)
    target = folder.absolute()
    building = temporary_beside(target)
    missing = [place for place in target.parents if not place.exists()]
    with clear_write_errors(folder):
        try:
            building.mkdir(parents=True)
            _write(building, files, node, volume_node)
            if target.is_dir():  # an empty one, as `check_target` has seen
                target.rmdir()
            os.rename(building, target)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            with suppress(OSError):  # somebody else put something there: it stays
                for place in missing:
                    place.rmdir()
            raise
        sync_folder(target.parent)
    return open_case(folder)


def _write(building: Path, files: list[PackedFile], node: Any, volume_node: Any) -> None:
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


def _write_record(building: Path, files: list[PackedFile], node: Any) -> CaseRecord:
    """Write the record alone and read it as one reads a stranger's."""
    try:
        write_bytes(building / RECORD_FILE, next(file.data for file in files if file.name == RECORD_FILE))
        record = read_record(building)
    except (BadInputError, DamagedCaseError) as error:
        raise damaged(f"its {RECORD_FILE} cannot be used ({_cause(error, building)})") from error
    if record.id != node.GetAttribute(CASE_ID_ATTRIBUTE):
        raise damaged("it is another case than its node says")
    return record


def _check_against(record: CaseRecord, files: list[PackedFile], node: Any) -> None:
    """Raise DamagedCaseError unless the files are those of the record, byte for byte, and besides them a review."""
    there = {file.name: file for file in files}
    for name, written in record.files.items():
        if name == IMAGE_FILE:
            continue
        file = there.pop(name, None)
        if file is None or len(file.data) != written.bytes or file.sha256 != written.sha256:
            raise damaged(f"{name} is {'missing' if file is None else 'not what was written'}")
    there.pop(RECORD_FILE)
    foreign = [name for name in there if not name.startswith(f"{REVIEW_FOLDER}/")]
    if foreign:
        raise damaged(f'"{foreign[0][:80]}" does not belong in a case')


def _chosen(scene: Any, case_id: str | None) -> Any:
    nodes = list(_nodes(scene))
    fitting = [node for node in nodes if case_id in (None, node.GetAttribute(CASE_ID_ATTRIBUTE))]
    if not fitting:
        raise BadInputError("the scene does not hold this case; open its case folder instead")
    if len(fitting) > 1:
        raise BadInputError(f"the scene holds {len(fitting)} cases; say which one")
    return fitting[0]


def node_of(scene: Any, case_id: str) -> Any:
    """The node that holds a case, or None."""
    return next((node for node in _nodes(scene) if node.GetAttribute(CASE_ID_ATTRIBUTE) == case_id), None)


def _nodes(scene: Any) -> Iterator[Any]:
    for number in range(scene.GetNumberOfNodesByClass(_TEXT_CLASS)):
        node = scene.GetNthNodeByClass(number, _TEXT_CLASS)
        if node.GetAttribute(ROLE_ATTRIBUTE) == ROLE_EMBEDDED_CASE and node.GetAttribute(CASE_ID_ATTRIBUTE):
            yield node


def _cause(error: Exception, building: Path) -> str:
    """An error's sentence without the name of the hidden folder."""
    return str(error).replace(f'case "{building}": ', "").replace(str(building), "the case")
