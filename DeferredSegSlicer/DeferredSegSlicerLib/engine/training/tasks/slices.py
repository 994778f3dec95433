"""Task "slices": the published 2D protocol, with SAM-type decoders and encoder-decoders, one-stage and two-stage."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ....core.errors import BadInputError
from ....core.metrics.overlap import dice
from ...bundle_writer import write_bundle
from ...losses.segmentation import mask_loss, released_mask_loss
from ...losses.total import DeferralLoss, deferral_loss
from ...losses.voxels import agents_right
from ...slice_nets import SliceAnswer, SliceNet, leading_agent
from ...slice_protocol.experts import SliceExperts, target_of
from ...slice_protocol.prompts import tight_box
from ...slice_router import three_channels
from ..config import TrainingConfig
from ..places import TrainingPlaces
from ..task import SHARE_TERM, Report, TrainingRecord, Validation
from .slices_embeddings import EmbeddingCache
from .slices_export import slice_bundle
from .slices_network import base_bundle, build_net, is_plain
from .slices_options import SliceHeadOptions, SliceNetwork, SliceOptions, check_slices, head_settings
from .slices_store import KeptSlice, SliceSets, keep_slices

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from ...slice_protocol.slices import CutSlice


@dataclass(frozen=True)
class _Shown:
    """A slice with its target (S, S), the experts' masks (J, S, S) and its box (4,)."""

    kept: KeptSlice
    cut: CutSlice
    target: NDArray[np.uint8]
    experts: NDArray[np.uint8]
    box: NDArray[np.float32]


