"""From a volume and boxes to maps on the input grid."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from DeferredSegSlicerLib.core.errors import BadInputError, DeviceError
from DeferredSegSlicerLib.core.structures import Box, Structure, make_structures
from DeferredSegSlicerLib.core.volume import Volume
from DeferredSegSlicerLib.core.zone import decision_zone
from DeferredSegSlicerLib.engine.bundles import Bundle, load_bundle
from DeferredSegSlicerLib.engine.deferral import make_method
from DeferredSegSlicerLib.engine.deferral.base import SliceScores
from DeferredSegSlicerLib.engine.encodings import EncodingStore
from DeferredSegSlicerLib.engine.litemedsam import load_litemedsam, make_litemedsam
from DeferredSegSlicerLib.engine.pipeline import SegmentOptions, segment_volume, segment_with
from DeferredSegSlicerLib.engine.progress import ProgressMeter
from DeferredSegSlicerLib.engine.segmentor import Encoding
from DeferredSegSlicerLib.engine.weights import read_weights

STORAGES = [
    ((0, 1, 2), (False, False, False)),
    ((0, 1, 2), (False, False, True)),  # left-handed
    ((0, 1, 2), (True, True, True)),
    ((2, 0, 1), (True, False, False)),
    ((1, 2, 0), (False, True, False)),
    ((2, 1, 0), (False, False, False)),
]


def run(segmentor, volume, structures, experts, method="margin", reports=None, **options):
    meter = None if reports is None else ProgressMeter(reports.append)
    chosen = SegmentOptions(method=method, **options)
    return segment_with(segmentor, make_method(method), volume, structures, experts, chosen, meter)


def moved(maps, order, flips):
    """Maps (..., k, j, i) as `stored_differently` moves a volume."""
    lead = maps.ndim - 3
    steps = tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)
    turned = maps.transpose([*range(lead), *(lead + axis for axis in order)])
    return turned[(slice(None),) * lead + steps]


@pytest.mark.parametrize(("order", "flips"), STORAGES[1:], ids=str)
@pytest.mark.parametrize("method", ["margin", "tta"])
def test_the_same_scan_stored_along_other_axes_gives_the_same_result(
    BrightnessSegmentor, an_axial_volume, two_structures, three_experts, stored_differently, order, flips, method
):
    plain = run(BrightnessSegmentor(slope=0.7), an_axial_volume, two_structures, three_experts, method)
    assert 0.02 < np.mean(plain.probability[0] >= 128) < 0.5
    other = stored_differently(an_axial_volume, order, flips)
    result = run(BrightnessSegmentor(slope=0.7), other, two_structures, three_experts, method)
    for name in ("probability", "routing", "error"):
        np.testing.assert_array_equal(getattr(result, name), moved(getattr(plain, name), order, flips), err_msg=name)


@pytest.mark.parametrize("spacing", [(3.5, 1.0, 1.0), (1.0, 3.5, 0.8), (0.7, 1.4, 4.0)], ids=str)
def test_sagittal_coronal_and_anisotropic_scans_do_not_depend_on_the_storage_either(
    BrightnessSegmentor, a_scan, box_of, three_experts, stored_differently, spacing
):
    volume = a_scan((20, 22, 18), spacing)
    structures = make_structures([("blob", box_of(volume, (3, 3, 2), (18, 18, 16)))])
    plain = run(BrightnessSegmentor(slope=0.7), volume, structures, three_experts)
    assert (plain.probability >= 128).any()
    for order, flips in STORAGES[1:]:
        other = run(BrightnessSegmentor(slope=0.7), stored_differently(volume, order, flips), structures, three_experts)
        np.testing.assert_array_equal(other.probability, moved(plain.probability, order, flips))


def test_the_network_sees_axial_slices_with_anterior_on_top_and_the_right_side_on_the_left(
    BrightnessSegmentor, a_scan, three_experts, stored_differently
):
    volume = a_scan((30, 26, 6))
    image = np.full(volume.image.shape, -100, np.int16)
    low, high = volume.geometry.bounds_ras
    right, front = volume.geometry.ijk_of(np.array([[high[0] - 2, 0, 0], [0, high[1] - 2, 0]]))
    image[:, :, round(right[0])] = 60  # toward the patient's right
    image[:, round(front[1]), :] = 200  # toward the front
    for order, flips in STORAGES:
        stored = stored_differently(Volume(image, volume.geometry, "CT"), order, flips)
        segmentor = BrightnessSegmentor()
        run(segmentor, stored, make_structures([("all", Box(tuple(low), tuple(high)))]), three_experts)
        for seen in segmentor.seen:
            assert seen.shape == (26, 30)
            assert seen.mean(axis=0).argmax() < 5 and seen.mean(axis=1).argmax() < 5


def test_the_result_is_where_the_bright_voxels_are(BrightnessSegmentor, an_axial_volume, box_of, three_experts):
    first, stop = (6, 6, 1), (36, 26, 11)
    structures = make_structures([("blob", box_of(an_axial_volume, first, stop))])
    result = run(BrightnessSegmentor(), an_axial_volume, structures, three_experts, view="slice")
    inside = np.zeros(an_axial_volume.image.shape, bool)
    inside[first[2] : stop[2], first[1] : stop[1], first[0] : stop[0]] = True
    label = result.probability[0] >= 128
    assert not label[~inside].any()
    middle = (slice(5, 6), slice(first[1], stop[1]), slice(first[0], stop[0]))
    np.testing.assert_array_equal(label[middle], (an_axial_volume.image >= 40)[middle])


def test_an_oblique_volume_is_segmented_on_its_own_grid(BrightnessSegmentor, a_scan, three_experts):
    angle = np.radians(20)
    turn = (np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle), 0, 0, 0, 1)
    volume = a_scan(direction=turn)
    low, high = volume.geometry.bounds_ras
    structures = make_structures([("blob", Box(tuple(low), tuple(high)))])
    straight = a_scan()
    straight_box = Box(*(tuple(corner) for corner in straight.geometry.bounds_ras))
    plain = run(BrightnessSegmentor(slope=0.5), straight, make_structures([("blob", straight_box)]), three_experts)
    result = run(BrightnessSegmentor(slope=0.5), volume, structures, three_experts)
    np.testing.assert_array_equal(result.probability, plain.probability)


def test_a_single_slice_is_segmented(BrightnessSegmentor, a_scan, three_experts):
    volume = a_scan((40, 34, 1), (1.0, 1.0, 5.0))
    box = Box(*(tuple(corner) for corner in volume.geometry.bounds_ras))
    result = run(BrightnessSegmentor(), volume, make_structures([("blob", box)]), three_experts)
    np.testing.assert_array_equal(result.probability[0] >= 128, volume.image >= 40)


def test_structures_that_share_a_view_share_the_encodings(
    BrightnessSegmentor, an_axial_volume, two_structures, three_experts
):
    segmentor = BrightnessSegmentor()
    result = run(segmentor, an_axial_volume, two_structures, three_experts)
    assert len(segmentor.seen) == result.settings["slices_encoded"] == 10
    with_tta = BrightnessSegmentor()
    run(with_tta, an_axial_volume, two_structures, three_experts, "tta")
    assert len(with_tta.seen) == 10 * 6


def test_overlapping_structures_keep_both_probabilities(
    BrightnessSegmentor, an_axial_volume, two_structures, three_experts
):
    result = run(BrightnessSegmentor(), an_axial_volume, two_structures, three_experts)
    both = (result.probability >= 128).all(axis=0)
    assert both.sum() > 50
    alone = run(BrightnessSegmentor(), an_axial_volume, two_structures[1:], three_experts)
    np.testing.assert_array_equal(alone.probability[0], result.probability[1])


def test_the_maps_fit_together(BrightnessSegmentor, a_scan, two_structures, three_experts):
    volume = a_scan((90, 34, 12))
    result = run(BrightnessSegmentor(), volume, two_structures, three_experts)
    zone = decision_zone(result.probability, volume.geometry).mask()
    assert result.routing.dtype == result.error.dtype == np.uint8
    np.testing.assert_array_equal(result.routing.sum(axis=0, dtype=int), 255)
    assert np.all(result.routing[-1][~zone] == 255) and (~zone).any()
    p = result.probability / 255.0
    doubt = (1 - np.abs(2 * p - 1)).max(axis=0)
    np.testing.assert_allclose(1 - result.routing[-1][zone] / 255, doubt[zone], atol=0.6 / 255)
    np.testing.assert_allclose(result.error / 255, (1 - np.maximum(p, 1 - p)).max(axis=0), atol=0.6 / 255)


def test_the_same_run_twice_gives_the_same_bytes(BrightnessSegmentor, an_axial_volume, two_structures, three_experts):
    one, two = (run(BrightnessSegmentor(), an_axial_volume, two_structures, three_experts, "entropy") for _ in "ab")
    assert one.routing.tobytes() == two.routing.tobytes()
    assert {**one.settings} == {**two.settings}


def test_a_structure_of_which_nothing_is_found_is_kept_and_named(BrightnessSegmentor, a_scan, box_of, three_experts):
    volume = a_scan()
    dark = box_of(volume, (0, 30, 0), (4, 34, 3))
    blob = box_of(volume, (6, 6, 1), (36, 26, 11))
    result = run(BrightnessSegmentor(), volume, make_structures([("ghost", dark), ("blob", blob)]), three_experts)
    assert len(result.structures) == len(result.probability) == 2
    assert [w for w in result.settings["warnings"] if "ghost" in w] == result.settings["warnings"] != []
    np.testing.assert_array_equal(result.routing.sum(axis=0, dtype=int), 255)


def test_a_crop_and_the_whole_slice_agree_for_a_network_without_context(
    BrightnessSegmentor, an_axial_volume, box_of, three_experts
):
    structures = make_structures([("blob", box_of(an_axial_volume, (14, 10, 2), (30, 24, 9)))])
    whole, crop = (
        run(segmentor, an_axial_volume, structures, three_experts, view=view)
        for segmentor, view in ((BrightnessSegmentor(), "slice"), (BrightnessSegmentor(), "crop"))
    )
    assert crop.settings["views"]["blob"]["size"] == [32, 32] != whole.settings["views"]["blob"]["size"]
    np.testing.assert_array_equal(crop.probability >= 128, whole.probability >= 128)


def test_a_box_outside_the_volume_is_refused_by_name(BrightnessSegmentor, an_axial_volume, three_experts):
    structures = make_structures([("spleen", Box((500, 500, 500), (510, 510, 510)))])
    segmentor = BrightnessSegmentor()
    with pytest.raises(BadInputError, match='"spleen" lies outside the volume'):
        run(segmentor, an_axial_volume, structures, three_experts)
    assert not segmentor.seen


def test_a_structure_without_a_box_is_refused_by_name(BrightnessSegmentor, an_axial_volume, three_experts):
    with pytest.raises(BadInputError, match='"liver" has no box'):
        run(BrightnessSegmentor(), an_axial_volume, [Structure("liver", "liver")], three_experts)
    with pytest.raises(BadInputError, match="no structure"):
        run(BrightnessSegmentor(), an_axial_volume, [], three_experts)


@pytest.mark.parametrize(
    "options",
    [{"method": "guess"}, {"view": "zoom"}, {"window": (40.0, 0.0)}, {"window": (float("nan"), 1.0)}],
    ids=str,
)
def test_options_that_do_not_exist_are_refused(options):
    with pytest.raises(BadInputError):
        SegmentOptions(**options)


def test_progress_never_goes_back_and_arrives(BrightnessSegmentor, an_axial_volume, two_structures, three_experts):
    for method in ("margin", "tta"):
        reports: list = []
        run(BrightnessSegmentor(), an_axial_volume, two_structures, three_experts, method, reports)
        done = [report.done for report in reports]
        assert done == sorted(done)
        assert reports[-1].done == reports[-1].total > 10
        assert reports[-1].seconds_left == 0
        stages = [stage for stage, _ in itertools.groupby(report.stage for report in reports)]
        assert stages == (["segment", "defer", "route"] if method == "tta" else ["segment", "route"])


def test_slices_beyond_the_end_of_a_structure_are_neither_encoded_nor_waited_for(
    BrightnessSegmentor, a_scan, box_of, three_experts
):
    volume = a_scan()
    image = volume.image.copy()
    image[:3] = image[8:] = -100
    volume = replace(volume, image=image)
    structures = make_structures([("blob", box_of(volume, (6, 6, 0), (36, 26, 12)))])
    reports: list = []
    segmentor = BrightnessSegmentor()
    result = run(segmentor, volume, structures, three_experts, "tta", reports)
    assert len(segmentor.seen) == 7 * 6  # slices 3..7 and an empty one at each end, six times each
    assert set(np.flatnonzero((result.probability[0] >= 128).any(axis=(1, 2)))) == {3, 4, 5, 6, 7}
    assert reports[-1].done == reports[-1].total


def test_the_time_left_adds_up_the_work_of_every_kind():
    reports: list = []
    meter = ProgressMeter(reports.append)
    meter.report("load")
    meter.plan("encode", 10)
    meter.plan("decode", 20)
    meter.plan("defer", 10, like=("encode", 5.0))
    meter.report("segment")
    meter.did("encode", 4.0, 2)
    meter.did("decode", 0.5)
    meter.report()
    meter.did("defer", 6.0)
    meter.skip("decode", 99)
    meter.report()
    assert [report.seconds_left for report in reports[:2]] == [None, None]
    assert reports[2].seconds_left == pytest.approx(8 * 2.0 + 19 * 0.5 + 10 * 10.0)
    assert reports[3].seconds_left == pytest.approx(8 * 2.0 + 9 * 6.0)
    assert (reports[3].done, reports[3].total) == (2 + 20 + 1, 40)


class Stop(Exception):
    """The user pressed cancel."""


@pytest.mark.parametrize("method", ["margin", "tta"])
def test_a_callback_that_raises_abandons_the_run(
    BrightnessSegmentor, an_axial_volume, two_structures, three_experts, method
):
    def stop(report):
        if report.done >= (5 if method == "margin" else 33):
            raise Stop

    segmentor = BrightnessSegmentor()
    with pytest.raises(Stop):
        segment_with(
            segmentor,
            make_method(method),
            an_axial_volume,
            two_structures,
            three_experts,
            meter=ProgressMeter(stop),
        )
    assert len(segmentor.seen) < (10 if method == "margin" else 60)


def test_running_out_of_memory_is_a_device_error_with_advice(
    BrightnessSegmentor, an_axial_volume, two_structures, three_experts
):
    class Full(BrightnessSegmentor):
        def decode(self, encoding, boxes, with_features=False):
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(DeviceError, match="ran out of memory while decoding"):
        run(Full(), an_axial_volume, two_structures, three_experts)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("method", ["margin", "tta"])
def test_nets_without_prompts_answer_for_their_own_classes(
    BrightnessSegmentor, a_scan, three_experts, stored_differently, whole, method
):
    volume = a_scan((18, 16, 8))
    segmentor = BrightnessSegmentor(needs_box=False, whole_volume=whole, classes=("bright", "dark"))
    result = run(segmentor, volume, [], three_experts, method)
    assert [structure.name for structure in result.structures] == ["bright", "dark"]
    # the default window puts 0.5 at 40 HU
    np.testing.assert_array_equal(result.probability[0] >= 128, volume.image >= 40)
    np.testing.assert_array_equal(result.routing.sum(axis=0, dtype=int), 255)
    if method == "tta":
        assert np.all(result.routing[-1] == 255)  # it is equivariant, so it never disagrees with itself
    order, flips = STORAGES[3]
    other = run(segmentor, stored_differently(volume, order, flips), [], three_experts, method)
    np.testing.assert_array_equal(other.probability, moved(result.probability, order, flips))


def test_a_method_with_its_own_shares_routes_by_them(
    BrightnessSegmentor, an_axial_volume, two_structures, three_experts
):
    class LastExpertOnly:
        name, wants_features, extra_encodings = "mine", True, 0

        def start(self, view_run):
            return self

        def see(self, evidence):
            assert evidence.image.shape == evidence.encoding.shape
            self.seen = [*getattr(self, "seen", []), (evidence.structure, evidence.index)]

        def scores(self, probability):
            for structure, index in self.seen:
                p = probability(structure, index)
                shares = np.zeros((3, *p.shape), np.float32)
                shares[2] = 1
                yield SliceScores(structure, index, np.full_like(p, 51), np.full_like(p, 20), shares)

    result = segment_with(BrightnessSegmentor(), LastExpertOnly(), an_axial_volume, two_structures, three_experts)
    assert result.settings["routing"] == "learned"
    deferred = result.routing[-1] < 255
    assert deferred.any()
    assert set(map(tuple, result.routing[:, deferred].T)) == {(0, 0, 51, 204)}


def test_encodings_that_do_not_fit_into_memory_come_back_unchanged(BrightnessSegmentor):
    images = np.random.default_rng(0).random((9, 6, 7)).astype(np.float32)

    class WithImage(BrightnessSegmentor):
        def encode(self, slices):
            return [replace(e, image=s) for e, s in zip(super().encode(slices), slices, strict=True)]

    segmentor = WithImage(batch=3)
    with EncodingStore(segmentor, lambda index: images[index], in_memory=3) as store:
        first = [store.get(index, range(index, 9)) for index in range(9)]
        again = [store.get(index) for index in (8, 0, 4, 4, 1, 7)]
    assert len(segmentor.seen) == store.encoded == 9
    for index, encoding in zip((8, 0, 4, 4, 1, 7), again, strict=True):
        assert isinstance(encoding, Encoding) and encoding.features.dtype == torch.float16
        assert torch.equal(encoding.features, first[index].features)
        np.testing.assert_array_equal(encoding.image, images[index])


def test_a_full_disk_costs_time_and_not_the_run(BrightnessSegmentor, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("DeferredSegSlicerLib.engine.encodings.tempfile.TemporaryFile", full)
    images = np.random.default_rng(0).random((5, 4, 4)).astype(np.float32)
    segmentor = BrightnessSegmentor()
    with EncodingStore(segmentor, lambda index: images[index], in_memory=2) as store:
        for index in (0, 1, 2, 3, 0):
            np.testing.assert_allclose(store.get(index).features[0, 0], images[index], atol=1e-3)
    assert len(segmentor.seen) == 5


def test_an_unknown_bundle_and_a_missing_head_are_refused(an_axial_volume, two_structures, three_experts):
    with pytest.raises(BadInputError, match='bundle "nonesuch"'):
        segment_volume(an_axial_volume, two_structures, three_experts, SegmentOptions(bundle="nonesuch"))
    options = SegmentOptions(bundle="litemedsam", method="learned")
    with pytest.raises(BadInputError, match="no deferral head"):
        segment_volume(an_axial_volume, two_structures, three_experts, options)


def test_litemedsam_finds_a_bright_blob_whatever_the_storage(
    a_scan, box_of, three_experts, stored_differently, monkeypatch
):
    network = load_litemedsam(read_weights(load_bundle("litemedsam").weights), "litemedsam")
    segmentor = make_litemedsam(network, torch.device("cpu"), backend="torch")
    monkeypatch.setattr(Bundle, "make_segmentor", lambda bundle, device: segmentor)  # loaded once for both runs
    volume = a_scan((64, 56, 3), (1.2, 1.2, 6.0))
    structures = make_structures([("tumor", box_of(volume, (20, 12, 1), (56, 42, 2)))])
    options = SegmentOptions(device="cpu")
    plain = segment_volume(volume, structures, three_experts, options)
    label = plain.probability[0] >= 128
    truth = np.zeros_like(label)
    truth[1, 12:42, 20:56] = volume.image[1, 12:42, 20:56] > 20
    assert 2 * (label & truth).sum() / (label.sum() + truth.sum()) > 0.8
    assert not label[[0, 2]].any()
    assert plain.model["id"] == "litemedsam-deferral" and plain.settings["method"] == "learned"
    assert len(plain.model["sha256"]) == 64
    assert plain.versions["torch"] and plain.timings["encode"] > 0
    order, flips = ((2, 0, 1), (True, False, False))
    other = segment_volume(stored_differently(volume, order, flips), structures, three_experts, options)
    np.testing.assert_array_equal(other.routing, moved(plain.routing, order, flips))
    np.testing.assert_array_equal(other.probability, moved(plain.probability, order, flips))
