"""Losses of the segmentor itself, for one-stage training: cross-entropy plus Dice, binary and multi-class."""

from __future__ import annotations

import torch
from torch.nn import functional

from .voxels import masked_mean


def mask_loss(logits: torch.Tensor, truth: torch.Tensor, valid: torch.Tensor | None = None) -> torch.Tensor:
    """BCE-with-logits plus soft Dice for a binary mask.

    Parameters
    ----------
    logits, truth : (B, *S), foreground logit and 0 / 1. valid : (B, *S) or None.
    """
    logits, truth = logits.float(), truth.float()
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    dice = soft_dice_loss(torch.sigmoid(logits).unsqueeze(1), truth.unsqueeze(1), valid)
    return masked_mean(cross_entropy, valid) + dice


def class_loss(logits: torch.Tensor, labels: torch.Tensor, valid: torch.Tensor | None = None) -> torch.Tensor:
    """Cross-entropy plus soft Dice over the foreground classes.

    Parameters
    ----------
    logits : (B, C, *S), class 0 is background. labels : (B, *S), integers 0..C-1. valid : (B, *S) or None.
    """
    logits, labels = logits.float(), labels.long()
    cross_entropy = functional.cross_entropy(logits, labels, reduction="none")
    one_hot = functional.one_hot(labels, logits.shape[1]).movedim(-1, 1).float()
    dice = soft_dice_loss(torch.softmax(logits, dim=1)[:, 1:], one_hot[:, 1:], valid)
    return masked_mean(cross_entropy, valid) + dice


def soft_dice_loss(
    probability: torch.Tensor, truth: torch.Tensor, valid: torch.Tensor | None = None, smooth: float = 1.0
) -> torch.Tensor:
    """1 - (2 sum p y + s) / (sum p + sum y + s), per sample and class, then the mean.

    Source: Milletari, Navab, Ahmadi 2016 (V-Net), denominator without squares.

    Parameters
    ----------
    probability, truth : (B, C, *S) in 0..1. valid : (B, *S) or None. smooth : voxels.
    """
    probability, truth = probability.float(), truth.float()
    if valid is not None:
        weights = valid.float().unsqueeze(1)
        probability, truth = probability * weights, truth * weights
    space = tuple(range(2, probability.ndim))
    overlap = (probability * truth).sum(dim=space)
    size = probability.sum(dim=space) + truth.sum(dim=space)
    return (1 - (2 * overlap + smooth) / (size + smooth)).mean()


def released_mask_loss(
    logits: torch.Tensor, truth: torch.Tensor, valid: torch.Tensor | None = None, double_sigmoid: bool = False
) -> torch.Tensor:
    """Segmentation part of the released collaboration loss: BCE alone.

    With `double_sigmoid` the probability sigmoid(z) is taken as the logit, as in the released code (a slip: the loss
    cannot fall below 0.693 on background and 0.313 on foreground).

    Source: Tian et al., DeferredSeg (arXiv 2604.12411), formulas as released.

    Parameters
    ----------
    logits, truth : (B, *S). valid : (B, *S) or None.
    """
    logits, truth = logits.float(), truth.float()
    if double_sigmoid:
        logits = torch.sigmoid(logits)
    return masked_mean(functional.binary_cross_entropy_with_logits(logits, truth, reduction="none"), valid)
