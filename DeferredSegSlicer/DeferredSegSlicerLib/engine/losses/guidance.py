"""The guidance term of mode `released`, which trains the aggregated deferral predictor to imitate the routing."""

from __future__ import annotations

import torch
from torch.nn import functional

from .voxels import masked_mean


def released_guidance(
    defer_logit: torch.Tensor,
    log_routing: torch.Tensor,
    valid: torch.Tensor | None = None,
    double_sigmoid: bool = False,
) -> torch.Tensor:
    """Guidance of the aggregated predictor g = sigmoid(defer_logit) by the routing.

        L = BCE(g, M) + 0.5 mean (g - sum_j p_j)^2 + 0.1 mean g,    M = [argmax p is an expert]

    Targets are detached, so that this sends no gradient into the routing: in mode `released` it alone trains the
    predictor, and nothing else sees the predictor. With `double_sigmoid` g itself is taken as the logit of the BCE,
    as in the released code (a slip: the effective probability then lies in 0.5..0.731).

    Source: Tian et al., DeferredSeg (arXiv 2604.12411), formulas as released.

    Parameters
    ----------
    defer_logit : (B, *S). log_routing : (B, J + 1, *S), model last. valid : (B, *S) or None.
    """
    logit = defer_logit.float()
    log_p = log_routing.detach().float()
    given = (log_p.argmax(dim=1) < log_p.shape[1] - 1).float()
    mass = log_p[:, :-1].exp().sum(dim=1)
    g = torch.sigmoid(logit)
    imitation = functional.binary_cross_entropy_with_logits(g if double_sigmoid else logit, given, reduction="none")
    return masked_mean(imitation + 0.5 * (g - mass) ** 2 + 0.1 * g, valid)
