"""The models that are installed, read from their descriptions alone: no network library, no weights."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.atomic import clear_write_errors, temporary_beside
from ..core.case_reader import sha256_of_file
from ..core.errors import BadInputError
from ..resources import DEFAULT_BUNDLE, find_resources

SCHEMA = 1
_LARGEST_JSON = 1_000_000
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class InstalledBundle:
    """A bundle on disk.

    Attributes
    ----------
    id, name : as its bundle.json has them.
    folder : where it lies.
    own : whether it is the user's; the others came with the extension.
    scope : what its deferral was trained on: "any", "lesions", or empty for a bundle without a learned deferral.
    needs_box : whether every structure needs a box.
    license : of the weights.
    """

    id: str
    name: str
    folder: Path
    own: bool
    scope: str = ""
    needs_box: bool = True
    license: str = ""

    @property
    def key(self) -> str:
        """What to ask the worker for: the id of one that came with the extension, else the folder."""
        return str(self.folder.absolute()) if self.own else self.id


def installed_bundles(models_folder: Path | None = None) -> tuple[InstalledBundle, ...]:
    """Bundles that can be read, the default one first, then by name; the user's after the extension's.

    A folder whose bundle.json cannot be read is left out, see `damaged_bundles`.
    """
    found = [bundle for bundle, _ in _all(models_folder) if bundle is not None]
    return tuple(sorted(found, key=lambda b: (b.own, b.id != DEFAULT_BUNDLE, b.name.casefold())))


def damaged_bundles(models_folder: Path | None = None) -> tuple[str, ...]:
    """A sentence for each model folder that holds no readable bundle."""
    return tuple(problem for bundle, problem in _all(models_folder) if bundle is None)


def find_bundle(key: str, models_folder: Path | None = None) -> InstalledBundle:
    """The bundle of a key (see `InstalledBundle.key`), of an id, or of a folder anywhere.

    Raises BadInputError, naming those that there are, if there is none.
    """
    bundles = installed_bundles(models_folder)
    for bundle in bundles:
        if key in (bundle.key, bundle.id):
            return bundle
    if Path(key).name != key and (Path(key) / "bundle.json").is_file():
        return read_bundle(Path(key), own=True)
    known = ", ".join(b.id for b in bundles) or "none"
    raise BadInputError(f'model "{key}" is not installed; there are: {known}')


def read_bundle(folder: Path, own: bool) -> InstalledBundle:
    """What bundle.json of a folder says; raises BadInputError naming the file and what is wrong with it."""
    path = folder / "bundle.json"
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise BadInputError(f'"{path}" is larger than {_LARGEST_JSON} bytes, expected a short description')
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInputError(f'"{path}" cannot be read: {error.strerror or error}') from error
    except (ValueError, RecursionError) as error:
        raise BadInputError(f'"{path}" cannot be read as JSON: {error}') from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise BadInputError(f'"{path}" is no description of a model in schema {SCHEMA}')
    texts = {key: content.get(key) for key in ("id", "name", "family", "license", "file", "sha256")}
    for key, value in texts.items():
        if not isinstance(value, str) or not value.strip():
            raise BadInputError(f'"{key}" in "{path}" is {value!r}, expected a text')
    if not _ID.fullmatch(str(texts["id"])):
        raise BadInputError(f'"id" in "{path}" is {texts["id"]!r}, expected letters, digits, "_", "." and "-"')
    head = content.get("head")
    scope = str(head.get("scope", "any")) if isinstance(head, dict) else ""
    family = str(texts["family"])
    return InstalledBundle(
        str(texts["id"]), str(texts["name"]), folder, own, scope, family != "monai", str(texts["license"])
    )


def install_bundles(source: Path, models_folder: Path) -> tuple[InstalledBundle, ...]:
    """Copy every bundle below `source` (itself one, or folders of bundles) into the user's models folder.

    Each is copied whole and its weights are compared with their SHA-256 before it appears under its id; one of the
    same id is replaced. Raises BadInputError if there is none, or one is damaged; those before it stay installed.
    """
    folders = [source] if (source / "bundle.json").is_file() else sorted(p.parent for p in source.glob("*/bundle.json"))
    if not folders:
        raise BadInputError(f'"{source}" holds no model: no folder with a bundle.json in it')
    return tuple(_install(read_bundle(folder, own=True), models_folder) for folder in folders)


def _install(bundle: InstalledBundle, models_folder: Path) -> InstalledBundle:
    target = models_folder / bundle.id
    with clear_write_errors(target):
        models_folder.mkdir(parents=True, exist_ok=True)
        building = temporary_beside(target)
        try:
            building.mkdir()
            for file in sorted(p for p in bundle.folder.iterdir() if p.is_file()):
                shutil.copyfile(file, building / file.name)
            _check_weights(building)
            if target.exists():
                old = temporary_beside(target)
                target.rename(old)
                shutil.rmtree(old, ignore_errors=True)
            building.rename(target)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
    return read_bundle(target, own=True)


def _check_weights(folder: Path) -> None:
    content: dict[str, Any] = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    wanted = {str(content["file"]): str(content["sha256"])}
    head = content.get("head")
    if isinstance(head, dict) and "file" in head:
        wanted[str(head["file"])] = str(head.get("sha256"))
    for name, sha256 in wanted.items():
        if Path(name).name != name:
            raise BadInputError(f'"{folder / "bundle.json"}" names the file "{name}" outside its folder')
        if not (folder / name).is_file():
            raise BadInputError(f'model "{content["id"]}" is not whole: "{name}" is missing')
        if sha256_of_file(folder / name) != sha256:
            raise BadInputError(f'model "{content["id"]}" is damaged: "{name}" is not the file that was packed')


def _all(models_folder: Path | None) -> Iterator[tuple[InstalledBundle | None, str]]:
    places = [(find_resources() / "Models", False)]
    if models_folder is not None:
        places.append((models_folder, True))
    for place, own in places:
        if not place.is_dir():
            continue
        for folder in sorted(place.iterdir()):
            if folder.name.startswith(".") or not folder.is_dir():
                continue
            try:
                yield read_bundle(folder, own), ""
            except BadInputError as error:
                yield None, error.sentence
