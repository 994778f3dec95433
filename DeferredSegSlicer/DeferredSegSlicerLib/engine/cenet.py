"""CENet, a 2D encoder-decoder, written from its published description; weights of the authors do not fit it.

Source: Bozorgpour, Kolahi, Azad, Hacihaliloglu, Merhof, "CENet: Context Enhancement Network", MICCAI 2025
(arXiv 2505.18423). Where the description leaves a layer open, the docstring says what was chosen.
"""

from __future__ import annotations

import timm
import torch
from torch import nn

from .cenet_blocks import ContextAggregation, EdgeBoostedSkip, ResidualBlock, UpBlock

RATES = ((2, 3, 5), (1, 2, 4), (1, 2, 3), (1, 2, 2))
"""Dilations of the context aggregation at 1/4, 1/8, 1/16 and 1/32 of the input's resolution."""
HEADS = (8, 8, 16)
"""Attention heads of the skips at 1/4, 1/8 and 1/16."""
STEM = 32
"""Channels at half resolution, from the decoder and from the input each."""


class CENet(nn.Module):
    """PVTv2-B2 encoder, edge-boosted skips, and context aggregation after every step up.

    The last feature map, (B, 64, H / 2, W / 2), enters `output_block`, where a routing head can tap it.

    Parameters
    ----------
    classes : number of classes C, background included (1 for a single foreground logit).
    encoder : name of the encoder in `timm`, "pvt_v2_b2" as published; "pvt_v2_b0" and "pvt_v2_b1" are smaller.
    """

    def __init__(self, classes: int, encoder: str = "pvt_v2_b2") -> None:
        super().__init__()
        self.encoder = timm.create_model(encoder, pretrained=False, features_only=True)
        channels = tuple(self.encoder.feature_info.channels())
        self.bottom = ContextAggregation(channels[3], RATES[3])
        self.ups = nn.ModuleList([UpBlock(channels[n + 1], channels[n]) for n in (2, 1, 0)])
        self.skips = nn.ModuleList([EdgeBoostedSkip(channels[n], HEADS[n]) for n in (2, 1, 0)])
        self.contexts = nn.ModuleList([ContextAggregation(channels[n], RATES[n]) for n in (2, 1, 0)])
        self.last_up = UpBlock(channels[0], STEM)
        self.stem = nn.Sequential(ResidualBlock(3, STEM, kernel=5), nn.MaxPool2d(2))
        self.stem_weight = nn.Parameter(torch.ones(1, STEM, 1, 1))
        self.output_block = nn.Sequential(
            ResidualBlock(2 * STEM, 2 * STEM, kernel=3),
            nn.Conv2d(2 * STEM, classes, 1),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Class logits (B, C, H, W) of images (B, 1 or 3, H, W); H and W are multiples of 32.

        Raises
        ------
        ValueError : sides that are not multiples of 32, or another number of channels.
        """
        if images.ndim != 4 or images.shape[1] not in (1, 3) or any(side % 32 for side in images.shape[2:]):
            raise ValueError(f"images have shape {tuple(images.shape)}, expected (B, 1 or 3, H, W), sides in 32s")
        if images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        features = self.encoder(images)
        x = self.bottom(features[3])
        for up, skip, context, encoded in zip(self.ups, self.skips, self.contexts, features[2::-1], strict=True):
            x = up(x)
            x = context(x + skip(encoded, x))
        x = torch.cat([self.last_up(x), self.stem_weight * self.stem(images)], dim=1)
        logits: torch.Tensor = self.output_block(x)
        return logits
