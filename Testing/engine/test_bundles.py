"""Bundles: found by name or folder, and refused when anything about them is not right."""

import json
from dataclasses import replace

import pytest
import torch
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.engine.bundles import list_bundles, load_bundle, make_segmentor, sha256_of
from DeferredSegSlicerLib.resources import find_resources

CPU = torch.device("cpu")


@pytest.fixture
def a_description():
    return json.loads((find_resources() / "Models" / "litemedsam" / "bundle.json").read_text(encoding="utf-8"))


@pytest.fixture
def write(tmp_path, a_description):
    """Writes the description with changes into a folder and returns the folder."""

    def write_changed(**changes):
        (tmp_path / "bundle.json").write_text(json.dumps({**a_description, **changes}))
        return tmp_path

    return write_changed


def test_the_default_bundle_is_found_by_name_and_whole():
    bundle = load_bundle("litemedsam")
    assert "litemedsam" in list_bundles()
    assert bundle.family == "litemedsam" and bundle.needs_box and bundle.head is None
    assert sha256_of(bundle.weights) == bundle.sha256
    assert bundle.windows["CT"] == {"level": 40.0, "width": 400.0}
    assert bundle.license == "Apache-2.0"
    for name in ("LICENSE", "NOTICE", "MODEL_CARD.md"):
        assert (bundle.folder / name).is_file()


def test_the_record_for_the_case_holds_no_path():
    assert str(find_resources()) not in json.dumps(load_bundle("litemedsam").to_json())


def test_an_unknown_bundle_is_answered_with_those_that_exist():
    with pytest.raises(BadInputError, match=r'"medsum".*litemedsam'):
        load_bundle("medsum")


@pytest.mark.parametrize("name", ["..", "../Models/nothing", "", "litemedsam/..", "/nowhere", "a\0b"])
def test_a_name_that_leads_elsewhere_is_unknown(name):
    with pytest.raises(BadInputError):
        load_bundle(name)


@pytest.mark.parametrize("file", ["../weights.safetensors", "/etc/passwd", "a/b.pth", "w.pkl", "..safetensors"])
def test_weights_outside_the_folder_are_refused(write, file):
    with pytest.raises(BadInputError, match='"file"'):
        load_bundle(write(file=file))


def test_weights_that_are_a_link_out_of_the_folder_are_refused(write, tmp_path):
    folder = write(file="w.pth")
    (folder / "w.pth").symlink_to(find_resources() / "Experts" / "default.json")
    with pytest.raises(BadInputError, match="leads out"):
        load_bundle(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"family": "resnet"},
        {"sha256": "abc"},
        {"id": ""},
        {"license": None},
        {"head": "yes"},
        {"citations": "me"},
        {"windows": {"CT": {"level": 40, "width": -1}}},
        {"windows": {"PET": {"level": 40, "width": 1}}},
        {"windows": {"MR": {"percentiles": [99, 1]}}},
    ],
)
def test_a_wrong_entry_is_named(write, change):
    with pytest.raises(BadInputError, match=next(iter(change)).rstrip("s")):
        load_bundle(write(**change))


def test_a_description_that_is_no_json_is_refused(tmp_path):
    (tmp_path / "bundle.json").write_text("{")
    with pytest.raises(BadInputError, match="JSON"):
        load_bundle(tmp_path)


def test_exchanged_weights_are_refused(write):
    folder = write()
    (folder / "weights.safetensors").write_bytes(b"something else")
    with pytest.raises(BadInputError, match="damaged or exchanged"):
        make_segmentor(folder, CPU)


def test_absent_weights_are_refused(write):
    with pytest.raises(BadInputError, match="lacks its weights"):
        make_segmentor(write(), CPU)


def test_a_bundle_of_another_network_is_refused(tmp_path, write):
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pth")
    folder = write(file="w.pth", family="sam", network={"input_size": 256}, sha256=sha256_of(tmp_path / "w.pth"))
    with pytest.raises(BadInputError, match=r"0 of \d+ tensors match"):
        make_segmentor(folder, CPU)


def test_a_users_checkpoint_is_a_bundle_by_itself(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "medsam_vit_b.pth")
    bundle = load_bundle(tmp_path / "medsam_vit_b.pth")
    assert bundle.family == "sam" and bundle.id == "medsam_vit_b" and bundle.weights == tmp_path / "medsam_vit_b.pth"
    changed = replace(bundle, sha256="0" * 64)
    with pytest.raises(BadInputError, match="sha256"):
        changed.make_segmentor(CPU)


def test_the_resources_folder_can_be_chosen_and_must_exist(tmp_path, monkeypatch):
    monkeypatch.setenv("DEFERREDSEG_RESOURCES", str(tmp_path))
    assert find_resources() == tmp_path.resolve() and list_bundles() == []
    with pytest.raises(BadInputError, match="there are: none"):
        load_bundle("litemedsam")
    monkeypatch.setenv("DEFERREDSEG_RESOURCES", str(tmp_path / "gone"))
    with pytest.raises(BadInputError, match="DEFERREDSEG_RESOURCES"):
        find_resources()
