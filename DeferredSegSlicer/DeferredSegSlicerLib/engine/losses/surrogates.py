"""Other ways to learn to defer, to be compared with the collaboration loss: one-vs-all, decoupled, realizable."""

from __future__ import annotations

import torch
from torch.nn import functional

from .voxels import Costs, along_agents, check_agents, expert_gains, masked_mean


def one_vs_all(
    agent_logits: torch.Tensor, right: torch.Tensor, costs: Costs = None, valid: torch.Tensor | None = None
) -> torch.Tensor:
    """Two-stage one-vs-all: a binary question for every agent, "is it right here?".

        L = mean_v  sum_a BCE(h_a, r_a),    for experts r_j (1 - c_j)

    Optimum: sigmoid(h_j) = (1 - c_j) a_j and sigmoid(h_model) = a_model, so every agent's accuracy is calibrated by
    itself, whatever the others do.

    Source: Verma and Nalisnick 2022 (arXiv 2202.03673); several experts: arXiv 2210.16955.

    Parameters
    ----------
    agent_logits, right : (B, J + 1, *S), model last. costs : (J,) in 0..1. valid : (B, *S) or None.
    """
    check_agents(agent_logits, right)
    target = _rewarded(right, costs)
    questions = functional.binary_cross_entropy_with_logits(agent_logits.float(), target, reduction="none")
    return masked_mean(questions.sum(dim=1), valid)


def one_vs_all_classes(
    class_logits: torch.Tensor, labels: torch.Tensor, valid: torch.Tensor | None = None
) -> torch.Tensor:
    """The classifier's part of single-stage one-vs-all: psi(g_y) + sum over other classes of psi(-g).

    psi(u) = log(1 + exp(-u)). Add `one_vs_all` on the experts' logits for the whole loss; defer to expert j where
    its logit is above the largest class logit.

    Source: Verma and Nalisnick 2022 (arXiv 2202.03673), equation of the one-vs-all surrogate.

    Parameters
    ----------
    class_logits : (B, C, *S). labels : (B, *S), integers 0..C-1. valid : (B, *S) or None.
    """
    target = functional.one_hot(labels.long(), class_logits.shape[1]).movedim(-1, 1).float()
    questions = functional.binary_cross_entropy_with_logits(class_logits.float(), target, reduction="none")
    return masked_mean(questions.sum(dim=1), valid)


def decoupled_sigmoid(
    expert_logits: torch.Tensor,
    experts_right: torch.Tensor,
    weight: float = 1.0,
    costs: Costs = None,
    valid: torch.Tensor | None = None,
) -> torch.Tensor:
    """The experts' part of the decoupled surrogate: (weight / J) sum_j BCE(sigmoid(h_j), r_j (1 - c_j)).

    The classifier keeps its own loss (`segmentation.class_loss`), untouched by the experts; its constant does not
    grow with J. Route by comparing sigmoid(h_j) with the calibrated probability that the model is right.

    Source: Montreuil et al. 2026 (arXiv 2604.09414).

    Parameters
    ----------
    expert_logits, experts_right : (B, J, *S). costs : (J,) in 0..1. valid : (B, *S) or None.
    """
    if expert_logits.shape != experts_right.shape:
        raise ValueError(f"logits {tuple(expert_logits.shape)} and labels {tuple(experts_right.shape)} differ in shape")
    gains = expert_gains(costs, expert_logits.shape[1], expert_logits)
    target = experts_right.float() * along_agents(gains, expert_logits)
    questions = functional.binary_cross_entropy_with_logits(expert_logits.float(), target, reduction="none")
    return weight * masked_mean(questions.mean(dim=1), valid)


def realizable(
    log_routing: torch.Tensor, right: torch.Tensor, costs: Costs = None, valid: torch.Tensor | None = None
) -> torch.Tensor:
    """-log of the routing mass on agents that are right: 0 if any right agent has it all.

        L = mean_v  -log( r_model p_model + sum_j (1 - c_j) r_j p_j ),    0 where every agent is wrong

    Realizable, with bounded gradients in p; it leaves open which of several right agents is asked, so pair it with
    load balancing.

    Source: Mozannar et al. 2023 and Mao, Mohri, Zhong 2024 (arXiv 2407.13732), per voxel, with several experts.

    Parameters
    ----------
    log_routing, right : (B, J + 1, *S), model last. costs : (J,) in 0..1. valid : (B, *S) or None.
    """
    check_agents(log_routing, right)
    rewards = _rewarded(right, costs)
    log_p = log_routing.float()
    somebody = (rewards > 0).any(dim=1)
    asked = torch.where(rewards > 0, log_p + rewards.clamp(min=1e-30).log(), torch.full_like(log_p, -1e30))
    return masked_mean(torch.where(somebody, -torch.logsumexp(asked, dim=1), torch.zeros_like(log_p[:, 0])), valid)


def _rewarded(right: torch.Tensor, costs: Costs) -> torch.Tensor:
    """(B, J + 1, *S): r_j (1 - c_j) for experts, r_model for the model."""
    right = right.float()
    gains = expert_gains(costs, right.shape[1] - 1, right)
    return torch.cat([right[:, :-1] * along_agents(gains, right), right[:, -1:]], dim=1)
