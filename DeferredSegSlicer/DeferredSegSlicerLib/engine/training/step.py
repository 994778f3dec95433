"""One optimizer step from a group of items: autocast, accumulated and shared gradients, clipping, AdamW."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ...core.errors import BadInputError
from .config import LoopConfig
from .distributed import Share, Team

if TYPE_CHECKING:
    from .task import Task


@dataclass(frozen=True)
class StepFigures:
    """loss : mean over the group. terms : means over this process's items. norm : of the gradient before clipping."""

    loss: float
    terms: dict[str, float] = field(default_factory=dict)
    norm: float = 0.0


class NotFiniteError(BadInputError):
    """A loss or a gradient is infinite or no number; the weights are still those of the step before."""


class _LossOf(nn.Module):
    """The task's loss as a module, since DistributedDataParallel hooks into a module's forward."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.model = task.model
        self._loss = task.loss
        self.terms: dict[str, float] = {}

    def forward(self, batch: Any) -> torch.Tensor:
        loss = self._loss(batch)
        self.terms = dict(loss.terms)
        return loss.total


class Stepper:
    """Optimizer, gradient scaler and, with several processes, DistributedDataParallel around a task's loss."""

    def __init__(self, task: Task, settings: LoopConfig, team: Team) -> None:
        self._team = team
        self._settings = settings
        self._autocast = autocast_type(settings.amp, team.device)
        self._inner = _LossOf(task)
        self._forward: nn.Module = self._inner
        if team.size > 1:
            self._forward = DistributedDataParallel(self._inner, find_unused_parameters=True)
        self.parameters = [parameter for parameter in task.model.parameters() if parameter.requires_grad]
        if not self.parameters:
            raise BadInputError("the model has no parameter to train: everything is frozen")
        self.optimizer = torch.optim.AdamW(_groups(self.parameters, settings.weight_decay), lr=settings.learning_rate)
        self.scaler = torch.amp.GradScaler("cuda", enabled=self._autocast == torch.float16)

    def step(self, items: Iterable[tuple[Share, Any]], factor: float, prepare: Callable[[Share], None]) -> StepFigures:
        """Compute this process's items, share the gradient and step.

        Parameters
        ----------
        items : those of `distributed.shares` with their batches. factor : share of the full learning rate.
        prepare : called before each item, to seed the generators.

        Raises
        ------
        NotFiniteError : in every process; nothing was changed.
        """
        work = list(items)
        weighted, bad, terms = 0.0, 0.0, dict[str, float]()
        counted = sum(share.weight for share, _ in work)
        for number, (share, batch) in enumerate(work):
            prepare(share)
            last = number == len(work) - 1
            ddp = self._forward
            quiet = ddp.no_sync() if isinstance(ddp, DistributedDataParallel) and not last else contextlib.nullcontext()
            with quiet:
                loss = self._loss(batch)
                # DistributedDataParallel divides the sum of all processes by their number
                self.scaler.scale(loss * (share.weight * self._team.size)).backward()
            value = float(loss.detach())
            if not math.isfinite(value):
                bad = 1.0
            elif share.weight:
                weighted += share.weight * value
                for name, term in self._inner.terms.items():
                    terms[name] = terms.get(name, 0.0) + share.weight / counted * term
        (mean,) = self._team.total(weighted)
        (bad,) = self._team.largest(bad)
        if bad:
            self.optimizer.zero_grad(set_to_none=True)
            raise NotFiniteError("the loss is not a finite number")
        return StepFigures(mean, terms, self._update(factor))

    def _loss(self, batch: Any) -> torch.Tensor:
        with torch.autocast(
            self._team.device.type, dtype=self._autocast or torch.bfloat16, enabled=self._autocast is not None
        ):
            total: torch.Tensor = self._forward(batch)
        return total.float()

    def _update(self, factor: float) -> float:
        """Clip, check and step; the gradient's norm."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._settings.learning_rate * factor
        self.scaler.unscale_(self.optimizer)
        norm = float(nn.utils.clip_grad_norm_(self.parameters, self._settings.clip))
        if not math.isfinite(norm) and not self.scaler.is_enabled():
            self.optimizer.zero_grad(set_to_none=True)
            raise NotFiniteError("the gradient is not finite")
        self.scaler.step(self.optimizer)  # leaves the step out if fp16 overflowed, and lowers its scale
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return norm


def autocast_type(amp: str, device: torch.device) -> torch.dtype | None:
    """The type of mixed precision for `training.amp` on a device; None for float32 throughout."""
    if amp == "off" or (amp == "auto" and device.type != "cuda"):
        return None
    if amp == "bf16":
        if device.type == "cuda" and not torch.cuda.is_bf16_supported():
            raise BadInputError("training.amp is bf16, which this GPU does not compute; use fp16")
        return torch.bfloat16
    if device.type != "cuda":
        raise BadInputError("training.amp is fp16, which trains on a GPU only; use bf16 or off on the CPU")
    return torch.float16


def _groups(parameters: list[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Matrices and kernels are pulled towards 0, biases and the scales of norms are not."""
    decayed = [parameter for parameter in parameters if parameter.ndim > 1]
    plain = [parameter for parameter in parameters if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
