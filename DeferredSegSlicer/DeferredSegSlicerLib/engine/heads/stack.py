"""The default router of box-prompted segmentors: a small 3D U-Net over the stack of a structure's slices.

It asks of every agent "is it right here?", so its answers are calibrated one by one, and the routing follows from
them: p_a in proportion to P(agent a is right), which is the optimum of the collaboration loss in mode `consistent`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from .base import RoutingLogits, check_order
from .context import EVIDENCE_CHANNELS

PLACE_CHANNELS = 6
"""What a stack knows of the place: distances to the centre of the box (3), to its faces (1) and ends (1), to the box
that the slice was prompted with (1)."""

KNOWN_CHANNELS = EVIDENCE_CHANNELS + 1 + PLACE_CHANNELS + 2
"""Doubt of the label, image, place, the network's own estimate of its quality, foreground probability."""


@dataclass(frozen=True)
class StackSettings:
    """What a stack head is made of.

    Attributes
    ----------
    experts : J. features : channels F of the decoder's upscaled features. embedding : channels E of the encoder's.
    known : channels K of what is known besides. widths : channels at full, 1/2, 1/4 and 1/8 in-plane resolution.
    embedding_width : channels that the embedding is brought down to. dropout : of whole channels, in training.
    """

    experts: int
    features: int = 32
    embedding: int = 256
    known: int = KNOWN_CHANNELS
    widths: tuple[int, int, int, int] = (16, 32, 48, 64)
    embedding_width: int = 24
    dropout: float = 0.1

    def __post_init__(self) -> None:
        counts = (self.experts, self.features, self.embedding, self.known, self.embedding_width, *self.widths)
        if len(self.widths) != 4 or not all(isinstance(n, int) and 1 <= n <= 4096 for n in counts):
            raise ValueError("channels and experts of a stack head are whole numbers from 1 to 4096, with four widths")
        if self.known < EVIDENCE_CHANNELS + 1 or not 0 <= self.dropout < 1:
            raise ValueError(f"a stack head knows at least {EVIDENCE_CHANNELS + 1} channels and drops less than all")

    def to_json(self) -> dict[str, Any]:
        """As plain values, for bundle.json."""
        return {**asdict(self), "widths": list(self.widths)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> StackSettings:
        """From plain values; raises ValueError for what is unknown or does not fit."""
        try:
            widths = tuple(values.get("widths", cls.widths))
            return cls(**{**values, "widths": widths})
        except TypeError as error:
            raise ValueError(f"settings of a stack head are not right: {error}") from error


@dataclass(frozen=True)
class AgentLogits:
    """logits (B, J + 1, *S): of "this agent is right here", model last."""

    logits: torch.Tensor

    def log_right(self) -> torch.Tensor:
        """Logarithm of P(agent is right), float32 (B, J + 1, *S)."""
        return functional.logsigmoid(self.logits.float())

    def routing(self) -> RoutingLogits:
        """Routing in mode `consistent`: p_a in proportion to P(agent a is right)."""
        log_right = self.log_right()
        experts, model = log_right[:, :-1], log_right[:, -1]
        return RoutingLogits("consistent", experts=experts, defer=torch.logsumexp(experts, dim=1) - model)

    def error(self) -> torch.Tensor:
        """P(the model's label is wrong), float32 (B, *S)."""
        return torch.sigmoid(-self.logits[:, -1].float())


class StackHead(nn.Module):
    """See the module. All sizes in the plane may be odd; the number of slices is free.

    Convolutions are 3 x 3 in the plane, followed by 3 across the slices; resolution is halved in the plane alone,
    since slices are thick.
    """

    def __init__(self, settings: StackSettings) -> None:
        super().__init__()
        self.settings = settings
        self.experts = settings.experts
        full, half, quarter, eighth = settings.widths
        self.features = nn.Conv3d(settings.features, full, 1)
        self.embedding = nn.Conv3d(settings.embedding, settings.embedding_width, 1)
        self.features_norm = _norm(full)
        self.embedding_norm = _norm(settings.embedding_width)
        self.stem = nn.Conv3d(full + settings.known, half, (1, 2, 2), stride=(1, 2, 2))
        self.stem_norm = _norm(half)
        self.down1 = _Block(half + settings.embedding_width, half)
        self.down2 = _Block(half, quarter)
        self.bottom = _Block(quarter, eighth)
        self.up2 = _Block(eighth + quarter, quarter)
        self.up1 = _Block(quarter + half, half)
        self.narrow = nn.Conv3d(half, full, 1)
        self.fine = nn.Conv3d(2 * full + EVIDENCE_CHANNELS + 1, full, (1, 3, 3), padding=(0, 1, 1))
        self.mix = nn.Conv3d(full + EVIDENCE_CHANNELS, full, 1)
        self.answer = nn.Conv3d(full, settings.experts + 1, 1)

    def project(self, features: torch.Tensor, embedding: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The first, linear layer of each, voxel by voxel, so that a slice can be brought down when it is seen.

        features : (B, F, D, h, w). embedding : (B, E, D, h', w'). To (B, widths[0], ...), (B, embedding_width, ...).
        """
        return self.features(features), self.embedding(embedding)

    def route(self, features: torch.Tensor, embedding: torch.Tensor, known: torch.Tensor) -> AgentLogits:
        """The rest of the network.

        Parameters
        ----------
        features, embedding : from `project`, the embedding on any grid of the same extent, best of half resolution.
        known : (B, K, D, h, w), the evidence and the image first.
        """
        features = functional.gelu(self.features_norm(features))
        embedding = functional.gelu(self.embedding_norm(embedding))
        if self.training and self.settings.dropout:
            features = functional.dropout3d(features, self.settings.dropout)
            embedding = functional.dropout3d(embedding, self.settings.dropout)
        joined = torch.cat([features, known], dim=1)
        y = functional.gelu(self.stem_norm(self.stem(_even(joined))))
        first = self.down1(torch.cat([y, _like(embedding, y)], dim=1))
        second = self.down2(_halved(first))
        third = self.bottom(_halved(second))
        y = self.up2(torch.cat([_like(third, second), second], dim=1))
        y = self.up1(torch.cat([_like(y, first), first], dim=1))
        y = torch.cat([_like(self.narrow(y), features), features, known[:, : EVIDENCE_CHANNELS + 1]], dim=1)
        y = functional.gelu(self.fine(y))
        y = functional.gelu(self.mix(torch.cat([y, known[:, :EVIDENCE_CHANNELS]], dim=1)))
        return AgentLogits(self.answer(y))

    def forward(self, features: torch.Tensor, embedding: torch.Tensor, known: torch.Tensor) -> AgentLogits:
        """Features (B, F, D, h, w), embedding (B, E, D, h', w') and known (B, K, D, h, w) to agents' logits."""
        return self.route(*self.project(features, embedding), known)

    def reorder_experts(self, order: Sequence[int]) -> None:
        """Expert n of the answer becomes what expert order[n] was; the model stays last."""
        rows = [*check_order(order, self.experts), self.experts]
        assert self.answer.bias is not None
        with torch.no_grad():
            self.answer.weight.copy_(self.answer.weight[rows].clone())
            self.answer.bias.copy_(self.answer.bias[rows].clone())


class _Block(nn.Module):
    """3 x 3 in the plane, 3 across the slices, and a shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.plane = nn.Conv3d(inputs, outputs, (1, 3, 3), padding=(0, 1, 1))
        self.plane_norm = _norm(outputs)
        self.across = nn.Conv3d(outputs, outputs, (3, 1, 1), padding=(1, 0, 0))
        self.across_norm = _norm(outputs)
        self.shortcut = nn.Conv3d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.across_norm(self.across(functional.gelu(self.plane_norm(self.plane(x)))))
        return functional.gelu(y + self.shortcut(x))


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(channels, 4), channels)


def _halved(x: torch.Tensor) -> torch.Tensor:
    return functional.avg_pool3d(x, (1, 2, 2), ceil_mode=True, count_include_pad=False)


def _like(x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    if x.shape[2:] == other.shape[2:]:
        return x
    return functional.interpolate(x, size=other.shape[2:], mode="trilinear", align_corners=False)


def _even(x: torch.Tensor) -> torch.Tensor:
    """Repeat the last row and column where their number is odd."""
    rows, columns = (n % 2 for n in x.shape[-2:])
    return functional.pad(x, (0, columns, 0, rows, 0, 0), mode="replicate") if rows or columns else x
