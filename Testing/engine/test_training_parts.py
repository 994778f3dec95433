"""The parts of training one by one: schedule, averages, sharing of work, seeds, warnings, the model card."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.engine.model_card import model_card
from DeferredSegSlicerLib.engine.training.config import DataConfig, TrainingConfig
from DeferredSegSlicerLib.engine.training.distributed import group_size, join_team, shares
from DeferredSegSlicerLib.engine.training.ema import AveragedWeights
from DeferredSegSlicerLib.engine.training.randomness import random_states, restore_random_states, seed_everything
from DeferredSegSlicerLib.engine.training.reporting import LoopClock, collapse_warning
from DeferredSegSlicerLib.engine.training.schedule import rate_factor
from DeferredSegSlicerLib.engine.training.step import autocast_type
from DeferredSegSlicerLib.engine.training.stopping import BestScore
from DeferredSegSlicerLib.engine.training.task import TrainingRecord, Validation
from hypothesis import given
from hypothesis import strategies as st


def test_the_learning_rate_rises_linearly_and_falls_along_half_a_cosine() -> None:
    assert [rate_factor(t, 10, 2) for t in (0.5, 1, 2)] == pytest.approx([0.25, 0.5, 1])
    assert rate_factor(4, 10, 2) == pytest.approx(math.cos(math.pi / 8) ** 2)
    assert rate_factor(6, 10, 2) == pytest.approx(0.5)
    assert rate_factor(10, 10, 2) == pytest.approx(0)
    assert rate_factor(0, 10, 0) == 1
    assert rate_factor(1, 3, 5) == pytest.approx(1 / 3), "a warmup that is longer than the training"


def test_averaged_weights_follow_the_closed_form_and_are_there_only_for_a_while() -> None:
    live = {"w": torch.zeros(2), "count": torch.tensor(0)}
    average = AveragedWeights(live, decay=0.5)
    expected = 0.0
    for n in range(6):
        live["w"].fill_(n + 1.0)
        live["count"].fill_(n)
        average.update(live)
        decay = min(0.5, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * (n + 1)
    with average.in_place_of(live):
        assert live["w"].tolist() == pytest.approx([expected] * 2) and live["count"] == 5
    assert live["w"].tolist() == [6, 6]
    with pytest.raises(KeyError), average.in_place_of(live):
        raise KeyError
    assert live["w"].tolist() == [6, 6], "also after an error"


@given(items=st.integers(1, 60), accumulate=st.integers(1, 9), processes=st.integers(1, 5))
def test_every_item_counts_once_and_all_processes_stay_in_step(items: int, accumulate: int, processes: int) -> None:
    group = group_size(accumulate, processes)
    assert group % processes == 0 and accumulate <= group < accumulate + processes
    plans = [shares(items, group, rank, processes) for rank in range(processes)]
    assert len({len(plan) for plan in plans}) == 1
    counted = [share.index for plan in plans for step in plan for share in step if share.weight]
    assert sorted(counted) == list(range(items))
    for step in range(len(plans[0])):
        assert len({len(plan[step]) for plan in plans}) == 1, "as many forward passes in every process"
        assert sum(share.weight for plan in plans for share in plan[step]) == pytest.approx(1)


def test_seeds_depend_on_every_part_and_states_come_back() -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    seed_everything(1, 2, 3)
    first = draw()
    states = random_states()
    following = draw()
    restore_random_states(states)
    assert draw() == following
    seed_everything(1, 2, 3)
    assert draw() == first
    for other in ((1, 2, 4), (1, 3, 3), (2, 2, 3)):
        seed_everything(*other)
        assert all(a != b for a, b in zip(draw(), first, strict=True))


def test_patience_counts_validations_without_a_better_score_and_nan_is_never_better() -> None:
    best = BestScore(patience=2)
    assert best.better(0.5) and not best.better(0.5) and not best.exhausted
    assert best.better(0.6) and not best.better(math.nan) and not best.exhausted
    assert not best.better(0.1) and best.exhausted
    assert not BestScore(None, worse=1000).exhausted


def test_mixed_precision_is_off_on_the_cpu_unless_asked_for() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert autocast_type("auto", cpu) is None and autocast_type("bf16", cpu) is torch.bfloat16
    assert autocast_type("auto", gpu) is torch.float16 and autocast_type("off", gpu) is None
    with pytest.raises(BadInputError, match="bf16 or off"):
        autocast_type("fp16", cpu)


def test_time_left_counts_steps_and_validations() -> None:
    clock = LoopClock()
    assert clock.left(5, 1) is None
    clock.did("step", 2.0)
    clock.did("step", 4.0)
    assert clock.left(5, 1) == pytest.approx(15)
    clock.did("validation", 10.0)
    assert clock.left(5, 2) == pytest.approx(35)


def test_the_collapse_warning_says_which_weight_to_change() -> None:
    assert collapse_warning({"loss": 1.0}) is None
    assert "loss.budget" in str(collapse_warning({"share/model": 0.99, "share/edge": 0.01}))
    assert "load_balance" in str(collapse_warning({"share/model": 0.01, "share/edge": 0.99}))
    assert collapse_warning({"share/model": 0.9, "share/edge": 0.1}) is None


def test_an_environment_that_is_not_of_torchrun_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(BadInputError, match="torchrun"), join_team("cpu"):
        pass


def test_several_processes_cannot_share_one_numbered_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(BadInputError, match="--device cuda"), join_team("cuda:0"):
        pass


@dataclass(frozen=True)
class Image:
    patient: str
    split: str
    modality: str


@dataclass(frozen=True)
class Source:
    name: str = "STS"
    license: str = "CC BY 3.0"
    citation: str = "Vallières et al. 2015"


def a_record(**blocks: object) -> TrainingRecord:
    content = {"task": "prompted", "output": "b", "seed": 77, "data": [{"kind": "sts", "folder": "/nowhere"}]}
    config = TrainingConfig.model_validate(content | blocks)
    return TrainingRecord(config, 9, 7, Validation(0.91, {"auroc": 0.8765}), versions={"torch": "9.9"})


def test_the_model_card_says_loudly_that_experts_were_simulated_and_names_no_patient() -> None:
    description = {
        "name": "A head",
        "family": "litemedsam",
        "license": "Apache-2.0",
        "head": {"kind": "stack", "mode": "consistent", "experts": [{"id": "e", "name": "the edge reader"}]},
        "citations": ["Ma et al. 2024"],
    }
    images = [Image("STS_001", "train", "CT"), Image("STS_001", "train", "CT"), Image("STS_003", "validation", "CT")]
    card = model_card(a_record(), description, images, limits=("It saw no bone.",), datasets=[Source()])
    assert card.startswith("# A head\n") and "not a medical device" in card
    assert "**THE EXPERTS WERE SIMULATED" in card and "the edge reader" in card
    assert "| train | CT | 1 | 2 |" in card and "| validation | CT | 1 | 1 |" in card and "STS_001" not in card
    for told in ("CC BY 3.0", "Vallières", "0.8765", "0.9100", "| seed | 77 |", "It saw no bone.", "9.9", "Ma et al"):
        assert told in card, told
    human = model_card(a_record(experts={"readings": True}), description, images, datasets=[Source()])
    assert "SIMULATED" not in human and "Human readers" in human


def test_the_model_card_is_written_even_if_the_data_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(data: DataConfig, seed: int) -> None:
        raise BadInputError(f'"{data.folder}" does not exist')

    monkeypatch.setattr(DataConfig, "open", gone)
    assert "| sts | not known | not known |" in model_card(a_record(), {"name": "x"})
