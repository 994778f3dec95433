"""The pixel-wise collaboration loss, which teaches the routing who is right where, in both modes."""

from __future__ import annotations

import math

import torch

from .voxels import EPSILON, Costs, along_agents, check_agents, expert_gains, masked_mean


def released_collaboration(
    log_routing: torch.Tensor, right: torch.Tensor, valid: torch.Tensor | None = None
) -> torch.Tensor:
    """Routing part of DeferredSeg's released collaboration loss.

        L = mean_v  sum_j (1 - 2 r_j) log(p_j + e)  -  r_model log(p_model + e),    e = 1e-8

    A wrong expert is pushed away by +log p_j, whose floor is log e. With accuracies a the optimum is
    p proportional to (max(2 a_j - 1, 0), a_model). The paper's segmentation term is `segmentation.released_mask_loss`.

    Source: Tian et al., DeferredSeg (arXiv 2604.12411), formulas as released.

    Parameters
    ----------
    log_routing : (B, J + 1, *S) logarithms of the routing probabilities, any floating type.
    right : (B, J + 1, *S), 1 where the agent is right (or the probability that it is).
    valid : (B, *S) or None.
    """
    check_agents(log_routing, right)
    log_p = log_routing.float()
    guarded = torch.logaddexp(log_p, torch.full_like(log_p, math.log(EPSILON)))
    right = right.float()
    weights = torch.cat([2 * right[:, :-1] - 1, right[:, -1:]], dim=1)
    return masked_mean(-(weights * guarded).sum(dim=1), valid)


def consistent_collaboration(
    log_routing: torch.Tensor, right: torch.Tensor, costs: Costs = None, valid: torch.Tensor | None = None
) -> torch.Tensor:
    """Collaboration loss of mode `consistent`: cross-entropy on the agents that are right.

        L = mean_v  - sum_j (1 - c_j - [m_j != y])_+ log p_j  -  [y_model = y] log p_model

    On a factorised routing p_model = 1 - d, p_j = d q_j it separates into whether (log d, log(1 - d)) and to whom
    (log q_j). Optimum: p proportional to ((1 - c_j) a_j, a_model). Bounded below by 0.

    Source: Verma, Barrejon, Nalisnick 2023 (arXiv 2210.16955) with the classes collapsed into the model; two-stage
    form of Mao, Mohri, Zhong 2023 ("Two-Stage Learning to Defer with Multiple Experts").

    Parameters
    ----------
    log_routing, right, valid : as in `released_collaboration`.
    costs : c_j in 0..1, one for each expert.
    """
    check_agents(log_routing, right)
    right = right.float()
    gains = expert_gains(costs, right.shape[1] - 1, right)
    weights = torch.cat([right[:, :-1] * along_agents(gains, right), right[:, -1:]], dim=1)
    return masked_mean(-(weights * log_routing.float()).sum(dim=1), valid)
