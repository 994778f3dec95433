"""Structures: boxes that lie in the volume, names that are unique, and codes that mean what they say."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from DeferredSegSlicerLib.core import structures
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.structures import (
    Box,
    Code,
    Structure,
    Terminology,
    check_inside,
    make_structures,
    terminology_of,
    with_box,
)
from hypothesis import given
from hypothesis import strategies as st
from pydicom.sr import _concepts_dict


@pytest.mark.parametrize(
    ("numbers", "part"),
    [
        ((0, 0, 0, 1, 1), "six numbers"),
        ((5, 0, 0, 1, 1, 1), "swapped along R: 5 mm comes before 1 mm"),
        ((0, 5, 0, 1, 1, 1), "swapped along A"),
        ((0, 0, 5, 1, 1, 1), "swapped along S"),
        ((0, 0, 1, 1, 1, 1), "no volume: both corners are at S 1 mm"),
        ((0, 0, math.nan, 1, 1, 1), "finite"),
        ((0, 0, 0, 1, 1, math.inf), "finite"),
    ],
)
def test_a_box_that_cannot_be_is_refused(numbers: tuple, part: str) -> None:
    with pytest.raises(BadInputError, match=part):
        Box.of_numbers(numbers)


def test_a_box_takes_the_voxels_whose_centers_it_holds() -> None:
    # LPS identity: R falls with i, A falls with j.
    grid = Geometry((10, 10, 10), (2.0, 2.0, 2.0))
    first, stop = Box((-9.0, -5.0, 3.0), (-3.0, -1.0, 8.0)).index_range(grid)
    assert (first, stop) == ((2, 1, 2), (5, 3, 5))


@given(
    center=st.tuples(*[st.integers(1, 5)] * 3),
    half=st.tuples(*[st.floats(0.05, 3)] * 3),
)
def test_a_box_about_a_voxel_holds_that_voxel(center: tuple, half: tuple) -> None:
    turned = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, -1.0)
    grid = Geometry((7, 7, 7), (0.9, 1.3, 4.0), (-40.0, 12.0, 300.0), turned)
    ras = grid.ras_of(center)
    first, stop = Box(tuple(ras - half), tuple(ras + half)).index_range(grid)
    assert all(a <= c < b for a, c, b in zip(first, center, stop, strict=True))


def test_a_box_thinner_than_a_slice_takes_the_nearest_slice() -> None:
    grid = Geometry((10, 10, 10), (1.0, 1.0, 5.0))
    first, stop = Box((-6.0, -6.0, 11.0), (-3.0, -3.0, 12.0)).index_range(grid)
    assert (first[2], stop[2]) == (2, 3)


def test_a_box_that_sticks_out_is_cut_to_the_volume() -> None:
    grid = Geometry((10, 10, 10), (1.0, 1.0, 1.0))
    assert Box((-100, -100, -100), (100, 100, 100)).index_range(grid) == ((0, 0, 0), (10, 10, 10))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_box_outside_the_volume_is_refused_with_both_ranges(axis: int, side: int) -> None:
    grid = Geometry((10, 10, 10), (1.0, 1.0, 1.0))
    low = np.array([-6.0, -6.0, 3.0])
    low[axis] += side * 30
    box = Box(tuple(low), tuple(low + 2))
    with pytest.raises(BadInputError) as refused:
        check_inside([Structure("liver", "liver", box)], grid)
    letter = "RAS"[axis]
    assert re.search(rf'box for "liver" lies outside the volume: {letter} .* mm, volume {letter} ', str(refused.value))


def test_a_box_beside_an_oblique_volume_is_refused() -> None:
    turned = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
    grid = Geometry((50, 5, 5), (1.0, 1.0, 1.0), direction_lps=turned)
    corner = grid.bounds_ras[0] + (1, 0, 1)
    corner[1] = grid.bounds_ras[1][1] - 4
    with pytest.raises(BadInputError, match="does not reach the box"):
        Box(tuple(corner), tuple(corner + 2)).index_range(grid)


def test_structures_without_a_box_are_inside_any_volume() -> None:
    check_inside(make_structures([("liver", None)]), Geometry((1, 1, 1), (1, 1, 1)))


def test_a_box_can_grow_and_be_exchanged() -> None:
    box = Box((0, 0, 0), (1, 2, 3)).grown(1.5)
    assert (box.low, box.high) == ((-1.5, -1.5, -1.5), (2.5, 3.5, 4.5))
    assert with_box(Structure("a", "a"), box).box == box


def test_ids_are_plain_and_unique_whatever_the_names() -> None:
    made = make_structures([("right kidney", None), ("right/kidney", None), ("肝", None), ("..", None), (" x ", None)])
    ids = [s.id for s in made]
    assert len(set(ids)) == 5 and all(re.fullmatch(r"[A-Za-z0-9_]+", i) for i in ids)
    assert ids[0] == "right_kidney" and made[4].name == "x"


def test_neighbors_in_the_list_have_colors_of_their_own() -> None:
    made = make_structures([(f"s{n}", None) for n in range(6)])
    assert len({s.color for s in made}) == 6


@pytest.mark.parametrize("names", [("Liver", "liver"), ("liver", " liver ")])
def test_two_structures_of_one_name_are_refused(names: tuple[str, str]) -> None:
    with pytest.raises(BadInputError, match='two structures are called "liver"'):
        make_structures([(name, None) for name in names])


def test_no_structure_at_all_is_refused() -> None:
    with pytest.raises(BadInputError, match="no structure to segment"):
        make_structures([])


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"name": "  "}, "needs a name"),
        ({"id": "../x"}, "structure id"),
        ({"id": ".hidden"}, "structure id"),
        ({"id": ""}, "structure id"),
        ({"color": (0.0, 1.1, 0.0)}, "color"),
        ({"color": (0.0, 1.0)}, "color"),
        ({"color": (0.0, math.nan, 0.0)}, "color"),
    ],
)
def test_a_structure_that_cannot_be_is_refused(values: dict, part: str) -> None:
    with pytest.raises(BadInputError, match=part):
        Structure(**({"id": "liver", "name": "liver"} | values))


@pytest.mark.parametrize(
    ("name", "code", "side"),
    [
        ("Liver", "10200004", None),
        ("right kidney", "64033007", "24028007"),
        ("LEFT_KIDNEY", "64033007", "7771000"),
        ("kidney", "64033007", None),
        ("hippocampus", "5366008", None),
        ("liver tumour", "108369006", None),
        ("right lung nodule", "27925004", None),
        ("GTV", "108369006", None),
        ("right liver lobe", "10200004", None),
        ("something else", "85756007", None),
        ("deliver", "85756007", None),
    ],
)
def test_everyday_names_get_their_codes(name: str, code: str, side: str | None) -> None:
    found = terminology_of(name)
    assert found.type.value == code and (found.modifier.value if found.modifier else None) == side


def test_every_code_means_what_dicom_says_it_means() -> None:
    concepts = {
        value: meaning.lower()
        for entries in _concepts_dict.concepts["SCT"].values()
        for value, (meaning, *_) in entries.items()
    }
    names = [*structures._ORGANS, "right kidney", "left kidney", "tumor", "lesion", "nodule", "thing"]
    codes = {c for name in names for c in _codes_of(terminology_of(name))}
    stems = {"spleen": "splen", "pancreas": "pancrea", "aorta": "aort", "prostate": "prostat", "neoplasm": "tumor"}
    stems |= {"anatomical structure": "body structure", "morphologically altered structure": "morphologically abnormal"}
    for code in codes:
        meaning = code.meaning.lower().replace(" gland", "")
        assert code.value in concepts, f"{code} is no code of DICOM's"
        known = concepts[code.value]
        assert meaning in known or stems.get(meaning, meaning) in known, f"{code} means {known}"


def _codes_of(terminology: Terminology) -> list[Code]:
    return [c for c in (terminology.category, terminology.type, terminology.modifier) if c is not None]


@pytest.mark.parametrize("name", ["Liver", "right kidney", "tumor", "something"])
def test_slicers_terminology_text_comes_back(name: str) -> None:
    terminology = terminology_of(name)
    assert Terminology.from_slicer(terminology.to_slicer()) == terminology


def test_slicers_own_text_is_read() -> None:
    text = (
        "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure"
        "~SCT^64033007^Kidney~SCT^24028007^Right~Anatomic codes - DICOM master list~^^~^^"
    )
    assert Terminology.from_slicer(text) == terminology_of("right kidney")
    assert terminology_of("right kidney").to_slicer() == text


@pytest.mark.parametrize("text", ["", "x", "a~^^~^^~^^", "a~SCT^1^b~^^~^^"])
def test_a_terminology_text_without_category_or_type_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match="no category and type"):
        Terminology.from_slicer(text)
