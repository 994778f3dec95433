"""The whole loss of each mode, term by term, from a head's routing logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from ..heads.base import RoutingLogits
from .budget import budget_hinge, soft_deferral
from .coherence import edge_aware_total_variation
from .collaboration import consistent_collaboration, released_collaboration
from .guidance import released_guidance
from .load_balance import conditional_load_balance, released_load_balance


@dataclass(frozen=True)
class ReleasedSettings:
    """Weights of mode `released` as released (1, 1, 5); `double_sigmoid` brings the released slip back."""

    collaboration: float = 1.0
    guidance: float = 1.0
    load_balance: float = 5.0
    segmentation: float = 1.0
    double_sigmoid: bool = False


@dataclass(frozen=True)
class ConsistentSettings:
    """Weights of mode `consistent`.

    costs : one for each expert in 0..1, or None. budget : share of the valid voxels that may be deferred.
    sigma : intensity step (image in 0..1) at which coherence is cut. tightness : of load balancing, 0..1.
    spacing : mm along the tensor's spatial axes, for coherence; None for equal weights.
    """

    collaboration: float = 1.0
    coherence: float = 0.1
    load_balance: float = 1.0
    budget_weight: float = 0.1
    segmentation: float = 1.0
    budget: float = 0.1
    costs: tuple[float, ...] | None = None
    sigma: float = 0.1
    tightness: float = 0.6
    spacing: tuple[float, ...] | None = None


@dataclass(frozen=True)
class DeferralLoss:
    """The weighted sum, to go backward from, and each unweighted term as a number for the log."""

    total: torch.Tensor
    terms: dict[str, float] = field(default_factory=dict)


def deferral_loss(
    routing: RoutingLogits,
    right: torch.Tensor,
    settings: ReleasedSettings | ConsistentSettings,
    image: torch.Tensor | None = None,
    valid: torch.Tensor | None = None,
    segmentation: torch.Tensor | None = None,
) -> DeferralLoss:
    """The loss of the mode that `settings` belongs to.

    Parameters
    ----------
    routing : a head's output. right : (B, J + 1, *S), 1 where the agent is right, model last (`agents_right`).
    image : (B, *S) in 0..1, for coherence. valid : (B, *S), usually the decision zone.
    segmentation : the segmentor's own loss in one-stage training (`segmentation.mask_loss`, `class_loss` or
        `released_mask_loss`); None in two-stage training.
    """
    log_p = routing.log_routing()
    if isinstance(settings, ReleasedSettings):
        weighted = [
            ("collaboration", settings.collaboration, released_collaboration(log_p, right, valid)),
            (
                "guidance",
                settings.guidance,
                released_guidance(routing.defer, log_p, valid, double_sigmoid=settings.double_sigmoid),
            ),
            ("load_balance", settings.load_balance, released_load_balance(log_p, valid)),
        ]
    else:
        spacing: Sequence[float] | None = settings.spacing
        tv = edge_aware_total_variation(routing.deferral(), image, valid, settings.sigma, spacing)
        weighted = [
            ("collaboration", settings.collaboration, consistent_collaboration(log_p, right, settings.costs, valid)),
            ("coherence", settings.coherence, tv),
            ("load_balance", settings.load_balance, conditional_load_balance(log_p, valid, settings.tightness)),
            ("budget", settings.budget_weight, budget_hinge(soft_deferral(log_p), settings.budget, valid)),
        ]
    if segmentation is not None:
        weighted.append(("segmentation", settings.segmentation, segmentation))
    total = torch.stack([weight * term.float() for _, weight, term in weighted]).sum()
    return DeferralLoss(total, {name: float(term.detach()) for name, _, term in weighted})
