"""MONAI 3D networks from a bundle: classes, strict weights, windows larger than the volume."""

import json

import numpy as np
import pytest
import torch
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.engine.bundles import load_bundle, make_segmentor, sha256_of
from DeferredSegSlicerLib.engine.monai_nets import NETWORKS, VolumeSegmentor, make_network, make_volume_segmentor
from safetensors.torch import save_file

CPU = torch.device("cpu")
UNET = {
    "class": "UNet",
    "arguments": {"spatial_dims": 3, "in_channels": 1, "out_channels": 3, "channels": [4, 8], "strides": [2]},
    "roi": [16, 16, 16],
    "classes": ["liver", "tumor"],
}


@pytest.fixture
def a_unet():
    torch.manual_seed(0)
    return make_network("UNet", UNET["arguments"], "here")


class Threshold(torch.nn.Module):
    """Class 1 is bright, class 2 is dark, background between; exact for every voxel, whatever the window."""

    def forward(self, volume):
        return torch.cat([torch.zeros_like(volume), 20 * (volume - 0.75), 20 * (0.25 - volume)], dim=1)


def test_every_allowed_class_can_be_made_and_run():
    arguments = {
        "UNet": UNET["arguments"],
        "SegResNet": {
            "spatial_dims": 3,
            "in_channels": 1,
            "out_channels": 3,
            "init_filters": 8,
            "blocks_down": [1, 1],
            "blocks_up": [1],
        },
        "DynUNet": {
            "spatial_dims": 3,
            "in_channels": 1,
            "out_channels": 3,
            "kernel_size": [3, 3, 3],
            "strides": [1, 2, 2],
            "upsample_kernel_size": [2, 2],
            "filters": [4, 8, 16],
        },
    }
    assert set(arguments) == set(NETWORKS)
    volume = np.random.default_rng(0).random((16, 16, 16), np.float32)
    for name, given in arguments.items():
        segmentor = VolumeSegmentor(name, make_network(name, given, "here"), ["a", "b"], (16, 16, 16), CPU)
        assert segmentor.decode(segmentor.encode(volume)[0], None).logits.shape == (2, 16, 16, 16)


def test_a_window_larger_than_the_volume_gives_every_voxel_its_class():
    volume = np.random.default_rng(1).random((5, 9, 7), np.float32)
    segmentor = VolumeSegmentor("threshold", Threshold(), ["bright", "dark"], (16, 32, 16), CPU)
    logits = segmentor.decode(segmentor.encode(volume)[0], None).logits
    against = np.logaddexp(0, 20 * (0.25 - volume))
    assert np.array_equal(logits[0] > 0, 20 * (volume - 0.75) > against)
    assert logits.shape == (2, 5, 9, 7)


def test_windows_smaller_than_the_volume_agree_with_one_window_for_all():
    volume = np.random.default_rng(2).random((20, 24, 12), np.float32)
    small, large = (
        VolumeSegmentor("threshold", Threshold(), ["bright", "dark"], roi, CPU) for roi in ((8, 8, 8), (20, 24, 12))
    )
    one, other = (s.decode(s.encode(volume)[0], None).logits for s in (small, large))
    assert torch.allclose(one, other, atol=1e-3)


def test_the_foreground_logit_is_that_of_the_softmax(a_unet):
    segmentor = VolumeSegmentor("unet", a_unet, ["liver", "tumor"], (16, 16, 16), CPU)
    encoding = segmentor.encode(np.random.default_rng(3).random((16, 16, 16), np.float32))[0]
    probability = torch.softmax(encoding.features, dim=0)[1:]
    assert torch.allclose(torch.sigmoid(segmentor.decode(encoding, None).logits), probability, atol=1e-5)


def test_a_box_for_a_network_without_prompts_is_refused(a_unet):
    segmentor = VolumeSegmentor("unet", a_unet, ["liver", "tumor"], (16, 16, 16), CPU)
    encoding = segmentor.encode(np.zeros((16, 16, 16), np.float32))[0]
    with pytest.raises(BadInputError, match="takes no boxes"):
        segmentor.decode(encoding, np.zeros((1, 4), np.float32))


def test_a_network_with_another_number_of_channels_than_classes_is_refused(a_unet):
    segmentor = VolumeSegmentor("unet", a_unet, ["liver"], (16, 16, 16), CPU)
    with pytest.raises(BadInputError, match="3 channels, expected 2"):
        segmentor.encode(np.zeros((16, 16, 16), np.float32))


def test_a_class_that_is_not_on_the_list_is_refused():
    with pytest.raises(BadInputError, match=r"os\.system"):
        make_network("os.system", {}, "bundle.json")


def test_wrong_arguments_are_refused():
    with pytest.raises(BadInputError, match="colour"):
        make_network("UNet", {**UNET["arguments"], "colour": 3}, "bundle.json")


def test_missing_weights_are_named(a_unet):
    tensors = a_unet.state_dict()
    gone = next(iter(tensors))
    del tensors[gone]
    with pytest.raises(BadInputError, match=f'lack tensor "{gone}"'):
        make_volume_segmentor("unet", UNET, tensors, CPU, "w")


def test_a_window_of_two_axes_is_refused(a_unet):
    with pytest.raises(BadInputError, match="roi"):
        make_volume_segmentor("unet", {**UNET, "roi": [16, 16]}, a_unet.state_dict(), CPU, "w")


def test_a_bundle_on_disk_becomes_a_segmentor_with_its_classes(a_unet, tmp_path):
    save_file(a_unet.state_dict(), tmp_path / "net.safetensors")
    description = {
        "schema": 1, "id": "tiny", "name": "Tiny", "family": "monai", "file": "net.safetensors",
        "sha256": sha256_of(tmp_path / "net.safetensors"), "license": "MIT", "network": UNET,
    }  # fmt: skip
    (tmp_path / "bundle.json").write_text(json.dumps(description))
    bundle = load_bundle(tmp_path)
    segmentor = make_segmentor(bundle, CPU)
    assert bundle.classes == segmentor.classes == ("liver", "tumor")
    assert segmentor.whole_volume and not segmentor.needs_box and not bundle.needs_box
