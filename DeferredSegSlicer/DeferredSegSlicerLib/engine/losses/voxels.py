"""What every loss shares: float32 arithmetic, masks of valid voxels, and which agents are right.

Shapes: S stands for the spatial axes, (H, W) or (D, H, W). Agents are in axis 1, experts first, model last.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

EPSILON = 1e-8
"""Added to probabilities inside logarithms in mode `released`, as published."""

Costs = Sequence[float] | torch.Tensor | None
"""One cost in 0..1 for each expert, or None for none."""


def masked_mean(values: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
    """Mean over the valid voxels, float32.

    Parameters
    ----------
    values : (B, *S). valid : (B, *S) bool or weights, 0 where a voxel does not count; None for all of them.
        Without any valid voxel the mean is 0, with a gradient of 0.
    """
    values = values.float()
    if valid is None:
        return values.mean()
    if valid.shape != values.shape:
        raise ValueError(f"mask of valid voxels has shape {tuple(valid.shape)}, expected {tuple(values.shape)}")
    weights = valid.to(values.dtype)
    kept = torch.where(weights > 0, values, torch.zeros_like(values))
    return (kept * weights).sum() / weights.sum().clamp(min=EPSILON)


def agents_right(expert_labels: torch.Tensor, model_labels: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Which agents label a voxel correctly, whatever the number of classes.

    Parameters
    ----------
    expert_labels : (B, J, *S). model_labels : (B, *S). truth : (B, *S). Integers or booleans.

    Returns
    -------
    float32 (B, J + 1, *S), 1 where the agent is right; experts first, model last.
    """
    if model_labels.shape != truth.shape or expert_labels[:, 0].shape != truth.shape:
        raise ValueError(
            f"labels of experts {tuple(expert_labels.shape)}, model {tuple(model_labels.shape)} and truth "
            f"{tuple(truth.shape)} do not fit, expected (B, J, *S), (B, *S) and (B, *S)"
        )
    labels = torch.cat([expert_labels, model_labels.unsqueeze(1).to(expert_labels.dtype)], dim=1)
    return (labels == truth.unsqueeze(1)).float()


def check_agents(routing: torch.Tensor, right: torch.Tensor) -> None:
    """Raise ValueError unless both are (B, J + 1, *S) with at least one expert."""
    if routing.ndim < 3 or routing.shape[1] < 2 or routing.shape != right.shape:
        raise ValueError(
            f"routing of shape {tuple(routing.shape)} and right agents of shape {tuple(right.shape)}, "
            "expected two of (B, J + 1, *S) with the model last"
        )


def expert_gains(costs: Costs, experts: int, like: torch.Tensor) -> torch.Tensor:
    """1 - c_j as a float32 tensor (J,), on the device of `like`; raises ValueError for costs outside 0..1."""
    if costs is None:
        return torch.ones(experts, device=like.device)
    gains = 1 - torch.as_tensor(costs, dtype=torch.float32, device=like.device)
    if gains.shape != (experts,) or bool((gains < 0).any()) or bool((gains > 1).any()):
        raise ValueError(f"costs are {costs}, expected {experts} numbers in 0..1")
    return gains


def along_agents(weights: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Reshape (A,) to (1, A, 1, ...) with as many axes as `like`."""
    return weights.reshape(1, -1, *[1] * (like.ndim - 2))
