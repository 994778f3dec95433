"""Boxes from the command line, from a prompts file and from a segmentation."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.prompts import (
    gather_structures,
    parse_box_option,
    prompts_from_segmentation,
    read_prompts,
    write_prompts,
)
from DeferredSegSlicerLib.core.structures import Box
from hypothesis import given, settings
from hypothesis import strategies as st

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
LEFT_HANDED_SAGITTAL = (0.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)


def test_a_box_option_gives_its_name_and_corners():
    assert parse_box_option("right kidney = -10.5,20,3e1,40,50,60") == (
        "right kidney",
        Box((-10.5, 20.0, 30.0), (40.0, 50.0, 60.0)),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0,0,0,1,1,1", "NAME="),
        ("=0,0,0,1,1,1", "NAME="),
        ("liver=0,0,0,1,1", '"liver".*six'),
        ("liver=0,0,0,1,1,x", '"liver".*no number'),
        ("liver=0,0,0,-1,1,1", '"liver".*swapped along R'),
        ("liver=0,0,9,1,1,1", '"liver".*swapped along S'),
        ("liver=0,0,0,1,0,1", '"liver".*no volume'),
        ("liver=0,0,0,1,nan,1", '"liver".*finite'),
    ],
)
def test_a_wrong_box_option_is_refused_naming_the_structure(text, words):
    with pytest.raises(BadInputError, match=words):
        parse_box_option(text)


def a_file(tmp_path, content):
    path = tmp_path / "prompts.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_a_prompts_file_gives_structures(tmp_path):
    path = a_file(
        tmp_path,
        {
            "schema": 1,
            "structures": [
                {"name": "Leber", "box": [0, 1, 2, 3, 4, 5], "color": [1, 0, 0.5]},
                {"name": "left kidney", "box": None},
            ],
        },
    )
    liver, kidney = read_prompts(path)
    assert liver.box == Box((0, 1, 2), (3, 4, 5)) and liver.color == (1, 0, 0.5)
    assert kidney.box is None and kidney.terminology.type.meaning == "Kidney"


LIVER = {"name": "liver", "box": [0, 0, 0, 1, 1, 1]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not JSON"),
        ("[" * 100000, "not JSON"),
        ([], "schema"),
        ({"structures": [LIVER]}, "schema None"),
        ({"schema": 2, "structures": [LIVER]}, "schema 2"),
        ({"schema": True, "structures": [LIVER]}, "schema True"),
        ({"schema": 1, "structures": []}, "no structure"),
        ({"schema": 1, "structures": [LIVER, 3]}, "entry 2 is not an object"),
        ({"schema": 1, "structures": [LIVER, {"box": [1]}]}, "entry 2 has no name"),
        ({"schema": 1, "structures": [{"name": "liver"}]}, 'entry 1, "liver", has no box'),
        ({"schema": 1, "structures": [LIVER | {"bx": 1}]}, 'unknown field "bx"'),
        ({"schema": 1, "structures": [LIVER | {"box": [1, 2, 3, 4, 5, "6"]}]}, '"liver": box is not'),
        ({"schema": 1, "structures": [LIVER | {"box": [5, 0, 0, 1, 1, 1]}]}, '"liver".*swapped'),
        ({"schema": 1, "structures": [LIVER | {"color": [1, 2, 3]}]}, '"liver".*0..1'),
        ({"schema": 1, "structures": [LIVER | {"terminology": "tissue"}]}, '"liver".*terminology'),
        ({"schema": 1, "structures": [LIVER, LIVER | {"name": " Liver"}]}, "two structures"),
        ('{"schema": 1, "structures": [{"name": "liver", "box": [0, 0, 0, 1, 1, Infinity]}]}', '"liver".*finite'),
    ],
)
def test_a_wrong_prompts_file_is_refused_naming_the_entry(tmp_path, content, words):
    with pytest.raises(BadInputError, match=words) as refused:
        read_prompts(a_file(tmp_path, content))
    assert "prompts.json" in str(refused.value) and "\n" not in str(refused.value)


def test_a_missing_prompts_file_is_refused(tmp_path):
    with pytest.raises(BadInputError, match="does not exist"):
        read_prompts(tmp_path / "none.json")


numbers = st.floats(-1000, 1000, allow_nan=False).map(lambda x: round(x, 3))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["liver", "Milz", "right kidney", "tumor 2", "Ω"]), st.tuples(*[numbers] * 3)),
        min_size=1,
        max_size=5,
        unique_by=lambda pair: pair[0].casefold(),
    )
)
def test_what_is_written_reads_back_the_same(tmp_path_factory, named):
    path = tmp_path_factory.mktemp("prompts") / "prompts.json"
    texts = [f"{name}={','.join(map(str, (*low, *(v + 12.5 for v in low))))}" for name, low in named]
    structures = gather_structures(texts)
    write_prompts(path, structures)
    assert read_prompts(path) == structures


def a_segmentation(tmp_path, direction=AXIAL, name="seg.nii.gz"):
    """Labels 1 and 3 in a volume of anisotropic voxels; returns the path and the image."""
    labels = np.zeros((8, 10, 12), np.uint8)
    labels[2:5, 3, 4:9] = 1
    labels[6, 8, 10] = labels[7, 7, 9] = 3
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing((0.75, 1.25, 3.0))
    image.SetOrigin((-20.0, 15.5, 100.25))
    image.SetDirection(direction)
    sitk.WriteImage(image, str(tmp_path / name))
    return tmp_path / name, image


def expected_box(image, label):
    """Extent in RAS mm of all corners of all voxels with the label (looser only for oblique grids)."""
    corners = [
        image.TransformContinuousIndexToPhysicalPoint((float(i + a), float(j + b), float(k + c)))
        for k, j, i in np.argwhere(sitk.GetArrayFromImage(image) == label)
        for a in (-0.5, 0.5)
        for b in (-0.5, 0.5)
        for c in (-0.5, 0.5)
    ]
    ras = np.array(corners) * (-1, -1, 1)
    return ras.min(axis=0), ras.max(axis=0)


@pytest.mark.parametrize("direction", [AXIAL, LEFT_HANDED_SAGITTAL, OBLIQUE])
def test_a_segment_gives_the_box_around_its_voxels_faces(tmp_path, direction):
    path, image = a_segmentation(tmp_path, direction)
    one, three = prompts_from_segmentation(path)
    assert (one.name, three.name) == ("1", "3")
    low, high = expected_box(image, 1)
    assert np.allclose(one.box.low, low, atol=1e-3) and np.allclose(one.box.high, high, atol=1e-3)
    low, high = expected_box(image, 3)
    assert np.all(np.array(three.box.low) <= low + 1e-3) and np.all(np.array(three.box.high) >= high - 1e-3)
    first, stop = one.box.index_range(Geometry.of_image(image))
    if direction != OBLIQUE:
        assert (first, stop) == ((4, 3, 2), (9, 4, 5))


def test_a_label_may_be_given_a_name(tmp_path):
    path, _ = a_segmentation(tmp_path)
    (liver,) = prompts_from_segmentation(path, ["liver=3"])
    assert liver.name == "liver" and liver.terminology.type.meaning == "Liver"


def a_slicer_segmentation(tmp_path, layers: int):
    """A .seg.nrrd whose two segments overlap if they are on layers of their own."""
    first, second = np.zeros((4, 5, 6), np.uint8), np.zeros((4, 5, 6), np.uint8)
    first[1:3, 1:4, 1:4] = 1
    second[2, 3:5, 3:6] = 1 if layers == 2 else 2
    if layers == 2:
        image = sitk.Compose(sitk.GetImageFromArray(first), sitk.GetImageFromArray(second))
    else:
        image = sitk.GetImageFromArray(np.maximum(first, second))
    image.SetSpacing((2.0, 3.0, 4.0))
    for number, name in enumerate(["Liver", "Tumor", "Nothing"]):
        on_layer = number if layers == 2 and number < 2 else 0
        fields = {
            "ID": f"Segment_{number + 1}",
            "Name": name,
            "LabelValue": str(1 if layers == 2 and number < 2 else number + 1),
            "Layer": str(on_layer),
        }
        for key, value in fields.items():
            image.SetMetaData(f"Segment{number}_{key}", value)
    path = tmp_path / "both.seg.nrrd"
    sitk.WriteImage(image, str(path), useCompression=True)
    path.write_bytes(path.read_bytes().replace(b"kinds: vector", b"kinds: list"))  # as Slicer writes layers
    return path


@pytest.mark.parametrize("layers", [1, 2])
def test_slicer_segments_go_by_name_or_id_on_any_layer(tmp_path, layers):
    path = a_slicer_segmentation(tmp_path, layers)
    (tumor,) = prompts_from_segmentation(path, ["Tumor"])
    assert tumor.box == Box((-11.0, -13.5, 6.0), (-5.0, -7.5, 10.0))
    assert prompts_from_segmentation(path, ["Segment_2"]) == [tumor]
    assert prompts_from_segmentation(path, ["tumor"]) == [tumor]
    assert [s.name for s in prompts_from_segmentation(path)] == ["Liver", "Tumor"]


def test_unknown_and_empty_segments_are_refused(tmp_path):
    path = a_slicer_segmentation(tmp_path, 1)
    with pytest.raises(BadInputError, match='no segment "Spleen"; there are: Liver, Tumor, Nothing'):
        prompts_from_segmentation(path, ["Spleen"])
    with pytest.raises(BadInputError, match=r'"Nothing".*empty'):
        prompts_from_segmentation(path, ["Nothing"])


def test_a_segment_outside_the_volume_is_refused(tmp_path):
    path = a_slicer_segmentation(tmp_path, 1)
    with pytest.raises(BadInputError, match='"Liver" lies outside'):
        prompts_from_segmentation(path, ["Liver"], Geometry((5, 5, 5), (1, 1, 1), (500, 0, 0)))


def test_what_is_no_segmentation_is_refused(tmp_path):
    with pytest.raises(BadInputError, match="does not exist"):
        prompts_from_segmentation(tmp_path / "none.nrrd")
    scan = sitk.GetImageFromArray(np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32))
    sitk.WriteImage(scan, str(tmp_path / "scan.nrrd"))
    with pytest.raises(BadInputError, match="whole labels"):
        prompts_from_segmentation(tmp_path / "scan.nrrd")
    path = a_slicer_segmentation(tmp_path, 1)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BadInputError, match=r"both\.seg\.nrrd"):
        prompts_from_segmentation(path)


def test_sources_come_together_in_order_and_may_not_share_a_name(tmp_path):
    path, _ = a_segmentation(tmp_path)
    prompts = a_file(tmp_path, {"schema": 1, "structures": [LIVER | {"color": [0, 0, 1]}]})
    found = gather_structures(["spleen=0,0,0,5,5,5"], prompts, path, ["aorta=1"])
    assert [s.name for s in found] == ["spleen", "liver", "aorta"]
    assert found[1].color == (0, 0, 1) and len({s.color for s in found}) == 3
    with pytest.raises(BadInputError, match="two structures"):
        gather_structures(["Liver=0,0,0,5,5,5"], prompts)
    with pytest.raises(BadInputError, match="no segmentation"):
        gather_structures(["liver=0,0,0,5,5,5"], segments=["aorta"])
    with pytest.raises(BadInputError, match="no structure"):
        gather_structures()
    with pytest.raises(BadInputError, match='"liver" lies outside'):
        gather_structures(["liver=0,0,0,5,5,5"], geometry=Geometry((5, 5, 5), (1, 1, 1), (500, 0, 0)))
