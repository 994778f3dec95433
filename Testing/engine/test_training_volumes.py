"""Task "volumes": what is trained and what stays, patches, experts, and a bundle that routes as the network did."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.volume import Volume
from DeferredSegSlicerLib.engine.bundles import load_bundle
from DeferredSegSlicerLib.engine.datasets import LoadedCase, Reading
from DeferredSegSlicerLib.engine.monai_nets import RoutedVolumeSegmentor, make_volume_segmentor
from DeferredSegSlicerLib.engine.training.config import DataConfig, TrainingConfig
from DeferredSegSlicerLib.engine.training.run import run_training
from DeferredSegSlicerLib.engine.training.tasks.volumes import VolumesTask
from DeferredSegSlicerLib.engine.training.tasks.volumes_figures import (
    ErrorFit,
    RoutedVolume,
    fit_error,
    stored_zone,
    zone_of,
)
from DeferredSegSlicerLib.engine.volume_routing import RoutedMaps
from DeferredSegSlicerLib.engine.weights import read_weights

CPU = torch.device("cpu")
UNET = {"class": "UNet", "arguments": {"channels": [4, 8], "strides": [2]}, "roi": [16, 16, 16], "divisor": 2}


@dataclass(frozen=True)
class Subject:
    id: str
    patient: str
    split: str
    modality: str
    load: Callable[[], LoadedCase]


@dataclass
class Dataset:
    found: list[Subject]
    kind: str = "toy"
    classes: tuple[str, ...] = ("ball", "core")
    planar: bool = False
    name: str = "Toy set"
    license: str = "CC0"
    citation: str = "Nobody."
    opened: list[str] = field(default_factory=list)

    def subjects(self, split: str | None = None) -> list[Subject]:
        return [one for one in self.found if split in (None, one.split)]


def make_case(number: int, shape: tuple[int, int, int] = (9, 14, 12)) -> LoadedCase:
    """A bright ball with a brighter core in noise; the second reader draws the core too large."""
    k, j, i = np.indices(shape)
    away = np.sqrt((k - shape[0] / 2) ** 2 + (j - 7) ** 2 + (i - 5 - number % 2) ** 2)
    truth = ((away < 4).astype(np.uint8) + (away < 2)).astype(np.uint8)
    image = (np.random.default_rng(number).normal(0, 10, shape) + 60 * truth).astype(np.int16)
    grid = Geometry(shape[::-1], (1.0, 1.0, 2.0), (0.0, 0.0, 0.0))
    wide = ((away < 4).astype(np.uint8) + (away < 3)).astype(np.uint8)
    return LoadedCase(Volume(image, grid, "CT"), truth, (Reading("a", truth), Reading("b", wide)))


def toy() -> Dataset:
    splits = ("train", "train", "train", "validation", "test")

    def load(number: int) -> LoadedCase:
        assert splits[number] != "test", "the test split is not to be opened"
        return make_case(number)

    return Dataset(
        [Subject(f"case-{n}", f"patient-{n}", s, "CT", lambda n=n: load(n)) for n, s in enumerate(splits)]  # type: ignore[misc]
    )


@pytest.fixture(autouse=True)
def small_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread, and the toy data behind every `data` entry."""
    torch.set_num_threads(1)
    monkeypatch.setattr(DataConfig, "open", lambda self, seed: toy())


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., TrainingConfig]:
    """A function from changes to a configuration."""

    def make(**changes: Any) -> TrainingConfig:
        content: dict[str, Any] = {
            "task": "volumes",
            "output": str(tmp_path / "trained"),
            "data": [{"kind": "toy", "folder": str(tmp_path)}],
            "network": UNET,
            "experts": {"simulated": "correlated", "count": 3},
            "head": {"width": 4, "dilations": [1]},
            "options": {"zone_band_mm": 2.0, "cache": str(tmp_path / "cache")},
            "training": {"epochs": 2, "batch": 2, "learning_rate": 0.003, "warmup_epochs": 0, "device": "cpu"},
        }
        for key, value in changes.items():
            merge = isinstance(value, dict) and key in ("options", "training", "head")
            content[key] = {**content[key], **value} if merge else value
        return TrainingConfig.model_validate({key: value for key, value in content.items() if value is not None})

    return make


def prepared(config: TrainingConfig) -> VolumesTask:
    torch.manual_seed(config.seed)
    task = VolumesTask(config)
    task.prepare(lambda stage, done, total: None)
    return task


