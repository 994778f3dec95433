"""SAM ViT-B: loading checkpoints of users, interpolated positions, and the segmentor around it."""

import numpy as np
import pytest
import torch
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.engine.sam_vit import SamViT, load_sam, make_sam, resize_positions
from DeferredSegSlicerLib.engine.weights import read_weights

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def a_checkpoint():
    """Random tensors with the names and shapes of medsam_vit_b.pth."""
    torch.manual_seed(0)
    tensors = SamViT(1024).state_dict()
    for name, tensor in tensors.items():
        if "rel_pos" in name or "pos_embed" in name:
            tensor.normal_(0, 0.02)
    return tensors


@pytest.fixture(scope="module")
def a_segmentor(a_checkpoint):
    return make_sam(load_sam(a_checkpoint, "random", 256), CPU)


def test_the_network_has_the_published_number_of_parameters(a_checkpoint):
    count = sum(t.numel() for n, t in a_checkpoint.items() if "gaussian" not in n)
    assert count == 93_735_472


def test_a_checkpoint_of_1024_loads_at_256_with_interpolated_positions(a_checkpoint):
    network = load_sam(a_checkpoint, "random", 256)
    assert network.image_encoder.pos_embed.shape == (1, 16, 16, 768)
    assert network.image_encoder.blocks[2].attn.rel_pos_h.shape == (31, 64)
    assert torch.equal(
        network.image_encoder.blocks[0].attn.rel_pos_w, a_checkpoint["image_encoder.blocks.0.attn.rel_pos_w"]
    )


def test_interpolated_positions_follow_the_axis_that_they_came_from():
    rows = torch.linspace(0, 1, 64)[None, :, None, None].expand(1, 64, 64, 768)
    resized = resize_positions({"image_encoder.pos_embed": rows}, 16)["image_encoder.pos_embed"]
    expected = rows[:, :, :1].reshape(1, 16, 4, 1, 768).mean(dim=2)
    assert torch.allclose(resized, expected.expand(1, 16, 16, 768), atol=0.01)
    ramp = torch.linspace(-63, 63, 127)[:, None].expand(127, 64)
    name = "image_encoder.blocks.5.attn.rel_pos_h"
    line = resize_positions({name: ramp}, 16)[name]
    assert line.shape == (31, 64) and torch.allclose(line[15], torch.zeros(64), atol=1e-3) and line[30, 0] > line[0, 0]


def test_the_native_size_keeps_every_tensor(a_checkpoint):
    resized = resize_positions(a_checkpoint, 64)
    assert all(resized[name] is tensor for name, tensor in a_checkpoint.items())


def test_a_slice_that_is_not_square_is_segmented_on_its_own_grid(a_segmentor):
    slices = np.random.default_rng(1).random((2, 60, 90), np.float32)
    encodings = a_segmentor.encode(slices)
    prediction = a_segmentor.decode(encodings[1], np.array([[10, 10, 50, 40], [0, 0, 89, 59]], np.float32), True)
    assert encodings[0].features.shape == (1, 256, 16, 16)
    assert prediction.logits.shape == (2, 60, 90)
    assert prediction.low_res_logits.shape == (2, 64, 64)
    assert prediction.features.shape == (2, 32, 64, 64)


@torch.inference_mode()
def test_logits_are_those_of_segment_anything(a_segmentor, a_checkpoint):
    network = load_sam(a_checkpoint, "random", 256)
    encoding = a_segmentor.encode(np.random.default_rng(2).random((1, 128, 512), np.float32))[0]
    box = np.array([[40, 20, 400, 100]], np.float32)
    sparse, dense = network.prompt_encoder(points=None, boxes=torch.tensor([[20.0, 40, 200, 200]]), masks=None)
    expected, iou = network.mask_decoder(
        image_embeddings=network.image_encoder(torch.from_numpy(encoding.image).expand(1, 3, -1, -1)),
        image_pe=network.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )
    prediction = a_segmentor.decode(encoding, box)
    assert torch.allclose(prediction.low_res_logits, expected[:, 0], atol=1e-4)
    assert torch.allclose(prediction.iou, iou[:, 0], atol=1e-4)


def test_a_training_checkpoint_with_module_prefixes_is_understood(tmp_path):
    inner = {"module.a.weight": torch.ones(2), "b": torch.zeros(1)}
    torch.save({"model": inner, "epoch": 3}, tmp_path / "train.pth")
    tensors = read_weights(tmp_path / "train.pth")
    assert set(tensors) == {"a.weight", "b"} and torch.equal(tensors["a.weight"], torch.ones(2))


def test_a_plain_checkpoint_is_understood(tmp_path):
    torch.save({"b": torch.zeros(1)}, tmp_path / "plain.pth")
    assert set(read_weights(tmp_path / "plain.pth")) == {"b"}


class Harmful:
    """Would run code when unpickled."""

    def __reduce__(self):
        return (print, ("pickled code was run",))


def test_a_checkpoint_with_pickled_code_is_refused_and_not_run(tmp_path, capsys):
    torch.save({"a": Harmful()}, tmp_path / "evil.pth")
    with pytest.raises(BadInputError, match="not loaded"):
        read_weights(tmp_path / "evil.pth")
    assert "pickled code" not in capsys.readouterr().out


def test_a_truncated_checkpoint_is_refused(tmp_path):
    torch.save({"a": torch.zeros(1000)}, tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:900])
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{")
    for name in ("cut.pth", "cut.safetensors"):
        with pytest.raises(BadInputError, match=name):
            read_weights(tmp_path / name)


def test_a_checkpoint_of_another_network_says_how_many_tensors_match(a_checkpoint):
    half = {name: tensor for name, tensor in a_checkpoint.items() if name.startswith("image_encoder")}
    with pytest.raises(BadInputError, match=rf"{len(half)} of {len(a_checkpoint)} tensors match"):
        load_sam(half, "half", 256)


def test_an_input_size_that_does_not_exist_is_refused():
    with pytest.raises(BadInputError, match="300"):
        SamViT(300)
