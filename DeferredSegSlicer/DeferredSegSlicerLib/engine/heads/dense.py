"""The convolutional routing head, in 2D and 3D, on any network's decoder features."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from .base import HeadInputs, Mode, RoutingHead, RoutingLogits, check_order
from .context import EVIDENCE_CHANNELS, distance_to_box, label_evidence, resized

START_DEFERRAL = 0.05
"""Deferral probability d of a new head in mode `consistent`: it starts near "trust the model"."""


@dataclass(frozen=True)
class DenseSettings:
    """What a dense head is made of.

    Attributes
    ----------
    features : channels F of the decoder features. experts : J. axes : 2 or 3.
    image, box : whether it sees the image and the distance to the prompt. neighbors : channels of `HeadInputs`.
    width : channels of the trunk. dilations : one 3 x 3 (x 3) convolution each.
    stride : the trunk works on a grid coarser by this factor; the doubt of the label is added at full resolution.
    predictor : channels E of the embedding that the aggregated predictor of mode `released` sees; None for features.
    """

    features: int
    experts: int
    axes: int = 2
    mode: Mode = "consistent"
    image: bool = True
    box: bool = False
    neighbors: int = 0
    width: int = 32
    dilations: tuple[int, ...] = (1, 2, 4)
    stride: int = 1
    predictor: int | None = None

    def __post_init__(self) -> None:
        if self.axes not in (2, 3) or self.mode not in ("released", "consistent"):
            raise ValueError(f"head of {self.axes} axes in mode {self.mode!r}, expected 2 or 3, released or consistent")
        if min(self.features, self.experts, self.width, self.stride, *self.dilations) < 1 or self.neighbors < 0:
            raise ValueError("features, experts, width, stride and dilations of a head are whole numbers from 1 on")


class DenseHead(RoutingHead):
    """1 x 1 projection of the features, joined by what else is known of the voxel, then dilated convolutions.

    In mode `consistent` the answer has channels (defer, experts); in mode `released` (experts, model), with the
    published predictor (3 x 3 to half the channels, ReLU, 1 x 1) beside it.
    """

    def __init__(self, settings: DenseSettings) -> None:
        super().__init__()
        self.settings = settings
        self.mode = settings.mode
        self.experts = settings.experts
        convolution: type[nn.Conv2d] | type[nn.Conv3d] = nn.Conv2d if settings.axes == 2 else nn.Conv3d
        known = EVIDENCE_CHANNELS + settings.image + settings.box + settings.neighbors
        groups = math.gcd(settings.width, 4)
        self.project = convolution(settings.features, settings.width, 1)
        layers: list[nn.Module] = []
        channels = settings.width + known
        for dilation in settings.dilations:
            layers += [
                convolution(channels, settings.width, 3, padding=dilation, dilation=dilation),
                nn.GroupNorm(groups, settings.width),
                nn.GELU(),
            ]
            channels = settings.width
        self.trunk = nn.Sequential(*layers)
        self.coarse = convolution(channels, settings.experts + 1, 1)
        self.fine = convolution(known, settings.experts + 1, 1, bias=False)
        self.predictor: nn.Module | None = None
        if settings.mode == "released":
            seen = settings.predictor or settings.features
            self.predictor = make_predictor(convolution, seen)
        for layer in (self.coarse, self.fine):
            nn.init.normal_(layer.weight, std=0.01)
        assert self.coarse.bias is not None
        nn.init.zeros_(self.coarse.bias)
        if settings.mode == "consistent":
            with torch.no_grad():
                self.coarse.bias[0] = math.log(START_DEFERRAL / (1 - START_DEFERRAL))

    def forward(self, inputs: HeadInputs) -> RoutingLogits:
        """Route every voxel of the grid of the logits; raises ValueError naming an input that is missing."""
        shape = tuple(inputs.logits.shape[2:])
        known = self._known(inputs)
        grid = tuple(max(1, math.ceil(size / self.settings.stride)) for size in shape)
        features = resized(self.project(inputs.features.to(known.dtype)), grid)
        answer = self.coarse(self.trunk(torch.cat([features, resized(known, grid).to(features.dtype)], dim=1)))
        answer = resized(answer, shape) + self.fine(known)
        if self.mode == "consistent":
            return RoutingLogits("consistent", experts=answer[:, 1:], defer=answer[:, 0])
        assert self.predictor is not None
        seen = inputs.features if self.settings.predictor is None else required(inputs.embedding, "image embedding")
        defer = resized(self.predictor(seen.to(known.dtype)), shape)[:, 0]
        return RoutingLogits("released", experts=answer[:, :-1], defer=defer, model=answer[:, -1])

    def reorder_experts(self, order: Sequence[int]) -> None:
        """Expert n of the answer becomes what expert order[n] was."""
        wanted = check_order(order, self.experts)
        rows = [0, *[1 + n for n in wanted]] if self.mode == "consistent" else [*wanted, self.experts]
        with torch.no_grad():
            for parameter in (self.coarse.weight, self.coarse.bias, self.fine.weight):
                assert parameter is not None
                parameter.copy_(parameter[rows].clone())

    def _known(self, inputs: HeadInputs) -> torch.Tensor:
        """Doubt of the label, image, distance to the prompt and neighbors, float32 (B, channels, *S)."""
        shape = tuple(inputs.logits.shape[2:])
        parts = [label_evidence(inputs.logits)]
        if self.settings.image:
            parts.append(resized(required(inputs.image, "image").float(), shape))
        if self.settings.box:
            parts.append(distance_to_box(required(inputs.boxes, "boxes"), shape))
        if self.settings.neighbors:
            neighbors = required(inputs.neighbors, "logits of the neighboring slices").float()
            parts.append(neighbors.clamp(-20, 20) / 5)
        return torch.cat(parts, dim=1)


def make_predictor(convolution: type[nn.Conv2d] | type[nn.Conv3d], channels: int) -> nn.Sequential:
    """The published aggregated deferral predictor, without its sigmoid: 3 x 3, ReLU, 1 x 1."""
    middle = max(1, channels // 2)
    return nn.Sequential(convolution(channels, middle, 3, padding=1), nn.ReLU(), convolution(middle, 1, 1))


def required(value: torch.Tensor | None, name: str) -> torch.Tensor:
    """The value; raises ValueError naming what is missing."""
    if value is None:
        raise ValueError(f"this head needs the {name}, which was not given")
    return value
