"""The TinyViT encoder: its shape and the folding of batch norms; test_litemedsam.py holds it to the reference."""

import copy

import pytest
import torch
from DeferredSegSlicerLib.engine.tiny_vit import TinyViTEncoder, fold_batch_norms
from timm.models.tiny_vit import ConvNorm


def lively_(network: torch.nn.Module) -> torch.nn.Module:
    """Give every parameter and running statistic a random value, as a trained network has."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0, generator=generator)
        elif tensor.is_floating_point():
            tensor.normal_(0.0, 0.1, generator=generator)
    return network.eval()


@pytest.fixture(scope="module")
def an_encoder():
    with torch.inference_mode():
        return lively_(TinyViTEncoder())


@torch.inference_mode()
def test_the_embedding_has_a_quarter_of_the_input_size(an_encoder):
    assert an_encoder(torch.rand(2, 3, 64, 64)).shape == (2, 256, 16, 16)


@torch.inference_mode()
def test_folding_batch_norms_leaves_the_embedding_as_it_is(an_encoder):
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    folded = fold_batch_norms(copy.deepcopy(an_encoder))
    norms = [part for part in folded.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert not norms and any(isinstance(part, ConvNorm) for part in folded.modules())
    assert torch.allclose(folded(image), an_encoder(image), atol=1e-4)
