"""One face for every routing head: what it gets to see, and what it answers.

Shapes: S stands for the spatial axes, (H, W) or (D, H, W). Agents are in axis 1, experts first, model last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

Mode = Literal["released", "consistent"]


@dataclass(frozen=True)
class HeadInputs:
    """What a head may look at, all of it on or around the grid S of the logits.

    Attributes
    ----------
    logits : (B, 1, *S) foreground logit of one structure, or (B, C, *S) class logits with class 0 the background.
    features : (B, F, *s) decoder features, of any resolution that covers the same field of view.
    image : (B, 1, *S) in 0..1, or None.
    boxes : (B, 2n) prompts in voxels of the grid S, lower corner then upper, x first (x0, y0, x1, y1 in 2D); or None.
    neighbors : (B, N, *S) logits of neighboring slices (`context.neighbor_logits`), or None.
    tokens : (B, J + 1, T) output of the extra mask tokens of a SAM decoder, model last, or None.
    embedding : (B, E, *e) image embedding or deepest features, for the predictor of mode `released`, or None.
    """

    logits: torch.Tensor
    features: torch.Tensor
    image: torch.Tensor | None = None
    boxes: torch.Tensor | None = None
    neighbors: torch.Tensor | None = None
    tokens: torch.Tensor | None = None
    embedding: torch.Tensor | None = None


@dataclass(frozen=True)
class RoutingLogits:
    """A head's answer for every voxel, before any softmax.

    Attributes
    ----------
    mode : `released`: routing = softmax over (experts, model), and `defer` is the aggregated predictor beside it.
        `consistent`: p_model = 1 - d and p_j = d q_j with d = sigmoid(defer), q = softmax(experts).
    experts : (B, J, *S). defer : (B, *S). model : (B, *S) in mode `released`, None in mode `consistent`.
    """

    mode: Mode
    experts: torch.Tensor
    defer: torch.Tensor
    model: torch.Tensor | None = None

    def __post_init__(self) -> None:
        if (self.model is None) == (self.mode == "released"):
            raise ValueError(f'a logit for the model belongs to mode "released" alone, mode is "{self.mode}"')
        if self.experts[:, 0].shape != self.defer.shape:
            raise ValueError(f"experts {tuple(self.experts.shape)} and defer {tuple(self.defer.shape)} do not fit")

    def log_routing(self) -> torch.Tensor:
        """Logarithms of the routing probabilities, float32 (B, J + 1, *S), model last."""
        experts, defer = self.experts.float(), self.defer.float().unsqueeze(1)
        if self.model is not None:
            return torch.log_softmax(torch.cat([experts, self.model.float().unsqueeze(1)], dim=1), dim=1)
        whom = torch.log_softmax(experts, dim=1)
        return torch.cat([functional.logsigmoid(defer) + whom, functional.logsigmoid(-defer)], dim=1)

    def deferral(self) -> torch.Tensor:
        """d, the probability of any expert rather than the model, float32 (B, *S)."""
        if self.model is not None:
            return self.log_routing()[:, :-1].exp().sum(dim=1)
        return torch.sigmoid(self.defer.float())

    def shares(self) -> torch.Tensor:
        """q, the experts' conditional shares, float32 (B, J, *S); they add up to 1 over the experts."""
        return torch.softmax(self.experts.float(), dim=1)

    def routing(self, available: Sequence[bool] | None = None) -> torch.Tensor:
        """Routing probabilities, float32 (B, J + 1, *S), model last; see `reassign` for absent experts."""
        p = self.log_routing().exp()
        return p if available is None else reassign(p, available)


class RoutingHead(nn.Module):
    """A network from `HeadInputs` to `RoutingLogits`. `mode` and `experts` (J) are fixed when it is made."""

    mode: Mode
    experts: int

    def forward(self, inputs: HeadInputs) -> RoutingLogits:
        """Route every voxel of the grid of the logits."""
        raise NotImplementedError

    def reorder_experts(self, order: Sequence[int]) -> None:
        """Change weights in place so that expert n of the answer is what expert order[n] was before."""
        raise NotImplementedError


def check_order(order: Sequence[int], experts: int) -> list[int]:
    """The order as a list; raises ValueError unless it is a permutation of 0..J-1."""
    if sorted(order) != list(range(experts)):
        raise ValueError(f"order of experts is {list(order)}, expected each of 0..{experts - 1} once")
    return list(order)


