"""LiteMedSAM's image encoder: TinyViT-5M without early downsampling, assembled from the blocks of `timm`.

TinyViT (Wu et al., ECCV 2022) as the LiteMedSAM branch of bowang-lab/MedSAM sets it up. It differs from the
classifier in four places: the patch embedding is two 1 x 1 convolutions of stride 1, so that the first stage works on
all 256 x 256 pixels; the last of the three mergings has stride 1, so that the embedding stays at 64 x 64; the head is
SAM's neck (1 x 1 and 3 x 3 convolutions with layer normalization); and windows are padded where they do not fit.
"""

from __future__ import annotations

import torch
from segment_anything.modeling.common import LayerNorm2d
from timm.models.tiny_vit import ConvLayer, ConvNorm, PatchMerging, TinyVitStage
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

WIDTHS = (64, 128, 160, 320)
DEPTHS = (2, 2, 6, 2)
HEADS = (2, 4, 5, 10)
WINDOWS = (7, 7, 14, 7)
STRIDES = (1, 2, 2, 1)
"""Of the merging in front of each stage; the first stage has none."""
EMBEDDING = 256
"""Channels of the image embedding."""


class PixelEmbed(nn.Sequential):
    """Two 1 x 1 convolutions: every pixel becomes a token. (B, 3, H, W) to (B, 64, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(3, width // 2)
        self.act = nn.GELU()
        self.conv2 = ConvNorm(width // 2, width)


class TinyViTEncoder(nn.Module):
    """(B, 3, H, W) in 0..1 to the image embedding (B, 256, H/4, W/4); LiteMedSAM uses H = W = 256."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = PixelEmbed(WIDTHS[0])
        self.stages = nn.Sequential(ConvLayer(dim=WIDTHS[0], depth=DEPTHS[0], act_layer=nn.GELU))
        for before, width, depth, heads, window, stride in zip(
            WIDTHS, WIDTHS[1:], DEPTHS[1:], HEADS[1:], WINDOWS[1:], STRIDES[1:], strict=False
        ):
            stage = TinyVitStage(
                dim=before,
                out_dim=width,
                depth=depth,
                num_heads=heads,
                window_size=window,
                downsample=PatchMerging,
                act_layer=nn.GELU,
            )
            stage.downsample.conv2.conv.stride = (stride, stride)
            self.stages.append(stage)
        self.neck = nn.Sequential(
            nn.Conv2d(WIDTHS[-1], EMBEDDING, kernel_size=1, bias=False),
            LayerNorm2d(EMBEDDING),
            nn.Conv2d(EMBEDDING, EMBEDDING, kernel_size=3, padding=1, bias=False),
            LayerNorm2d(EMBEDDING),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Embed images (B, 3, H, W)."""
        return self.neck(self.stages(self.patch_embed(image)))

    def halves(self, stages: int) -> tuple[nn.Module, nn.Module]:
        """The embedding with the first `stages` stages, and the rest; one after the other they are the encoder."""
        return nn.Sequential(self.patch_embed, *self.stages[:stages]), nn.Sequential(*self.stages[stages:], self.neck)


def fold_batch_norms(module: nn.Module) -> nn.Module:
    """Fold every batch normalization into its convolution, in place; for inference only, the outputs stay the same."""
    for part in module.modules():
        if isinstance(part, ConvNorm) and isinstance(part.bn, nn.BatchNorm2d):
            part.conv = fuse_conv_bn_eval(part.conv.eval(), part.bn.eval())
            part.bn = nn.Identity()
    return module
