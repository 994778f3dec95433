"""Task "prompted": a stack router for a frozen box-prompted segmentor (two-stage), from volumes with human labels."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch
from pydantic import Field

from ....core.errors import BadInputError
from ....core.metrics.error_detection import area_under_generalized_risk, area_under_roc, errors_caught
from ....core.structures import terminology_of
from ...bundle_writer import HEAD_FILE, write_bundle
from ...bundles import Bundle, load_bundle
from ...heads.stack import StackHead, StackSettings
from ...losses.surrogates import decoupled_sigmoid
from ...losses.total import DeferralLoss, deferral_loss
from ...model_card import model_card
from ..config import Block, Count, Positive, Share, TrainingConfig, Weight
from ..task import SHARE_TERM, Report, TrainingRecord, Validation
from .prompted_recording import Recording, record_all
from .prompted_samples import Sample

if TYPE_CHECKING:
    from torch import nn

    from ...datasets import Subject

BUDGETS = (0.05, 0.1, 0.2)
"""Shares of the zone at which validation counts the errors caught."""

FAMILIES = ("litemedsam", "sam")


class PromptOptions(Block):
    """How the training prompts are drawn: the tight box of each structure, its faces moved outward.

    margin_mm : of the first variant of a structure, the only one that validates.
    variants : prompts for each structure in training; the others' faces move by 0 to `largest_margin_mm` each, and
        every third follows the boxes of its neighbors less (see `propagate.Propagation.trust`).
    mirrored : add the volumes mirrored left to right.
    """

    margin_mm: Weight = 5.0
    variants: Count = 4
    largest_margin_mm: Positive = 12.0
    mirrored: bool = False


class PromptedOptions(Block):
    """Options of the task.

    Attributes
    ----------
    cache : folder of the recorded samples; by default beside the output.
    draws : how often the simulated readers label a training image, from seeds of their own.
    depth, side : of the parts that a step sees, in slices and work-grid pixels (even).
    model_weight, readers_weight : of the decoupled loss, which makes "the model is right here" and "this reader is
        right here" calibrated probabilities, each by itself.
    """

    prompts: PromptOptions = Field(default_factory=PromptOptions)
    cache: Path | None = None
    draws: Count = 2
    depth: Count = 12
    side: Annotated[int, Field(strict=True, ge=16, multiple_of=2)] = 64
    model_weight: Weight = 1.0
    readers_weight: Weight = 0.25


class HeadOptions(Block):
    """The head's block of the configuration; see `heads.stack.StackSettings`."""

    kind: str = "stack"
    widths: tuple[int, int, int, int] = StackSettings.widths
    embedding_width: Count = StackSettings.embedding_width
    dropout: Share = StackSettings.dropout


@dataclass(frozen=True)
class _Item:
    """A step's work: which samples to cut parts from."""

    samples: tuple[int, ...]


