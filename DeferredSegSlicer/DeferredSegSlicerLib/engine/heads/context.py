"""What a head can know of a voxel besides decoder features: doubt of the label, the prompt, the neighboring slices."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

EVIDENCE_CHANNELS = 3
"""Channels of `label_evidence`, whatever the number of classes."""

_LOGIT_LIMIT = 20.0
_LOGIT_SCALE = 5.0


def label_evidence(logits: torch.Tensor) -> torch.Tensor:
    """How sure the segmentor is, in the same three channels for one mask or many classes; float32 (B, 3, *S).

    Channels: foreground log-odds (limited to +-20, divided by 5), 1 - largest class probability, and entropy in
    units of its maximum. Routing so never learns how many classes there are.

    Parameters
    ----------
    logits : (B, 1, *S) foreground logit, or (B, C, *S) with class 0 the background.
    """
    logits = logits.float()
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    log_p = torch.log_softmax(logits, dim=1)
    odds = torch.logsumexp(logits[:, 1:], dim=1) - logits[:, 0]
    doubt = 1 - log_p.amax(dim=1).exp()
    entropy = -(log_p.exp() * log_p).sum(dim=1) / math.log(logits.shape[1])
    return torch.stack([odds.clamp(-_LOGIT_LIMIT, _LOGIT_LIMIT) / _LOGIT_SCALE, doubt, entropy], dim=1)


def distance_to_box(boxes: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Signed Chebyshev distance to the prompt, positive inside, float32 (B, 1, *S).

    In units of an eighth of the longest side of the grid, limited to -1..1.

    Parameters
    ----------
    boxes : (B, 2n) in voxels, lower corner then upper, x first (x along the last axis). shape : S, n axes.
    """
    axes = len(shape)
    if boxes.shape[1:] != (2 * axes,):
        raise ValueError(f"boxes have shape {tuple(boxes.shape)}, expected (B, {2 * axes}) on a grid of {axes} axes")
    boxes = boxes.float()
    nearest: torch.Tensor | None = None
    for axis, size in enumerate(shape):
        column = axes - 1 - axis
        line = torch.arange(size, device=boxes.device, dtype=torch.float32)[None]
        inside = torch.minimum(line - boxes[:, column, None], boxes[:, axes + column, None] - line)
        inside = inside.reshape(len(boxes), *[size if other == axis else 1 for other in range(axes)])
        nearest = inside if nearest is None else torch.minimum(nearest, inside)
    assert nearest is not None
    return (nearest * (8 / max(shape))).clamp(-1, 1).unsqueeze(1)


def neighbor_logits(stack: torch.Tensor, reach: int = 1) -> torch.Tensor:
    """Logits of the slices below and above each slice, (N, 2 * reach, H, W), nearest below first.

    Slices past either end repeat the last one. `logit` of a stored probability serves as well.

    Parameters
    ----------
    stack : (N, H, W) foreground logits of consecutive slices. reach : slices to either side, at least 1.
    """
    if stack.ndim != 3 or reach < 1:
        raise ValueError(f"stack has shape {tuple(stack.shape)} and reach is {reach}, expected (N, H, W) and >= 1")
    index = torch.arange(len(stack), device=stack.device)
    steps = [sign * step for step in range(1, reach + 1) for sign in (-1, 1)]
    return torch.stack([stack[(index + step).clamp(0, len(stack) - 1)] for step in steps], dim=1)


def resized(maps: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """(B, C, *s) on another grid of the same field of view: averages where it shrinks, linear where it grows."""
    old = tuple(maps.shape[2:])
    if old == shape:
        return maps
    if all(new <= size for new, size in zip(shape, old, strict=True)):
        return functional.interpolate(maps, size=shape, mode="area")
    return functional.interpolate(maps, size=shape, mode="bilinear" if len(shape) == 2 else "trilinear")
