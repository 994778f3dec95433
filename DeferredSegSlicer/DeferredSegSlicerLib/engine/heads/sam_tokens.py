"""A SAM mask decoder with one more mask token for every agent, beside or within the pretrained tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from segment_anything.modeling import MaskDecoder
from segment_anything.modeling.transformer import TwoWayAttentionBlock
from torch import nn

from .base import check_order


@dataclass(frozen=True)
class SamDecoded:
    """logits (B, 1, h, w), iou (B, 1), features (B, T / 8, h, w), tokens (B, J + 1, T), model last."""

    logits: torch.Tensor
    iou: torch.Tensor
    features: torch.Tensor
    tokens: torch.Tensor


class SamTokenDecoder(nn.Module):
    """Runs a mask decoder with J + 1 extra tokens, one for every agent.

    isolated=True: the new tokens read the pretrained tokens and the image, but nothing reads them. Masks, qualities
    and features are those of the plain decoder whatever the new tokens learn, at the price of J + 1 more queries:
    the right thing on a frozen segmentor.
    isolated=False: they take part like all the other tokens, as DeferredSeg publishes it; masks change.

    Parameters
    ----------
    decoder : taken over, not copied. experts : J.
    fresh_mask_mlps : re-create the pretrained mask MLPs, as in the released code (a slip, hence off by default).
    """

    def __init__(
        self, decoder: MaskDecoder, experts: int, isolated: bool = True, fresh_mask_mlps: bool = False
    ) -> None:
        super().__init__()
        if experts < 1:
            raise ValueError(f"a decoder with agents' tokens needs at least one expert, got {experts}")
        self.decoder = decoder
        self.experts = experts
        self.isolated = isolated
        self.agent_tokens = nn.Embedding(experts + 1, decoder.transformer_dim)
        if fresh_mask_mlps:
            for module in decoder.output_hypernetworks_mlps.modules():
                if isinstance(module, nn.Linear):
                    module.reset_parameters()

    def forward(
        self, image: torch.Tensor, position: torch.Tensor, sparse: torch.Tensor, dense: torch.Tensor
    ) -> SamDecoded:
        """Decode B prompts on one image or on B images.

        Parameters
        ----------
        image : (1 or B, T, h, w) embedding. position : (1, T, h, w) positional encoding of its grid.
        sparse : (B, n, T) and dense : (B, T, h, w), or (1, T, 1, 1)-like, from the prompt encoder.
        """
        decoder = self.decoder
        prompts = len(sparse)
        pretrained = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        agents = self.agent_tokens.weight.expand(prompts, -1, -1)
        first = len(pretrained)
        pretrained = pretrained.expand(prompts, -1, -1)
        source = (image + dense).expand(prompts, -1, -1, -1)
        place = position.expand(prompts, -1, -1, -1)
        if self.isolated:
            hidden, new, keys = self._isolated(source, place, torch.cat([pretrained, sparse], dim=1), agents)
        else:
            hidden, keys = decoder.transformer(source, place, torch.cat([pretrained, agents, sparse], dim=1))
            new = hidden[:, first : first + self.experts + 1]
        features = decoder.output_upscaling(keys.transpose(1, 2).reshape(source.shape))
        weights = decoder.output_hypernetworks_mlps[0](hidden[:, 1])
        logits = torch.einsum("bc,bchw->bhw", weights, features).unsqueeze(1)
        return SamDecoded(logits, decoder.iou_prediction_head(hidden[:, 0])[:, :1], features, new)

    def reorder_experts(self, order: Sequence[int]) -> None:
        """Token n becomes what expert order[n]'s was; the model's stays last."""
        rows = [*check_order(order, self.experts), self.experts]
        with torch.no_grad():
            self.agent_tokens.weight.copy_(self.agent_tokens.weight[rows].clone())

    def _isolated(
        self, source: torch.Tensor, place: torch.Tensor, tokens: torch.Tensor, agents: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The two-way transformer on the pretrained tokens, and what the agents' tokens read from it."""
        transformer = self.decoder.transformer
        keys = source.flatten(2).permute(0, 2, 1)
        key_place = place.flatten(2).permute(0, 2, 1)
        queries, new = tokens, agents
        for layer in transformer.layers:
            new = _read(layer, new, agents, queries, tokens, keys, key_place)
            queries, keys = layer(queries=queries, keys=keys, query_pe=tokens, key_pe=key_place)
        # Attention and norm work token by token here, so both sets of tokens can go together.
        count = queries.shape[1]
        together = torch.cat([queries, new], dim=1)
        asked = torch.cat([queries + tokens, new + agents], dim=1)
        together = together + transformer.final_attn_token_to_image(q=asked, k=keys + key_place, v=keys)
        together = transformer.norm_final_attn(together)
        return together[:, :count], together[:, count:], keys


def _read(
    layer: TwoWayAttentionBlock,
    new: torch.Tensor,
    new_place: torch.Tensor,
    queries: torch.Tensor,
    query_place: torch.Tensor,
    keys: torch.Tensor,
    key_place: torch.Tensor,
) -> torch.Tensor:
    """One layer for tokens that read but are not read: (B, J + 1, T) to the same."""
    everyone = torch.cat([queries, new], dim=1)
    if layer.skip_first_layer_pe:
        new = layer.self_attn(q=new, k=everyone, v=everyone)
    else:
        placed = torch.cat([queries + query_place, new + new_place], dim=1)
        new = new + layer.self_attn(q=new + new_place, k=placed, v=everyone)
    new = layer.norm1(new)
    new = layer.norm2(new + layer.cross_attn_token_to_image(q=new + new_place, k=keys + key_place, v=keys))
    normed: torch.Tensor = layer.norm3(new + layer.mlp(new))
    return normed
