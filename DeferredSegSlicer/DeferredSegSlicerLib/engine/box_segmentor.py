"""A segmentor made of an image encoder and SAM's box decoder: resizing in, resizing out, batches, precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch.nn import functional

from ..core.errors import BadInputError
from .devices import in_shrinking_batches
from .segmentor import Encoding, Prediction

Encoder = Callable[[torch.Tensor], torch.Tensor]
"""(N, 3, S, S) float32 in 0..1 to embeddings (N, 256, h, w)."""
Decoder = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
"""Embedding (1, 256, h, w) and boxes (B, 2, 2) to logits, features and qualities; see `sam_decoder.BoxDecoder`."""


class BoxSegmentor:
    """A prompted 2D segmentor; implements `segmentor.Segmentor`.

    fit: "pad" resizes the longest side to the network's input by area averaging and pads with zeros at the bottom and
    right (LiteMedSAM); "stretch" resizes both sides bicubically and so gives up the aspect ratio (MedSAM).
    batch: how many slices are encoded at once; halved by itself when the memory does not suffice.
    arithmetic: what computes the embedding and in which precision, for the case's record.
    """

    needs_box = True
    whole_volume = False
    classes: tuple[str, ...] = ()

    def __init__(
        self,
        name: str,
        encoder: Encoder,
        decoder: Decoder,
        input_size: int,
        fit: Literal["pad", "stretch"],
        device: torch.device,
        batch: int = 1,
        arithmetic: str = "torch f32",
    ) -> None:
        self.name = name
        self.encoder = encoder
        self.decoder = decoder
        self.input_size = input_size
        self.fit = fit
        self.device = device
        self.batch = batch
        self.arithmetic = arithmetic

    @torch.inference_mode()
    def encode(self, slices: np.ndarray) -> list[Encoding]:
        """Encode slice views (N, H, W), float32 in 0..1, one by one or in batches on a GPU (there in float16)."""
        if slices.ndim != 3 or 0 in slices.shape:
            raise BadInputError(f"slices to encode have shape {slices.shape}, expected (N, H, W) with no empty axis")
        return in_shrinking_batches(self._encode_batch, slices, self.batch, self.device)

    def _encode_batch(self, slices: np.ndarray) -> list[Encoding]:
        height, width = slices.shape[1:]
        stack = torch.from_numpy(np.ascontiguousarray(slices, dtype=np.float32)).to(self.device)
        inputs = self._to_network(stack)
        with torch.autocast(self.device.type, torch.float16, enabled=self.device.type == "cuda"):
            features = self.encoder(self._three_channels(inputs))
        images = inputs.cpu().numpy()
        return [
            Encoding(features=features[index : index + 1].clone(), shape=(height, width), image=images[index])
            for index in range(len(slices))
        ]

    def _three_channels(self, inputs: torch.Tensor) -> torch.Tensor:
        """(N, S, S) to (N, 3, S, S): three equal channels, laid out as the torch encoders like it best."""
        return inputs[:, None].expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def decode(self, encoding: Encoding, boxes: np.ndarray | None, with_features: bool = False) -> Prediction:
        """Segment boxes (B, 4) x0, y0, x1, y1 in pixels of the slice view; all boxes go through the decoder at once."""
        if boxes is None:
            raise BadInputError(f'segmentor "{self.name}" needs a box for every structure, got none')
        corners = np.asarray(boxes, dtype=np.float32)
        if corners.ndim != 2 or corners.shape[1] != 4 or not np.isfinite(corners).all():
            raise BadInputError(f"boxes have shape {corners.shape}, expected (B, 4) finite numbers x0, y0, x1, y1")
        height, width = encoding.shape
        new_height, new_width = self._fitted(height, width)
        scale = self._box_scale(height, width)
        prompts = torch.from_numpy(corners).to(self.device).reshape(-1, 2, 2) * torch.tensor(scale, device=self.device)
        low, features, iou = self.decoder(encoding.features.to(self.device).float(), prompts)
        rows = round(low.shape[-2] * new_height / self.input_size)
        columns = round(low.shape[-1] * new_width / self.input_size)
        logits = functional.interpolate(low[:, None, :rows, :columns], size=(height, width), mode="bilinear")[:, 0]
        return Prediction(logits=logits, features=features if with_features else None, low_res_logits=low, iou=iou)

    def _fitted(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the network's input that the slice view fills."""
        if self.fit == "stretch":
            return self.input_size, self.input_size
        scale = self.input_size / max(height, width)
        return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))

    def _box_scale(self, height: int, width: int) -> tuple[float, float]:
        """Factors for x and y from the slice view's pixels to the network's."""
        if self.fit == "stretch":
            return self.input_size / width, self.input_size / height
        return self.input_size / max(height, width), self.input_size / max(height, width)

    def _to_network(self, stack: torch.Tensor) -> torch.Tensor:
        """Slice views (N, H, W) to network inputs (N, S, S), min-max to 0..1 per slice."""
        rows, columns = self._fitted(*stack.shape[1:])
        if self.fit == "stretch":
            resized = functional.interpolate(stack[:, None], size=(rows, columns), mode="bicubic", antialias=True)[:, 0]
        else:
            resized = resize_by_area(stack, rows, columns)
        low = resized.amin(dim=(1, 2), keepdim=True)
        high = resized.amax(dim=(1, 2), keepdim=True)
        scaled = (resized - low) / (high - low).clamp(min=1e-8)
        return functional.pad(scaled, (0, self.input_size - columns, 0, self.input_size - rows))


def resize_by_area(stack: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Resize (N, H, W) to (N, rows, columns): exact area averages where it shrinks, linear where it grows.

    The same as OpenCV's INTER_AREA, which LiteMedSAM was trained with.
    """
    vertical = _resize_weights(stack.shape[1], rows).to(stack)
    horizontal = _resize_weights(stack.shape[2], columns).to(stack)
    return vertical @ stack @ horizontal.T


def _resize_weights(old: int, new: int) -> torch.Tensor:
    """Weights (new, old) of a one-dimensional resize; every row sums to 1."""
    if old == new:
        return torch.eye(old)
    step = old / new
    cells = torch.arange(old, dtype=torch.float64)
    target = torch.arange(new, dtype=torch.float64)[:, None]
    if step > 1:
        overlap = torch.minimum((target + 1) * step, cells + 1) - torch.maximum(target * step, cells)
        weights = overlap.clamp(min=0)
    else:
        center = ((target + 0.5) * step - 0.5).clamp(0, old - 1)
        weights = (1 - (center - cells).abs()).clamp(min=0)
    return (weights / weights.sum(dim=1, keepdim=True)).float()