class SlicesTask:
    """See `task.Task`."""

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.options = SliceOptions.model_validate(config.options)
        self.network = SliceNetwork.model_validate(config.network)
        head = SliceHeadOptions.model_validate(config.head)
        check_slices(config, self.options, self.network)
        self.bundle = base_bundle(config, self.network)
        settings = head_settings(config, self.options, head)
        if is_plain(self.bundle):
            settings = replace(settings, tokens="none")
        self.experts: SliceExperts | None = None
        if config.experts.simulated is not None:
            self.experts = SliceExperts.simulated(config.experts.simulated, config.experts.count)
        torch.manual_seed(config.seed)
        self.net: SliceNet = build_net(self.bundle, self.network, settings, head)
        self.per_label = self.options.target == "label" or (self.options.target is None and self.net.prompted)
        self.embeddings: EmbeddingCache | None = None
        self.slices = SliceSets((), (), ())

    @property
    def model(self) -> nn.Module:
        """Segmentor and head; what is frozen is marked so."""
        return self.net

    def prepare(self, report: Report) -> None:
        """Cut the slices, and encode them if the encoder's answers are to be kept."""
        cache = self.options.cache or TrainingPlaces(self.config.output).cache
        self.slices = keep_slices(self.config, self.options.size, self.bundle, cache / "slices", report)
        if self.experts is None:
            self.experts = self._readings()
        if self.net.prompted and self.options.embeddings == "cached":
            assert self.bundle is not None
            size = int(getattr(self.net, "input_size", 0))
            self.embeddings = EmbeddingCache(cache / "embeddings", self.bundle.sha256, size, self.options.cache_gb)
            everything = (*self.slices.training, *self.slices.validation)
            self.embeddings.fill(everything, self.net, self._device, report)

    def batches(self, epoch: int) -> Sequence[tuple[int, ...]]:
        """Every training slice once an epoch, in a new order, `batch` of them an item."""
        order = list(range(len(self.slices.training)))
        random.Random(f"{self.config.seed} {epoch}").shuffle(order)
        size = self.config.training.batch
        return [tuple(order[start : start + size]) for start in range(0, len(order), size)]

    def loss(self, batch: tuple[int, ...]) -> DeferralLoss:
        """Of one batch; a label, a box and, if they are redrawn, the experts are drawn here."""
        shown = [self._for_training(self.slices.training[number]) for number in batch]
        answer, target, right, gray = self._answer(shown)
        loss = self.config.loss
        segmentation: torch.Tensor | None = None
        if self.options.stage == "one":
            if loss.mode == "released":
                segmentation = released_mask_loss(answer.logits, target, double_sigmoid=loss.double_sigmoid)
            else:
                segmentation = mask_loss(answer.logits, target)
        found = deferral_loss(answer.routing, right, loss.settings(), image=gray, segmentation=segmentation)
        with torch.no_grad():
            leader = leading_agent(answer.routing, (gray.shape[1], gray.shape[2]))
            names = (*self._named_experts.names, "model")
            shares = {f"{SHARE_TERM}{name}": float((leader == n).float().mean()) for n, name in enumerate(names)}
        return DeferralLoss(found.total, {**found.terms, **shares})

    @torch.no_grad()
    def validate(self) -> Validation:
        """System Dice of the validation slices, by hard routing, with frozen experts; the published code selects on
        the training slices instead."""
        rows = []
        for kept in self.slices.validation:
            shown = self._for_validation(kept)
            with torch.autocast(self._device.type, torch.float16, enabled=self._device.type == "cuda"):
                answer, target, *_ = self._answer([shown])
            truth = target[0].cpu().numpy() > 0
            model = (answer.logits[0] > 0).cpu().numpy()
            leader = leading_agent(answer.routing, (truth.shape[0], truth.shape[1]))[0].cpu().numpy()
            labels = np.concatenate([shown.experts > 0, model[None]])
            system = np.take_along_axis(labels, leader[None], axis=0)[0]
            count = len(labels)
            shares = np.bincount(leader.ravel(), minlength=count) / leader.size
            rows.append([dice(system, truth), dice(model, truth), *shares])
        mean = np.mean(rows, axis=0)
        names = [f"share_{name}" for name in (*self._named_experts.names, "model")]
        figures = dict(zip(["system_dice", "model_dice", *names], map(float, mean), strict=True))
        return Validation(figures["system_dice"], figures)

    def export(self, folder: Path, record: TrainingRecord) -> None:
        """A bundle with a head of kind "slice"; in two-stage training the segmentor's own weights, byte for byte."""
        content = slice_bundle(self, folder.name, record)
        write_bundle(folder, content.description, content.base, self.net.head_tensors(), content.card)

    @property
    def _device(self) -> torch.device:
        return next(self.net.parameters()).device

    @property
    def _named_experts(self) -> SliceExperts:
        assert self.experts is not None, "prepare comes first"
        return self.experts

    def _readings(self) -> SliceExperts:
        """The first readers of the data; BadInputError if there are not as many as experts."""
        names = self.slices.training[0].readers
        count = self.config.experts.count
        if len(names) < count:
            raise BadInputError(
                f"experts.count is {count}, but the data has {len(names)} readings"
                f"{' (' + ', '.join(names) + ')' if names else ''}"
            )
        return SliceExperts(names[:count])

    def _for_training(self, kept: KeptSlice) -> _Shown:
        cut = kept.read()
        label = random.choice(cut.labels) if self.per_label else None
        redraw = None
        if self.options.published_redraw:
            redraw = np.random.default_rng(random.getrandbits(64))
        experts = self._named_experts.labels(cut, label, kept.id, "train", self.config.seed, redraw)
        target = target_of(cut.truth, label)
        return _Shown(kept, cut, target, experts, tight_box(target, self.options.jitter))

    def _for_validation(self, kept: KeptSlice) -> _Shown:
        cut = kept.read()
        target = target_of(cut.truth, None)
        experts = self._named_experts.labels(cut, None, kept.id, "validation", self.config.seed)
        return _Shown(kept, cut, target, experts, tight_box(target))

    def _answer(self, shown: Sequence[_Shown]) -> tuple[SliceAnswer, torch.Tensor, torch.Tensor, torch.Tensor]:
        """The network's answer, target (B, S, S), who is right (B, J + 1, S, S) and gray image (B, S, S)."""
        device = self._device
        images = torch.stack([three_channels(torch.from_numpy(one.cut.image)[None])[0] for one in shown]).to(device)
        target = torch.from_numpy(np.stack([one.target for one in shown])).to(device)
        experts = torch.from_numpy(np.stack([one.experts for one in shown])).to(device)
        boxes = torch.from_numpy(np.stack([one.box for one in shown])).to(device) if self.net.prompted else None
        kept = None
        if self.embeddings is not None:
            kept = torch.stack([self.embeddings.read(one.kept) for one in shown]).to(device)
        answer: SliceAnswer = self.net(images, boxes, kept)
        right = agents_right(experts, (answer.logits.detach() > 0).to(experts.dtype), target)
        return answer, target.float(), right, images.mean(dim=1)


def make_task(config: TrainingConfig) -> SlicesTask:
    """The task of a configuration; raises BadInputError for what does not fit."""
    return SlicesTask(config)
