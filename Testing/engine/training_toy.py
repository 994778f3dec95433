"""A task small enough to train in tests: find bright pixels in noise. As a script it trains a configuration file.

Its loss draws noise and has dropout, so that a training is only repeatable if every generator is seeded.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from DeferredSegSlicerLib.engine.bundle_writer import write_bundle
from DeferredSegSlicerLib.engine.losses.total import DeferralLoss
from DeferredSegSlicerLib.engine.model_card import model_card
from DeferredSegSlicerLib.engine.training.config import TrainingConfig
from DeferredSegSlicerLib.engine.training.run import Trained, run_training
from DeferredSegSlicerLib.engine.training.task import TrainingRecord, Validation
from torch import nn
from torch.nn import functional

DESCRIPTION = {
    "id": "toy",
    "name": "Toy",
    "family": "monai",
    "license": "Apache-2.0",
    "windows": {},
    "network": {"class": "UNet", "classes": ["bright"]},
    "citations": ["Nobody. Nothing."],
}


@dataclass
class ToyTask:
    """items : of an epoch. shares : terms to report. scores : to answer with, one a validation.

    With "rising: true" in `options` the score is the epoch, so that the last epoch's weights are the best.

    before_loss : called with the number of the call, from 0, before each loss.
    """

    config: TrainingConfig
    items: int = 7
    shares: dict[str, float] = field(default_factory=dict)
    scores: list[float] = field(default_factory=list)
    before_loss: Callable[[int], None] = lambda call: None
    before_validate: Callable[[int], None] = lambda call: None
    spoil: float = 0.0
    seen: list[int] = field(default_factory=list)
    validated: list[dict[str, torch.Tensor]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.model = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU(), nn.Dropout(0.2), nn.Conv2d(4, 1, 1)
        )
        self.model[4].bias.requires_grad_(False)

    def prepare(self, report: Callable[[str, int, int], None]) -> None:
        self.images = torch.from_numpy(np.random.default_rng(5).random((self.items, 1, 6, 6), dtype=np.float32))
        report("drawing images", self.items, self.items)

    def batches(self, epoch: int) -> Sequence[int]:
        self.epoch = epoch
        return [int(n) for n in np.random.default_rng((self.config.seed, epoch)).permutation(self.items)]

    def loss(self, batch: int) -> DeferralLoss:
        self.before_loss(len(self.seen))
        self.seen.append(batch)
        image = self.images[batch : batch + 1]
        logits = self.model(image + 0.1 * torch.randn(image.shape))
        total = functional.binary_cross_entropy_with_logits(logits, (image > 0.6).float()) + self.spoil
        return DeferralLoss(total, {"cross_entropy": float(total.detach()), **self.shares})

    def validate(self) -> Validation:
        assert not self.model.training and not torch.is_grad_enabled()
        self.before_validate(len(self.validated))
        self.validated.append({name: tensor.clone() for name, tensor in self.model.state_dict().items()})
        right = ((self.model(self.images) > 0) == (self.images > 0.6)).float().mean()
        number = len(self.validated) - 1
        score = self.scores[number] if self.scores else float(right)
        return Validation(self.epoch if self.config.options.get("rising") else score, {"accuracy": float(right)})

    def export(self, folder: Path, record: TrainingRecord) -> None:
        card = model_card(record, DESCRIPTION, datasets=())
        write_bundle(folder, DESCRIPTION | {"id": folder.name}, self.model.state_dict(), None, card)


def train_toy(config: TrainingConfig, **settings: object) -> tuple[Trained, ToyTask]:
    """Train the toy; `settings` are of `ToyTask` and of `run_training` (watcher, remark, restart)."""
    made: list[ToyTask] = []
    own = {name: settings.pop(name) for name in ("watcher", "remark", "restart") if name in settings}

    def make(used: TrainingConfig) -> ToyTask:
        made.append(ToyTask(used, **settings))
        return made[0]

    return run_training(config, task_maker=make, **own), made[0]


def main() -> None:
    """python training_toy.py CONFIG.json [CALL]: dies of SIGKILL before that call of the loss."""
    config = TrainingConfig.model_validate_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
    dies = int(sys.argv[2]) if len(sys.argv) > 2 else -1
    train_toy(config, before_loss=lambda call: os.kill(os.getpid(), signal.SIGKILL) if call == dies else None)


if __name__ == "__main__":
    main()
