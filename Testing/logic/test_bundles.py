"""Models on disk, seen from Slicer's process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.engine.bundles import list_bundles, load_bundle
from DeferredSegSlicerLib.logic.bundles import damaged_bundles, find_bundle, install_bundles, installed_bundles


def test_the_extensions_models_are_listed_as_the_engine_knows_them() -> None:
    bundles = installed_bundles()
    assert sorted(b.id for b in bundles) == list_bundles() and bundles[0].id == "litemedsam-deferral"
    for bundle in bundles:
        known = load_bundle(bundle.key)
        assert (bundle.name, bundle.needs_box, bundle.license) == (known.name, known.needs_box, known.license)
        assert not bundle.own
    assert [b.scope for b in bundles] == ["lesions", ""]


def test_a_users_model_is_asked_for_by_its_folder(tmp_path: Path, a_small_bundle: Callable[..., Path]) -> None:
    a_small_bundle(tmp_path / "stick" / "mine")
    [mine] = install_bundles(tmp_path / "stick", tmp_path / "models")
    assert mine.key == str(tmp_path / "models" / "mine") and installed_bundles(tmp_path / "models")[-1] == mine
    for key in (mine.key, "mine"):
        assert find_bundle(key, tmp_path / "models") == mine
    assert load_bundle(mine.key).id == "mine"
    with pytest.raises(BadInputError, match='model "yours" is not installed; there are: litemedsam-deferral'):
        find_bundle("yours", tmp_path / "models")


def test_a_model_is_whole_or_not_there(tmp_path: Path, a_small_bundle: Callable[..., Path]) -> None:
    source = a_small_bundle(tmp_path / "mine")
    (source / "weights.safetensors").write_bytes(b"cut off")
    with pytest.raises(BadInputError, match=r'model "mine" is damaged: "weights.safetensors"'):
        install_bundles(source, tmp_path / "models")
    (source / "weights.safetensors").unlink()
    with pytest.raises(BadInputError, match=r'is not whole: "weights.safetensors" is missing'):
        install_bundles(source, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_a_newer_model_replaces_the_one_of_its_id(tmp_path: Path, a_small_bundle: Callable[..., Path]) -> None:
    for name in ("Old", "New"):
        [bundle] = install_bundles(a_small_bundle(tmp_path / "mine", name=name), tmp_path / "models")
    assert bundle.name == "New" and [p.name for p in (tmp_path / "models").iterdir()] == ["mine"]


@pytest.mark.parametrize("file", ["../weights.safetensors", "/etc/passwd"])
def test_a_model_cannot_name_files_elsewhere(tmp_path: Path, a_small_bundle: Callable[..., Path], file: str) -> None:
    source = a_small_bundle(tmp_path / "mine", file=file)
    with pytest.raises(BadInputError, match="outside its folder"):
        install_bundles(source, tmp_path / "models")


def test_damaged_models_are_told_and_left_out(tmp_path: Path, a_small_bundle: Callable[..., Path]) -> None:
    models = tmp_path / "models"
    source = a_small_bundle(models / "future")
    content = json.loads((source / "bundle.json").read_text())
    (source / "bundle.json").write_text(json.dumps(content | {"schema": 2}))
    (models / "broken").mkdir()
    (models / "broken" / "bundle.json").write_text("{")
    assert not any(b.own for b in installed_bundles(models))
    assert len(damaged_bundles(models)) == 2
    with pytest.raises(BadInputError, match="holds no model"):
        install_bundles(tmp_path / "nothing", models)
