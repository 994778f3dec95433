"""LiteMedSAM: TinyViT encoder, SAM prompt encoder and mask decoder, 256 x 256 in and out."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping

import torch
from torch import nn

from .box_segmentor import BoxSegmentor, Encoder
from .openvino_encoder import OpenVinoEncoder, openvino_is_installed
from .sam_decoder import BoxDecoder, make_mask_decoder, make_prompt_encoder
from .tiny_vit import TinyViTEncoder, fold_batch_norms
from .weights import load_strictly

INPUT_SIZE = 256
GRID = 64
CPU_BATCH = 16
"""Slices handed to OpenVINO at once; it works on a few of them at a time."""
GPU_BATCH = 16
"""Slices encoded at once on a GPU; the first stage alone keeps 256 channels at full resolution, 34 MB a slice."""

_RENAMES = (
    (r"^image_encoder\.patch_embed\.seq\.0\.", "image_encoder.patch_embed.conv1."),
    (r"^image_encoder\.patch_embed\.seq\.2\.", "image_encoder.patch_embed.conv2."),
    (r"^image_encoder\.layers\.0\.downsample\.", "image_encoder.stages.1.downsample."),
    (r"^image_encoder\.layers\.1\.downsample\.", "image_encoder.stages.2.downsample."),
    (r"^image_encoder\.layers\.2\.downsample\.", "image_encoder.stages.3.downsample."),
    (r"^image_encoder\.layers\.(\d)\.blocks\.", r"image_encoder.stages.\1.blocks."),
    (r"^(image_encoder\..*)\.c\.weight$", r"\1.conv.weight"),
)


class LiteMedSAM(nn.Module):
    """The whole network, with batch normalizations, as it is stored and fine-tuned."""

    def __init__(self) -> None:
        super().__init__()
        self.image_encoder = TinyViTEncoder()
        self.prompt_encoder = make_prompt_encoder(INPUT_SIZE, GRID)
        self.mask_decoder = make_mask_decoder()


def rename_reference_tensor(name: str) -> str:
    """Our name for a tensor of bowang-lab's `lite_medsam.pth`.

    Theirs merges at the end of a stage and ours at the beginning of the next, as `timm` does.
    """
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


def load_litemedsam(tensors: Mapping[str, torch.Tensor], source: str) -> LiteMedSAM:
    """The network with `tensors` in it, ready for inference; BadInputError naming any missing or extra tensor.

    source: what to call the tensors in an error, e.g. the file's path.
    """
    network = LiteMedSAM()
    load_strictly(network, tensors, source)
    return network.eval()


def make_litemedsam(
    network: LiteMedSAM,
    device: torch.device,
    name: str = "LiteMedSAM",
    backend: str = "auto",
    threads: int | None = None,
    precision: str = "auto",
) -> BoxSegmentor:
    """A segmentor around `network`, which is left as it is.

    backend: "torch", "openvino" (CPU only), or "auto": OpenVINO on the CPU where it is installed. The decoder always
    runs in torch, where it is as fast.
    threads, precision: for OpenVINO, see `openvino_encoder.OpenVinoEncoder`.
    """
    folded = copy.deepcopy(network).eval().requires_grad_(False)
    fold_batch_norms(folded)
    decoder = BoxDecoder(folded.prompt_encoder, folded.mask_decoder).eval().requires_grad_(False).to(device)
    encoder: Encoder
    if device.type == "cpu" and (backend == "openvino" or (backend == "auto" and openvino_is_installed())):
        encoder = OpenVinoEncoder(folded.image_encoder, INPUT_SIZE, threads, precision)
        batch = CPU_BATCH
        arithmetic = f"OpenVINO {encoder.precision}"
    else:
        encoder = folded.image_encoder.to(device).to(memory_format=torch.channels_last)
        batch = GPU_BATCH if device.type == "cuda" else 1
        arithmetic = "torch f16" if device.type == "cuda" else "torch f32"
    return BoxSegmentor(name, encoder, decoder, INPUT_SIZE, "pad", device, batch, arithmetic)
