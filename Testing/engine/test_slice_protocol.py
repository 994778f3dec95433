"""The 2D protocol: how slices are cut and prompted, what each row means, and how seeds are averaged."""

from __future__ import annotations

import csv
import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.engine.slice_protocol import SliceExperts, cut_slices, tight_box
from DeferredSegSlicerLib.engine.slice_protocol.figures import SliceFigures, over_runs
from DeferredSegSlicerLib.engine.slice_protocol.report import write_report
from DeferredSegSlicerLib.engine.slice_protocol.rows import (
    CONFIDENCE,
    EXPERT_PART,
    MODEL_ALONE,
    MODEL_PART,
    ORACLE,
    RANDOM,
    SYSTEM,
    Scored,
    alone,
    score_slice,
)
from DeferredSegSlicerLib.engine.slice_protocol.run import Run, choose_experts, pair_runs, run_protocol
from DeferredSegSlicerLib.engine.slice_router import RoutedSlice


def load_toy() -> ModuleType:
    spec = importlib.util.spec_from_file_location("slices_toy", Path(__file__).with_name("slices_toy.py"))
    assert spec and spec.loader
    module = sys.modules["slices_toy"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


toy = load_toy()
TOY = ("toy", Path("all"))
"""Kind and folder of the toy data; a folder with a split's name lacks that split."""


class Bright:
    """Routes as a slice bundle does: foreground is what is bright, and the upper half goes to the first expert."""

    def __init__(self, name: str = "bright", level: float = 0.5) -> None:
        self.bundle = SimpleNamespace(id=name, windows={})
        self.settings = SimpleNamespace(size=64, experts=3)
        self.trained_with = {"simulated": "published-similar", "count": 3}
        self.expert_ids = ("a", "b", "c")
        self.level = level
        self.boxes: list[np.ndarray] = []

    def open_data(self, kind: str, folder: Path) -> Any:
        data = {"toy": toy.volumes, "pictures": toy.pictures}[kind]()
        data.found = [one for one in data.found if one.split != folder.name]
        return data

    def route(self, image: np.ndarray, box: np.ndarray) -> RoutedSlice:
        self.boxes.append(box)
        gray = image[0].astype(np.float32)
        model = len(self.expert_ids)
        leader = np.full(gray.shape, model, np.uint8)
        leader[:32] = 0
        return RoutedSlice((gray > self.level).astype(np.float32), leader, (leader < model).astype(np.float32))


def rows_of(*arguments: Any) -> dict[str, Scored]:
    return {one.row: one for one in score_slice(*arguments)}


def test_slices_are_square_in_0_to_1_and_only_those_with_a_label() -> None:
    cuts = list(cut_slices(toy.make_case(0), 64))
    assert [cut.number for cut in cuts] == [1, 2, 3]
    assert [cut.labels for cut in cuts] == [(1,), (1, 2), (1, 2)]
    assert all(cut.image.shape == (1, 64, 64) and cut.image.min() == 0 and cut.image.max() == 1 for cut in cuts)
    assert cuts[0].spacing == (40 / 64, 30 / 64)
    inside = cuts[0].truth > 0
    assert cuts[0].image[0][inside].mean() > cuts[0].image[0][~inside].mean() + 0.2


def test_a_training_box_grows_by_at_most_the_jitter_and_stays_inside() -> None:
    mask = np.zeros((40, 50), bool)
    mask[10:20, 30:45] = True
    assert tight_box(mask).tolist() == [30, 10, 44, 19]
    boxes = np.array([tight_box(mask, 20) for _ in range(60)])
    assert (boxes[:, :2] <= [30, 10]).all() and (boxes[:, :2] >= [10, 0]).all()
    assert (boxes[:, 2:] >= [44, 19]).all() and (boxes[:, 2:] <= [49, 39]).all()
    assert len(np.unique(boxes[:, 0])) > 5


def test_rows_say_what_system_parts_and_rivals_make_of_a_slice() -> None:
    truth = np.zeros((8, 8), np.uint8)
    truth[2:6, 2:6] = 1
    probability = np.where(truth, 0.9, 0.1).astype(np.float32)
    probability[4:6, 2:6] = 0.45  # the model misses the lower half, and doubts there
    experts = np.stack([truth, np.zeros_like(truth)])
    leader = np.full((8, 8), 2, np.uint8)
    leader[4:6, 2:6] = 0  # the first expert is asked exactly there
    found = rows_of(probability, leader, experts, truth, ("good", "blind"), np.random.default_rng(0))
    assert found[SYSTEM].dice == 1 and found[SYSTEM].deferred == 8 / 64
    assert found[EXPERT_PART].dice == 1 and found[MODEL_PART].dice == 1
    assert found[MODEL_ALONE].sensitivity == 0.5 and found[MODEL_ALONE].dice == pytest.approx(2 * 8 / 24)
    assert found[alone("good")].iou == 1 and found[alone("blind")].sensitivity == 0
    assert found[ORACLE].dice == 1 and found[ORACLE].deferred == 8 / 64
    assert found[MODEL_ALONE].dice < found[CONFIDENCE].dice < 1  # the right place, but half of it to the blind one
    assert found[RANDOM].dice < found[CONFIDENCE].dice and found[RANDOM].deferred == 8 / 64


def test_parts_without_foreground_have_no_figure() -> None:
    truth = np.zeros((8, 8), np.uint8)
    truth[2:4, 2:4] = 1
    nobody = np.full((8, 8), 1, np.uint8)
    found = rows_of(truth.astype(np.float32), nobody, truth[None], truth, ("good",), np.random.default_rng(0))
    assert math.isnan(found[EXPERT_PART].dice) and found[MODEL_PART].dice == 1 and found[SYSTEM].deferred == 0


def test_seeds_are_averaged_after_slices_with_the_published_interval() -> None:
    values = {1: [0.2, 0.4], 2: [0.5, 0.7, math.nan], 3: [0.9]}
    found = [
        SliceFigures("net", seed, str(n), Scored(SYSTEM, value, value, value, 0.1))
        for seed, dices in values.items()
        for n, value in enumerate(dices)
    ]
    (row,) = over_runs(found)
    spread = row.figures["dice"]
    assert spread.mean == pytest.approx((0.3 + 0.6 + 0.9) / 3) and (spread.runs, spread.slices) == (3, 5)
    assert spread.deviation == pytest.approx(0.3) and spread.variance == pytest.approx(0.09)
    assert spread.interval == pytest.approx(1.96 * 0.3 / math.sqrt(3))


def test_the_run_prompts_tightly_and_meets_other_experts_with_every_seed() -> None:
    router = Bright()
    runs = pair_runs([router], [2023, 2025])
    found = list(run_protocol(runs, [TOY]))
    assert {one.slice for one in found} == {f"toy/case 3/{n}" for n in (1, 2, 3)}  # the test split alone
    assert len(router.boxes) == 3  # once a slice, although there are two seeds
    first = next(cut_slices(toy.make_case(3), 64))
    assert np.array_equal(router.boxes[0], tight_box(first.truth > 0))
    of = {(one.seed, one.slice, one.scored.row): one.scored.dice for one in found}
    assert of[2023, "toy/case 3/1", MODEL_ALONE] == of[2025, "toy/case 3/1", MODEL_ALONE]
    experts = [[of[seed, f"toy/case 3/{n}", alone("similar-1")] for n in (1, 2, 3)] for seed in (2023, 2025)]
    assert experts[0] != experts[1]
    again = list(run_protocol(runs, [TOY]))
    assert repr(again) == repr(found)


def test_readers_of_the_data_are_met_by_name() -> None:
    router = Bright()
    router.expert_ids = ("careful", "hasty")
    found = list(run_protocol([Run(router, 1)], [("pictures", Path("all"))], experts="readings"))
    of = {one.scored.row: one.scored for one in found}
    assert of[alone("careful")].dice == 1 and of[alone("hasty")].dice < 0.8
    router.expert_ids = ("careful", "absent")
    with pytest.raises(BadInputError, match=r'no reading of "absent" \(it has: careful, hasty\)'):
        list(run_protocol([Run(router, 1)], [("pictures", Path("all"))], experts="readings"))


def test_bundles_and_seeds_have_to_pair() -> None:
    one, two = Bright("one"), Bright("two")
    assert [(run.name, run.seed) for run in pair_runs([one, two], [7, 8])] == [("one", 7), ("two", 8)]
    with pytest.raises(BadInputError, match="one bundle for each seed"):
        pair_runs([one, two], [1, 2, 3])
    with pytest.raises(BadInputError, match="no seed twice"):
        pair_runs([one], [1, 1])


def test_unknown_experts_and_empty_splits_are_refused() -> None:
    with pytest.raises(BadInputError, match="expected correlated"):
        choose_experts(Bright(), "surgeons")
    with pytest.raises(BadInputError, match="there are 5"):
        SliceExperts.simulated("published-similar", 6)
    with pytest.raises(BadInputError, match='split "test" has 0 images'):
        list(run_protocol([Run(Bright(), 1)], [("toy", Path("test"))]))


def test_the_files_say_what_was_measured(tmp_path: Path) -> None:
    found = list(run_protocol(pair_runs([Bright()], [1, 2]), [TOY]))
    path = write_report(tmp_path / "new" / "out", found, over_runs(found), ["The experts are simulated."])
    text = path.read_text(encoding="utf-8")
    assert "The experts are simulated." in text and "| System | " in text and text.index("System") < text.index(ORACLE)
    lines = list(csv.DictReader((path.parent / "slices.csv").open(encoding="utf-8")))
    assert len(lines) == len(found) and lines[0]["row"] == SYSTEM and float(lines[0]["deferred"]) == 0.5
    table = list(csv.DictReader((path.parent / "protocol.csv").open(encoding="utf-8")))
    system = next(line for line in table if line["row"] == SYSTEM and line["figure"] == "dice")
    mean = np.mean([float(line["dice"]) for line in lines if line["row"] == SYSTEM])
    assert float(system["mean"]) == pytest.approx(mean, abs=1e-5) and system["runs"] == "2"
    assert not [p for p in path.parent.iterdir() if p.name.startswith(".")]
