"""What task "slices" writes: the description, the segmentor's tensors and the card of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ...model_card import model_card
from ...slice_router import KIND, PLAIN_FAMILY
from ..task import TrainingRecord
from .slices_network import network_description

if TYPE_CHECKING:
    from .slices import SlicesTask

CITATIONS = (
    "Tian Q, Sun H, Wang S, Shi Y, Yin Y. DeferredSeg. Pattern Recognition 182:114811, 2026 (arXiv 2604.12411).",
)
CENET_CITATION = (
    "Bozorgpour A, Kolahi SG, Azad R, Hacihaliloglu I, Merhof D. CENet: Context Enhancement Network. MICCAI 2025 "
    "(arXiv 2505.18423)."
)
LIMITS = (
    "It labels single slices, stretched to a square, each with a box around the structure (none for CENet) that in the "
    "published protocol comes from the reference labels. It has not been measured on whole volumes.",
)
JOINT_LIMIT = (
    "Its mask decoder was trained together with the agents' tokens: without the head, as plain segmentor, the masks "
    "are not those of the figures."
)


@dataclass(frozen=True)
class SliceBundle:
    """description : of bundle.json. base : tensors, or the file to copy. card : Markdown."""

    description: dict[str, Any]
    base: Mapping[str, torch.Tensor] | Path
    card: str


def slice_bundle(task: SlicesTask, bundle_id: str, record: TrainingRecord) -> SliceBundle:
    """The bundle of a task whose network holds the best weights."""
    config, base, net = task.config, task.bundle, task.net
    names = task.experts.names if task.experts is not None else ()
    trained_with: dict[str, Any] = {
        "count": len(names),
        "seed": config.seed,
        "validation_every": {data.kind: data.validation_every for data in config.data},
    }
    if config.experts.simulated is None:
        trained_with["readings"] = True
    else:
        trained_with["simulated"] = config.experts.simulated
    description: dict[str, Any] = {
        "id": bundle_id,
        "name": config.name or f"{base.name if base else task.network.network_class} with slice deferral",
        "family": base.family if base else PLAIN_FAMILY,
        "license": base.license if base else "Apache-2.0",
        "windows": {modality: dict(window) for modality, window in base.windows.items()} if base else {},
        "network": dict(base.network) if base else network_description(task.network),
        "citations": [*(base.citations if base else (CENET_CITATION,)), *CITATIONS],
        "head": {
            "kind": KIND,
            "mode": net.settings.mode,
            "experts": [{"id": name, "name": name.replace("-", " ")} for name in names],
            "settings": {**net.settings.to_json(), "trained_with": trained_with},
        },
    }
    limits = (*LIMITS, JOINT_LIMIT) if net.settings.tokens == "joint" else LIMITS
    frozen = base is not None and net.settings.frozen
    return SliceBundle(
        description,
        base.weights if base is not None and frozen else net.base_tensors(),
        model_card(record, description, task.slices.subjects, limits),
    )
