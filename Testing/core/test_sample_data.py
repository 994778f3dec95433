"""The bundled CT: whole, traceable, and with right on the right."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from DeferredSegSlicerLib.core.prompts import prompts_from_segmentation, read_prompts
from DeferredSegSlicerLib.core.segmentation_file import read_segmentation
from DeferredSegSlicerLib.core.structures import check_inside
from DeferredSegSlicerLib.core.volume import read_volume

FOLDER = Path(__file__).resolve().parents[2] / "Resources" / "SampleData"


@pytest.fixture(scope="module")
def the_body_ct():
    return read_volume(FOLDER / "body_ct.nrrd")


def test_the_files_are_those_of_the_read_me(the_body_ct):
    text = (FOLDER / "README.md").read_text("utf-8")
    names = {name: digest for digest, name in re.findall(r"^([0-9a-f]{64})  (\S+)", text, re.MULTILINE)}
    for name in ("body_ct.nrrd", "body_ct_prompts.json", "body_ct_reference.seg.nrrd"):
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == names[name]
    assert the_body_ct.sha256 == names["voxels"]


def test_the_body_ct_is_a_ct_of_three_millimeters(the_body_ct):
    assert the_body_ct.geometry.size == (122, 101, 112)
    assert np.allclose(the_body_ct.geometry.spacing, 3)
    assert the_body_ct.modality == "CT" and the_body_ct.image.dtype == np.int16


def test_the_boxes_lie_on_the_right_side_around_the_reference(the_body_ct):
    prompts = {s.name: s.box for s in read_prompts(FOLDER / "body_ct_prompts.json")}
    check_inside(read_prompts(FOLDER / "body_ct_prompts.json"), the_body_ct.geometry)
    reference = prompts_from_segmentation(FOLDER / "body_ct_reference.seg.nrrd", geometry=the_body_ct.geometry)
    assert [s.name for s in reference] == list(prompts) == ["liver", "spleen", "right kidney"]
    for structure in reference:
        assert np.allclose(prompts[structure.name].low, np.array(structure.box.low) - 5, atol=2e-3)
        assert np.allclose(prompts[structure.name].high, np.array(structure.box.high) + 5, atol=2e-3)
    middle = {name: (np.array(box.low) + box.high) / 2 for name, box in prompts.items()}
    assert middle["liver"][0] > 0 > middle["spleen"][0] and middle["right kidney"][0] > 0
    assert middle["right kidney"][1] < middle["liver"][1] and middle["right kidney"][2] < middle["liver"][2]


def test_bone_lies_behind_the_middle_of_the_body_as_the_spine_does(the_body_ct):
    bone = np.argwhere(the_body_ct.image > 300)[:, ::-1]
    body = np.argwhere(the_body_ct.image > -200)[::50, ::-1]
    assert the_body_ct.geometry.ras_of(bone)[:, 1].mean() < the_body_ct.geometry.ras_of(body)[:, 1].mean()


def test_the_reference_labels_cover_organs_of_soft_tissue(the_body_ct):
    reference = read_segmentation(FOLDER / "body_ct_reference.seg.nrrd")
    assert reference.geometry.differences_from(the_body_ct.geometry) == []
    for segment, ml in zip(reference.segments, (1126, 261, 193), strict=True):
        mask = reference.mask(segment)
        assert mask.sum() * the_body_ct.geometry.voxel_ml == pytest.approx(ml, abs=1)
        assert 0 < the_body_ct.image[mask].mean() < 80
