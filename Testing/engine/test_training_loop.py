"""Training: the same seed gives the same weights, whatever interrupts it and however many processes share it."""

from __future__ import annotations

import csv
import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.engine.bundles import load_bundle
from DeferredSegSlicerLib.engine.training.checkpoint import read_checkpoint
from DeferredSegSlicerLib.engine.training.config import TrainingConfig
from DeferredSegSlicerLib.engine.training.places import TrainingPlaces
from DeferredSegSlicerLib.engine.training.stopping import TrainingStopped
from DeferredSegSlicerLib.engine.weights import read_weights

HERE = Path(__file__).resolve().parent
LIBRARY = HERE.parents[1] / "DeferredSegSlicer"


def _load_toy() -> ModuleType:
    spec = importlib.util.spec_from_file_location("training_toy", HERE / "training_toy.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["training_toy"] = module
    spec.loader.exec_module(module)
    return module


toy = _load_toy()


def a_config(output: Path, seed: int = 3, rising: bool = True, **training: Any) -> TrainingConfig:
    """Three epochs of seven items, three items a step, on the CPU; a checkpoint after every step.

    rising : the last epoch counts as the best, so that its weights are those of the bundle.
    """
    loop = {"epochs": 3, "learning_rate": 0.05, "accumulate": 3, "device": "cpu", "checkpoint_minutes": 0.0}
    return TrainingConfig.model_validate(
        {"task": "toy", "output": output, "seed": seed, "training": loop | training, "options": {"rising": rising}}
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Of a bundle."""
    return read_weights(load_bundle(folder).weights)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of the training of `a_config`, with averaged weights, in one go."""
    folder = tmp_path_factory.mktemp("uninterrupted") / "bundle"
    toy.train_toy(a_config(folder, ema=0.9))
    return folder


def environment() -> dict[str, str]:
    """Of a child process that finds the library."""
    return os.environ | {"PYTHONPATH": str(LIBRARY), "OMP_NUM_THREADS": "1"}


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path, uninterrupted: Path) -> None:
    toy.train_toy(a_config(tmp_path / "again", ema=0.9))
    assert same(weights(tmp_path / "again"), weights(uninterrupted))
    toy.train_toy(a_config(tmp_path / "other", seed=4, ema=0.9))
    assert not same(weights(tmp_path / "other"), weights(uninterrupted))


def test_training_learns_and_every_item_is_seen_once_an_epoch(tmp_path: Path) -> None:
    trained, task = toy.train_toy(a_config(tmp_path / "b", rising=False, epochs=12))
    assert trained.record.validation.score > 0.8, "guessing the larger class gives 0.6"
    assert trained.record.history[0]["loss"] > 1.5 * trained.record.history[-1]["loss"]
    for epoch in range(12):
        assert sorted(task.seen[7 * epoch : 7 * epoch + 7]) == list(range(7))
    assert task.seen[:7] != task.seen[7:14], "the order is another in each epoch"


def test_a_killed_training_goes_on_to_exactly_the_same_weights(tmp_path: Path, uninterrupted: Path) -> None:
    config = a_config(tmp_path / "bundle", ema=0.9)
    (tmp_path / "config.json").write_text(config.model_dump_json(), encoding="utf-8")
    script = [sys.executable, str(HERE / "training_toy.py"), str(tmp_path / "config.json"), "12"]
    done = subprocess.run(script, env=environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (tmp_path / "bundle").exists()
    kept = read_checkpoint(TrainingPlaces(config.output).checkpoint, config)
    assert kept is not None and (kept.epoch, kept.step) == (1, 1), "killed in the second step of the second epoch"
    said: list[str] = []
    _, task = toy.train_toy(config, remark=said.append)
    assert said[0] == "going on from epoch 2, step 1"
    assert len(task.seen) == 4 + 7, "what was done is not done again"
    assert same(weights(tmp_path / "bundle"), weights(uninterrupted))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_finishes_the_step_and_leaves_a_checkpoint(
    tmp_path: Path, uninterrupted: Path, number: signal.Signals, code: int
) -> None:
    config = a_config(tmp_path / "bundle", ema=0.9, checkpoint_minutes=60.0)
    before = signal.getsignal(number)

    def kill(call: int) -> None:
        if call == 4:
            os.kill(os.getpid(), number)

    with pytest.raises(TrainingStopped, match="run the same command again to go on") as stopped:
        toy.train_toy(config, before_loss=kill)
    assert stopped.value.exit_code == code
    assert signal.getsignal(number) is before
    _, task = toy.train_toy(config)
    assert len(task.seen) == 21 - 6, "two steps of three items were finished"
    assert same(weights(tmp_path / "bundle"), weights(uninterrupted))


def test_a_signal_while_validating_leaves_the_weights_of_the_epoch(tmp_path: Path, uninterrupted: Path) -> None:
    config = a_config(tmp_path / "bundle", ema=0.9, checkpoint_minutes=60.0)

    def kill(call: int) -> None:
        if call == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(TrainingStopped):
        toy.train_toy(config, before_validate=kill)
    _, task = toy.train_toy(config)
    assert len(task.seen) == 7 and len(task.validated) == 2, "the second validation is done again, the epoch is not"
    assert same(weights(tmp_path / "bundle"), weights(uninterrupted))


def test_two_processes_train_to_the_weights_of_one(tmp_path: Path) -> None:
    settings = {"accumulate": 4, "epochs": 2}  # 7 items: a group of 4, then one of 3, which does not come out even
    _, alone = toy.train_toy(a_config(tmp_path / "one", **settings))
    config = a_config(tmp_path / "two", **settings)
    (tmp_path / "config.json").write_text(config.model_dump_json(), encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*command, str(HERE / "training_toy.py"), str(tmp_path / "config.json")],
        env=environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, tensor in one.items():
        assert torch.allclose(tensor, two[name], atol=1e-5), name
    assert not torch.allclose(alone.validated[0]["0.weight"], one["0.weight"], atol=1e-3), "an epoch moves them further"


def test_training_stops_early_and_exports_the_best_epoch(tmp_path: Path) -> None:
    config = a_config(tmp_path / "b", rising=False, epochs=9, patience=2)
    trained, task = toy.train_toy(config, scores=[0.5, 0.7, 0.6, 0.7, 0.9])
    record = trained.record
    assert record.stopped_early and (record.epochs, record.best_epoch, record.validation.score) == (4, 2, 0.7)
    assert same(weights(tmp_path / "b"), task.validated[1])
    again, second = toy.train_toy(config)
    assert again.record.best_epoch == 2 and not second.seen, "a finished training only writes its bundle again"


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    config = a_config(tmp_path / "b")
    made = []

    def spoil(call: int) -> None:
        if call == 4:
            made[0].spoil = float("nan")

    def make(used: TrainingConfig) -> Any:
        made.append(toy.ToyTask(used, before_loss=spoil))
        return made[0]

    with pytest.raises(BadInputError, match=r"not a finite number in epoch 1, step 2 of 3.*checkpoint is kept.*rate"):
        toy.run_training(config, task_maker=make)
    kept = read_checkpoint(TrainingPlaces(config.output).checkpoint, config)
    assert kept is not None and kept.step == 1
    assert all(torch.isfinite(tensor).all() for tensor in kept.weights.values())
    assert not (tmp_path / "b").exists()


def test_a_disk_that_fills_up_keeps_the_checkpoint_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = a_config(tmp_path / "b")
    calls = []
    real = os.fsync

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 4:  # two checkpoints of a file and its folder each
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadInputError, match="disk is full"):
        toy.train_toy(config)
    monkeypatch.undo()
    kept = read_checkpoint(TrainingPlaces(config.output).checkpoint, config)
    assert kept is not None and kept.step == 2
    assert [path.name for path in TrainingPlaces(config.output).folder.glob(".writing-*")] == []


def test_a_changed_configuration_is_refused_by_name_until_a_restart(tmp_path: Path) -> None:
    toy.train_toy(a_config(tmp_path / "b", epochs=1))
    with pytest.raises(BadInputError, match=r"training.epochs was 1, is 2; training.learning_rate was 0.05, is 0.1"):
        toy.train_toy(a_config(tmp_path / "b", epochs=2, learning_rate=0.1))
    trained, task = toy.train_toy(a_config(tmp_path / "b", epochs=2), restart=True)
    assert trained.record.epochs == 2 and len(task.seen) == 14


def test_a_damaged_checkpoint_is_refused_with_advice(tmp_path: Path) -> None:
    config = a_config(tmp_path / "b", epochs=1)
    toy.train_toy(config)
    path = TrainingPlaces(config.output).checkpoint
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(BadInputError, match="use --restart"):
        toy.train_toy(config)


def test_frozen_parameters_stay_and_are_not_in_the_checkpoint(tmp_path: Path) -> None:
    config = a_config(tmp_path / "b")
    _, task = toy.train_toy(config)
    kept = read_checkpoint(TrainingPlaces(config.output).checkpoint, config)
    assert kept is not None and "4.weight" in kept.weights and "4.bias" not in kept.weights
    assert torch.equal(task.validated[0]["4.bias"], task.validated[-1]["4.bias"])
    assert not torch.equal(task.validated[0]["4.weight"], task.validated[-1]["4.weight"])


def test_the_log_has_every_step_once_also_after_a_kill(tmp_path: Path) -> None:
    config = a_config(tmp_path / "b", log_every=1, checkpoint_minutes=60.0)

    def crash(call: int) -> None:
        if call == 18:
            raise KeyError("power cut")

    with pytest.raises(KeyError):
        toy.train_toy(config, before_loss=crash)
    toy.train_toy(config)
    logs = TrainingPlaces(config.output).logs
    with (logs / "figures.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows if row["figure"] == "train/loss"] == list(range(1, 10))
    assert [row["step"] for row in rows if row["figure"] == "validation/score"] == ["3", "6", "9"]
    assert any(path.name.startswith("events.") for path in logs.iterdir()), "TensorBoard's own file"


def test_a_routing_that_collapses_is_warned_about_once(tmp_path: Path) -> None:
    said: list[str] = []
    toy.train_toy(a_config(tmp_path / "b"), shares={"share/edge": 0.999, "share/model": 0.001}, remark=said.append)
    assert len([sentence for sentence in said if "99.9% of the voxels are routed to edge" in sentence]) == 1
    quiet: list[str] = []
    toy.train_toy(a_config(tmp_path / "c"), shares={"share/edge": 0.4, "share/model": 0.6}, remark=quiet.append)
    assert not any("collapsed" in sentence for sentence in quiet)


def test_progress_grows_to_the_end_and_says_how_long_it_takes(tmp_path: Path) -> None:
    told: list[tuple[str, int, int, float | None]] = []
    toy.train_toy(a_config(tmp_path / "b"), watcher=lambda *report: told.append(report))
    assert told[0][0] == "drawing images"
    steps = [(done, total) for stage, done, total, _ in told if stage.startswith("epoch")]
    assert steps == [(n, 9) for n in range(1, 10)]
    assert all(left is not None and left >= 0 for stage, _, _, left in told if stage.startswith("epoch"))


def test_an_output_that_is_no_bundle_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BadInputError, match="not empty and no bundle"):
        toy.train_toy(a_config(tmp_path))
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "years of work"


def test_bfloat16_trains_on_the_cpu_and_fp16_is_refused_there(tmp_path: Path) -> None:
    trained, _ = toy.train_toy(a_config(tmp_path / "b", rising=False, amp="bf16", epochs=1))
    assert trained.record.validation.score > 0
    with pytest.raises(BadInputError, match="fp16"):
        toy.train_toy(a_config(tmp_path / "c", amp="fp16"))
