"""Averaged weights: smoother than those of the last step, and what is validated and exported if they are on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from .weights_of import load_into


class AveragedWeights:
    """An exponential moving average of named tensors.

        average <- decay average + (1 - decay) weights,  decay_n = min(decay, (1 + n) / (10 + n))

    The smaller decay of the first updates n keeps the random start out of the average. Tensors that are not floating
    point (counters of batch norm) are copied.
    """

    def __init__(self, weights: Mapping[str, torch.Tensor], decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.average = {name: tensor.detach().clone() for name, tensor in weights.items()}

    @torch.no_grad()
    def update(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Take in the weights after an optimizer step."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        for name, tensor in weights.items():
            if tensor.is_floating_point():
                self.average[name].lerp_(tensor.detach(), 1 - decay)
            else:
                self.average[name].copy_(tensor)

    @contextmanager
    def in_place_of(self, weights: Mapping[str, torch.Tensor]) -> Iterator[None]:
        """Within the block the model has the averaged weights; `weights` are its live tensors."""
        kept = {name: tensor.detach().clone() for name, tensor in weights.items()}
        load_into(weights, self.average)
        try:
            yield
        finally:
            load_into(weights, kept)
