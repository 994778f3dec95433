"""Task "slices": what is trained and what stays, caches, experts, and a bundle that routes as the network did."""

from __future__ import annotations

import importlib.util
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.engine import sam_vit
from DeferredSegSlicerLib.engine.bundles import load_bundle
from DeferredSegSlicerLib.engine.sam_decoder import BoxDecoder
from DeferredSegSlicerLib.engine.slice_protocol import tight_box
from DeferredSegSlicerLib.engine.slice_protocol.slices import cut_slices
from DeferredSegSlicerLib.engine.slice_router import SliceRouter
from DeferredSegSlicerLib.engine.training.config import DataConfig, TrainingConfig
from DeferredSegSlicerLib.engine.training.run import run_training
from DeferredSegSlicerLib.engine.training.tasks.slices import SlicesTask
from DeferredSegSlicerLib.engine.weights import read_weights

RELEASED = {"mode": "released"}
ONE_STAGE = {"size": 64, "stage": "one"}
CPU = torch.device("cpu")


def load_toy() -> ModuleType:
    spec = importlib.util.spec_from_file_location("slices_toy", Path(__file__).with_name("slices_toy.py"))
    assert spec and spec.loader
    module = sys.modules["slices_toy"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


toy = load_toy()


@pytest.fixture(autouse=True)
def small_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread, the toy data behind every `data` entry, and the tiny SAM behind family "sam"."""
    torch.set_num_threads(1)
    sets = {"toy": toy.volumes, "pictures": toy.pictures}
    monkeypatch.setattr(DataConfig, "open", lambda self, seed: sets[self.kind]())
    monkeypatch.setattr(sam_vit, "load_sam", toy.load_tiny_sam)


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., TrainingConfig]:
    """A function from changes to a configuration; the tiny SAM's bundle is there."""
    toy.write_tiny_sam(tmp_path / "tiny-sam")
    return lambda **changes: toy.make_config(tmp_path, **changes)


def prepared(config: TrainingConfig) -> SlicesTask:
    task = SlicesTask(config)
    task.prepare(lambda stage, done, total: None)
    return task


def train(task: SlicesTask, steps: int, rate: float = 1e-3) -> list[float]:
    """Steps on one and the same draw; the losses, in one-stage training of the segmentor alone.

    Routing has to answer for more pixels as the segmentor gets them right, so the sum of both may rise.
    """
    optimizer = torch.optim.AdamW([p for p in task.model.parameters() if p.requires_grad], lr=rate)
    batch, losses = task.batches(0)[0], []
    task.model.train()
    for _ in range(steps):
        random.seed(4)
        loss = task.loss(batch)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        losses.append(loss.terms.get("segmentation", float(loss.total.detach())))
    return losses


@pytest.mark.parametrize(
    "changes",
    [{}, {"loss": RELEASED}, {"options": ONE_STAGE}, {"options": ONE_STAGE, "loss": RELEASED}],
    ids=["consistent two-stage", "released two-stage", "consistent one-stage", "released one-stage"],
)
def test_steps_lower_the_loss_and_change_only_what_is_trained(configure: Any, changes: dict[str, Any]) -> None:
    task = prepared(configure(**changes))
    before = {name: tensor.clone() for name, tensor in task.net.base_tensors().items()}
    losses = train(task, 4)
    assert losses[-1] < losses[0]
    changed = {name for name, t in task.net.base_tensors().items() if not torch.equal(t, before[name])}
    assert not any(name.startswith(("image_encoder", "prompt_encoder")) for name in changed)
    trained = task.options.stage == "one"
    assert any(name.startswith("mask_decoder.transformer") for name in changed) == trained
    assert bool(changed) == trained


@pytest.mark.parametrize("mode", ["released", "consistent"])
def test_masks_of_a_frozen_decoder_stay_those_of_the_plain_decoder(configure: Any, mode: str) -> None:
    task = prepared(configure(loss={"mode": mode}, head={"tokens": "isolated"}))
    train(task, 2, rate=0.1)
    base = toy.load_tiny_sam(read_weights(task.bundle.weights), "tiny", 256)
    image = torch.rand(1, 3, 64, 64)
    box = torch.tensor([[10.0, 12.0, 40.0, 50.0]])
    with torch.no_grad():
        answer = task.net.eval()(image, box)
        embedded = base.image_encoder(torch.nn.functional.interpolate(image, size=(256, 256), mode="bilinear"))
        low, _, _ = BoxDecoder(base.prompt_encoder, base.mask_decoder)(embedded, box.reshape(1, 2, 2) * 4)
    assert answer.logits.shape == (1, 64, 64)
    assert torch.allclose(answer.logits, low, atol=1e-4)


def test_the_exported_bundle_routes_as_the_trained_network(configure: Any, tmp_path: Path) -> None:
    config = configure(loss=RELEASED, options={**ONE_STAGE, "published_redraw": True}, head={"fresh_mask_mlps": True})
    trained = run_training(config)
    assert 0 <= trained.record.validation.figures["system_dice"] <= 1
    bundle = load_bundle(tmp_path / "trained")
    assert bundle.head is not None and bundle.head["kind"] == "slice" and bundle.head["mode"] == "released"
    assert "SIMULATED" in (bundle.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    router = SliceRouter(bundle, CPU)
    again = SlicesTask(config)
    again.net.load_head(read_weights(bundle.folder / bundle.head["file"]), "head")
    stored = read_weights(bundle.weights)
    again.net.box.mask_decoder.load_state_dict(
        {name.removeprefix("mask_decoder."): t for name, t in stored.items() if name.startswith("mask_decoder.")}
    )
    cut = next(cut_slices(toy.make_case(3), 64, bundle.windows))
    box = tight_box(cut.truth)
    answer = router.route(cut.image, box)
    with torch.no_grad():
        pixels = torch.from_numpy(cut.image).float()[None].expand(1, 3, 64, 64)
        expected = again.net.eval()(pixels, torch.from_numpy(box)[None])
    assert np.allclose(answer.probability, torch.sigmoid(expected.logits[0]).numpy(), atol=1e-6)
    assert np.array_equal(answer.leader, expected.routing.routing()[0].argmax(dim=0).numpy())


def test_a_two_stage_bundle_keeps_the_base_weights_byte_for_byte(configure: Any, tmp_path: Path) -> None:
    run_training(configure(training={"epochs": 1}))
    assert load_bundle(tmp_path / "trained").sha256 == load_bundle(tmp_path / "tiny-sam").sha256


def test_cenet_is_trained_in_one_stage_then_frozen_under_a_new_head(configure: Any, tmp_path: Path) -> None:
    first = configure(
        segmentor=None,
        network={"class": "CENet", "encoder": "pvt_v2_b0"},
        options={**ONE_STAGE, "size": 32},
        training={"epochs": 1},
    )
    run_training(first)
    base = load_bundle(tmp_path / "trained")
    assert (
        not base.needs_box and SliceRouter(base, CPU).route(np.zeros((1, 32, 32), np.float16), None).leader.max() <= 3
    )
    second = configure(segmentor={"bundle": str(base.folder)}, options={"size": 32}, output=str(tmp_path / "second"))
    task = prepared(second)
    before = {name: tensor.clone() for name, tensor in task.net.base_tensors().items()}
    losses = train(task, 3, rate=0.01)
    assert losses[-1] < losses[0]
    assert all(torch.equal(tensor, before[name]) for name, tensor in task.net.base_tensors().items())


def test_training_draws_one_label_and_validation_takes_the_union(configure: Any) -> None:
    task = prepared(configure())
    both = next(kept for kept in task.slices.training if len(kept.read().labels) == 2)
    truth = both.read().truth
    random.seed(0)
    drawn = {int(task._for_training(both).target.sum()) for _ in range(12)}
    assert drawn == {int((truth == 1).sum()), int((truth == 2).sum())}
    shown = task._for_validation(both)
    assert np.array_equal(shown.target, truth > 0)
    assert np.array_equal(shown.box, tight_box(truth > 0))


def test_expert_errors_are_frozen_for_an_image_unless_redrawn_as_published(configure: Any) -> None:
    frozen, redrawn = prepared(configure()), prepared(configure(options={"published_redraw": True}))
    alike = [
        len({task._for_training(task.slices.training[0]).experts.tobytes() for _ in range(3)})
        for task in (frozen, redrawn)
    ]
    assert alike == [1, 3]  # the first slice of a volume has one label


def test_readers_of_the_data_can_be_the_experts(configure: Any, tmp_path: Path) -> None:
    data = [{"kind": "pictures", "folder": str(tmp_path)}]
    task = prepared(configure(data=data, experts={"readings": True, "count": 2}))
    assert task.experts.names == ("careful", "hasty")
    shown = task._for_training(task.slices.training[0])
    assert np.array_equal(shown.experts[0], shown.target) and shown.experts[1].sum() < shown.target.sum()
    assert shown.cut.image.shape == (3, 64, 64)
    with pytest.raises(BadInputError, match=r"count is 3.*careful, hasty"):
        prepared(configure(data=data, experts={"readings": True, "count": 3}))


def test_embeddings_are_read_back_and_answer_as_the_encoder_does(configure: Any) -> None:
    task = prepared(configure())
    kept = task.slices.training[0]
    files = sorted(task.embeddings.folder.glob("*.npy"))
    assert len(files) == len(task.slices.training) + len(task.slices.validation)
    image = torch.from_numpy(kept.read().image).float()[None].expand(1, 3, 64, 64)
    assert torch.allclose(task.embeddings.read(kept).float(), task.net.embed(image)[0], atol=2e-3)
    times = [path.stat().st_mtime_ns for path in files]
    prepared(configure())
    assert [path.stat().st_mtime_ns for path in files] == times


def test_embeddings_that_would_fill_the_disk_are_refused_before_any_is_written(configure: Any, tmp_path: Path) -> None:
    config = configure(options={"cache_gb": 1e-5, "cache": str(tmp_path / "cache")})
    with pytest.raises(BadInputError, match=r"options\.cache_gb allows 1e-05.*embeddings: fresh"):
        prepared(config)
    assert not list((tmp_path / "cache").rglob("embeddings/*"))
    task = prepared(configure(options={"embeddings": "fresh", "cache": str(tmp_path / "cache")}))
    assert task.embeddings is None and np.isfinite(train(task, 1)[0])


def test_the_test_split_is_never_opened_in_training(configure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AssertionError("the test split was read")

    data = toy.volumes()
    data.found = [toy.Subject(s.id, s.patient, s.split, s.modality, refuse if s.split == "test" else s.load)
                  for s in data.found]  # fmt: skip
    monkeypatch.setattr(DataConfig, "open", lambda self, seed: data)
    assert len(prepared(configure()).slices.training) == 6


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"segmentor": None}, "either"),
        ({"network": {"class": "CENet"}}, "not both"),
        ({"segmentor": None, "network": {"class": "CENet"}}, "freeze random weights"),
        ({"head": {"tokens": "joint"}}, "joint tokens change"),
        ({"head": {"fresh_mask_mlps": True}}, "needs one-stage"),
        ({"loss": RELEASED, "head": {"tokens": "none"}}, "needs tokens"),
        ({"experts": {"readings": True}, "options": {"published_redraw": True}}, "published_redraw"),
    ],
)
def test_blocks_that_do_not_go_together_are_refused(configure: Any, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInputError, match=sentence):
        SlicesTask(configure(**changes))