def reassign(routing: torch.Tensor, available: Sequence[bool]) -> torch.Tensor:
    """Take the mass of absent experts to those available, in proportion to theirs; the model keeps what it has.

    If all the available experts have none, they share equally. If nobody is available, the model gets everything.

    Parameters
    ----------
    routing : (B, J + 1, *S) probabilities, model last. available : J booleans.
    """
    if len(available) != routing.shape[1] - 1:
        raise ValueError(f"availability of {len(available)} experts given, expected {routing.shape[1] - 1}")
    if not any(available):
        return torch.cat([torch.zeros_like(routing[:, :-1]), torch.ones_like(routing[:, -1:])], dim=1)
    present = torch.tensor(list(available), device=routing.device).reshape(1, -1, *[1] * (routing.ndim - 2))
    defer = 1 - routing[:, -1:]
    kept = torch.where(present, routing[:, :-1], torch.zeros_like(routing[:, :-1]))
    total = kept.sum(dim=1, keepdim=True)
    equal = present.to(kept.dtype) / sum(available)
    shares = torch.where(total > 0, kept / total.clamp(min=torch.finfo(kept.dtype).tiny), equal)
    return torch.cat([defer * shares, routing[:, -1:]], dim=1)


def decisive(log_routing: torch.Tensor, temperature: float = 0.1) -> torch.Tensor:
    """Spread routing over the whole of 0..1 before it is stored in bytes; decisions stay what they are.

        d = sigmoid((max_j log p_j - log p_model) / T),    q = softmax(log p_j / T),    p = (d q, 1 - d)

    The optimum of the collaboration loss puts near-equal mass on agents of near-equal accuracy: with accuracies
    0.97, 0.97, 0.97 and 0.99 the model's share is 0.254, and 1/255 of margin is 1.5 % of accuracy. It also makes d
    grow with the number of experts. This d compares the model with its best rival alone: it is above one half
    exactly where that rival is ahead, for any J and T.

    Parameters
    ----------
    log_routing : (B, J + 1, *S), model last. temperature : above 0; smaller is more decisive.
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}, expected above 0")
    log_p = log_routing.float()
    lead = (log_p[:, :-1].amax(dim=1, keepdim=True) - log_p[:, -1:]) / temperature
    shares = torch.softmax(log_p[:, :-1] / temperature, dim=1)
    return torch.cat([torch.sigmoid(lead) * shares, torch.sigmoid(-lead)], dim=1)


BEST_SHARE = 0.5
"""Share of an expert's mass that goes to the leader at least, before the rest is divided."""

DEEPEST = 0.6
"""Margin of `ranked` where an expert is sure to be right and the model sure to be wrong, times -1."""


def ranked(log_right: torch.Tensor, sharpness: float = 0.05) -> torch.Tensor:
    """Routing to store when the order of deferral matters: its margin depends on the lead of the best expert alone.

        lead = max_j log a_j - log a_0,    m = -sign(lead) |tanh(lead / 2)|**(1/2), times 0.6 where it is negative
        q = 1/2 1[best] + 1/2 softmax(a_j / 0.05),    d = (1 - m) / (1 + max q),    p = (d q, 1 - d)

    Then p_0 - max_j p_j = m exactly, however evenly the experts share the voxel, so that a worklist in the order of
    margins is one in the order of leads; an expert is ahead of the model exactly where one is better. The square root
    spreads the many voxels of small leads over more bytes.

    Parameters
    ----------
    log_right : (B, J + 1, *S), logarithm of P(agent is right), model last. sharpness : an expert who is right less
        often by this much gets 1/e of the share.
    """
    if not sharpness > 0:
        raise ValueError(f"sharpness is {sharpness}, expected above 0")
    log_right = log_right.float()
    best, leader = log_right[:, :-1].max(dim=1, keepdim=True)
    lead = best - log_right[:, -1:]
    size = torch.tanh(lead.abs() / 2).sqrt()
    margin = torch.where(lead > 0, -DEEPEST * size, size)
    shares = (1 - BEST_SHARE) * torch.softmax(log_right[:, :-1].exp() / sharpness, dim=1)
    shares = shares.scatter_add(1, leader, torch.full_like(best, BEST_SHARE))
    defer = (1 - margin) / (1 + shares.amax(dim=1, keepdim=True))
    return torch.cat([defer * shares, 1 - defer], dim=1)
