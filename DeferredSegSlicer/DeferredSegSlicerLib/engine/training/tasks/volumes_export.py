"""What task "volumes" writes: the description, the network's tensors and the card of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ...model_card import model_card
from ...volume_head import KIND
from ..task import TrainingRecord
from .volumes_network import FAMILY

if TYPE_CHECKING:
    from .volumes import VolumesTask

CITATIONS = (
    "Tian Q, Sun H, Wang S, Shi Y, Yin Y. DeferredSeg. Pattern Recognition 182:114811, 2026 (arXiv 2604.12411).",
)
LIMITS = (
    "It labels volumes on their own grid, without resampling: other voxel sizes than those it was trained on were not "
    "tried.",
    "The error probability was fitted to the voxels of the decision zone of the validation volumes.",
)


@dataclass(frozen=True)
class VolumeBundle:
    """description : of bundle.json. base : tensors, or the file to copy. card : Markdown."""

    description: dict[str, Any]
    base: Mapping[str, torch.Tensor] | Path
    card: str


def volume_bundle(task: VolumesTask, bundle_id: str, record: TrainingRecord) -> VolumeBundle:
    """The bundle of a task whose network holds the best weights."""
    config, base, network = task.config, task.start.bundle, task.start.described(task.sets.classes)
    description: dict[str, Any] = {
        "id": bundle_id,
        "name": config.name or f"{network['class']} for {', '.join(task.sets.classes)}",
        "family": FAMILY,
        "license": task.options.license if base is None else base.license,
        "windows": {modality: dict(window) for modality, window in task.start.windows.items()},
        "network": network,
        "citations": list(base.citations) if base is not None else [],
    }
    if task.settings is not None:
        description["citations"] += [one for one in CITATIONS if one not in description["citations"]]
        trained_with = {**config.experts.model_dump(), "seed": config.seed, "readers": list(task.sets.experts)}
        description["head"] = {
            "kind": KIND,
            "mode": task.settings.mode,
            "experts": [{"id": name, "name": name.replace("-", " ")} for name in task.sets.experts],
            "settings": {**task.settings.to_json(), "trained_with": trained_with},
        }
    frozen = base is not None and task.options.frozen
    return VolumeBundle(
        description,
        base.weights if base is not None and frozen else task.net.state_dict(),
        model_card(record, description, task.sets.subjects, LIMITS if task.settings is not None else LIMITS[:1]),
    )
