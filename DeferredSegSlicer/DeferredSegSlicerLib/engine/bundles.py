"""Model bundles: a folder with bundle.json (schema 1), weights and MODEL_CARD.md, checked before anything is loaded."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..core.errors import BadInputError
from ..core.structures import Structure
from ..resources import find_resources
from .segmentor import Segmentor
from .weights import read_weights

SCHEMA = 1
FAMILIES = ("litemedsam", "sam", "monai")
HEADS = ("stack", "volume", "slice")
"""Kinds of deferral heads: on the stack of a structure's slices, of a 3D network, of a 2D network."""

FOR_VOLUMES = ("stack", "volume")
"""Those of them that route volumes; the third kind is for the paper's protocol on single slices."""

SCOPES = ("any", "lesions")
"""What a head was trained on: whatever is segmented, or lesions alone."""

MOST_EXPERTS = 20
LARGEST_JSON = 1_000_000
"""Bytes; a larger bundle.json is refused unread."""


@dataclass(frozen=True)
class Bundle:
    """A model on disk, described but not loaded.

    windows: default intensity window by modality ("CT", "MR", "other"), each {"level": HU, "width": HU} or
    {"percentiles": [low, high]} in percent of the voxels above 0; what to use when the user says nothing.
    network: what the family needs besides: {"input_size"} for sam; {"class", "arguments", "roi", "overlap", "classes"}
    for monai. head: the learned deferral head, {"kind", "mode", "experts" (each {"id", "name"}), "settings", "file",
    "sha256"} and, if it was trained on lesions alone, "scope": "lesions"; None for bundles without one.
    """

    folder: Path
    id: str
    name: str
    family: str
    file: str
    sha256: str
    license: str
    windows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)
    head: Mapping[str, Any] | None = None
    citations: tuple[str, ...] = ()

    @property
    def weights(self) -> Path:
        """The weights file."""
        return self.folder / self.file

    def make_segmentor(self, device: torch.device, precision: str = "auto", threads: int | None = None) -> Segmentor:
        """Check and load the weights and make the segmentor; see the function `make_segmentor`."""
        return make_segmentor(self, device, precision, threads)

    def head_tensors(self) -> dict[str, torch.Tensor]:
        """The head's tensors, after their sha256 has been checked; BadInputError if there are none or they differ."""
        if self.head is None:
            raise BadInputError(f'bundle "{self.id}" has no deferral head')
        path = self.folder / self.head["file"]
        _check_sha256(path, self.head["sha256"], self.id)
        return read_weights(path)

    def to_json(self) -> dict[str, Any]:
        """What a case records of the model: no path, nothing of this machine."""
        head = None
        if self.head is not None:
            head = {key: self.head[key] for key in ("kind", "mode", "experts", "sha256")}
        return {
            "id": self.id,
            "name": self.name,
            "family": self.family,
            "sha256": self.sha256,
            "license": self.license,
            "citations": list(self.citations),
            **({} if head is None else {"head": head}),
        }

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of a network that needs no prompt; empty for the others."""
        return tuple(self.network.get("classes", ()))

    def defers_well(self, structures: Sequence[Structure]) -> bool:
        """Whether it has a deferral head that was trained on the kind of all these structures."""
        if self.head is None or self.head["kind"] not in FOR_VOLUMES:
            return False
        return self.head.get("scope", "any") == "any" or all(one.terminology.is_lesion for one in structures)

    @property
    def needs_box(self) -> bool:
        """Whether the network wants a box for every structure."""
        return self.family != "monai"


def list_bundles() -> list[str]:
    """Names of the bundles that come with the extension."""
    models = find_resources() / "Models"
    if not models.is_dir():
        return []
    return sorted(folder.name for folder in models.iterdir() if (folder / "bundle.json").is_file())


def load_bundle(which: str | Path) -> Bundle:
    """A bundle by its name in Resources/Models, by its folder, or a checkpoint of SAM ViT-B by its file (.pth, .pt).

    A plain word is always a name; anything with a separator in it is a path. The weights are not read yet.
    Raises BadInputError for an unknown bundle (listing those that exist) and for a bundle.json that is not right.
    """
    text = str(which)
    if isinstance(which, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", text) and ".." not in text:
        folder = find_resources() / "Models" / text
        if (folder / "bundle.json").is_file():
            return _read_bundle(folder)
    path = Path(which).expanduser()
    if path.suffix in (".pth", ".pt") and path.is_file():
        return _bundle_of_checkpoint(path)
    if (path / "bundle.json").is_file():
        return _read_bundle(path)
    known = ", ".join(list_bundles()) or "none"
    raise BadInputError(f'bundle "{text}" is neither known (there are: {known}) nor a folder with a bundle.json')


def make_segmentor(
    bundle: Bundle | str | Path, device: torch.device, precision: str = "auto", threads: int | None = None
) -> Segmentor:
    """Load a bundle's weights, after their sha256 has been checked, and make the segmentor on `device`.

    precision: of LiteMedSAM's encoder on the CPU, see `openvino_encoder.OpenVinoEncoder`.
    threads: for OpenVINO on the CPU, None for all cores.
    """
    if not isinstance(bundle, Bundle):
        bundle = load_bundle(bundle)
    _check_sha256(bundle.weights, bundle.sha256, bundle.id)
    tensors, source = read_weights(bundle.weights), str(bundle.weights)
    if bundle.family == "litemedsam":
        from .litemedsam import load_litemedsam, make_litemedsam

        network = load_litemedsam(tensors, source)
        return make_litemedsam(network, device, bundle.name, threads=threads, precision=precision)
    if bundle.family == "sam":
        from .sam_vit import load_sam, make_sam

        return make_sam(load_sam(tensors, source, bundle.network.get("input_size", 1024)), device, bundle.name)
    from .monai_nets import make_volume_segmentor

    if bundle.head is None or bundle.head["kind"] != "volume":
        return make_volume_segmentor(bundle.name, bundle.network, tensors, device, source)
    head = bundle.head_tensors()
    return make_volume_segmentor(bundle.name, bundle.network, tensors, device, source, bundle.head, head)


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(stream)


def _check_sha256(path: Path, expected: str, bundle: str) -> None:
    if not path.is_file():
        raise BadInputError(f'bundle "{bundle}" lacks its weights file "{path}"')
    found = sha256_of(path)
    if found != expected:
        raise BadInputError(
            f'weights "{path}" of bundle "{bundle}" have sha256 {found[:12]}..., '
            f"expected {expected[:12]}...: the file was damaged or exchanged"
        )


def _digest(stream: Any) -> str:
    digest = hashlib.sha256()
    for block in iter(lambda: stream.read(1 << 20), b""):
        digest.update(block)
    return digest.hexdigest()


def _bundle_of_checkpoint(path: Path) -> Bundle:
    return Bundle(
        folder=path.parent,
        id=path.stem,
        name=f"SAM ViT-B ({path.name})",
        family="sam",
        file=path.name,
        sha256=sha256_of(path),
        license="as the file's owner states it",
        windows={"CT": {"level": 40.0, "width": 400.0}, "MR": {"percentiles": [0.5, 99.5]}},
        network={"input_size": 1024},
    )


def _read_bundle(folder: Path) -> Bundle:
    path = folder / "bundle.json"
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise BadInputError(f'"{path}" is larger than {LARGEST_JSON} bytes, expected a short description')
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BadInputError(f'"{path}" cannot be read as JSON: {error}') from error
    if not isinstance(content, dict):
        raise BadInputError(f'"{path}" holds no object, expected a bundle description')
    if content.get("schema") != SCHEMA:
        raise BadInputError(f'"{path}" has schema {content.get("schema")}, this version reads schema {SCHEMA}')
    texts = {key: content.get(key) for key in ("id", "name", "family", "file", "sha256", "license")}
    for key, value in texts.items():
        if not isinstance(value, str) or not value.strip():
            raise BadInputError(f'"{key}" in "{path}" is {value!r}, expected a text')
    if texts["family"] not in FAMILIES:
        raise BadInputError(f'family "{texts["family"]}" in "{path}" is unknown, expected {", ".join(FAMILIES)}')
    if not re.fullmatch(r"[0-9a-f]{64}", str(texts["sha256"])):
        raise BadInputError(f'"sha256" in "{path}" is no sha256, expected 64 hexadecimal digits')
    _check_file_name(str(texts["file"]), folder, path)
    citations = content.get("citations", [])
    if not isinstance(citations, list) or not all(isinstance(citation, str) for citation in citations):
        raise BadInputError(f'"citations" in "{path}" is not a list of texts')
    for key in ("network", "head"):
        if content.get(key) is not None and not isinstance(content[key], dict):
            raise BadInputError(f'"{key}" in "{path}" is {content[key]!r}, expected an object or null')
    return Bundle(
        folder=folder,
        windows=_checked_windows(content.get("windows", {}), path),
        network=content.get("network") or {},
        head=_checked_head(content.get("head"), folder, path),
        citations=tuple(citations),
        **{key: str(value) for key, value in texts.items()},
    )


def _checked_head(head: Any, folder: Path, path: Path) -> dict[str, Any] | None:
    """The description of a deferral head; BadInputError naming what is wrong with it."""
    if head is None:
        return None
    if head.get("kind") not in HEADS or head.get("mode") not in ("consistent", "released"):
        raise BadInputError(
            f'"head" in "{path}" is of kind {head.get("kind")!r} and mode {head.get("mode")!r}, expected one of '
            f"{', '.join(HEADS)} and consistent or released"
        )
    if head.get("scope", "any") not in SCOPES:
        raise BadInputError(f'"scope" of the head in "{path}" is {head["scope"]!r}, expected {" or ".join(SCOPES)}')
    experts = head.get("experts")
    if not (isinstance(experts, list) and 1 <= len(experts) <= MOST_EXPERTS and all(map(_is_expert, experts))):
        raise BadInputError(f'"experts" of the head in "{path}" are {experts!r}, expected a list of id and name')
    if len({expert["id"] for expert in experts}) < len(experts):
        raise BadInputError(f'"experts" of the head in "{path}" have an id twice')
    if not isinstance(head.get("settings", {}), dict):
        raise BadInputError(f'"settings" of the head in "{path}" is {head["settings"]!r}, expected an object')
    _check_file_name(str(head.get("file")), folder, path)
    if not re.fullmatch(r"[0-9a-f]{64}", str(head.get("sha256"))):
        raise BadInputError(f'"sha256" of the head in "{path}" is no sha256, expected 64 hexadecimal digits')
    return head


def _is_expert(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(key), str) and value[key] for key in ("id", "name"))


def _check_file_name(name: str, folder: Path, path: Path) -> None:
    """Refuse a weights file that would lie outside the bundle's folder."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_. -]*\.(safetensors|pth|pt)", name):
        raise BadInputError(f'"file" in "{path}" is "{name}", expected a plain name of a .safetensors or .pth file')
    if (folder / name).resolve().parent != folder.resolve():
        raise BadInputError(f'"file" in "{path}" is "{name}", which leads out of the bundle\'s folder')


def _checked_windows(windows: Any, path: Path) -> dict[str, dict[str, Any]]:
    if not isinstance(windows, dict):
        raise BadInputError(f'"windows" in "{path}" is {windows!r}, expected an object by modality')
    for modality, window in windows.items():
        numbers: list[Any] = []
        if isinstance(window, dict) and set(window) == {"level", "width"}:
            numbers = [window["level"], window["width"]]
            good = all(map(_is_number, numbers)) and numbers[1] > 0
        elif isinstance(window, dict) and set(window) == {"percentiles"} and isinstance(window["percentiles"], list):
            numbers = window["percentiles"]
            good = len(numbers) == 2 and all(map(_is_number, numbers)) and 0 <= numbers[0] < numbers[1] <= 100
        else:
            good = False
        if modality not in ("CT", "MR", "other") or not good:
            raise BadInputError(
                f'window "{modality}" in "{path}" is {window!r}, expected CT, MR or other with level and width '
                f"(positive), or two rising percentiles"
            )
    return windows


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