def train(task: VolumesTask, steps: int, rate: float = 1e-2) -> list[float]:
    """Steps on one and the same draw; the losses of what is trained first."""
    optimizer = torch.optim.AdamW([p for p in task.model.parameters() if p.requires_grad], lr=rate)
    batch, losses = task.batches(0)[0], []
    task.model.train()
    for _ in range(steps):
        torch.manual_seed(4)
        random.seed(4)
        loss = task.loss(batch)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        losses.append(loss.terms.get("segmentation", float(loss.total.detach())))
    return losses


def test_one_stage_training_changes_network_and_head_and_learns(configure: Callable[..., TrainingConfig]) -> None:
    task = prepared(configure())
    before = {name: tensor.clone() for name, tensor in task.model.state_dict().items()}
    losses = train(task, 12)
    changed = {name.split(".")[0] for name, tensor in task.model.state_dict().items() if not tensor.equal(before[name])}
    assert changed == {"net", "head"}
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": {"mode": "released"}, "options": {"segmentation": "cross-entropy"}},
        {"loss": {"mode": "released", "double_sigmoid": True}},
        {"head": {"answers": "routing"}},
        {"options": {"surrogate": "one_vs_all"}},
        {"options": {"surrogate": "decoupled"}},
        {"options": {"surrogate": "realizable"}, "head": {"answers": "routing"}},
        {"experts": {"readings": True, "count": 2}},
        {"experts": {"simulated": "correlated", "count": 1}},
    ],
)
def test_every_way_to_train_the_routing_sends_a_gradient_to_it(
    configure: Callable[..., TrainingConfig], changes: dict[str, Any]
) -> None:
    task = prepared(configure(**changes))
    loss = task.loss(task.batches(0)[0])
    loss.total.backward()
    assert task.routed is not None
    sizes = [float(p.grad.abs().sum()) for name, p in task.routed.head.named_parameters() if "coarse" in name]
    assert torch.isfinite(loss.total) and all(size > 0 for size in sizes)
    shares = [value for name, value in loss.terms.items() if name.startswith("share/")]
    assert len(shares) == task.config.experts.count + 1 and sum(shares) == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("SegResNet", {"init_filters": 8, "blocks_down": [1, 1], "blocks_up": [1]}),
        (
            "DynUNet",
            {
                "kernel_size": [3, 3, 3],
                "strides": [1, 2, 2],
                "upsample_kernel_size": [2, 2],
                "filters": [4, 8, 8],
                "deep_supervision": False,
            },
        ),
    ],
)
@pytest.mark.parametrize("route", [True, False])
def test_other_networks_learn_as_well(
    configure: Callable[..., TrainingConfig], name: str, arguments: dict[str, Any], route: bool
) -> None:
    task = prepared(
        configure(network={**UNET, "class": name, "arguments": arguments, "divisor": 4}, options={"route": route})
    )
    losses = train(task, 3)
    assert losses[-1] < losses[0]


