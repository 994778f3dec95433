"""Method "learned" for box prompts: a trained stack head routes a structure once all its slices are seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...core.errors import BadInputError
from ..devices import memory_errors_as_advice
from ..heads.base import ranked
from ..heads.stack import StackHead
from .base import ProbabilityOf, SliceEvidence, SliceScores, ViewRun, VolumeRun
from .slice_stack import Place, see_slice
from .work_grid import WorkGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

SLAB = 48
"""Slices that are routed at once; bounds the memory of tall stacks."""

OVERLAP = 8
"""Slices of context to either side of a slab, where there are any."""


@dataclass(frozen=True)
class _Kept:
    """A slice after the head's first layer, in half precision to save memory."""

    features: torch.Tensor
    embedding: torch.Tensor
    known: torch.Tensor


class StackRouter:
    """The learned deferral method.

    head : in evaluation mode, on the device that it runs on.
    with_shares : whether the head's own "to whom" is used; False if the experts on duty are not those it was trained
        for, then experts share by their declared competence.
    half : compute in bfloat16, which some CPUs do twice as fast.
    """

    name = "learned"
    wants_features = True
    extra_encodings = 0

    def __init__(self, head: StackHead, device: torch.device, with_shares: bool = True, half: bool = False) -> None:
        self.head = head.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last_3d)
        self.device = device
        self.with_shares = with_shares
        self.half = half

    def start(self, run: ViewRun) -> StackPass:
        """Begin with a slice view."""
        if len(run.boxes) != run.structures:
            raise BadInputError("this learned deferral works with box prompts alone")
        return StackPass(self, run)

    def score_volume(self, run: VolumeRun) -> Iterator[SliceScores]:
        """Never: raises BadInputError, since a network without prompts has a head of another kind."""
        raise BadInputError("this learned deferral works with box prompts alone")

    @torch.inference_mode()
    def first_layer(self, features: torch.Tensor, embedding: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(F, h, w) and (E, h', w') through the head's first layer, float16."""
        a, b = self.head.project(features.to(self.device)[None, :, None], embedding.to(self.device)[None, :, None])
        return a[0, :, 0].half(), b[0, :, 0].half()

    @torch.inference_mode()
    def route(self, kept: Sequence[_Kept]) -> torch.Tensor:
        """Agents' logits (D, J + 1, h, w) of consecutive slices, slab by slab."""
        parts = []
        for start in range(0, len(kept), SLAB):
            low, stop = max(0, start - OVERLAP), min(len(kept), start + SLAB)
            around = kept[low : min(len(kept), stop + OVERLAP)]
            features, embedding, known = (
                torch.stack([getattr(one, name) for one in around], dim=1)
                .to(self.device)
                .float()[None]
                .contiguous(memory_format=torch.channels_last_3d)
                for name in ("features", "embedding", "known")
            )
            dtype = torch.bfloat16 if self.device.type == "cpu" else torch.float16
            with torch.autocast(self.device.type, dtype, enabled=self.half or self.device.type == "cuda"):
                logits = self.head.route(features, embedding, known).logits[0]
            parts.append(logits.float().transpose(0, 1)[start - low : stop - low].cpu())
        return torch.cat(parts)


class StackPass:
    """The learned method at work on one slice view; a structure is routed as soon as the next one begins."""

    def __init__(self, router: StackRouter, run: ViewRun) -> None:
        self._router = router
        self._run = run
        self._fit = getattr(run.segmentor, "fit", "pad")
        self._places = [Place(box, run.spacing, run.view) for box in run.boxes]
        self._structure: int | None = None
        self._seen: dict[int, _Kept] = {}
        self._done: list[tuple[int, WorkGrid, dict[int, torch.Tensor]]] = []

    def see(self, evidence: SliceEvidence) -> None:
        """Take a slice down to the work grid and through the head's first layer."""
        if evidence.structure != self._structure:
            self._finish()
            self._structure = evidence.structure
        place = self._places[evidence.structure]
        grid = place.grid()
        with torch.inference_mode():
            seen = see_slice(evidence, place, grid, self._fit)
        features, embedding = self._router.first_layer(seen.features, seen.embedding)
        self._seen[evidence.index] = _Kept(features, embedding, seen.known.half())

    def scores(self, probability: ProbabilityOf) -> Iterator[SliceScores]:
        """The scores of every slice that was seen."""
        self._finish()
        for structure, grid, answers in self._done:
            for index, logits in answers.items():
                yield self._score(structure, index, grid, logits, probability(structure, index))
        self._done = []

    def _finish(self) -> None:
        if self._structure is None or not self._seen:
            return
        place = self._places[self._structure]
        indices = sorted(self._seen)
        answers: dict[int, torch.Tensor] = {}
        for stretch in _stretches(indices):
            with memory_errors_as_advice(self._router.device, "routing a structure"):
                logits = self._router.route([self._seen[index] for index in stretch])
            answers.update(zip(stretch, logits.half(), strict=True))
        self._done.append((self._structure, place.grid(), answers))
        self._seen = {}

    def _score(
        self, structure: int, index: int, grid: WorkGrid, logits: torch.Tensor, stored: NDArray[np.uint8]
    ) -> SliceScores:
        """Bytes on the display grid of the view; outside the work grid what the probability itself says."""
        certain = np.maximum(stored, 255 - stored)
        error = 255 - certain
        defer = np.minimum(error.astype(np.uint16) * 2, 127).astype(np.uint8)
        rows, columns = window = grid.window_in(self._run.view)
        fine = grid.spread(logits.float()[None])
        log_right = torch.nn.functional.logsigmoid(fine)
        routing = ranked(log_right)[0]
        error[window] = _bytes(torch.sigmoid(-fine[0, -1]))
        defer[window] = _bytes(1 - routing[-1])
        if not self._router.with_shares:
            return SliceScores(structure, index, defer, error)
        shares = np.full((len(routing) - 1, *stored.shape), 1 / (len(routing) - 1), dtype=np.float32)
        shares[:, rows, columns] = (routing[:-1] / routing[:-1].sum(dim=0)).numpy()
        return SliceScores(structure, index, defer, error, shares)


def _bytes(values: torch.Tensor) -> NDArray[np.uint8]:
    if not torch.isfinite(values).all():
        raise FloatingPointError("the router answered with values that are not finite")
    return values.mul(255).round().to(torch.uint8).numpy()


def _stretches(indices: Sequence[int]) -> list[list[int]]:
    """Runs of consecutive indices."""
    found: list[list[int]] = []
    for index in indices:
        if found and index == found[-1][-1] + 1:
            found[-1].append(index)
        else:
            found.append([index])
    return found
