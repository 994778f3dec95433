"""SAM's prompt encoder and mask decoder for box prompts, from `segment_anything`, for every SAM-like segmentor."""

from __future__ import annotations

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
from torch import nn

EMBEDDING = 256
"""Channels of the image embedding."""


def make_prompt_encoder(input_size: int, grid: int) -> PromptEncoder:
    """SAM's prompt encoder for a square input of `input_size` pixels and an embedding of `grid` x `grid` tokens."""
    return PromptEncoder(
        embed_dim=EMBEDDING,
        image_embedding_size=(grid, grid),
        input_image_size=(input_size, input_size),
        mask_in_chans=16,
    )


def make_mask_decoder() -> MaskDecoder:
    """SAM's mask decoder: two-way transformer of depth 2, three multimask outputs (unused) and a single one."""
    return MaskDecoder(
        num_multimask_outputs=3,
        transformer=TwoWayTransformer(depth=2, embedding_dim=EMBEDDING, mlp_dim=2048, num_heads=8),
        transformer_dim=EMBEDDING,
        iou_head_depth=3,
        iou_head_hidden_dim=256,
    )


class BoxDecoder(nn.Module):
    """Boxes on an image embedding to one mask each, in a form that gives decoder features and can be traced.

    The single-mask token alone is evaluated; the logits are those of `MaskDecoder` with `multimask_output=False`.
    Build it after the weights have been loaded: the positional encoding of the grid is computed once.
    """

    position: torch.Tensor

    def __init__(self, prompt_encoder: PromptEncoder, mask_decoder: MaskDecoder) -> None:
        super().__init__()
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        self.register_buffer("position", prompt_encoder.get_dense_pe().detach(), persistent=False)

    def forward(self, embedding: torch.Tensor, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Decode boxes (B, 2, 2), corners x, y in network pixels, on one embedding (1, 256, h, w).

        Returns logits (B, 4h, 4w), decoder features (B, 32, 4h, 4w) and estimated qualities (B,).
        """
        decoder = self.mask_decoder
        sparse, dense = self.prompt_encoder(points=None, boxes=boxes, masks=None)
        prompts = sparse.shape[0]
        outputs = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight], dim=0)
        tokens = torch.cat([outputs.unsqueeze(0).expand(prompts, -1, -1), sparse], dim=1)
        image = embedding + dense
        hidden, image = decoder.transformer(image, self.position.expand(prompts, -1, -1, -1), tokens)
        height, width = embedding.shape[-2:]
        features = decoder.output_upscaling(image.transpose(1, 2).reshape(prompts, EMBEDDING, height, width))
        weights = decoder.output_hypernetworks_mlps[0](hidden[:, 1])
        logits = torch.einsum("bc,bchw->bhw", weights, features)
        return logits, features, decoder.iou_prediction_head(hidden[:, 0])[:, 0]
