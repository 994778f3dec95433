"""What every segmentor offers: a slice is encoded once and prompted many times.

A segmentor knows nothing about patients: it sees slice views, i.e. float32 arrays in 0..1, and boxes in their pixels.
Reading, windowing, propagation and the way back to the volume are the pipeline's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch


@dataclass(frozen=True)
class Encoding:
    """One slice view (or one whole volume, for 3D nets) after the image encoder.

    features: (1, C, h, w) for 2D segmentors, (K, D, H, W) class logits for 3D nets; half or single precision.
    shape: size of what was encoded before resizing and padding: (H, W), or (D, H, W) for 3D nets.
    image: the network's input, float32 in 0..1, shape (Hn, Wn), for heads that want to see it; None for 3D nets.
    """

    features: torch.Tensor
    shape: tuple[int, ...]
    image: np.ndarray | None = None

    def halved(self) -> Encoding:
        """The same encoding with features in float16, half as dear to keep (2 MB for 256 x 64 x 64)."""
        return self if self.features.dtype == torch.float16 else replace(self, features=self.features.half())

    @property
    def nbytes(self) -> int:
        """Bytes that keeping this encoding costs."""
        return self.features.nbytes + (0 if self.image is None else self.image.nbytes)


@dataclass(frozen=True)
class Prediction:
    """What a segmentor says about one encoding: B prompts (or B foreground classes) on the slice view's own grid.

    logits: (B, H, W) float32 foreground logits; (B, D, H, W) for 3D nets.
    features: (B, F, h, w) decoder features, if they were asked for and the network has them.
    low_res_logits: (B, h, w) logits before cropping and resizing.
    iou: (B,) the network's own estimate of its quality, in about 0..1.
    """

    logits: torch.Tensor
    features: torch.Tensor | None = None
    low_res_logits: torch.Tensor | None = None
    iou: torch.Tensor | None = None


class Segmentor(Protocol):
    """A base network behind one face.

    name: for people, as it stands in the report.
    needs_box: False for nets that segment their own classes without a prompt.
    whole_volume: True if `encode` wants the full stack at once and answers with one encoding (3D nets).
    classes: names of the classes that `decode` answers with when it needs no box; empty otherwise.
    """

    name: str
    needs_box: bool
    whole_volume: bool
    device: torch.device
    classes: tuple[str, ...]

    def encode(self, slices: np.ndarray) -> list[Encoding]:
        """Encode a stack (N, H, W) of float32 in 0..1: N encodings, or a single one if `whole_volume`."""
        ...

    def decode(self, encoding: Encoding, boxes: np.ndarray | None, with_features: bool = False) -> Prediction:
        """Segment an encoding.

        boxes: (B, 4) float32 x0, y0, x1, y1 in pixels of the slice view, pixel centers at integers (x along W);
        None for segmentors that need no box, then B is the number of classes.
        """
        ...
