"""Routing heads for SAM-type mask decoders (LiteMedSAM, SAM, MedSAM)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from segment_anything.modeling.mask_decoder import MLP
from torch import nn

from .base import HeadInputs, RoutingHead, RoutingLogits, check_order
from .context import resized
from .dense import DenseHead, DenseSettings, make_predictor, required


class ReleasedSamHead(RoutingHead):
    """DeferredSeg's published head: softmax over the maps of K + 1 mask tokens, and a predictor on the embedding.

    Probabilities, not logits, are brought from the decoder's resolution to that of the mask logits. The predictor
    sees the image embedding alone, so never the prompt.

    Source: Tian et al., DeferredSeg (arXiv 2604.12411), structure as released.

    Parameters
    ----------
    experts : J. token_size : T of the decoder's tokens (256). features : channels of its upscaled features (32).
    """

    def __init__(self, experts: int, token_size: int = 256, features: int = 32) -> None:
        super().__init__()
        self.mode = "released"
        self.experts = experts
        self.maps = make_token_maps(experts, token_size, features)
        self.predictor = make_predictor(nn.Conv2d, token_size)

    def forward(self, inputs: HeadInputs) -> RoutingLogits:
        """Needs tokens and embedding of `HeadInputs`; see `RoutingHead.forward`."""
        shape = tuple(inputs.logits.shape[2:])
        maps = token_maps(self.maps, required(inputs.tokens, "output of the agents' tokens"), inputs.features)
        p = resized(torch.softmax(maps.float(), dim=1), shape)
        log_p = p.clamp(min=torch.finfo(p.dtype).tiny).log()
        defer = resized(self.predictor(required(inputs.embedding, "image embedding")), shape)[:, 0]
        return RoutingLogits("released", experts=log_p[:, :-1], defer=defer, model=log_p[:, -1])

    def reorder_experts(self, order: Sequence[int]) -> None:
        """Expert n of the answer becomes what expert order[n] was; the decoder's tokens must be reordered too."""
        self.maps = reordered(self.maps, check_order(order, self.experts))


class ConsistentSamHead(RoutingHead):
    """The default head: convolutions on the decoder's upscaled features, and the agents' tokens if there are any.

    With tokens, each expert's map is added to that expert's logit, and the model's map is taken from the logit of
    deferral, so that all K + 1 tokens take part in "whether" and "to whom". Their last layers start near 0.

    Parameters
    ----------
    settings : of the dense part; mode `consistent`, 2 axes. token_size : T, or None for a head without tokens, which
        costs nothing in the decoder and needs of a `Prediction` only features and logits.
    """

    def __init__(self, settings: DenseSettings, token_size: int | None = None) -> None:
        super().__init__()
        if settings.mode != "consistent" or settings.axes != 2:
            raise ValueError("the consistent SAM head is made from 2D settings in mode consistent")
        self.mode = "consistent"
        self.experts = settings.experts
        self.dense = DenseHead(settings)
        self.maps: nn.ModuleList | None = None
        if token_size is not None:
            self.maps = make_token_maps(settings.experts, token_size, settings.features)
            for mlp in self.maps:
                assert isinstance(mlp, MLP)
                last = mlp.layers[-1]
                assert isinstance(last, nn.Linear)
                nn.init.normal_(last.weight, std=1e-3)
                nn.init.zeros_(last.bias)

    def forward(self, inputs: HeadInputs) -> RoutingLogits:
        """See `RoutingHead.forward`."""
        answer: RoutingLogits = self.dense(inputs)
        if self.maps is None:
            return answer
        maps = token_maps(self.maps, required(inputs.tokens, "output of the agents' tokens"), inputs.features)
        maps = resized(maps, tuple(inputs.logits.shape[2:]))
        return replace(answer, experts=answer.experts + maps[:, :-1], defer=answer.defer - maps[:, -1])

    def reorder_experts(self, order: Sequence[int]) -> None:
        """Expert n of the answer becomes what expert order[n] was; the decoder's tokens must be reordered too."""
        self.dense.reorder_experts(order)
        if self.maps is not None:
            self.maps = reordered(self.maps, check_order(order, self.experts))


def make_token_maps(experts: int, token_size: int, features: int) -> nn.ModuleList:
    """One three-layer MLP for each agent, from its token to weights of the upscaled features, as in SAM."""
    return nn.ModuleList([MLP(token_size, token_size, features, 3) for _ in range(experts + 1)])


def token_maps(mlps: nn.ModuleList, tokens: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    """Maps (B, J + 1, h, w) of the agents: tokens (B, J + 1, T) through their MLPs, times features (B, F, h, w)."""
    if tokens.shape[1] != len(mlps):
        raise ValueError(f"{tokens.shape[1]} tokens given, expected {len(mlps)}, one for each agent")
    weights = torch.stack([mlp(tokens[:, n]) for n, mlp in enumerate(mlps)], dim=1)
    return torch.einsum("bac,bchw->bahw", weights, features.to(weights.dtype))


def reordered(mlps: nn.ModuleList, order: Sequence[int]) -> nn.ModuleList:
    """The experts' MLPs in a new order; the model's stays last."""
    return nn.ModuleList([*[mlps[n] for n in order], mlps[-1]])
