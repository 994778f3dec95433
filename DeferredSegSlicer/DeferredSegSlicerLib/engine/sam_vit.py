"""SAM and MedSAM with the ViT-B encoder, at their native 1024 pixels or at 256 with interpolated positions.

The encoder, prompt encoder and mask decoder are those of `segment_anything`; MedSAM (Ma et al., Nature Communications
15:654, 2024) has the same architecture and feeds whole slices, stretched to a square, in 0..1 without mean and
standard deviation of natural images. Masks have a quarter of the input's size: 256 x 256, or 64 x 64 at 256 pixels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

import torch
from segment_anything.modeling import ImageEncoderViT
from torch import nn
from torch.nn import functional

from ..core.errors import BadInputError
from .box_segmentor import BoxSegmentor
from .sam_decoder import EMBEDDING, BoxDecoder, make_mask_decoder, make_prompt_encoder
from .weights import load_strictly

PATCH = 16
GLOBAL_BLOCKS = (2, 5, 8, 11)
NATIVE_SIZE = 1024
SIZES = (1024, 512, 256)


class SamViT(nn.Module):
    """SAM ViT-B for square inputs of `input_size` pixels; its tensors have the names of the original checkpoints."""

    def __init__(self, input_size: int = NATIVE_SIZE) -> None:
        super().__init__()
        if input_size not in SIZES:
            raise BadInputError(f"SAM input size is {input_size}, expected one of {', '.join(map(str, SIZES))}")
        self.input_size = input_size
        self.image_encoder = ImageEncoderViT(
            img_size=input_size,
            patch_size=PATCH,
            embed_dim=768,
            depth=12,
            num_heads=12,
            mlp_ratio=4,
            out_chans=EMBEDDING,
            qkv_bias=True,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=14,
            global_attn_indexes=GLOBAL_BLOCKS,
        )
        self.prompt_encoder = make_prompt_encoder(input_size, input_size // PATCH)
        self.mask_decoder = make_mask_decoder()


def load_sam(tensors: Mapping[str, torch.Tensor], source: str, input_size: int = NATIVE_SIZE) -> SamViT:
    """SAM ViT-B with a checkpoint's tensors, of the native size or already of `input_size`.

    pixel_mean and pixel_std, which some checkpoints carry, are left out, as MedSAM does not use them.
    BadInputError names a missing, extra or misshapen tensor and says how many of how many matched.
    """
    network = SamViT(input_size)
    wanted = {name: tensor for name, tensor in tensors.items() if name not in ("pixel_mean", "pixel_std")}
    load_strictly(network, resize_positions(wanted, input_size // PATCH), source)
    return network.eval().requires_grad_(False)


def resize_positions(tensors: Mapping[str, torch.Tensor], grid: int) -> dict[str, torch.Tensor]:
    """Position tensors fitted to an embedding of `grid` x `grid` tokens; all others as they are.

    The absolute positions (1, h, w, 768) are interpolated bicubically, the relative ones of the global blocks
    (2h - 1, 64) linearly; the windowed blocks' relative positions do not depend on the size.
    """
    resized = dict(tensors)
    for name, tensor in tensors.items():
        if name == "image_encoder.pos_embed" and tensor.ndim == 4 and tensor.shape[1:3] != (grid, grid):
            image = functional.interpolate(
                tensor.float().permute(0, 3, 1, 2), size=(grid, grid), mode="bicubic", align_corners=False
            )
            resized[name] = image.permute(0, 2, 3, 1)
        match = re.fullmatch(r"image_encoder\.blocks\.(\d+)\.attn\.rel_pos_[hw]", name)
        if match and int(match[1]) in GLOBAL_BLOCKS and tensor.ndim == 2 and tensor.shape[0] != 2 * grid - 1:
            line = functional.interpolate(tensor.float().T[None], size=2 * grid - 1, mode="linear", align_corners=False)
            resized[name] = line[0].T.contiguous()
    return resized


def make_sam(network: SamViT, device: torch.device, name: str = "MedSAM ViT-B") -> BoxSegmentor:
    """A segmentor around `network`, which is moved to `device`; on a GPU it encodes in float16 batches of 2."""
    network.eval().to(device)
    decoder = BoxDecoder(network.prompt_encoder, network.mask_decoder).eval().to(device)
    batch = 2 if device.type == "cuda" else 1
    return BoxSegmentor(name, network.image_encoder, decoder, network.input_size, "stretch", device, batch)
