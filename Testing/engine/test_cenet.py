"""CENet in its published sizes, and a smaller one that learns and carries a routing head."""

from __future__ import annotations

import pytest
import torch
from DeferredSegSlicerLib.engine import losses
from DeferredSegSlicerLib.engine.cenet import CENet
from DeferredSegSlicerLib.engine.heads import encoder_decoder_with_head


@pytest.fixture(autouse=True)
def a_single_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def a_small_cenet() -> CENet:
    return CENet(classes=3, encoder="pvt_v2_b0")


def test_the_network_has_about_the_published_size() -> None:
    count = sum(p.numel() for p in CENet(classes=9).parameters())
    assert count == pytest.approx(33.39e6, rel=0.1)


def test_gray_and_color_images_give_class_logits_of_their_own_size(a_small_cenet: CENet) -> None:
    a_small_cenet.eval()
    gray = torch.rand(2, 1, 64, 96)
    logits = a_small_cenet(gray)
    assert logits.shape == (2, 3, 64, 96)
    assert torch.equal(logits, a_small_cenet(gray.repeat(1, 3, 1, 1)))
    with pytest.raises(ValueError, match="sides in 32s"):
        a_small_cenet(torch.rand(1, 1, 60, 64))


def test_every_parameter_learns_once_the_starting_factors_are_open(a_small_cenet: CENet) -> None:
    opened = [*a_small_cenet.contexts, a_small_cenet.bottom]
    with torch.no_grad():
        for block in opened:
            block.attention.non_local_weight.fill_(1.0)
            for factor in block.factors:
                factor.fill_(1.0)
    logits = a_small_cenet(torch.rand(2, 1, 64, 64))
    losses.class_loss(logits, torch.randint(0, 3, (2, 64, 64))).backward()
    silent = [n for n, p in a_small_cenet.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert silent == []


def test_the_network_learns_a_bright_square(a_small_cenet: CENet) -> None:
    images = 0.2 * torch.rand(4, 1, 32, 32)
    labels = torch.zeros(4, 32, 32, dtype=torch.long)
    for n in range(4):
        labels[n, 4 + 3 * n : 16 + 3 * n, 6 + 2 * n : 20 + 2 * n] = 1 + n % 2
    images[:, 0] += 0.4 * labels
    optimizer = torch.optim.AdamW(a_small_cenet.parameters(), lr=2e-3)
    for _ in range(20):
        optimizer.zero_grad()
        logits = a_small_cenet(images)
        losses.class_loss(logits, labels).backward()
        optimizer.step()
    assert (logits.argmax(1) == labels)[labels > 0].float().mean() > 0.9


@pytest.mark.parametrize("mode", ["released", "consistent"])
def test_a_routing_head_sits_on_the_map_that_enters_the_output_block(a_small_cenet: CENet, mode: str) -> None:
    a_small_cenet.eval()
    images = torch.rand(2, 1, 64, 64)
    plain = a_small_cenet(images)
    model = encoder_decoder_with_head(a_small_cenet, experts=3, mode=mode, width=8)
    routed = model(images)
    assert model.head.settings.features == 64
    assert torch.allclose(routed.logits, plain, atol=1e-6)
    assert routed.routing.routing().shape == (2, 4, 64, 64)
