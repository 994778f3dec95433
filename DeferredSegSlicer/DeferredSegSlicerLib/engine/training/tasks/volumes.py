"""Task "volumes": MONAI's 3D networks with a routing head, both trained together (one-stage) or the head alone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from ....core.errors import BadInputError
from ...bundle_writer import write_bundle
from ...heads.base import RoutingLogits
from ...heads.routed_net import Routed, RoutedNet
from ...losses.load_balance import conditional_load_balance
from ...losses.segmentation import class_loss
from ...losses.surrogates import decoupled_sigmoid, one_vs_all, realizable
from ...losses.total import DeferralLoss, deferral_loss
from ...losses.voxels import agents_right, masked_mean
from ...monai_nets import infer_windows
from ...volume_head import AgentRouting, VolumeHeadSettings, make_routed
from ...volume_routing import PackedNet, RoutedMaps
from ..config import ConsistentLoss, TrainingConfig
from ..places import TrainingPlaces
from ..task import SHARE_TERM, Report, TrainingRecord, Validation
from .volumes_export import volume_bundle
from .volumes_figures import (
    RoutedVolume,
    band_voxels,
    figures_of,
    fit_error,
    mean_figures,
    stored_zone,
    zone_of,
)
from .volumes_network import Start, start_of
from .volumes_options import VolumeHeadOptions, VolumeNetwork, VolumeOptions, check_volumes, head_settings
from .volumes_samples import PreparedSets, PreparedVolume, TrainingVolumes, prepare_volumes

if TYPE_CHECKING:
    from torch import nn


class VolumesTask:
    """See `task.Task`. An item of `batches` is a tuple of places among the training volumes."""

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.options = VolumeOptions.model_validate(config.options)
        network = VolumeNetwork.model_validate(config.network)
        head = VolumeHeadOptions.model_validate(config.head)
        check_volumes(config, self.options, network)
        self.settings: VolumeHeadSettings | None = None
        if self.options.route:
            self.settings = head_settings(config, self.options, head)
        self.start: Start = start_of(config, network)
        self.network = self.start.network
        torch.manual_seed(config.seed)
        net = self.start.make(self._class_count())
        self.routed: RoutedNet | None = None
        if self.settings is not None:
            self.routed = make_routed(net, self.settings, self.options.frozen, "the configuration")
        self.net: nn.Module = net
        self.sets = PreparedSets((), (), (), (), ())
        self._training: TrainingVolumes | None = None

    @property
    def model(self) -> nn.Module:
        """Network and head; what is frozen is marked so."""
        return self.net if self.routed is None else self.routed

    def prepare(self, report: Report) -> None:
        """Prepare the volumes that are not in the cache, and read those that are to be kept in memory."""
        cache = self.options.cache or TrainingPlaces(self.config.output).cache
        self.sets = prepare_volumes(self.config, self.options, self.start.windows, cache, report)
        if self.start.classes is not None and self.start.classes != self.sets.classes:
            raise BadInputError(
                f"the segmentor labels {', '.join(self.start.classes)}, the data {', '.join(self.sets.classes)}"
            )
        self._training = TrainingVolumes(self.sets.training, self.network, self.options)

    def batches(self, epoch: int) -> Sequence[tuple[int, ...]]:
        """Every training volume once an epoch, in a new order, `batch` of them an item."""
        order = list(range(len(self.sets.training)))
        random.Random(f"{self.config.seed} {epoch}").shuffle(order)
        size = self.config.training.batch
        return [tuple(order[start : start + size]) for start in range(0, len(order), size)]

    def loss(self, batch: tuple[int, ...]) -> DeferralLoss:
        """Of one batch of volumes or patches."""
        assert self._training is not None, "prepare comes first"
        drawn = self._training.batch(batch)
        spacing = drawn.pop("spacing")
        parts = {name: part.to(self._device) for name, part in drawn.items()}
        images, truth, inside = parts["image"], parts["truth"][:, 0], parts["inside"][:, 0]
        if self.routed is None:
            segmentation = self._segmentation(_first(self.net(images)), truth, inside)
            return DeferralLoss(segmentation, {"segmentation": float(segmentation.detach())})
        answer: Routed = self.routed(images)
        labels = answer.logits.detach().argmax(dim=1).to(torch.uint8)
        right = agents_right(parts["experts"], labels, truth)
        radius = band_voxels(self.options.zone_band_mm, spacing)
        valid = zone_of(answer.logits.detach(), self.options.zone_floor, radius) * inside
        gray = images[:, 0].float().clamp(0, 1)
        found = self._routing_loss(answer.routing, right, valid, gray, spacing)
        total, terms = self.options.routing_weight * found.total, dict(found.terms)
        if not self.options.frozen:
            segmentation = self._segmentation(answer.logits, truth, inside)
            total = total + self.config.loss.segmentation * segmentation
            terms["segmentation"] = float(segmentation.detach())
        return DeferralLoss(total, {**terms, **self._shares(answer.routing, valid)})

    def validate(self) -> Validation:
        """Means over the validation volumes; the score is the system's Dice at the budget, or the model's without."""
        rows = [figures_of(volume, self.sets.experts, self.options.budget) for volume in self._validated()]
        figures = mean_figures(rows)
        return Validation(figures["system_dice" if self.routed is not None else "model_dice"], figures)

    def export(self, folder: Path, record: TrainingRecord) -> None:
        """A bundle with a head of kind "volume"; in two-stage training with the segmentor's own weights."""
        tensors = None
        if self.routed is not None and self.settings is not None:
            self.settings = replace(self.settings, error=fit_error(self._validated()))
            tensors = self.routed.head.state_dict()
        content = volume_bundle(self, folder.name, record)
        write_bundle(folder, content.description, content.base, tensors, content.card)

    def channels(self, image: np.ndarray) -> torch.Tensor:
        """What network, or network and head (`PackedNet`), say of an image (D, H, W) in 0..1, as users get it."""
        was_training = self.model.training
        self.model.eval()
        assert self.network.roi is not None
        stack = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
        net = self.net if self.routed is None else PackedNet(self.routed)
        half = None if self.config.training.amp != "off" else False
        with torch.inference_mode():
            answer = infer_windows(
                net, stack, self.network.roi, self.network.overlap, self.network.divisor, self._device, half=half
            )
        self.model.train(was_training)
        return answer

    def _validated(self) -> Iterator[RoutedVolume]:
        return (self._routed_volume(volume) for volume in self.sets.validation)

    def _routed_volume(self, volume: PreparedVolume) -> RoutedVolume:
        stored = volume.read()
        logits, routing, wrong = self.channels(stored["image"][0]), None, None
        if self.settings is not None:
            maps = RoutedMaps.of(logits, self.settings.experts)
            logits, routing, wrong = maps.logits, maps.routing, maps.doubt
        zone = stored_zone(logits, self.options.zone_floor, band_voxels(self.options.zone_band_mm, volume.spacing))
        return RoutedVolume(logits, routing, stored["truth"][0], stored["experts"], zone, wrong)

    def _routing_loss(
        self,
        routing: RoutingLogits,
        right: torch.Tensor,
        valid: torch.Tensor,
        gray: torch.Tensor,
        spacing: tuple[float, ...],
    ) -> DeferralLoss:
        """What trains the routing, by the surrogate that was chosen."""
        loss, surrogate = self.config.loss, self.options.surrogate
        agents = routing.agents if isinstance(routing, AgentRouting) else None
        if surrogate == "collaboration":
            found = deferral_loss(routing, right, loss.settings(spacing), image=gray, valid=valid)
            if agents is None or not self.options.agents_weight:
                return found
            asked = _questions(agents.logits, right, valid)
            total = found.total + self.options.agents_weight * asked
            return DeferralLoss(total, {**found.terms, "agents": float(asked.detach())})
        assert isinstance(loss, ConsistentLoss)
        if surrogate == "realizable":
            log_p = routing.log_routing()
            main = realizable(log_p, right, loss.costs, valid)
            balance = conditional_load_balance(log_p, valid, loss.tightness)
            total = loss.collaboration * main + loss.load_balance * balance
            return DeferralLoss(total, {"realizable": float(main.detach()), "load_balance": float(balance.detach())})
        assert agents is not None
        if surrogate == "one_vs_all":
            main = one_vs_all(agents.logits, right, loss.costs, valid)
        else:
            main = _questions(agents.logits, right, valid, loss.costs)
        return DeferralLoss(loss.collaboration * main, {surrogate: float(main.detach())})

    def _segmentation(self, logits: torch.Tensor, truth: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        """Cross-entropy and Dice, or as mode released has it; with `double_sigmoid` probabilities taken for logits."""
        logits = logits.float()
        if getattr(self.config.loss, "double_sigmoid", False):
            logits = torch.softmax(logits, dim=1)
        if self.options.segmentation == "both":
            return class_loss(logits, truth, inside)
        return masked_mean(functional.cross_entropy(logits, truth.long(), reduction="none"), inside)

    def _shares(self, routing: RoutingLogits, valid: torch.Tensor) -> dict[str, float]:
        """Shares of the zone by the leading agent, for the log."""
        with torch.no_grad():
            leader = routing.log_routing().argmax(dim=1)[valid > 0]
            names = (*self.sets.experts, "model")
            count = max(1, leader.numel())
            return {f"{SHARE_TERM}{name}": float((leader == n).sum()) / count for n, name in enumerate(names)}

    def _class_count(self) -> int:
        """Foreground classes of the data, read from the lists of files alone."""
        if self.start.classes is not None:
            return len(self.start.classes)
        return len(self.config.data[0].open(self.options.split_seed).classes)

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device


def _questions(
    logits: torch.Tensor, right: torch.Tensor, valid: torch.Tensor, costs: tuple[float, ...] | None = None
) -> torch.Tensor:
    """The decoupled surrogate with a question for the model as well: is it right here, and is each expert?"""
    model = decoupled_sigmoid(logits[:, -1:], right[:, -1:], valid=valid)
    return model + decoupled_sigmoid(logits[:, :-1], right[:, :-1], costs=costs, valid=valid)


def _first(answer: Any) -> torch.Tensor:
    """The finest logits (B, C, D, H, W) of a network that may answer at several depths."""
    logits: torch.Tensor = answer[0] if isinstance(answer, list | tuple) else answer
    return logits[:, 0] if logits.ndim == 6 else logits


def make_task(config: TrainingConfig) -> VolumesTask:
    """The task of a configuration; raises BadInputError for what does not fit."""
    return VolumesTask(config)
