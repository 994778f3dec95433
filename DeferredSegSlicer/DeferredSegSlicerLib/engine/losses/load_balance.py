"""Load balancing: no expert is left idle and none is buried, as hinges on the experts' shares."""

from __future__ import annotations

import torch

from .voxels import masked_mean

PUBLISHED_UPPER = (0.35, 0.30, 0.31, 1.0)
"""Upper bounds on the mean routing probability for three experts and the model, as released."""
PUBLISHED_LOWER = (0.15, 0.20, 0.18, 0.0)
"""Lower bounds on the mean routing probability for three experts and the model, as released."""

_UPPER_OF_UNIFORM = sum(PUBLISHED_UPPER[:3]) / 3 * 4
_LOWER_OF_UNIFORM = sum(PUBLISHED_LOWER[:3]) / 3 * 4


def released_bounds(experts: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Lower and upper bounds for J experts and the model.

    Published for J = 3. For any other J the experts get the mean published bounds in proportion to the uniform share
    1 / (J + 1), that is 0.707 and 1.28 of it, and the model 0 and 1.
    """
    if experts == 3:
        return PUBLISHED_LOWER, PUBLISHED_UPPER
    uniform = 1 / (experts + 1)
    return (
        (*[_LOWER_OF_UNIFORM * uniform] * experts, 0.0),
        (*[_UPPER_OF_UNIFORM * uniform] * experts, 1.0),
    )


def released_load_balance(log_routing: torch.Tensor, valid: torch.Tensor | None = None) -> torch.Tensor:
    """Hinge on the mean routing probability of every agent.

        L = sum_a relu(mean p_a - u_a) + relu(l_a - mean p_a)

    Source: Tian et al., DeferredSeg (arXiv 2604.12411), bounds as released. The lower bounds of the experts add up,
    so that for J = 3 at least 0.53 of the mass is drawn to experts whatever they are worth.

    Parameters
    ----------
    log_routing : (B, J + 1, *S), model last. valid : (B, *S) or None. The mean runs over batch and space.
    """
    shares = _means(log_routing.float().exp(), valid)
    lower, upper = (torch.tensor(bound, device=shares.device) for bound in released_bounds(len(shares) - 1))
    return (torch.relu(shares - upper) + torch.relu(lower - shares)).sum()


def conditional_shares(log_routing: torch.Tensor, valid: torch.Tensor | None = None) -> torch.Tensor:
    """Share of each expert in what is deferred, (J,): sum d q_j / sum d.

    The deferral probability d is detached: a gradient reaches to whom (q) but not whether (d).
    """
    log_p = log_routing.float()
    log_q = torch.log_softmax(log_p[:, :-1], dim=1)
    defer = (1 - log_p[:, -1:].exp()).detach()
    mass = _means(defer * log_q.exp(), valid)
    return mass / _means(defer, valid).clamp(min=1e-12)


def conditional_load_balance(
    log_routing: torch.Tensor, valid: torch.Tensor | None = None, tightness: float = 0.6
) -> torch.Tensor:
    """Hinge on each expert's share of the deferred mass, mode `consistent`.

        L = sum_j relu(s_j - (2 - t) / J) + relu(t / J - s_j),    s_j = sum d q_j / sum d

    It says to whom, never whether: it cannot raise the deferral, and for J = 1 it is 0.

    Parameters
    ----------
    log_routing : (B, J + 1, *S), model last. valid : (B, *S) or None.
    tightness : t in 0..1; 1 asks for equal shares, 0 merely for none above 2 / J.
    """
    shares = conditional_shares(log_routing, valid)
    experts = len(shares)
    return (torch.relu(shares - (2 - tightness) / experts) + torch.relu(tightness / experts - shares)).sum()


def _means(values: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
    """Mean of (B, A, *S) over batch and space for every A, (A,)."""
    return torch.stack([masked_mean(channel, valid) for channel in values.unbind(dim=1)])
