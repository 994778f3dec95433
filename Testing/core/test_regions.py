"""Deferral regions: connected, within the budget, the same on every machine, and in the right place."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.experts import Competence, Expert
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.regions import RegionSettings
from DeferredSegSlicerLib.core.structures import make_structures
from DeferredSegSlicerLib.core.worklist import worklist
from hypothesis import given, settings
from hypothesis import strategies as st

LIVER = make_structures([("liver", None)])
LIVER_AND_TUMOR = make_structures([("liver", None), ("tumor", None)])


def an_expert(name, **values):
    return Expert(name, name.title(), "reader", (0, 0, 1), Competence(0.9, 0.9, 0.9), **values)


EXPERTS = (
    an_expert("edge", seconds_per_region=10, seconds_per_slice=2),
    an_expert("inside", seconds_per_region=20, seconds_per_slice=1),
    an_expert("outside", seconds_per_region=20, seconds_per_slice=1),
)


def a_painted_case(wish, owner, geometry, structures=LIVER, error=None, structure=None, minimum=8):
    """A worklist in which `wish` (1..250, 0 never) says how soon a voxel is deferred and `owner` to which expert."""
    wish = np.asarray(wish, dtype=int)
    routing = np.zeros((len(EXPERTS) + 1, *geometry.shape), np.uint8)
    for number in range(len(EXPERTS)):
        routing[number][owner == number] = wish[owner == number]
    routing[-1] = 255 - wish
    probability = np.zeros((len(structures), *geometry.shape), np.uint8)
    which = np.zeros(geometry.shape, int) if structure is None else structure
    for number in range(len(structures)):
        probability[number][which == number] = 128
    error = np.full(geometry.shape, 51, np.uint8) if error is None else error
    chosen = {"min_region_ml": 0.0, "min_region_voxels": minimum}
    return worklist(probability, routing, error, structures, EXPERTS, geometry, chosen)


def share_of(work, voxels):
    return voxels / len(work.zone)


@pytest.fixture
def a_grid():
    return Geometry((30, 20, 10), (1.0, 1.0, 2.0), (5.0, -3.0, 7.0))


def test_a_block_of_deferred_voxels_is_one_region_with_its_figures(a_grid):
    wish = np.zeros(a_grid.shape, int)
    wish[2:6, 5:9, 10:15] = 200
    error = np.zeros(a_grid.shape, np.uint8)
    error[2:6, 5:9, 10:15] = 102
    work = a_painted_case(wish, np.ones(a_grid.shape, int), a_grid, error=error)
    (region,) = work.regions(0.5)
    assert (region.structure, region.expert, region.status) == ("liver", "inside", "open")
    assert region.voxels == 80 and region.volume_ml == pytest.approx(0.16)
    assert region.slice_count == 4 and region.slice_range == (2, 5)
    assert region.box_ijk == ((10, 5, 2), (15, 9, 6))
    assert region.centroid_ras == pytest.approx((-(5 + 12), -(-3 + 6.5), 7 + 3.5 * 2))
    assert region.expected_error_voxels == pytest.approx(80 * 0.4)
    assert region.expected_error_ml == pytest.approx(80 * 0.4 * 0.002)
    assert region.seconds == 20 + 4
    assert region.value == pytest.approx(region.expected_error_ml / 24)
    assert np.array_equal(region.indices, np.flatnonzero(wish))
    assert json.loads(json.dumps(region.to_json()))["box_ijk"] == [[10, 5, 2], [15, 9, 6]]


def test_ids_are_the_same_on_every_machine(a_grid):
    wish = np.zeros(a_grid.shape, int)
    wish[2:6, 5:9, 10:15] = 200
    (region,) = a_painted_case(wish, np.zeros(a_grid.shape, int), a_grid).regions(0.5)
    k, j, i = np.meshgrid(range(2, 6), range(5, 9), range(10, 15), indexing="ij")
    flat = ((k * 20 + j) * 30 + i).astype("<i8").reshape(-1)
    assert region.id == f"liver:edge:{hashlib.sha256(flat.tobytes()).hexdigest()[:12]}"
    assert region.id == "liver:edge:3a0ae2da023c"


def test_a_region_that_another_budget_leaves_alone_keeps_its_id(a_grid):
    wish = np.zeros(a_grid.shape, int)
    wish[1:3, 2:6, 2:6] = 240
    wish[6:8, 10:15, 20:25] = 120
    work = a_painted_case(wish, np.zeros(a_grid.shape, int), a_grid)
    (first,) = work.regions(share_of(work, 32))
    both = work.regions(share_of(work, 82))
    assert len(both) == 2 and first.id in {r.id for r in both}
    changed = work.regions(share_of(work, 31))
    assert changed[0].id != first.id


def test_the_region_that_removes_most_error_a_second_comes_first(a_grid):
    wish = np.zeros(a_grid.shape, int)
    error = np.zeros(a_grid.shape, np.uint8)
    for start, amount in ((1, 30), (10, 200), (20, 90)):
        wish[1:3, 2:6, start : start + 4] = 240
        error[1:3, 2:6, start : start + 4] = amount
    found = a_painted_case(wish, np.zeros(a_grid.shape, int), a_grid, error=error).regions(1)
    assert [r.box_ijk[0][0] for r in found] == [10, 20, 1]
    assert [r.value for r in found] == sorted((r.value for r in found), reverse=True)


def test_two_experts_or_two_structures_make_two_regions_of_one_patch(a_grid):
    wish = np.zeros(a_grid.shape, int)
    wish[1:5, 2:10, 2:22] = 200
    owner = np.zeros(a_grid.shape, int)
    owner[:, :, 12:] = 1
    found = a_painted_case(wish, owner, a_grid).regions(1)
    assert {(r.expert, r.voxels) for r in found} == {("edge", 320), ("inside", 320)}
    found = a_painted_case(
        wish, np.zeros(a_grid.shape, int), a_grid, structures=LIVER_AND_TUMOR, structure=owner
    ).regions(1)
    assert {(r.structure, r.voxels) for r in found} == {("liver", 320), ("tumor", 320)}


def test_a_small_piece_goes_to_the_expert_of_the_region_that_it_touches(a_grid):
    wish = np.zeros(a_grid.shape, int)
    wish[2:6, 5:9, 10:15] = 200
    owner = np.zeros(a_grid.shape, int)
    owner[3, 6, 14] = 1
    found = a_painted_case(wish, owner, a_grid).regions(1)
    assert [(r.expert, r.voxels) for r in found] == [("edge", 80)]
    assert (found.merged_pieces, found.merged_voxels, found.dropped_pieces) == (1, 1, 0)


def test_a_small_piece_that_joins_two_regions_makes_them_one(a_grid):
    wish = np.zeros(a_grid.shape, int)
    wish[2:6, 5:9, 5:17] = 200
    owner = np.zeros(a_grid.shape, int)
    wish[2:6, 5:9, 10:12] = 0
    wish[3, 6, 10:12] = 200
    owner[3, 6, 10:12] = 1
    found = a_painted_case(wish, owner, a_grid).regions(1)
    assert [(r.expert, r.voxels) for r in found] == [("edge", 162)]


@pytest.mark.parametrize(("column", "expert"), [(10, "inside"), (14, "outside")])
def test_a_small_piece_between_two_regions_goes_where_its_contact_is_longest(a_grid, column, expert):
    wish = np.zeros(a_grid.shape, int)
    wish[3, 4:14, 5:20] = 200
    owner = np.where(np.indices(a_grid.shape)[2] < 12, 1, 2)
    owner[3, 8, min(column, 12) : max(column, 12) + 1] = 0
    found = a_painted_case(wish, owner, a_grid).regions(1)
    assert found.merged_pieces == 1 and len(found) == 2
    assert {r.voxels for r in found if r.expert == expert} == {71 if expert == "inside" else 80}


def test_small_pieces_alone_are_dropped_and_counted(a_grid):
    wish = np.zeros(a_grid.shape, int)
    wish[2:6, 5:9, 10:15] = 200
    wish[8, 15, 2:9] = 210
    wish[0, 0, 0] = 210
    found = a_painted_case(wish, np.zeros(a_grid.shape, int), a_grid).regions(1)
    assert len(found) == 1 and found.dropped_pieces == 2 and found.dropped_voxels == 8
    assert found.voxels == 80


def test_small_pieces_of_two_experts_that_are_large_together_become_one_region(a_grid):
    wish = np.zeros(a_grid.shape, int)
    wish[5, 5, 5:17] = 200
    owner = np.zeros(a_grid.shape, int)
    owner[5, 5, 10:17] = 1
    found = a_painted_case(wish, owner, a_grid).regions(1)
    assert [(r.expert, r.voxels) for r in found] == [("inside", 12)]
    assert found.dropped_pieces == 0


def test_the_smallest_region_is_a_volume_but_never_less_than_some_voxels():
    fine, coarse = Geometry((1, 1, 1), (0.5, 0.5, 0.5)), Geometry((1, 1, 1), (3, 3, 5))
    assert RegionSettings().voxels(fine) == 400
    assert RegionSettings().voxels(coarse) == 8
    with pytest.raises(BadInputError, match="smallest region is nan"):
        RegionSettings(float("nan"))


def two_halves(a_grid, along):
    """Two blocks with a gap of one voxel whose wish is low, along i (2) or across slices (0)."""
    wish = np.zeros(a_grid.shape, int)
    if along == 2:
        wish[3:5, 4:8, 4:13] = 200
        wish[3:5, 4:8, 8] = 50
    else:
        wish[2:5, 4:8, 4:12] = 200
        wish[3] = np.minimum(wish[3], 50)
    return wish


def test_closing_joins_pieces_over_a_gap_in_the_slice_plane_if_the_budget_has_room(a_grid):
    wish = two_halves(a_grid, 2)
    wish[9, 19, 22:29] = 220  # a small piece that is dropped makes room
    wish[0, 0, 10] = 220
    work = a_painted_case(wish, np.zeros(a_grid.shape, int), a_grid)
    found = work.regions(share_of(work, 64 + 8))
    assert found.dropped_voxels == 8
    assert [r.voxels for r in found] == [72] and found.closed_voxels == 8


def test_closing_takes_no_more_than_the_budget_has_left(a_grid):
    work = a_painted_case(two_halves(a_grid, 2), np.zeros(a_grid.shape, int), a_grid)
    found = work.regions(share_of(work, 64))
    assert [r.voxels for r in found] == [64] and found.closed_voxels == 0


def test_closing_does_not_reach_across_slices(a_grid):
    wish = two_halves(a_grid, 0)
    wish[9, 19, 22:29] = 220
    work = a_painted_case(wish, np.zeros(a_grid.shape, int), a_grid)
    found = work.regions(share_of(work, 64 + 7))
    assert sorted(r.voxels for r in found) == [32, 32] and found.closed_voxels == 0


def test_closing_follows_the_slice_plane_of_a_sagittal_volume():
    """Slices stacked along i: a gap along k lies in the plane, a gap along i lies between slices."""
    sagittal = Geometry((30, 20, 10), (4.0, 1.0, 1.0))
    wish = two_halves(sagittal, 0)
    wish[9, 19, 0:32] = 220
    found = a_painted_case(wish, np.zeros(sagittal.shape, int), sagittal, minimum=31).regions(94 / sagittal.voxel_count)
    assert (found.closed_voxels, [r.voxels for r in found]) == (30, [94])
    wish = two_halves(sagittal, 2)
    wish[9, 19, 22:29] = 220
    work = a_painted_case(wish, np.zeros(sagittal.shape, int), sagittal)
    assert work.regions(share_of(work, 64 + 7)).closed_voxels == 0


def test_closing_leaves_another_structure_and_another_expert_alone(a_grid):
    wish = two_halves(a_grid, 2)
    wish[9, 19, 22:29] = 220
    gap = np.zeros(a_grid.shape, int)
    gap[3:5, 4:8, 8] = 1
    nobody = np.zeros(a_grid.shape, int)
    for work in (
        a_painted_case(wish, nobody, a_grid, LIVER_AND_TUMOR, structure=gap),
        a_painted_case(wish, gap, a_grid),
    ):
        found = work.regions(share_of(work, 64 + 7))
        assert found.closed_voxels == 0 and sorted(r.voxels for r in found) == [32, 32]
        assert found.dropped_pieces == 1  # the row that made room; no piece of closed-in voxels alone


def test_closing_never_takes_a_voxel_of_which_the_model_is_certain(a_grid):
    wish = two_halves(a_grid, 2)
    wish[3:5, 4:8, 8] = 0
    wish[9, 19, 22:29] = 220
    work = a_painted_case(wish, np.zeros(a_grid.shape, int), a_grid)
    assert sorted(r.voxels for r in work.regions(share_of(work, 71))) == [32, 32]


GRIDS = [
    Geometry((9, 8, 7), (1, 1, 3)),
    Geometry((9, 8, 7), (3, 1, 1)),
    Geometry((9, 8, 1), (1, 1, 5)),
    Geometry((12, 1, 7), (1, 4, 1)),
]


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.sampled_from(GRIDS), st.sampled_from([1, 3, 8]))
def test_regions_keep_to_the_budget_and_to_the_rule(seed, budget, grid, minimum):
    generator = np.random.default_rng(seed)
    coarse = generator.integers(-60, 250, [n // 2 + 1 for n in grid.shape])
    wish = np.kron(coarse, np.ones((2, 2, 2), int))[tuple(slice(n) for n in grid.shape)]
    wish = np.clip(wish + generator.integers(-40, 40, grid.shape), 0, 250)
    owner = generator.integers(0, 3, grid.shape) if seed % 2 else (np.indices(grid.shape)[2] > 4).astype(int)
    structure = (np.indices(grid.shape)[0] > 3).astype(int)
    work = a_painted_case(wish, owner, grid, LIVER_AND_TUMOR, structure=structure, minimum=minimum)
    found, deferred = work.regions(budget), work.deferred(budget)
    everything = np.concatenate([r.indices for r in found]) if len(found) else np.empty(0, int)
    assert len(np.unique(everything)) == len(everything), "regions share a voxel"
    assert found.voxels == len(everything) <= len(deferred)
    assert len(everything) / len(work.zone) <= budget
    extra = np.setdiff1d(everything, deferred.indices)
    assert len(extra) == found.closed_voxels
    assert len(everything) - len(extra) + found.dropped_voxels == len(deferred)
    assert (wish.reshape(-1)[everything] > 0).all(), "a voxel is deferred of which the model is certain"
    assert len({r.id for r in found}) == len(found)
    for region in found:
        own = np.isin(region.indices, deferred.indices)
        assert own.sum() >= minimum
        assert set(structure.reshape(-1)[region.indices]) == {["liver", "tumor"].index(region.structure)}
        # With room for all closed-in voxels a region is one piece.
        if len(everything) < len(deferred):
            image = np.zeros(grid.shape, np.uint8)
            image.reshape(-1)[region.indices] = 1
            labels = sitk.GetArrayFromImage(sitk.ConnectedComponent(sitk.GetImageFromArray(image), True))
            assert labels.max() == 1
    # No two regions of one structure and expert touch: they would be one.
    for expert in EXPERTS:
        for name in ("liver", "tumor"):
            mine = [r for r in found if r.expert == expert.id and r.structure == name]
            if mine and len(everything) < len(deferred):
                image = np.zeros(grid.shape, np.uint8)
                image.reshape(-1)[np.concatenate([r.indices for r in mine])] = 1
                labels = sitk.GetArrayFromImage(sitk.ConnectedComponent(sitk.GetImageFromArray(image), True))
                assert labels.max() == len(mine)
    again = a_painted_case(wish, owner, grid, LIVER_AND_TUMOR, structure=structure, minimum=minimum)
    assert [r.id for r in again.regions(budget)] == [r.id for r in found]


def oblique(determinant):
    """A rotation about all axes, mirrored if the determinant is -1."""
    a, b = 0.4, -0.3
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return about_z @ about_x @ np.diag([determinant, 1, 1])


@pytest.mark.parametrize("determinant", [1, -1])
@pytest.mark.parametrize(("spacing", "axis"), [((0.8, 0.8, 3.0), 2), ((4.0, 0.8, 0.9), 0), ((1.0, 2.5, 0.9), 1)])
def test_centroid_and_slices_are_right_on_oblique_and_left_handed_grids(determinant, spacing, axis):
    direction = oblique(determinant)
    geometry = Geometry((14, 12, 10), spacing, (10, -20, 30), tuple(direction.ravel()))
    wish = np.zeros(geometry.shape, int)
    wish[2:5, 3:9, 6:11] = 200
    (region,) = a_painted_case(wish, np.zeros(geometry.shape, int), geometry).regions(1)
    image = geometry.apply_to(sitk.GetImageFromArray(wish))
    lps = np.mean(
        [image.TransformIndexToPhysicalPoint((i, j, k)) for k in (2, 3, 4) for j in range(3, 9) for i in range(6, 11)],
        0,
    )
    assert region.centroid_ras == pytest.approx((-lps[0], -lps[1], lps[2]))
    first, stop = region.box_ijk[0][axis], region.box_ijk[1][axis]
    assert region.slice_range == (first, stop - 1) and region.slice_count == stop - first
    assert region.slice_count == {0: 5, 1: 6, 2: 3}[axis]


def test_a_region_with_a_gap_counts_the_slices_that_it_touches():
    geometry = Geometry((12, 12, 1), (1, 5, 1))  # slices stacked along j
    wish = np.zeros(geometry.shape, int)
    wish[0, 2:10, 3:5] = 200
    (region,) = a_painted_case(wish, np.zeros(geometry.shape, int), geometry).regions(1)
    assert region.slice_range == (2, 9) and region.slice_count == 8


def test_a_structure_at_the_border_of_the_volume_is_whole(a_grid):
    wish = np.full(a_grid.shape, 200)
    (region,) = a_painted_case(wish, np.zeros(a_grid.shape, int), a_grid).regions(1)
    assert region.voxels == a_grid.voxel_count and region.box_ijk == ((0, 0, 0), a_grid.size)


def test_an_expert_whose_time_is_free_comes_first_and_does_not_break_the_ranking(a_grid):
    wish = np.zeros(a_grid.shape, int)
    wish[1:3, 2:6, 2:6] = wish[1:3, 2:6, 12:16] = 200
    owner = (np.indices(a_grid.shape)[2] > 9).astype(int)
    work = a_painted_case(wish, owner, a_grid)
    free = work.with_experts([EXPERTS[0], replace(EXPERTS[1], seconds_per_region=0, seconds_per_slice=0), EXPERTS[2]])
    found = free.regions(1)
    assert [r.expert for r in found] == ["inside", "edge"]
    assert found[0].value == float("inf") and found[0].to_json()["value"] is None
    json.dumps([r.to_json() for r in found], allow_nan=False)
    assert found.seconds == found[1].seconds
