"""Routing heads on 2D encoder-decoders and MONAI's 3D networks, and what all heads have in common."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from DeferredSegSlicerLib.engine import losses
from DeferredSegSlicerLib.engine.heads import (
    DenseHead,
    DenseSettings,
    HeadInputs,
    RoutingLogits,
    decisive,
    encoder_decoder_with_head,
    last_layer,
    reassign,
    volumetric_with_head,
)
from DeferredSegSlicerLib.engine.heads.context import distance_to_box, label_evidence, neighbor_logits
from DeferredSegSlicerLib.engine.heads.routed_net import RoutedNet, pack, unpack
from monai.networks.nets import DynUNet, SegResNet, UNet
from torch import nn

NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "UNet": lambda axes: UNet(axes, 1, 3, (4, 8, 16), (2, 2), num_res_units=1),
    "SegResNet": lambda axes: SegResNet(axes, 8, 1, 3, blocks_down=(1, 1), blocks_up=(1,), dropout_prob=0.3),
    "DynUNet": lambda axes: DynUNet(
        axes, 1, 3, (3, 3, 3), (1, 2, 2), (2, 2), filters=(4, 8, 16), deep_supervision=True, deep_supr_num=1
    ),
}


@pytest.fixture(autouse=True)
def a_single_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("mode", ["released", "consistent"])
def test_a_network_keeps_its_logits_and_gains_a_routing(name: str, axes: int, mode: str) -> None:
    net = NETWORKS[name](axes).eval()
    images = torch.rand(2, 1, *[16] * axes)
    plain = net(images)
    make = encoder_decoder_with_head if axes == 2 else volumetric_with_head
    routed = make(net, experts=3, mode=mode)(images)
    assert torch.allclose(routed.logits, plain, atol=1e-6)
    assert routed.routing.mode == mode
    routing = routed.routing.routing()
    assert routing.shape == (2, 4, *[16] * axes)
    assert torch.allclose(routing.sum(1), torch.ones(2, *[16] * axes), atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_frozen_network_stays_still_while_its_head_trains(name: str) -> None:
    model = volumetric_with_head(NETWORKS[name](3), experts=2, width=4)
    model.train()
    before = {key: value.clone() for key, value in model.net.state_dict().items()}
    images, truth = torch.rand(2, 1, 16, 16, 16), torch.randint(0, 3, (2, 16, 16, 16))
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    values = []
    for _ in range(4):
        optimizer.zero_grad()
        routed = model(images)
        right = losses.agents_right(truth[:, None].repeat(1, 2, 1, 1, 1), routed.logits.argmax(1), truth)
        result = losses.deferral_loss(routed.routing, right, losses.ConsistentSettings(), image=images[:, 0])
        result.total.backward()
        optimizer.step()
        values.append(result.terms["collaboration"])
    assert all(torch.equal(before[key], value) for key, value in model.net.state_dict().items())
    assert all(p.grad is None for p in model.net.parameters())
    assert values[-1] < values[0]
    assert not routed.logits.requires_grad


def test_one_stage_training_reaches_the_network_through_the_routing() -> None:
    model = volumetric_with_head(NETWORKS["SegResNet"](3), experts=2, width=4, frozen=False).train()
    routed = model(torch.rand(1, 1, 16, 16, 16))
    routed.routing.deferral().sum().backward()
    assert model.net.convInit.conv.weight.grad.abs().max() > 0


def test_a_deep_layer_can_feed_the_predictor_of_released() -> None:
    net = NETWORKS["SegResNet"](2)
    head = DenseHead(DenseSettings(features=8, experts=3, mode="released", predictor=16, width=4))
    model = RoutedNet(net, "conv_final", head, frozen=False, embedding_layer="down_layers")
    with pytest.raises(ValueError, match="no submodule"):
        RoutedNet(net, "conv_last", head)
    routed = RoutedNet(net, "conv_final", head, frozen=False, embedding_layer="down_layers.1")(torch.rand(1, 1, 16, 16))
    routed.routing.defer.sum().backward()
    assert head.predictor is not None and head.predictor[0].weight.grad.abs().max() > 0
    assert model.head is head


def test_a_network_whose_last_layer_is_not_known_is_named() -> None:
    with pytest.raises(ValueError, match="last layer of a Linear is not known"):
        last_layer(nn.Linear(2, 2))
    model = encoder_decoder_with_head(nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 2, 1)), 3, layer="1")
    assert model(torch.rand(1, 1, 8, 8)).routing.routing().shape == (1, 4, 8, 8)


def test_packed_windows_average_to_a_routing_that_adds_up_to_one() -> None:
    model = volumetric_with_head(NETWORKS["UNet"](3), experts=3, width=4).eval()
    one, other = (pack(model(torch.rand(1, 1, 16, 16, 16))) for _ in range(2))
    logits, routing = unpack((one + other) / 2, experts=3)
    assert logits.shape == (1, 3, 16, 16, 16)
    assert torch.allclose(routing.sum(1), torch.ones(1, 16, 16, 16), atol=1e-5)


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("mode", ["released", "consistent"])
def test_permuting_the_experts_of_a_dense_head_permutes_its_answer(axes: int, mode: str) -> None:
    head = DenseHead(DenseSettings(features=5, experts=4, axes=axes, mode=mode, width=8, stride=2))
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.3)
    grid = [9] * axes
    inputs = HeadInputs(torch.randn(2, 1, *grid), torch.randn(2, 5, *grid), torch.rand(2, 1, *grid))
    before = head(inputs).routing()
    head.reorder_experts([3, 1, 0, 2])
    after = head(inputs).routing()
    assert torch.allclose(after, before[:, [3, 1, 0, 2, 4]], atol=1e-5)
    assert not torch.allclose(after, before, atol=1e-3)


def test_a_head_learns_where_the_model_is_wrong_and_who_is_right_there() -> None:
    truth = torch.zeros(1, 24, 24)
    truth[:, 4:20, 4:20] = 1
    features = torch.rand(1, 3, 24, 24)
    logits = torch.where(truth > 0, 3.0, -3.0)
    mistaken = torch.zeros(1, 24, 24, dtype=torch.bool)
    mistaken[:, 6:12, 6:18] = True
    features[:, 1][mistaken] += 2
    logits[mistaken] *= -1
    experts = torch.stack([truth, truth], dim=1).clone()
    experts[:, 0, :, 12:] = 1 - experts[:, 0, :, 12:]
    experts[:, 1, :, :12] = 1 - experts[:, 1, :, :12]
    right = losses.agents_right(experts, (logits > 0).float(), truth)
    columns = torch.linspace(0, 1, 24).expand(1, 1, 24, 24)
    head = DenseHead(DenseSettings(features=3, experts=2, width=8, dilations=(1,)))
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    for _ in range(120):
        optimizer.zero_grad()
        answer = head(HeadInputs(logits[:, None], features, columns))
        losses.consistent_collaboration(answer.log_routing(), right).backward()
        optimizer.step()
    chosen = head(HeadInputs(logits[:, None], features, columns)).log_routing().argmax(1)
    assert (chosen[mistaken] != 2).float().mean() > 0.95
    assert right.gather(1, chosen[:, None])[:, 0][mistaken].mean() > 0.9


def test_the_answer_of_a_released_head_is_one_softmax_and_of_a_consistent_one_two() -> None:
    experts, defer, model = torch.randn(1, 3, 4), torch.randn(1, 4), torch.randn(1, 4)
    released = RoutingLogits("released", experts=experts, defer=defer, model=model)
    assert torch.allclose(released.routing(), torch.softmax(torch.cat([experts, model[:, None]], 1), 1), atol=1e-6)
    consistent = RoutingLogits("consistent", experts=experts, defer=defer)
    d, q = torch.sigmoid(defer), torch.softmax(experts, 1)
    assert torch.allclose(consistent.routing(), torch.cat([d[:, None] * q, 1 - d[:, None]], 1), atol=1e-6)
    for answer in (released, consistent):
        assert torch.allclose(answer.deferral(), 1 - answer.routing()[:, -1], atol=1e-6)
        assert torch.allclose(answer.routing()[:, :-1], answer.deferral()[:, None] * answer.shares(), atol=1e-6)
    with pytest.raises(ValueError, match='mode "released" alone'):
        RoutingLogits("consistent", experts=experts, defer=defer, model=model)


def test_an_absent_expert_gets_nothing_and_the_others_get_its_mass() -> None:
    routing = torch.softmax(torch.randn(2, 4, 5, 5), dim=1)
    after = reassign(routing, [True, False, True])
    assert (after[:, 1] == 0).all()
    assert torch.equal(after[:, -1], routing[:, -1])
    assert torch.allclose(after.sum(1), torch.ones(2, 5, 5), atol=1e-6)
    assert torch.allclose(after[:, 0] / after[:, 2], routing[:, 0] / routing[:, 2], rtol=1e-4)
    nobody = reassign(routing, [False, False, False])
    assert (nobody[:, -1] == 1).all() and (nobody[:, :-1] == 0).all()
    lone = torch.tensor([0.0, 0.6, 0.0, 0.4]).reshape(1, 4, 1)
    assert reassign(lone, [True, False, True])[0, :, 0].tolist() == pytest.approx([0.3, 0, 0.3, 0.4])
    with pytest.raises(ValueError, match="availability of 2 experts"):
        reassign(routing, [True, True])


def test_decisive_routing_keeps_every_decision_and_spreads_the_margins() -> None:
    accuracies = torch.cat([0.9 + 0.1 * torch.rand(1, 3, 500), 0.5 + 0.5 * torch.rand(1, 1, 500)], dim=1)
    log_p = (accuracies / accuracies.sum(1, keepdim=True)).log()
    spread = decisive(log_p, temperature=0.05)
    assert torch.allclose(spread.sum(1), torch.ones(1, 500), atol=1e-5)
    ahead = accuracies[:, :-1].amax(1) > accuracies[:, -1]
    assert torch.equal(1 - spread[:, -1] > 0.5, ahead)
    assert torch.equal(spread[:, :-1].argmax(1), accuracies[:, :-1].argmax(1))
    assert spread[:, -1].std() > 4 * log_p.exp()[:, -1].std()


def test_label_evidence_is_the_same_for_a_mask_and_for_two_classes() -> None:
    logit = 4 * torch.randn(2, 1, 6, 6)
    two = torch.cat([torch.full_like(logit, 1.5), logit + 1.5], dim=1)
    assert torch.allclose(label_evidence(logit), label_evidence(two), atol=1e-5)
    unsure = label_evidence(torch.zeros(1, 5, 2, 2))
    assert unsure[:, 1].max() == pytest.approx(0.8) and unsure[:, 2].min() == pytest.approx(1.0)
    wild = label_evidence(torch.tensor([[[6e4]], [[-6e4]]], dtype=torch.float16).reshape(2, 1, 1, 1))
    assert torch.isfinite(wild).all() and wild[:, 0].flatten().tolist() == [4, -4]


def test_distance_to_the_box_is_positive_inside_in_2d_and_3d() -> None:
    flat = distance_to_box(torch.tensor([[2.0, 4.0, 10.0, 7.0]]), (12, 16))[0, 0]
    assert torch.equal((flat >= 0).nonzero().amin(0), torch.tensor([4, 2]))
    assert torch.equal((flat >= 0).nonzero().amax(0), torch.tensor([7, 10]))
    assert flat[0, 0] == -1 and flat[3, 5] == pytest.approx(-0.5)
    deep = distance_to_box(torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]), (8, 9, 10))[0, 0]
    assert torch.equal((deep >= 0).nonzero().amin(0), torch.tensor([3, 2, 1]))
    assert torch.equal((deep >= 0).nonzero().amax(0), torch.tensor([6, 5, 4]))
    with pytest.raises(ValueError, match="boxes have shape"):
        distance_to_box(torch.zeros(1, 4), (4, 4, 4))


def test_neighbors_are_the_slices_below_and_above() -> None:
    stack = torch.arange(5.0)[:, None, None].expand(5, 2, 2)
    around = neighbor_logits(stack, reach=2)[:, :, 0, 0]
    assert around[2].tolist() == [1, 3, 0, 4]
    assert around[0].tolist() == [0, 1, 0, 2] and around[4].tolist() == [3, 4, 2, 4]
