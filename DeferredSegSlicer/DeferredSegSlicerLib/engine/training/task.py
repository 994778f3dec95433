"""What the training loop asks of the thing that is trained, and what it tells it in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..losses.total import DeferralLoss

if TYPE_CHECKING:
    from torch import nn

    from .config import TrainingConfig

SHARE_TERM = "share/"
"""Terms of a `DeferralLoss` whose name begins so are shares of voxels by agent ("share/model", "share/edge"), in 0..1.
They are optional; the loop warns if one agent gets nearly everything."""

Report = Callable[[str, int, int], None]
"""Told by a long preparation: stage, pieces done, pieces in all."""


@dataclass(frozen=True)
class Validation:
    """Figures on the validation split. score: decides which epoch is the best; higher is better."""

    score: float
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingRecord:
    """What a finished training was, for the bundle and its model card.

    Attributes
    ----------
    config : as it was used. epochs : finished ones. best_epoch : counted from 1, the one whose weights are exported.
    validation : of the best epoch. history : for each epoch its figures ("epoch", "loss", "score", terms).
    seconds : of computing, over all sessions. processes : that trained together. device : "cpu" or "cuda".
    versions : of Python and packages. stopped_early : patience ran out before the last epoch.
    """

    config: TrainingConfig
    epochs: int
    best_epoch: int
    validation: Validation
    seconds: float = 0.0
    processes: int = 1
    device: str = "cpu"
    versions: Mapping[str, str] = field(default_factory=dict)
    history: tuple[Mapping[str, float], ...] = ()
    stopped_early: bool = False


class Task(Protocol):
    """Something that can be trained; made from a `TrainingConfig` by a function of `tasks.TASKS`.

    Before the task is made, `config.training.device` has been resolved to "cpu" or "cuda:N". The loop moves `model`
    there, switches it between training and evaluation mode, and seeds Python's, numpy's and torch's generators for
    every item from (seed, epoch, place of the item), so that what is drawn in `loss` depends neither on the number of
    processes nor on a resume.
    """

    @property
    def model(self) -> nn.Module:
        """Parameters with `requires_grad` are trained; they and the persistent buffers go into checkpoints."""
        ...

    def prepare(self, report: Report) -> None:
        """Fill caches. Called once, after `model` is on its device; in the first process first, then in the others."""
        ...

    def batches(self, epoch: int) -> Sequence[Any]:
        """The whole epoch's work list, the same in every process; its order seeded by (seed, epoch), epoch from 0.

        Items should be small descriptions (indices, names): each process calls `loss` with its share of them.
        """
        ...

    def loss(self, batch: Any) -> DeferralLoss:
        """Forward one item; runs under autocast if mixed precision is on. An item's loss is a mean, not a sum."""
        ...

    def validate(self) -> Validation:
        """Figures on the validation split, never on the test split. In evaluation mode, without gradients."""
        ...

    def export(self, folder: Path, record: TrainingRecord) -> None:
        """Write the bundle with `bundle_writer.write_bundle`; `model` holds the best epoch's weights by then."""
        ...