class PromptedTask:
    """See `task.Task`."""

    def __init__(self, config: TrainingConfig) -> None:
        if config.segmentor is None:
            raise BadInputError(
                'task "prompted" needs "segmentor: {bundle: ...}", the network whose errors are learned'
            )
        if config.loss.mode != "consistent":
            raise BadInputError('task "prompted" trains mode "consistent"; mode "released" belongs to task "slices"')
        if not config.data:
            raise BadInputError('task "prompted" needs at least one entry under "data"')
        self.config = config
        self.options = PromptedOptions.model_validate(config.options)
        head = HeadOptions.model_validate(config.head)
        if head.kind != "stack":
            raise BadInputError(f'head kind "{head.kind}" is unknown to task "prompted", expected "stack"')
        self.bundle: Bundle = load_bundle(config.segmentor.bundle)
        if self.bundle.family not in FAMILIES:
            raise BadInputError(f'bundle "{self.bundle.id}" takes no box prompts; use task "volumes" or "slices"')
        torch.manual_seed(config.seed)
        self.experts = config.experts.count
        self.head = StackHead(
            StackSettings(
                experts=self.experts,
                widths=head.widths,
                embedding_width=head.embedding_width,
                dropout=float(head.dropout),
            )
        ).to(memory_format=torch.channels_last_3d)
        self.training_samples: list[Sample] = []
        self.validation_samples: list[Sample] = []
        self.readers: tuple[str, ...] = ()
        self.subjects: list[Subject] = []

    @property
    def model(self) -> nn.Module:
        """The head alone: the segmentor is frozen, and its masks stay what they are."""
        return self.head

    def prepare(self, report: Report) -> None:
        """Record what is not in the cache yet."""
        cache = self.options.cache or self.config.output.with_name(f"{self.config.output.name}.training") / "samples"
        found: Recording = record_all(self.config, self.options, self.bundle, cache, report)
        self.training_samples, self.validation_samples = found.training, found.validation
        self.readers, self.subjects = found.readers, found.subjects
        if not self.training_samples:
            raise BadInputError("no training sample was recorded: the data has no subject in split train with a label")

    def batches(self, epoch: int) -> Sequence[_Item]:
        """Every training sample once an epoch, in a new order, `batch` of them a step."""
        order = list(range(len(self.training_samples)))
        random.Random(f"{self.config.seed} {epoch}").shuffle(order)
        size = self.config.training.batch
        return [_Item(tuple(order[start : start + size])) for start in range(0, len(order), size)]

    def loss(self, batch: _Item) -> DeferralLoss:
        """The mean over parts of as many samples, each mirrored at random along its axes."""
        losses = [self._part(self.training_samples[number]) for number in batch.samples]
        terms = {name: float(np.mean([loss.terms[name] for loss in losses])) for name in losses[0].terms}
        return DeferralLoss(torch.stack([loss.total for loss in losses]).mean(), terms)

    def _part(self, sample: Sample) -> DeferralLoss:
        window = _random_window(sample.shape, self.options.depth, self.options.side)
        parts = [part[None] for part in sample.read(random.randrange(sample.draws), window)]
        axes = [axis for axis in (-1, -2, -3) if random.random() < 0.5]
        device = next(self.head.parameters()).device
        features, embedding, known, right, zone = (
            (part.flip(axes) if axes else part).to(device).contiguous(memory_format=torch.channels_last_3d)
            for part in parts
        )
        answer = self.head(features, embedding, known)
        valid = zone[:, 0]
        found = deferral_loss(answer.routing(), right, self.config.loss.settings(), image=known[:, 3], valid=valid)
        doubt = decoupled_sigmoid(answer.logits[:, -1:], right[:, -1:], valid=valid)
        readers = decoupled_sigmoid(answer.logits[:, :-1], right[:, :-1], valid=valid)
        total = found.total + self.options.model_weight * doubt + self.options.readers_weight * readers
        with torch.no_grad():
            leader = answer.log_right().argmax(dim=1)[valid > 0]
            count = max(1, leader.numel())
            names = (*self.readers, "model")
            shares = {f"{SHARE_TERM}{name}": float((leader == n).sum()) / count for n, name in enumerate(names)}
        return DeferralLoss(
            total,
            {**found.terms, "model_right": float(doubt.detach()), "readers_right": float(readers.detach()), **shares},
        )

    def validate(self) -> Validation:
        """How well the predicted error finds the segmentor's errors, against its softmax margin; mean over samples.

        score : 1 - AUGRC / AUGRC of the margin.
        """
        rows = [row for sample in self.validation_samples if (row := self._figures(sample)) is not None]
        if not rows:
            raise BadInputError("no validation sample with errors: give more data or another validation_every")
        mean = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        return Validation(1 - mean["augrc"] / mean["margin_augrc"], mean)

    @torch.no_grad()
    def _figures(self, sample: Sample) -> dict[str, float] | None:
        features, embedding, known, right, zone = (part[None] for part in sample.read())
        device = next(self.head.parameters()).device
        parts = (p.to(device).contiguous(memory_format=torch.channels_last_3d) for p in (features, embedding, known))
        error = self.head(*parts).error()[0].float().cpu().numpy()
        inside = zone[0, 0].numpy() > 0
        wrong = (right[0, -1].numpy() <= 0.5)[inside].astype(float)
        if not 0 < wrong.sum() < len(wrong):
            return None
        figures: dict[str, float] = {"error_rate": float(wrong.mean())}
        for name, score in (("", error[inside]), ("margin_", known[0, 1].numpy()[inside])):
            score = np.round(score * 255)
            figures[f"{name}auroc"] = area_under_roc(score, wrong)
            figures[f"{name}augrc"] = area_under_generalized_risk(score, wrong)
            for budget, caught in zip(BUDGETS, errors_caught(score, wrong, BUDGETS), strict=True):
                figures[f"{name}caught_{round(100 * budget)}"] = float(caught)
        return figures

    def export(self, folder: Path, record: TrainingRecord) -> None:
        """A bundle with the segmentor's own weights, byte for byte, and the head beside them."""
        base = self.bundle
        name = self.config.name or f"{base.name} with learned deferral"
        description = {
            "id": folder.name,
            "name": name,
            "family": base.family,
            "license": base.license,
            "windows": {modality: dict(window) for modality, window in base.windows.items()},
            "network": dict(base.network),
            "citations": [*base.citations, *CITATIONS],
            "head": {
                "kind": "stack",
                "mode": "consistent",
                "experts": [{"id": reader, "name": reader.replace("-", " ")} for reader in self.readers],
                "settings": self.head.settings.to_json(),
                "scope": self._scope(),
            },
        }
        card = model_card(record, description, self.subjects)
        extra = {"NOTICE": self._notice().encode("utf-8")}
        write_bundle(folder, description, base.weights, self.head.state_dict(), card, extra)

    def _scope(self) -> str:
        """ "lesions" if nothing else was in the training data: on organs such a head can mislead."""
        classes = [name for data in self.config.data for name in data.open(self.config.seed).classes]
        return "lesions" if all(terminology_of(name).is_lesion for name in classes) else "any"

    def _notice(self) -> str:
        """The segmentor's notice, and what the head was trained on."""
        beside = self.bundle.weights.parent / "NOTICE"
        parts = [beside.read_text(encoding="utf-8").rstrip() + "\n"] if beside.is_file() else []
        parts.append(f'{HEAD_FILE} is the deferral head, trained by task "prompted" of DeferredSegSlicer on')
        for data in self.config.data:
            found = data.open(self.config.seed)
            parts.append(f"- {found.name}, {found.license}. {found.citation}")
        return "\n".join(parts) + "\n"


CITATIONS = (
    "Tian Q, Sun H, Wang S, Shi Y, Yin Y. DeferredSeg. Pattern Recognition 182:114811, 2026 (arXiv 2604.12411).",
)


def make_task(config: TrainingConfig) -> PromptedTask:
    """The task of a configuration; raises BadInputError for what does not fit."""
    return PromptedTask(config)


def _random_window(shape: tuple[int, int, int], depth: int, side: int) -> tuple[slice, slice, slice]:
    """A part of a stack at most so deep and so wide; ends in the plane are even, so that half resolution fits."""
    first = random.randrange(max(1, shape[0] - depth + 1))
    corners = [2 * random.randrange(max(1, (size - side) // 2 + 1)) for size in shape[1:]]
    return slice(first, first + depth), slice(corners[0], corners[0] + side), slice(corners[1], corners[1] + side)