def test_a_bundle_gives_the_same_masks_and_routing_as_the_network_that_was_trained(
    configure: Callable[..., TrainingConfig],
) -> None:
    config = configure()
    trained = run_training(config)
    bundle = load_bundle(trained.folder)
    assert bundle.head is not None and bundle.head["kind"] == "volume" and bundle.classes == ("ball", "core")
    assert "SIMULATED" in (trained.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    segmentor = make_volume_segmentor(
        bundle.name, bundle.network, read_weights(bundle.weights), CPU, "w", bundle.head, bundle.head_tensors()
    )
    task = prepared(config)
    task.net.load_state_dict(read_weights(bundle.weights))
    assert task.routed is not None and isinstance(segmentor, RoutedVolumeSegmentor)
    task.routed.head.load_state_dict(bundle.head_tensors())
    image = task.sets.validation[0].read()["image"][0].astype(np.float32)
    maps = RoutedMaps.of(task.channels(image), 3)
    encoding = segmentor.encode(image)[0]
    assert torch.allclose(encoding.features.float(), maps.logits, atol=1e-2)
    stored = segmentor.routing_of(image)
    leader = stored.shares.argmax(axis=0)
    assert np.mean(leader == maps.routing[:-1].argmax(dim=0).numpy()) > 0.99
    assert segmentor.settings.error != ErrorFit(), "the error probability was not fitted"


def test_two_stage_training_keeps_the_segmentors_weights_byte_for_byte(
    configure: Callable[..., TrainingConfig], tmp_path: Path
) -> None:
    plain = run_training(configure(output=str(tmp_path / "plain"), options={"route": False}))
    base = load_bundle(plain.folder)
    assert base.head is None
    config = configure(network=None, segmentor={"bundle": str(plain.folder)}, options={"frozen": True})
    routed = load_bundle(run_training(config).folder)
    assert routed.sha256 == base.sha256 and routed.head is not None and routed.network == base.network


def test_images_larger_than_the_window_are_cut_to_it(configure: Callable[..., TrainingConfig]) -> None:
    task = prepared(configure(network={**UNET, "roi": [8, 10, 8]}))
    assert task._training is not None
    shape = task._training.batch((0, 1))["image"].shape
    assert tuple(shape) == (2, 1, 8, 10, 8)
    image = task.sets.validation[0].read()["image"][0]
    maps = RoutedMaps.of(task.channels(image), 3)
    assert maps.logits.shape[1:] == maps.doubt.shape == image.shape
    assert torch.allclose(maps.routing.sum(dim=0), torch.ones(image.shape), atol=1e-4)


def test_what_is_drawn_for_a_batch_follows_from_the_seed_alone(configure: Callable[..., TrainingConfig]) -> None:
    task = prepared(configure())
    assert task._training is not None
    torch.manual_seed(1)
    first = task._training.batch((0,))["image"]
    second = task._training.batch((0,))["image"]
    torch.manual_seed(1)
    assert torch.equal(first, task._training.batch((0,))["image"])
    assert not torch.equal(first, second)


def test_mirrored_labels_stay_on_their_image(configure: Callable[..., TrainingConfig]) -> None:
    still = {"scale": 0.0, "shift": 0.0, "gamma": 1.0, "noise": 0.0}
    ways = []
    for mirror in (0.0, 1.0):
        task = prepared(configure(options={"augmentation": {**still, "mirror": mirror}}))
        assert task._training is not None
        ways.append(task._training.batch((0,)))
    plain, mirrored = ways
    for name in ("image", "truth", "experts"):
        assert torch.equal(mirrored[name], plain[name].flip(-1)) and not torch.equal(mirrored[name], plain[name])


def test_validation_says_how_good_system_and_model_are(configure: Callable[..., TrainingConfig]) -> None:
    task = prepared(configure())
    figures = task.validate().figures
    assert figures["system_dice"] >= figures["model_dice"] - 0.2
    assert {"auroc", "margin_auroc", "augrc", "caught", "share_boundary"} <= set(figures)


def test_the_zone_in_training_is_the_zone_of_evaluation() -> None:
    torch.manual_seed(0)
    logits = 2 * torch.randn(1, 3, 9, 16, 15) - torch.tensor([-7.5, 0, 0]).reshape(1, 3, 1, 1, 1)
    for radius in ([0, 0, 0], [1, 2, 3]):
        here = zone_of(logits, 0.3, radius)[0].numpy() > 0
        assert np.array_equal(here, stored_zone(logits[0], 0.3, radius)) and here.any() and not here.all()


def test_the_error_probability_is_calibrated_where_it_was_fitted() -> None:
    generator = np.random.default_rng(0)
    doubt = generator.uniform(0.01, 0.5, (8, 20, 20))
    wrong = generator.random(doubt.shape) < doubt**2
    logits = torch.tensor(np.stack([np.log(1 - doubt), np.log(doubt)]), dtype=torch.float32)
    routing = torch.full((2, *doubt.shape), 0.5)
    truth = wrong.astype(np.uint8)
    volume = RoutedVolume(logits, routing, truth, truth[None], np.ones(doubt.shape, bool), torch.tensor(doubt))
    fit = fit_error([volume])
    error = fit.error(torch.zeros(doubt.shape), torch.tensor(doubt)).numpy()
    for low, high in ((0.05, 0.15), (0.2, 0.3), (0.35, 0.45)):
        part = (doubt > low) & (doubt < high)
        assert error[part].mean() == pytest.approx(wrong[part].mean(), abs=0.04)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"options": {"frozen": True}}, "random weights"),
        ({"network": None}, "needs either"),
        ({"network": {**UNET, "class": "Nothing"}}, "Nothing"),
        ({"network": {key: value for key, value in UNET.items() if key != "roi"}}, "roi"),
        ({"experts": {"readings": True, "count": 3}}, "2 readings"),
        ({"loss": {"mode": "released"}, "options": {"surrogate": "realizable"}}, "consistent"),
        ({"options": {"readers": ["boundary", "boundary", "upper-half"]}}, "3 different ones"),
        ({"options": {"readers": ["boundary", "nobody", "upper-half"]}}, "nobody"),
        ({"head": {"answers": "routing"}, "options": {"surrogate": "decoupled"}}, "agents"),
    ],
)
def test_configurations_that_cannot_work_are_refused(
    configure: Callable[..., TrainingConfig], changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadInputError, match=words):
        prepared(configure(**changes))
