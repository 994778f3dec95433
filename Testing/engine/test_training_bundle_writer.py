"""Bundles are written whole or not at all, and open as they were written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.engine.bundle_writer import check_bundle_target, write_bundle
from DeferredSegSlicerLib.engine.bundles import load_bundle, sha256_of
from DeferredSegSlicerLib.engine.weights import read_weights
from safetensors.torch import save_file

HEAD = {"kind": "stack", "mode": "consistent", "experts": [{"id": "e", "name": "Edge"}], "settings": {"widths": [8]}}


def a_description(**changes: Any) -> dict[str, Any]:
    """Of a bundle without a head."""
    common = {"id": "mine", "name": "Mine", "family": "litemedsam", "license": "Apache-2.0", "citations": ["A. B."]}
    return common | {"windows": {"CT": {"level": 40.0, "width": 400.0}}} | changes


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    shared = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    return {"a": shared.T, "b": shared, "half": torch.ones(3, dtype=torch.float16)}


def test_a_bundle_opens_as_it_was_written(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    head = {"w": torch.randn(4, generator=torch.Generator().manual_seed(1))}
    extra = {"LICENSE": b"free", "training.json": b"{}"}
    bundle = write_bundle(tmp_path / "new" / "b", a_description(head=HEAD), tensors, head, "# Card\n", extra)
    assert bundle == load_bundle(tmp_path / "new" / "b")
    assert bundle.name == "Mine" and bundle.citations == ("A. B.",) and bundle.windows["CT"]["width"] == 400
    back = read_weights(bundle.weights)
    assert all(torch.equal(back[name], tensor) and back[name].dtype == tensor.dtype for name, tensor in tensors.items())
    assert bundle.head is not None and bundle.head["settings"] == {"widths": [8]}
    assert torch.equal(read_weights(bundle.folder / bundle.head["file"])["w"], head["w"])
    assert bundle.head["sha256"] == sha256_of(bundle.folder / "head.safetensors")
    assert bundle.sha256 == sha256_of(bundle.weights)
    assert (bundle.folder / "MODEL_CARD.md").read_text(encoding="utf-8") == "# Card\n"
    assert (bundle.folder / "LICENSE").read_bytes() == b"free"
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["b"], "nothing unfinished is left"


def test_a_weights_file_is_copied_byte_for_byte_with_its_license(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    save_file({"w": torch.ones(2)}, base / "weights.safetensors", metadata={"from": "elsewhere"})
    (base / "NOTICE").write_text("by them")
    bundle = write_bundle(tmp_path / "b", a_description(), base / "weights.safetensors", None, "#")
    assert bundle.weights.read_bytes() == (base / "weights.safetensors").read_bytes()
    assert (bundle.folder / "NOTICE").read_text(encoding="utf-8") == "by them"


def test_an_old_bundle_is_replaced_and_anything_else_is_not(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    folder = tmp_path / "b"
    write_bundle(folder, a_description(name="Old"), tensors, None, "#", {"training.json": b"{}"})
    assert write_bundle(folder, a_description(name="New"), tensors, None, "#").name == "New"
    assert not (folder / "training.json").exists()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(BadInputError, match=r"notes\.txt"):
        write_bundle(folder, a_description(), tensors, None, "#")
    other = tmp_path / "photos"
    other.mkdir()
    (other / "cat.png").write_bytes(b"cat")
    with pytest.raises(BadInputError, match="no bundle"):
        check_bundle_target(other)
    with pytest.raises(BadInputError, match="is a file"):
        check_bundle_target(other / "cat.png")
    assert (folder / "notes.txt").is_file() and (other / "cat.png").read_bytes() == b"cat"


def test_a_description_that_could_not_be_opened_leaves_nothing(
    tmp_path: Path, tensors: dict[str, torch.Tensor]
) -> None:
    with pytest.raises(BadInputError, match='"license"'):
        write_bundle(tmp_path / "b", a_description(license=""), tensors, None, "#")
    with pytest.raises(BadInputError, match=r'"a".*not finite'):
        write_bundle(tmp_path / "b", a_description(), {"a": torch.tensor([float("nan")])}, None, "#")
    with pytest.raises(ValueError, match="belong together"):
        write_bundle(tmp_path / "b", a_description(head=HEAD), tensors, None, "#")
    with pytest.raises(ValueError, match="plain name"):
        write_bundle(tmp_path / "b", a_description(), tensors, None, "#", {"../evil": b""})
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_bundle(
    tmp_path: Path, tensors: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "b"
    write_bundle(folder, a_description(name="Old"), tensors, None, "#")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadInputError, match="disk is full"):
        write_bundle(folder, a_description(name="New"), tensors, None, "#")
    monkeypatch.undo()
    assert load_bundle(folder).name == "Old" and [path.name for path in tmp_path.iterdir()] == ["b"]
    assert json.loads((folder / "bundle.json").read_text(encoding="utf-8"))["schema"] == 1
