"""Writing a bundle folder, whole or not at all: built beside its place, opened for a test, then renamed into it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from ..core.atomic import clear_write_errors, sync_folder, temporary_beside, write_bytes, write_json
from ..core.errors import BadInputError
from .bundles import SCHEMA, Bundle, load_bundle, sha256_of
from .weights import read_weights

DESCRIPTION_FILE, WEIGHTS_FILE, HEAD_FILE = "bundle.json", "weights.safetensors", "head.safetensors"
CARD_FILE, LICENSE_FILES = "MODEL_CARD.md", ("LICENSE", "NOTICE")
STANDARD_FILES = frozenset({DESCRIPTION_FILE, WEIGHTS_FILE, HEAD_FILE, CARD_FILE, *LICENSE_FILES})
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def write_bundle(
    folder: str | Path,
    description: Mapping[str, Any],
    base_tensors: Mapping[str, torch.Tensor] | Path,
    head_tensors: Mapping[str, torch.Tensor] | None,
    model_card: str,
    extra_files: Mapping[str, bytes] | None = None,
) -> Bundle:
    """Write a bundle and return it opened from where it lies.

    Parameters
    ----------
    folder : the bundle's place; a bundle that is there already is replaced, anything else is not.
    description : the content of bundle.json: id, name, family, license, windows, network, citations, and "head" with
        kind, mode, experts and settings. Schema, files and checksums are filled in here.
    base_tensors : of the segmentor, stored in the precision they have; or a weights file. A .safetensors file is
        copied byte for byte, and the LICENSE and NOTICE beside a file come along.
    head_tensors : of the head, in their own file; None for a bundle without one.
    extra_files : by plain name, for example LICENSE, NOTICE, training.json.

    Raises
    ------
    BadInputError : see `check_bundle_target`; the disk is full; the description is not one that `load_bundle` takes.
    ValueError : a head without tensors or tensors without a head, a name of an extra file that is not plain.
    """
    target = Path(folder)
    head = description.get("head")
    if (head is None) != (head_tensors is None):
        raise ValueError('"head" of the description and head_tensors belong together, only one of them is given')
    files = dict(_licenses(base_tensors)) | dict(extra_files or {})
    for name in files:
        if not _PLAIN_NAME.fullmatch(name) or name in STANDARD_FILES - set(LICENSE_FILES):
            raise ValueError(f'extra file "{name}" has no plain name or that of a file of every bundle')
    check_bundle_target(target)
    building = temporary_beside(target.absolute())
    with clear_write_errors(target):
        try:
            building.parent.mkdir(parents=True, exist_ok=True)
            building.mkdir()
            content = dict(description) | {"schema": SCHEMA, "file": WEIGHTS_FILE}
            content["sha256"] = _write_weights(building / WEIGHTS_FILE, base_tensors)
            if head is not None and head_tensors is not None:
                checksum = _write_weights(building / HEAD_FILE, head_tensors)
                content["head"] = dict(head) | {"file": HEAD_FILE, "sha256": checksum}
            files[CARD_FILE] = model_card.encode("utf-8")
            for name, data in files.items():
                write_bytes(building / name, data)
            content["files"] = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
            write_json(building / DESCRIPTION_FILE, content)
            sync_folder(building)
            _check_written(building)
            _move_into_place(building, target)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
    return load_bundle(target)


def check_bundle_target(folder: str | Path) -> None:
    """Refuse early, before a long training, a folder into which no bundle could be written.

    Raises
    ------
    BadInputError : the place is a file, a link, a folder that is no bundle, or a bundle that holds foreign files; or
        the folder around it is not writable.
    """
    target = Path(folder)
    with clear_write_errors(target):
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            raise BadInputError(f'"{target}" is a file or a link, expected a new folder for the bundle')
        if target.is_dir() and any(target.iterdir()):
            _check_replaceable(target)
        ancestor = target.absolute().parent
        while not ancestor.exists():
            ancestor = ancestor.parent
        if not ancestor.is_dir():
            raise BadInputError(f'"{target}" cannot be written: "{ancestor}" is a file')
        if not os.access(ancestor, os.W_OK | os.X_OK):
            raise BadInputError(f'"{target}" cannot be written: "{ancestor}" is read-only or not yours')


def _check_replaceable(target: Path) -> None:
    """Raise BadInputError unless a folder holds a bundle and nothing but a bundle."""
    if not (target / DESCRIPTION_FILE).is_file():
        raise BadInputError(f'folder "{target}" is not empty and no bundle; give a new folder')
    try:
        bundle = load_bundle(target)
    except BadInputError as error:
        raise BadInputError(f'"{target}" is not overwritten, since it may be no bundle: {error.sentence}') from error
    known = STANDARD_FILES | {bundle.file} | _listed_files(target)
    for place in sorted(target.iterdir()):
        if place.name not in known or place.is_dir():
            raise BadInputError(
                f'bundle "{target}" is not overwritten: it holds "{place.name}", which is not part of a bundle; '
                f"move that first"
            )


def _listed_files(folder: Path) -> set[str]:
    listed = json.loads((folder / DESCRIPTION_FILE).read_text(encoding="utf-8")).get("files", {})
    return set(listed) if isinstance(listed, dict) else set()


def _licenses(base: Mapping[str, torch.Tensor] | Path) -> dict[str, bytes]:
    if not isinstance(base, Path):
        return {}
    beside = [base.parent / name for name in LICENSE_FILES]
    return {path.name: path.read_bytes() for path in beside if path.is_file()}


def _write_weights(path: Path, tensors: Mapping[str, torch.Tensor] | Path) -> str:
    """Write one weights file and return its sha256."""
    if isinstance(tensors, Path) and tensors.suffix == ".safetensors":
        if not tensors.is_file():
            raise BadInputError(f'weights file "{tensors}" does not exist')
        write_bytes(path, tensors.read_bytes())
        return sha256_of(path)
    named = read_weights(tensors) if isinstance(tensors, Path) else tensors
    # clones: safetensors refuses tensors that share memory
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in named.items()}
    for name, tensor in plain.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise BadInputError(f'tensor "{name}" holds values that are not finite; no bundle is written')
    write_bytes(path, save(plain))
    return sha256_of(path)


def _check_written(building: Path) -> None:
    """Open what was written as a user would, and read every tensor back."""
    bundle = load_bundle(building)
    files = {bundle.file: bundle.sha256}
    if bundle.head is not None:
        files[bundle.head["file"]] = bundle.head["sha256"]
    for name, expected in files.items():
        read_weights(building / name)
        if sha256_of(building / name) != expected:
            raise BadInputError(f'"{name}" does not read back as it was written: is the disk damaged?')


def _move_into_place(building: Path, target: Path) -> None:
    """Rename the finished folder to `target`; a bundle that is there is moved aside first and removed last."""
    aside = None
    if target.exists():
        # not a name that cleaners take for unfinished: cut off here, this is the only copy of the old bundle
        aside = target.absolute().with_name(f".replaced-{secrets.token_hex(6)}")
        os.rename(target, aside)
    try:
        os.rename(building, target)
    except BaseException:
        if aside is not None:
            os.rename(aside, target)
        raise
    sync_folder(target.absolute().parent)
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)
