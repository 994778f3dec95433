"""Small data sets of volumes and of pictures with readers, a small network with SAM's decoder, and a bundle of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.volume import Volume
from DeferredSegSlicerLib.engine.bundle_writer import write_bundle
from DeferredSegSlicerLib.engine.sam_decoder import EMBEDDING, make_mask_decoder, make_prompt_encoder
from DeferredSegSlicerLib.engine.training.config import TrainingConfig
from DeferredSegSlicerLib.engine.weights import load_strictly
from torch import nn


@dataclass(frozen=True)
class Reading:
    name: str
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class Case:
    volume: Volume
    truth: np.ndarray
    readings: tuple[Reading, ...] = ()


@dataclass(frozen=True, eq=False)
class Picture:
    image: np.ndarray
    truth: np.ndarray
    readings: tuple[Reading, ...] = ()


@dataclass(frozen=True)
class Subject:
    id: str
    patient: str
    split: str
    modality: str
    load: Callable[[], Case | Picture]


@dataclass
class Dataset:
    kind: str
    found: list[Subject]
    classes: tuple[str, ...] = ("blob", "spot")
    planar: bool = False
    name: str = "Toy set"
    license: str = "CC0"
    citation: str = "Nobody."
    opened: list[str] = field(default_factory=list)

    def subjects(self, split: str | None = None) -> list[Subject]:
        return [one for one in self.found if split in (None, one.split)]


SPLITS = ("train", "train", "validation", "test")


def disk(shape: tuple[int, int], center: tuple[float, float], radius: float) -> np.ndarray:
    rows, columns = np.indices(shape)
    return (rows - center[0]) ** 2 + (columns - center[1]) ** 2 <= radius**2


def make_case(number: int) -> Case:
    """Four slices of 40 x 30 pixels; the first is empty, the others have a bright blob and, but for one, a spot."""
    noise = np.random.default_rng(number).normal(0, 10, (4, 40, 30))
    truth = np.zeros((4, 40, 30), np.uint8)
    for k in (1, 2, 3):
        truth[k][disk((40, 30), (16 + number, 12), 7)] = 1
        if k > 1:
            truth[k][disk((40, 30), (30, 22), 4)] = 2
    image = (noise + 100 * (truth > 0)).astype(np.int16)
    grid = Geometry((30, 40, 4), (1.0, 1.0, 3.0), (0.0, 0.0, 0.0))
    return Case(Volume(image, grid, "CT"), truth)


def make_picture(number: int) -> Picture:
    """A color picture of 48 x 48 with one disk and two readers: one draws too small, the other is right."""
    truth = disk((48, 48), (24, 22 + number), 12).astype(np.uint8)
    small = disk((48, 48), (24, 22 + number), 8).astype(np.uint8)
    image = np.random.default_rng(number).random((3, 48, 48), np.float32) * 0.2
    image[0] += 0.6 * truth
    return Picture(image, truth, (Reading("careful", truth), Reading("hasty", small)))


def volumes() -> Dataset:
    subjects = [
        Subject(f"case {n}", f"patient {n}", split, "CT", lambda n=n: make_case(n)) for n, split in enumerate(SPLITS)
    ]
    return Dataset("toy", subjects)


def pictures() -> Dataset:
    subjects = [
        Subject(f"eye {n}", f"patient {n}", split, "other", lambda n=n: make_picture(n))
        for n, split in enumerate(SPLITS)
    ]
    return Dataset("pictures", subjects, ("disk",), planar=True)


class TinySam(nn.Module):
    """SAM's prompt encoder and mask decoder behind a single convolution: 256 pixels in, 64 x 64 logits out."""

    def __init__(self, input_size: int = 256) -> None:
        super().__init__()
        self.image_encoder = nn.Conv2d(3, EMBEDDING, 16, stride=16)
        self.prompt_encoder = make_prompt_encoder(input_size, input_size // 16)
        self.mask_decoder = make_mask_decoder()


def load_tiny_sam(tensors: dict[str, torch.Tensor], source: str, input_size: int = 1024) -> TinySam:
    network = TinySam(input_size)
    load_strictly(network, tensors, source)
    return network.eval().requires_grad_(False)


def write_tiny_sam(folder: Path) -> Path:
    torch.manual_seed(5)
    description = {
        "id": folder.name,
        "name": "Tiny SAM",
        "family": "sam",
        "license": "CC0",
        "windows": {"CT": {"level": 40.0, "width": 400.0}},
        "network": {"input_size": 256},
    }
    return write_bundle(folder, description, TinySam().state_dict(), None, "A toy.").folder


def make_config(folder: Path, **changes: Any) -> TrainingConfig:
    """Two-stage training of a head on the tiny SAM, on slices of 64 pixels."""
    content: dict[str, Any] = {
        "task": "slices",
        "output": str(folder / "trained"),
        "data": [{"kind": "toy", "folder": str(folder)}],
        "segmentor": {"bundle": str(folder / "tiny-sam")},
        "experts": {"simulated": "published-similar", "count": 3},
        "head": {"width": 8, "dilations": [1]},
        "options": {"size": 64},
        "training": {"epochs": 2, "batch": 2, "learning_rate": 0.003, "warmup_epochs": 0, "device": "cpu"},
    }
    for key, value in changes.items():
        if value is None:
            content.pop(key)
        elif isinstance(value, dict) and isinstance(content.get(key), dict) and key not in ("experts", "data"):
            content[key] = {**content[key], **value}
        else:
            content[key] = value
    return TrainingConfig.model_validate(content)
