"""The budget hinge: deferral beyond the budget costs, deferral below it is free."""

from __future__ import annotations

import torch

from .voxels import masked_mean


def soft_deferral(log_routing: torch.Tensor, temperature: float = 0.1) -> torch.Tensor:
    """How far a voxel would be deferred, 0..1 (B, *S): sigmoid((max_j log p_j - log p_model) / temperature).

    It is above one half exactly where the margin is negative. The deferral probability d itself is no measure of the
    deferred share: with J experts as good as the model its optimum is J / (J + 1).

    Parameters
    ----------
    log_routing : (B, J + 1, *S), model last.
    """
    log_p = log_routing.float()
    return torch.sigmoid((log_p[:, :-1].amax(dim=1) - log_p[:, -1]) / temperature)


def budget_hinge(share: torch.Tensor, budget: float, valid: torch.Tensor | None = None) -> torch.Tensor:
    """relu(mean share - budget), the mean over the valid voxels of the batch.

    Parameters
    ----------
    share : (B, *S) in 0..1: `soft_deferral`, or the deferral probability d.
    budget : 0..1, share of the valid voxels (the decision zone) that may be deferred.
    """
    if not 0.0 <= budget <= 1.0:
        raise ValueError(f"budget is {budget}, expected 0..1")
    return torch.relu(masked_mean(share, valid) - budget)
