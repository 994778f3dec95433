"""The routing of a whole volume, as a 3D network gives it window by window, brought down to bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from .heads.base import ranked
from .heads.routed_net import RoutedNet, pack, unpack
from .volume_head import AgentRouting, ErrorFit, confidence_logit

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLEST = 1e-8
"""Routing probabilities below this are taken for this before their logarithm."""


class PackedNet(nn.Module):
    """Network and head as one tensor: class logits, routing probabilities with the model last, and the doubt.

    The doubt is the head's probability that the model is wrong if it is asked that, else 1 - largest class probability.
    """

    def __init__(self, routed: RoutedNet) -> None:
        super().__init__()
        self.routed = routed

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, channels, *S) to (B, C + J + 2, *S); in averages over windows the routing still adds up to 1."""
        answer = self.routed(images)
        routing = answer.routing
        if isinstance(routing, AgentRouting) and routing.agents is not None:
            doubt = routing.agents.error()
        else:
            doubt = torch.sigmoid(-confidence_logit(answer.logits))
        return torch.cat([pack(answer), doubt.unsqueeze(1)], dim=1)


@dataclass(frozen=True)
class RoutedMaps:
    """What a routed network says of a stack, float32 in main memory.

    logits : (C, D, H, W). routing : (J + 1, D, H, W), model last. doubt : (D, H, W), see `PackedNet`.
    """

    logits: torch.Tensor
    routing: torch.Tensor
    doubt: torch.Tensor

    @classmethod
    def of(cls, packed: torch.Tensor, experts: int) -> RoutedMaps:
        """From the channels (C + J + 2, D, H, W) of a `PackedNet`."""
        logits, routing = unpack(packed[None, :-1], experts)
        return cls(logits[0], routing[0], packed[-1])


@dataclass(frozen=True)
class StoredRouting:
    """What a case needs of a stack (D, H, W), uint8.

    Attributes
    ----------
    defer : 1 - p_model of the map that `heads.ranked` spreads over the bytes. error : P(the model is wrong).
    shares : (J, D, H, W), the experts' conditional shares, adding up to about 255.
    """

    defer: NDArray[np.uint8]
    error: NDArray[np.uint8]
    shares: NDArray[np.uint8]


def lead_of(log_routing: torch.Tensor) -> torch.Tensor:
    """max_j log p_j - log p_model, (J + 1, *S) to (*S): the order in which voxels are deferred."""
    return log_routing[:-1].amax(dim=0) - log_routing[-1]


def store_routing(maps: RoutedMaps, fit: ErrorFit) -> StoredRouting:
    """Bytes of what a routed network said of a stack, made slice by slice.

    `heads.ranked` gets log p minus its largest, that is the agents' chances of being right relative to the best one's:
    p is proportional to these at the optimum, and the lead does not change.
    """
    agents, *shape = maps.routing.shape
    defer = np.empty(shape, dtype=np.uint8)
    error = np.empty(shape, dtype=np.uint8)
    shares = np.empty((agents - 1, *shape), dtype=np.uint8)
    for index in range(shape[0]):
        log_p = maps.routing[:, index].float().clamp(min=SMALLEST).log()
        spread = ranked((log_p - log_p.amax(dim=0))[None])[0]
        defer[index] = _bytes(1 - spread[-1])
        experts = spread[:-1]
        shares[:, index] = _bytes(experts / experts.sum(dim=0).clamp(min=SMALLEST))
        error[index] = _bytes(fit.error(lead_of(log_p), maps.doubt[index]))
    return StoredRouting(defer, error, shares)


def _bytes(values: torch.Tensor) -> NDArray[np.uint8]:
    if not torch.isfinite(values).all():
        raise FloatingPointError("the router answered with values that are not finite")
    return values.mul(255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
