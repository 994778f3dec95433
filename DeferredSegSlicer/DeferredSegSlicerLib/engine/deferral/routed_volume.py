"""Method "learned" for 3D networks: the routing that the segmentor's own head gave along with the labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...core.errors import BadInputError
from ..volume_routing import StoredRouting
from .base import DeferralPass, SliceScores, ViewRun, VolumeRun

if TYPE_CHECKING:
    from numpy.typing import NDArray


class VolumeRouter:
    """The learned deferral method of a segmentor that has `routing_of` (`monai_nets.RoutedVolumeSegmentor`).

    order : which of the head's experts each expert at hand is; None if they are not the same people, then where to
        defer is learned and to whom follows their declared competence.
    """

    name = "learned"
    wants_features = False
    extra_encodings = 0

    def __init__(self, order: Sequence[int] | None) -> None:
        self.order = None if order is None else list(order)

    def start(self, run: ViewRun) -> DeferralPass:
        """Never: raises BadInputError, since this head belongs to a network of whole volumes."""
        raise BadInputError("this learned deferral works with its own 3D network alone")

    def score_volume(self, run: VolumeRun) -> Iterator[SliceScores]:
        """One routing for all classes, slice by slice, given to the first of them."""
        segmentor: Any = run.segmentor
        if not hasattr(segmentor, "routing_of"):
            raise BadInputError(f'segmentor "{segmentor.name}" has no deferral head, so it cannot be routed by one')
        routing: StoredRouting = segmentor.routing_of(run.stack)
        for index in range(len(routing.defer)):
            defer, error = (_on_grid(part[index][None], run)[0] for part in (routing.defer, routing.error))
            shares = None
            if self.order is not None:
                experts = _on_grid(routing.shares[self.order, index], run).astype(np.float32)
                shares = experts / np.maximum(experts.sum(axis=0), 1)
            yield SliceScores(0, index, defer, error, shares)


def _on_grid(stored: NDArray[np.uint8], run: VolumeRun) -> NDArray[np.uint8]:
    """Bytes (B, H, W) of the slice view on its display grid (B, h, w)."""
    if run.view.size == run.view.grid:
        return np.ascontiguousarray(stored)
    maps = run.view.to_grid(torch.from_numpy(np.ascontiguousarray(stored)).float())
    return maps.round().clamp(0, 255).to(torch.uint8).numpy()
