"""Scores of the untrained methods, exact transforms, and routing by declared competence."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.experts import Competence, Expert
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.zone import decision_zone
from DeferredSegSlicerLib.engine.deferral import make_method
from DeferredSegSlicerLib.engine.deferral.base import SliceEvidence, ViewRun, stored_probability
from DeferredSegSlicerLib.engine.deferral.experts_routing import (
    places_of,
    route_by_competence,
    route_by_shares,
    routing_table,
    shares_by_place,
)
from DeferredSegSlicerLib.engine.deferral.tta import TRANSFORMS
from DeferredSegSlicerLib.engine.segmentor import Encoding, Prediction
from DeferredSegSlicerLib.engine.views import SliceView

BYTES = np.arange(256, dtype=np.uint8)


def scores_of(method, probability, segmentor=None, image=None, box=None, view=None):
    """Scores of one structure on one slice."""
    view = view or SliceView((0, probability.shape[0]), (0, probability.shape[1]), probability.shape)
    run = ViewRun(segmentor, view, 1, range(1), lambda index: image, lambda: None)
    at_work = method.start(run)
    at_work.see(SliceEvidence(0, 0, image, box, None, None))
    (scores,) = at_work.scores(lambda structure, index: probability)
    return scores


def test_margin_is_one_minus_the_distance_of_the_two_classes():
    scores = scores_of(make_method("margin"), BYTES[None])
    p = BYTES / 255
    np.testing.assert_allclose(scores.defer[0] / 255, 1 - np.abs(p - (1 - p)), atol=0.5 / 255 + 1e-9)
    np.testing.assert_allclose(scores.error[0] / 255, np.where(p >= 0.5, 1 - p, p), atol=0.5 / 255 + 1e-9)


def test_entropy_is_one_at_a_half_and_nothing_when_certain():
    scores = scores_of(make_method("entropy"), BYTES[None])
    assert scores.defer[0, 0] == scores.defer[0, 255] == 0
    assert scores.defer[0, 127] == scores.defer[0, 128] == 255
    p = 0.2
    bits = -(p * math.log2(p) + (1 - p) * math.log2(1 - p))
    assert scores.defer[0, 51] / 255 == pytest.approx(bits, abs=0.5 / 255)
    np.testing.assert_array_equal(scores.error, scores_of(make_method("margin"), BYTES[None]).error)


def test_an_unknown_method_is_refused_with_the_list_of_those_there_are():
    with pytest.raises(BadInputError, match="tta-confidence"):
        make_method("guess")


def test_the_six_transforms_are_the_flips_and_rotations_of_numpy():
    image = np.random.default_rng(0).random((2, 5, 7))
    expected = [image, image[..., ::-1], image[:, ::-1], *(np.rot90(image, n, (1, 2)) for n in (1, 2, 3))]
    for transform, wanted in zip(TRANSFORMS, expected, strict=True):
        np.testing.assert_array_equal(transform.apply(image), wanted)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: t.name)
def test_every_transform_is_undone_exactly(transform):
    image = np.random.default_rng(1).random((3, 5, 8)).astype(np.float32)
    back = transform.undo(torch.from_numpy(transform.apply(image))).numpy()
    np.testing.assert_array_equal(back, image)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: t.name)
def test_a_box_moves_with_its_slice(transform):
    mask = np.zeros((6, 9), bool)
    mask[1:4, 2:8] = True
    rows, columns = np.nonzero(transform.apply(mask))
    moved = transform.move_box(np.array([[2, 1, 7, 3]], np.float32), mask.shape)
    np.testing.assert_array_equal(moved, [[columns.min(), rows.min(), columns.max(), rows.max()]])


class GivenAnswers:
    """Answers with the next of some constant probabilities."""

    device = torch.device("cpu")

    def __init__(self, probabilities):
        self.left = list(probabilities)

    def encode(self, slices):
        return [Encoding(torch.zeros(1, 1, 1, 1), slices.shape[1:]) for _ in slices]

    def decode(self, encoding, boxes, with_features=False):
        p = self.left.pop(0)
        return Prediction(torch.full((1, *encoding.shape), math.log(p / (1 - p))))


def test_tta_is_the_variance_of_six_answers_over_a_quarter():
    answers = [0.8, 0.6, 0.2, 0.4, 0.6]
    base = np.full((4, 5), round(0.8 * 255), np.uint8)
    image, box = np.zeros((4, 5), np.float32), np.array([0, 0, 4, 3], np.float32)
    all_six = np.array([0.8, *answers])
    plain = scores_of(make_method("tta"), base, GivenAnswers(answers), image, box)
    sure = scores_of(make_method("tta-confidence"), base, GivenAnswers(answers), image, box)
    variance, mean = all_six.var(), all_six.mean()
    np.testing.assert_allclose(plain.defer / 255, variance / 0.25, atol=0.004)
    np.testing.assert_allclose(sure.defer / 255, variance / 0.25 * (1 - 2 * abs(mean - 0.5)), atol=0.004)
    np.testing.assert_allclose(plain.error / 255, 1 - mean, atol=0.004)
    np.testing.assert_array_equal(plain.error, sure.error)


@pytest.mark.parametrize("name", ["tta", "tta-confidence"])
@pytest.mark.parametrize("view", [SliceView((0, 20), (0, 30), (20, 30)), SliceView((2, 12), (5, 35), (20, 30))])
def test_an_equivariant_segmentor_agrees_with_itself_exactly(BrightnessSegmentor, name, view):
    image = np.random.default_rng(2).random((20, 30)).astype(np.float32)
    segmentor, box = BrightnessSegmentor(), np.array([3, 4, 25, 15], np.float32)
    logits = segmentor.decode(segmentor.encode(image[None])[0].halved(), box[None]).logits
    base = stored_probability(logits, view)[0]
    scores = scores_of(make_method(name), base, segmentor, image, box, view)
    assert scores.defer.max() == 0
    margin = scores_of(make_method("margin"), base)
    np.testing.assert_allclose(scores.error.astype(int), margin.error.astype(int), atol=1)


def test_a_segmentor_that_depends_on_the_orientation_disagrees_with_itself(BrightnessSegmentor):
    image = np.full((16, 16), 0.5, np.float32)
    segmentor, box = BrightnessSegmentor(slope=2.0), np.array([0, 0, 15, 15], np.float32)
    base = stored_probability(segmentor.decode(segmentor.encode(image[None])[0], box[None]).logits)[0]
    scores = scores_of(make_method("tta"), base, segmentor, image, box)
    assert scores.defer[0, 15] > 30


def test_a_network_that_answers_with_nan_is_not_believed():
    with pytest.raises(FloatingPointError, match="finite"):
        stored_probability(torch.tensor([[[0.0, float("nan")]]]))


GRID = Geometry((24, 20, 16), (1.0, 1.0, 2.0))


def a_ball() -> np.ndarray:
    k, j, i = np.meshgrid(np.arange(16), np.arange(20), np.arange(24), indexing="ij")
    distance = np.sqrt(((k - 7.5) * 2) ** 2 + (j - 9.5) ** 2 + (i - 11.5) ** 2)
    return np.rint(255 / (1 + np.exp(2 * (distance - 7)))).astype(np.uint8)


def test_the_boundary_is_within_three_millimeters_of_the_label():
    stored = np.zeros(GRID.shape, np.uint8)
    stored[4:12, 6:14, 6:18] = 255
    places = places_of(stored, GRID)
    # along i (1 mm): the surface is at 5.5, centers 3..8 are within 3 mm of it; along k (2 mm) centers 3..4 and 2..5
    assert list(places[8, 10, 0:12]) == [0, 0, 0, 2, 2, 2, 2, 2, 2, 1, 1, 1]
    assert list(places[0:8, 10, 12]) == [0, 0, 2, 2, 2, 2, 1, 1]


def test_a_label_cut_by_the_face_of_the_volume_has_no_boundary_there():
    stored = np.zeros(GRID.shape, np.uint8)
    stored[:, 6:14, 6:18] = 255
    assert places_of(stored, GRID)[0, 10, 12] == 1
    assert set(np.unique(places_of(np.full(GRID.shape, 255, np.uint8), GRID))) == {1}
    assert set(np.unique(places_of(np.zeros(GRID.shape, np.uint8), GRID))) == {0}


def test_the_most_competent_expert_of_a_place_gets_most_of_it(three_experts):
    shares = shares_by_place(three_experts)
    assert list(shares.argmax(axis=1)) == [1, 0, 2]  # background, foreground, boundary
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert shares[1, 1] / shares[1, 0] == pytest.approx(math.exp((0.88 - 0.97) / 0.02))


def test_the_table_of_shares_adds_up_and_gives_the_model_what_is_not_deferred(three_experts):
    table = routing_table(three_experts)
    assert table.shape == (4, 3, 256)
    np.testing.assert_array_equal(table.sum(axis=0, dtype=int), 255)
    np.testing.assert_array_equal(table[-1], np.broadcast_to(255 - BYTES, (3, 256)))


def test_the_routing_map_says_defer_times_share_inside_the_zone_and_model_outside(three_experts):
    probability = np.stack([a_ball(), np.roll(a_ball(), 4, axis=2)])
    probability[:, :, :, :2] = 0
    defer = np.random.default_rng(0).integers(0, 256, GRID.shape).astype(np.uint8)
    zone = decision_zone(probability, GRID, band_mm=2.0)
    routing = route_by_competence(defer, probability, zone, three_experts, GRID)
    assert routing.dtype == np.uint8 and routing.shape == (4, *GRID.shape)
    np.testing.assert_array_equal(routing.sum(axis=0, dtype=int), 255)
    outside = ~zone.mask()
    assert outside.any() and np.all(routing[-1][outside] == 255)
    shares = shares_by_place(three_experts)
    places = [places_of(p, GRID) for p in probability]
    for index, structure in zip(zone.indices[::97], zone.structure[::97], strict=True):
        voxel = np.unravel_index(index, GRID.shape)
        wanted = defer[voxel] * shares[places[structure][voxel]]
        assert np.all(np.abs(routing[:3][(slice(None), *voxel)] - wanted) < 1)
        assert routing[-1][voxel] == 255 - defer[voxel]


def test_permuting_the_experts_permutes_the_routing(three_experts):
    probability = a_ball()[None]
    zone = decision_zone(probability, GRID)
    defer = np.random.default_rng(1).integers(0, 256, GRID.shape).astype(np.uint8)
    one = route_by_competence(defer, probability, zone, three_experts, GRID)
    other = route_by_competence(defer, probability, zone, three_experts[::-1], GRID)
    assert np.max(np.abs(one[[2, 1, 0, 3]].astype(int) - other)) <= 1  # the odd 255th goes to the first of equals


def test_equally_competent_experts_share_equally():
    twins = tuple(Expert(n, n, "r", (0, 0, 0), Competence(0.9, 0.9, 0.9)) for n in ("a", "b"))
    table = routing_table(twins)
    assert np.max(np.abs(table[0].astype(int) - table[1])) <= 1


def test_a_methods_own_shares_are_followed_and_silence_is_shared_equally():
    probability = np.full((1, *GRID.shape), 128, np.uint8)
    zone = decision_zone(probability, GRID)
    defer = np.full(GRID.shape, 200, np.uint8)
    shares = np.zeros((2, *GRID.shape), np.uint8)
    shares[0, :8], shares[1, :8] = 51, 204
    routing = route_by_shares(defer, shares, zone, GRID)
    assert set(map(tuple, routing[:, :8].reshape(3, -1).T)) == {(40, 160, 55)}
    assert set(map(tuple, routing[:, 8:].reshape(3, -1).T)) == {(100, 100, 55)}
