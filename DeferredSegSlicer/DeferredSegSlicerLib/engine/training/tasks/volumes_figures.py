"""What a routed volume is worth: zone, errors found, the system at a budget; and the fit of the error probability."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from ....core.budgets import voxels_of_share
from ....core.metrics.error_detection import area_under_generalized_risk, area_under_roc, errors_caught
from ....core.metrics.overlap import dice
from ....core.zone import dilated
from ...volume_head import ErrorFit
from ...volume_routing import SMALLEST, lead_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

FIT_VOXELS = 20_000
"""Voxels of each validation volume that the error probability is fitted to."""


@dataclass(frozen=True)
class RoutedVolume:
    """A volume after the network, in main memory.

    Attributes
    ----------
    logits : float32 (C, D, H, W).
    routing : float32 (J + 1, D, H, W), model last, and wrong : (D, H, W), the head's doubt; None without a head.
    truth : uint8 (D, H, W). experts : uint8 (J, D, H, W). zone : bool (D, H, W), the decision zone.
    """

    logits: torch.Tensor
    routing: torch.Tensor | None
    truth: NDArray[np.uint8]
    experts: NDArray[np.uint8]
    zone: NDArray[np.bool_]
    wrong: torch.Tensor | None = None

    @property
    def labels(self) -> NDArray[np.uint8]:
        """The network's own labels."""
        return self.logits.argmax(dim=0).to(torch.uint8).numpy()

    @property
    def lead(self) -> NDArray[np.float32]:
        """How far the best expert is ahead of the model, log p_j - log p_model: the order of deferral."""
        assert self.routing is not None
        return lead_of(self.routing.clamp(min=SMALLEST).log()).numpy()

    @property
    def leader(self) -> NDArray[np.int64]:
        """The best expert of each voxel."""
        assert self.routing is not None
        return self.routing[:-1].argmax(dim=0).numpy()

    @property
    def doubt(self) -> NDArray[np.float32]:
        """1 - (largest - second largest class probability): the softmax margin as a wish to defer."""
        top = torch.softmax(self.logits.float(), dim=0).topk(2, dim=0).values
        return (1 - top[0] + top[1]).numpy()


def band_voxels(band_mm: float, spacing: Sequence[float]) -> list[int]:
    """Reach of the decision zone's band along each axis, as `core.zone.decision_zone` has it."""
    return [math.floor(band_mm / step + 1e-9) for step in spacing]


def zone_of(logits: torch.Tensor, floor: float, radius: Sequence[int]) -> torch.Tensor:
    """The decision zone of class logits (B, C, D, H, W), as 0 and 1 (B, D, H, W), for training."""
    p = torch.softmax(logits.float(), dim=1)[:, 1:].amax(dim=1)
    found = (p.mul(255).round() >= max(1, round(floor * 255))).float().unsqueeze(1)
    for axis, reach in enumerate(radius):
        size = [1, 1, 1]
        size[axis] = 2 * reach + 1
        found = functional.max_pool3d(found, size, stride=1, padding=[s // 2 for s in size])
    return found[:, 0]


def stored_zone(logits: torch.Tensor, floor: float, radius: Sequence[int]) -> NDArray[np.bool_]:
    """The same for one volume (C, D, H, W) after training."""
    p = torch.softmax(logits.float(), dim=0)[1:].amax(dim=0)
    return dilated((p.mul(255).round() >= max(1, round(floor * 255))).numpy(), list(radius))


def mean_dice(labels: NDArray[Any], truth: NDArray[Any], classes: int) -> float:
    """Mean over the classes 1..classes."""
    return float(np.mean([dice(labels == c, truth == c) for c in range(1, classes + 1)]))


def deferred_to(
    order: NDArray[Any], zone: NDArray[np.bool_], budget: float, rng: np.random.Generator | None = None
) -> NDArray[Any]:
    """Flat indices of the voxels of largest `order` that a share of the zone pays for; ties by place or at random."""
    places = np.flatnonzero(zone)
    values = order.ravel()[places]
    if rng is not None:
        shuffled = rng.permutation(len(places))
        places, values = places[shuffled], values[shuffled]
    best = np.argsort(-values, kind="stable")[: voxels_of_share(budget, len(places))]
    return places[best]


def system_labels(volume: RoutedVolume, deferred: NDArray[Any], leader: NDArray[Any]) -> NDArray[np.uint8]:
    """The model's labels, with those of the chosen expert where a voxel is deferred."""
    labels = volume.labels.ravel().copy()
    experts = volume.experts.reshape(len(volume.experts), -1)[:, deferred]
    labels[deferred] = np.take_along_axis(experts, leader.ravel()[deferred][None], axis=0)[0]
    return labels.reshape(volume.truth.shape)


def figures_of(volume: RoutedVolume, names: Sequence[str], budget: float) -> dict[str, float]:
    """Figures of one volume; those of error detection are NaN where the zone has no errors, or nothing else."""
    classes = len(volume.logits) - 1
    figures = {"model_dice": mean_dice(volume.labels, volume.truth, classes)}
    if volume.routing is None:
        return figures
    lead, leader = volume.lead, volume.leader
    deferred = deferred_to(lead, volume.zone, budget)
    figures["system_dice"] = mean_dice(system_labels(volume, deferred, leader), volume.truth, classes)
    wrong = (volume.labels != volume.truth)[volume.zone]
    some = 0 < wrong.sum() < len(wrong)
    for prefix, score in (("", lead), ("margin_", volume.doubt)):
        seen = score[volume.zone]
        figures[f"{prefix}auroc"] = area_under_roc(seen, wrong) if some else math.nan
        figures[f"{prefix}augrc"] = area_under_generalized_risk(seen, wrong) if some else math.nan
        figures[f"{prefix}caught"] = float(errors_caught(seen, wrong, [budget])[0]) if some else math.nan
    share = np.bincount(leader.ravel()[deferred], minlength=len(names)) / max(1, len(deferred))
    return figures | {f"share_{name}": float(value) for name, value in zip(names, share, strict=True)}


def mean_figures(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means over volumes, each over those that have the figure."""
    found: dict[str, float] = {}
    for name in rows[0]:
        values = [row[name] for row in rows if not math.isnan(row[name])]
        found[name] = float(np.mean(values)) if values else math.nan
    return found


def fit_error(volumes: Iterable[RoutedVolume], steps: int = 50) -> ErrorFit:
    """Logistic regression of "the model is wrong" on lead and doubt, over zone voxels, by Newton's method.

    A small penalty on both slopes keeps the fit finite when one of them tells nothing or everything.
    """
    rows, wrongs = [], []
    for volume in volumes:
        assert volume.routing is not None and volume.wrong is not None
        places = np.flatnonzero(volume.zone)
        places = places[:: max(1, len(places) // FIT_VOXELS)]
        odds = torch.logit(volume.wrong, eps=1e-4).numpy().ravel()[places]
        rows.append(np.stack([np.ones(len(places)), volume.lead.ravel()[places], odds], axis=1))
        wrongs.append((volume.labels != volume.truth).ravel()[places])
    x, y = np.concatenate(rows).astype(np.float64), np.concatenate(wrongs).astype(np.float64)
    if not 0 < y.sum() < len(y):
        return ErrorFit()
    weights = np.zeros(3)
    penalty = np.diag([0.0, 1.0, 1.0])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        gradient = x.T @ (p - y) + penalty @ weights
        step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + penalty + 1e-9 * np.eye(3), gradient)
        weights -= np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-6:
            break
    return ErrorFit(*(float(weight) for weight in weights))
