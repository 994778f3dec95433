"""Method "learned" of 3D networks: what is stored, experts in another order, windows, and what cannot be routed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.experts import Expert
from DeferredSegSlicerLib.core.volume import Volume
from DeferredSegSlicerLib.engine.deferral.margin import margin_method
from DeferredSegSlicerLib.engine.deferral.routed_volume import VolumeRouter
from DeferredSegSlicerLib.engine.heads.base import HeadInputs
from DeferredSegSlicerLib.engine.heads.dense import DenseSettings
from DeferredSegSlicerLib.engine.monai_nets import RoutedVolumeSegmentor, make_network, make_volume_segmentor
from DeferredSegSlicerLib.engine.pipeline import segment_with
from DeferredSegSlicerLib.engine.volume_head import (
    AgentsHead,
    ErrorFit,
    VolumeHeadSettings,
    make_routed,
    read_head,
)
from DeferredSegSlicerLib.engine.volume_routing import RoutedMaps, store_routing

CPU = torch.device("cpu")
NETWORK = {
    "class": "UNet",
    "arguments": {"spatial_dims": 3, "in_channels": 1, "out_channels": 3, "channels": [4, 8], "strides": [2]},
    "roi": [16, 16, 16],
    "classes": ["one", "two"],
    "divisor": 2,
}
EXPERTS = [{"id": name, "name": name} for name in ("extent", "normal", "edge")]


def a_segmentor(answers: str = "agents", roi: tuple[int, int, int] = (16, 16, 16)) -> RoutedVolumeSegmentor:
    """A random network whose head routes one way here and another way there."""
    torch.manual_seed(0)
    settings = VolumeHeadSettings(3, answers=answers, width=4, dilations=(1,))  # type: ignore[arg-type]
    routed = make_routed(make_network("UNet", NETWORK["arguments"], "here"), settings, True, "here")  # type: ignore[arg-type]
    for parameter in routed.head.parameters():
        parameter.data += 0.5 * torch.randn_like(parameter)
    return RoutedVolumeSegmentor("net", routed, settings, ["one", "two"], roi, CPU, divisor=2)


@pytest.mark.parametrize("roi", [(16, 16, 16), (8, 8, 8)])
def test_routing_of_overlapping_windows_adds_up_to_one(roi: tuple[int, int, int]) -> None:
    segmentor = a_segmentor(roi=roi)
    volume = np.random.default_rng(0).random((11, 18, 14), np.float32)
    maps = segmentor.maps_of(volume)
    assert maps.logits.shape == (3, 11, 18, 14)
    assert torch.allclose(maps.routing.sum(dim=0), torch.ones(11, 18, 14), atol=1e-4)
    shares = segmentor.routing_of(volume).shares.astype(int).sum(axis=0)
    assert abs(shares - 255).max() <= 2


def test_the_head_changes_no_label() -> None:
    segmentor = a_segmentor()
    tensors = {name.removeprefix("routed.net."): t for name, t in segmentor.network.state_dict().items()}
    tensors = {name: t for name, t in tensors.items() if not name.startswith("routed.")}
    plain = make_volume_segmentor("net", NETWORK, tensors, CPU, "w")
    volume = np.random.default_rng(1).random((12, 14, 16), np.float32)
    one, other = (s.decode(s.encode(volume)[0], None).logits for s in (segmentor, plain))
    assert torch.allclose(one, other, atol=2e-2)


@pytest.mark.parametrize("answers", ["agents", "routing"])
def test_experts_in_another_order_get_the_same_voxels(
    a_scan: Callable[..., Volume], three_experts: tuple[Expert, ...], answers: str
) -> None:
    scan = a_scan(size=(14, 12, 10), spacing=(1.0, 1.0, 1.0))
    order = [2, 0, 1]
    straight = segment_with(a_segmentor(answers), VolumeRouter([0, 1, 2]), scan, (), three_experts)
    turned = segment_with(a_segmentor(answers), VolumeRouter(order), scan, (), [three_experts[n] for n in order])
    difference = straight.routing[[*order, 3]].astype(int) - turned.routing
    assert abs(difference).max() <= 1, "more than the rounding of equal remainders"
    assert len(np.unique(straight.routing[:-1].argmax(axis=0))) > 1
    assert straight.settings["routing"] == "learned"


def test_strangers_share_by_their_competence(a_scan: Callable[..., Volume], three_experts: tuple[Expert, ...]) -> None:
    scan = a_scan(size=(14, 12, 10), spacing=(1.0, 1.0, 1.0))
    result = segment_with(a_segmentor(), VolumeRouter(None), scan, (), three_experts[:2])
    assert result.settings["routing"] == "competence" and len(result.routing) == 3
    assert any("not trained for these experts" in warning for warning in result.settings["warnings"])


def test_a_scan_with_pixels_that_are_not_square_is_routed_on_its_own_grid(
    a_scan: Callable[..., Volume], three_experts: tuple[Expert, ...]
) -> None:
    scan = a_scan(size=(14, 12, 10), spacing=(1.0, 2.0, 1.0))
    result = segment_with(a_segmentor(), VolumeRouter([0, 1, 2]), scan, (), three_experts)
    assert result.routing.shape == (4, 10, 12, 14)
    assert np.all(result.routing.astype(int).sum(axis=0) == 255)


def test_the_network_runs_once_for_labels_and_routing(
    a_scan: Callable[..., Volume], three_experts: tuple[Expert, ...]
) -> None:
    segmentor, runs = a_segmentor(), []
    segmentor.network.register_forward_hook(lambda *parts: runs.append(1))
    segment_with(segmentor, VolumeRouter([0, 1, 2]), a_scan(size=(14, 12, 10)), (), three_experts)
    assert len(runs) == 1


def test_the_routing_is_that_of_the_stack_that_is_asked_for() -> None:
    segmentor = a_segmentor()
    first, second = np.random.default_rng(2).random((2, 8, 10, 12), np.float32)
    segmentor.encode(first)
    wanted = segmentor.routing_of(first)
    segmentor.encode(second)
    assert not np.array_equal(segmentor.routing_of(second).defer, wanted.defer)
    assert np.array_equal(segmentor.routing_of(first).defer, wanted.defer)


def test_voxels_are_stored_in_the_order_of_the_experts_lead() -> None:
    model = torch.linspace(0.2, 0.99, 60).reshape(1, 1, 60)
    right = torch.cat([torch.full((2, 1, 1, 60), 0.9), model[None]])
    routing = right / right.sum(dim=0)
    stored = store_routing(RoutedMaps(torch.zeros(2, 1, 1, 60), routing, 1 - model), ErrorFit())
    margin = (255 - stored.defer) - (stored.defer.astype(float)[None] * stored.shares / 255).max(axis=0)
    assert np.all(np.abs(stored.error / 255 - (1 - model.numpy())) < 0.01)
    assert np.all(np.diff(margin[0, 0]) >= -2) and margin[0, 0, 0] < 0 < margin[0, 0, -1]


def test_a_network_without_a_head_cannot_be_routed(
    a_scan: Callable[..., Volume], three_experts: tuple[Expert, ...]
) -> None:
    net = make_network("UNet", NETWORK["arguments"], "here")  # type: ignore[arg-type]
    plain = make_volume_segmentor("net", NETWORK, net.state_dict(), CPU, "w")
    with pytest.raises(BadInputError, match="no deferral head"):
        segment_with(plain, VolumeRouter([0, 1, 2]), a_scan(size=(14, 12, 10)), (), three_experts)


def test_other_methods_work_on_a_network_with_a_head(
    a_scan: Callable[..., Volume], three_experts: tuple[Expert, ...]
) -> None:
    result = segment_with(a_segmentor(), margin_method(), a_scan(size=(14, 12, 10)), (), three_experts)
    assert result.settings["routing"] == "competence"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "stack"}, "stack"),
        ({"experts": EXPERTS[:2]}, "2 are named"),
        ({"settings": {"experts": 3, "color": 1}}, "color"),
        ({"settings": {"experts": 3, "mode": "released", "answers": "agents"}}, "released"),
        ({"settings": {"experts": 3, "dilations": [0]}}, "whole numbers"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(change: dict[str, object], words: str) -> None:
    good = {
        "kind": "volume",
        "mode": "consistent",
        "experts": EXPERTS,
        "settings": VolumeHeadSettings(3).to_json(),
    }
    assert read_head(good, "here") == VolumeHeadSettings(3)
    with pytest.raises(BadInputError, match=words):
        read_head({**good, **change}, "here")


@pytest.mark.parametrize("classes", [1, 3])
def test_a_new_head_defers_in_the_order_of_the_networks_own_confidence(classes: int) -> None:
    torch.manual_seed(3)
    settings = DenseSettings(features=4, experts=2, axes=3, width=4, dilations=(1,), image=False)
    head = AgentsHead(settings).eval()
    for parameter in head.parameters():
        parameter.data.zero_()
    logits = 2 * torch.randn(1, classes, 4, 5, 6)
    log_p = head(HeadInputs(logits=logits, features=torch.randn(1, 4, 4, 5, 6))).log_routing()[0]
    lead = log_p[:-1].amax(dim=0) - log_p[-1]
    both = torch.cat([torch.zeros_like(logits), logits], dim=1) if classes == 1 else logits
    doubt = 1 - torch.softmax(both, dim=1).amax(dim=1)[0]
    order = doubt.flatten().argsort()
    assert torch.all(lead.flatten()[order].diff() >= -1e-6)
