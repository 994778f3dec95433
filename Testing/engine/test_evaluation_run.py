"""Images through a whole evaluation with a small segmentor: shared encodings, resuming, failures, experts, systems."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.metrics import dice
from DeferredSegSlicerLib.core.volume import Volume
from DeferredSegSlicerLib.engine.bundles import Bundle, load_bundle
from DeferredSegSlicerLib.engine.datasets import Dataset, LoadedCase, LoadedSlice, Reading, Subject
from DeferredSegSlicerLib.engine.evaluation import EvaluationSettings, evaluate
from DeferredSegSlicerLib.engine.evaluation.cases import prepare_image, segment_image, usable_methods
from DeferredSegSlicerLib.engine.evaluation.panel import convene
from DeferredSegSlicerLib.engine.evaluation.run import Source
from DeferredSegSlicerLib.engine.evaluation.system import System, label_figures, routed_rows
from DeferredSegSlicerLib.engine.remembering import RememberingSegmentor
from DeferredSegSlicerLib.engine.simulation import CORRELATED_READERS, simulate_readers

GRID = Geometry((24, 22, 5), (2.0, 2.0, 5.0))
FAST = EvaluationSettings(("margin", "entropy", "random", "oracle"), budgets=(0.05, 0.2))


def a_ball(seed: int = 0) -> LoadedCase:
    """A bright ball whose truth is a little smaller, so that the model errs at its edge."""
    k, j, i = np.indices(GRID.shape)
    away = np.sqrt((2 * (i - 12)) ** 2 + (2 * (j - 11)) ** 2 + (5 * (k - 2)) ** 2)
    noise = np.random.default_rng(seed).normal(0, 40, GRID.shape)
    image = np.clip(40 + 18 * (12 - away) + noise, -150, 230).astype(np.int16)
    truth = (away < 11).astype(np.uint8)
    truth[:, :, :8] = 0
    return LoadedCase(Volume(image, GRID, "CT"), truth)


def a_dataset(*subjects: Subject, classes: tuple[str, ...] = ("ball",), planar: bool = False) -> Dataset:
    return Dataset("Balls", "sts", classes, planar, "none", "nobody", subjects)


def a_subject(number: int, load: Callable[[], Any] | None = None) -> Subject:
    return Subject(f"p{number}/CT", f"p{number}", "test", "CT", load or partial(a_ball, number))


@pytest.fixture
def run(tmp_path: Path, BrightnessSegmentor: type) -> Callable[..., Any]:
    """Evaluates subjects with a small segmentor; the segmentor is at `run.segmentor`."""

    def go(*subjects: Subject, settings: EvaluationSettings = FAST, **changes: Any) -> Any:
        go.segmentor = BrightnessSegmentor(slope=1.0)  # type: ignore[attr-defined]
        dataset = changes.pop("dataset", None) or a_dataset(*subjects)
        source = Source(dataset, "balls", tuple(dataset.subjects()))
        values = {"bundle": load_bundle("litemedsam"), "make": lambda *_: go.segmentor} | changes  # type: ignore[attr-defined]
        (tmp_path / "cases").mkdir(exist_ok=True)
        return evaluate(sources=[source], settings=settings, folder=tmp_path, **values)

    return go


def test_every_slice_is_encoded_once_for_all_methods_and_the_model_is_what_users_get(run: Any) -> None:
    done = run(a_subject(1))
    assert len(run.segmentor.seen) == len({one.tobytes() for one in run.segmentor.seen}) <= GRID.shape[0]
    record = done.records[0]
    bundle = load_bundle("litemedsam")
    image = prepare_image(a_subject(1), ("ball",), bundle, FAST)
    made = segment_image(image, "margin", bundle, lambda *_: run.segmentor, FAST)
    assert record.table["model", "", None, "dice"] == dice(made.label > 0, image.truth > 0)
    assert {row.method for row in record.rows} >= {"margin", "entropy", "random", "oracle", "expert:boundary"}


def test_the_prompt_is_the_tight_box_of_the_truth_and_a_margin() -> None:
    bundle = load_bundle("litemedsam")
    image = prepare_image(a_subject(1), ("ball",), bundle, replace(FAST, margin_mm=4.0))
    first, stop = image.structures[0].box.index_range(GRID)
    found = np.argwhere(image.truth)[:, ::-1]
    assert first == tuple(np.maximum(found.min(axis=0) - np.array([2, 2, 0]), 0))
    assert stop == tuple(np.minimum(found.max(axis=0) + np.array([3, 3, 1]), GRID.size))


def test_the_system_s_errors_fall_by_exactly_what_perfect_experts_are_given(run: Any) -> None:
    run(a_subject(1))
    bundle = load_bundle("litemedsam")
    image = prepare_image(a_subject(1), ("ball",), bundle, FAST)
    made = segment_image(image, "margin", bundle, lambda *_: run.segmentor, FAST)
    perfect = replace(image.panel, opinions=np.stack([image.truth] * 3))
    system = System(replace(image, panel=perfect), made, 1)
    errors = np.count_nonzero(made.label != image.truth)
    deferred = made.work.deferred(0.2)
    mended = system.with_answers(deferred.indices, system.answers(deferred.indices, deferred.expert))
    caught = np.count_nonzero(made.label.reshape(-1)[deferred.indices] != image.truth.reshape(-1)[deferred.indices])
    assert caught > 0
    assert np.count_nonzero(mended != image.truth) == errors - caught
    rows, choices = routed_rows(system, (0.2,))
    dices = {row.to_whom: row.value for row in rows if row.figure == "dice"}
    assert dices["routing"] == dices["random"] == dices["oracle"] == pytest.approx(dice(mended, image.truth))
    rates = {row.figure: row.value for row in rows}
    assert rates["right_expert"] == 1 and choices["margin", 0.2].chosen.sum() == 0, "perfect experts never disagree"


def test_the_best_expert_is_never_worse_than_another_and_the_oracle_rises_with_the_budget(run: Any) -> None:
    table = run(a_subject(2)).records[0].table
    for budget in FAST.budgets:
        best = table["margin", "oracle", budget, "dice"]
        assert best >= table["margin", "routing", budget, "dice"] and best >= table["margin", "random", budget, "dice"]
        assert table["oracle", "oracle", budget, "dice"] >= best - 1e-9
        assert table["margin", "routing", budget, "share:boundary"] <= 1
    model = table["model", "", None, "dice"]
    assert model < table["oracle", "oracle", 0.05, "dice"] <= table["oracle", "oracle", 0.2, "dice"]


def test_finished_images_are_kept_unless_something_that_counts_has_changed(run: Any, tmp_path: Path) -> None:
    first = run(a_subject(1), a_subject(2))
    again = run(a_subject(1), a_subject(2), make=None)  # nothing is segmented, so nothing is made
    assert (first.reused, again.reused) == (0, 2)
    assert [r.to_json() for r in again.records] == [r.to_json() for r in first.records]
    assert run(a_subject(1), settings=replace(FAST, margin_mm=6.0)).reused == 0
    assert run(a_subject(2), resume=False).reused == 0
    kept = tmp_path / "cases" / "p2_CT.json"
    kept.write_text(kept.read_text(encoding="utf-8")[:-40])
    assert run(a_subject(2)).reused == 0, "a file that was cut off does not count"
    assert run(a_subject(2)).reused == 1


def test_the_same_seed_gives_the_same_figures_and_another_gives_other_readers(run: Any) -> None:
    def figures(seed: int) -> list:
        done = run(a_subject(1), settings=replace(FAST, seed=seed), resume=False)
        return done.records[0].to_json()["rows"]

    assert figures(1) == figures(1) != figures(2)


def test_a_failing_image_is_listed_and_the_others_are_evaluated(run: Any) -> None:
    def empty() -> LoadedCase:
        return replace(a_ball(), truth=np.zeros(GRID.shape, np.uint8))

    def broken() -> LoadedCase:
        raise RuntimeError("a bug")

    done = run(a_subject(1, empty), a_subject(2, broken), a_subject(3))
    assert [record.id for record in done.records] == ["p3/CT"]
    assert [(f.id, f.exit_code) for f in done.failures] == [("p1/CT", 2), ("p2/CT", 1)]
    assert "truth" in done.failures[0].sentence and "RuntimeError" in done.failures[1].sentence


def test_an_interrupted_run_keeps_what_is_finished(run: Any, tmp_path: Path) -> None:
    def stopped() -> LoadedCase:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(a_subject(1), a_subject(2, stopped))
    assert [path.name for path in (tmp_path / "cases").iterdir()] == ["p1_CT.json"]
    assert run(a_subject(1), a_subject(2)).reused == 1


def test_progress_counts_passes_and_ends_at_the_total(run: Any) -> None:
    seen: list[Any] = []
    run(a_subject(1), a_subject(2), progress=seen.append)
    assert seen[-1].done == seen[-1].total == 4, "two images, two methods that segment"
    assert all(a.done <= b.done for a, b in itertools.pairwise(seen)) and seen[-1].seconds_left == 0


def test_a_bundle_without_a_head_leaves_learned_out_with_a_sentence(run: Any) -> None:
    done = run(a_subject(1), settings=replace(FAST, methods=("learned", "margin")))
    assert len(done.left_out) == 1 and "no deferral head" in done.left_out[0]
    assert set(done.records[0].histograms) == {"margin"}
    with pytest.raises(BadInputError, match="no deferral head"):
        usable_methods(("learned", "random"), load_bundle("litemedsam"))


def test_two_images_of_one_name_are_refused(run: Any) -> None:
    with pytest.raises(BadInputError, match="two images are called"):
        run(a_subject(1), replace(a_subject(2), id="p1_CT"))


@pytest.fixture
def a_promptless_bundle(tmp_path: Path) -> Bundle:
    folder = tmp_path / "net"
    folder.mkdir()
    described = {"schema": 1, "id": "net", "name": "Net", "family": "monai", "file": "w.pth", "sha256": "0" * 64}
    described |= {"license": "none", "network": {"classes": ["Bright", "Dark"]}, "windows": {}}
    (folder / "bundle.json").write_text(json.dumps(described))
    return load_bundle(folder)


def test_a_network_without_prompts_is_judged_by_the_names_of_its_classes(
    run: Any, a_promptless_bundle: Bundle, BrightnessSegmentor: type
) -> None:
    case = a_ball()
    truth = np.where(case.volume.image > 40, 3, 2).astype(np.uint8)  # numbered otherwise than the network's classes
    classes = ("other", "dark", "bright")
    dataset = a_dataset(a_subject(1, lambda: replace(case, truth=truth)), classes=classes)
    segmentor = BrightnessSegmentor(slope=0.0, needs_box=False, classes=("Bright", "Dark"))
    done = run(dataset=dataset, bundle=a_promptless_bundle, make=lambda *_: segmentor)
    assert not done.failures, done.failures
    assert done.records[0].table["model", "", None, "dice"] > 0.99
    wrong = a_dataset(a_subject(1, lambda: replace(case, truth=truth)), classes=("other", "dark", "gray"))
    failed = run(dataset=wrong, bundle=a_promptless_bundle, make=lambda *_: segmentor, resume=False)
    assert 'segments "Bright"' in failed.failures[0].sentence


def test_a_picture_is_a_volume_of_one_slice(run: Any) -> None:
    case = a_ball()
    gray = np.clip((case.volume.image[2] + 150) / 380, 0, 1).astype(np.float32)
    picture = LoadedSlice(np.stack([gray] * 3), case.truth[2])
    done = run(dataset=a_dataset(a_subject(1, lambda: picture), planar=True))
    assert not done.failures, done.failures
    assert done.records[0].table["model", "", None, "dice"] > 0.6


def test_human_readers_are_judged_by_the_truth_and_by_the_majority_of_the_others(run: Any) -> None:
    case = a_ball()
    lazy = np.zeros_like(case.truth)
    lazy[2] = case.truth[2]
    readings = tuple(Reading(name, case.truth) for name in ("rater 1", "rater 2", "rater 3"))
    with_readers = replace(case, readings=(*readings, Reading("rater 4", lazy)))
    settings = replace(FAST, experts="readings")
    done = run(a_subject(1, lambda: with_readers), a_subject(2), settings=settings)
    table, record = done.records[0].table, done.records[0]
    assert record.experts == ("rater-1", "rater-2", "rater-3", "rater-4")
    assert table["expert:rater-1", "", None, "dice_others"] == 1
    assert table["expert:rater-4", "", None, "dice_others"] == dice(lazy, case.truth) < 1
    assert "no human readings" in done.failures[0].sentence


def test_experts_of_a_head_are_simulated_by_their_names_and_in_their_order() -> None:
    case = a_ball()
    spacing = GRID.spacing[::-1]
    head = {"experts": [{"id": "boundary", "name": "Edge"}, {"id": "lesion-extent", "name": "Extent"}]}
    panel = convene("simulated", case.truth, (), spacing, "p1/CT", 7, head)
    by_name = {reader.name: reader for reader in CORRELATED_READERS}
    readers = [by_name["boundary"], by_name["lesion-extent"]]
    assert [expert.name for expert in panel.experts] == ["Edge", "Extent"]
    assert np.array_equal(panel.opinions, simulate_readers(case.truth, spacing, readers, "p1/CT", "test", 7))
    others = {"experts": [{"id": f"x{n}", "name": f"X{n}"} for n in range(5)]}
    for kind in ("simulated", "simulated-specialists", "simulated-published"):
        found = convene(kind, case.truth, (), spacing, "p1/CT", 7, others)
        assert [e.id for e in found.experts] == ["x0", "x1", "x2", "x3", "x4"] and len(found.opinions) == 5
    with pytest.raises(BadInputError, match="6 experts cannot be simulated"):
        six = {"experts": [{"id": f"x{n}", "name": f"X{n}"} for n in range(6)]}
        convene("simulated", case.truth, (), spacing, "p1/CT", 7, six)


def test_a_remembered_encoding_is_the_same_and_memory_is_bounded(BrightnessSegmentor: type) -> None:
    plain = BrightnessSegmentor()
    slices = np.random.default_rng(0).random((4, 8, 8)).astype(np.float32)
    remembering = RememberingSegmentor(plain)
    first, again = remembering.encode(slices[[0, 1, 0]]), remembering.encode(slices[[1, 2]])
    assert len(plain.seen) == 3 and again[0] is first[1] and first[2] is first[0]
    remembering.forget()
    remembering.encode(slices[:1])
    assert len(plain.seen) == 4
    small = RememberingSegmentor(BrightnessSegmentor(), most_bytes=300)
    assert np.array_equal(small.encode(slices)[3].features[0, 0], slices[3])
    small.encode(slices)
    assert len(small.inside.seen) == 4 + 3, "one encoding of 256 bytes fits, three are made again"


def test_figures_of_labels_are_means_over_structures_that_are_there() -> None:
    truth = np.zeros((4, 6, 6), np.uint8)
    truth[1:3, 1:3, 1:3] = 1
    labels = truth.copy()
    labels[3, 1:3, 1:3] = 1
    found = label_figures(labels, truth, 2, (1.0, 1.0, 2.0), 0)
    assert found["dice"] == pytest.approx(2 * 8 / 20) and found["sensitivity"] == 1
    assert found["dice_slice"] == pytest.approx((1 + 1 + 0) / 3)
    assert found["hd95_mm"] > 0 and 0 < found["surface_dice"] <= 1
    assert "hd95_mm" not in label_figures(labels, truth, 2, (1.0, 1.0, 2.0), 0, surfaces=False)
    missed = label_figures(np.where(truth, 2, 0).astype(np.uint8), truth, 2, (1.0, 1.0, 2.0), 0)
    assert missed["dice"] == 0 and missed["sensitivity"] == 0 and missed["hd95_mm"] == np.inf


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"methods": ("margin", "guess")}, '"guess" cannot be evaluated'),
        ({"methods": ("random",)}, "no method that segments"),
        ({"experts": "oracles"}, "expected one of"),
        ({"margin_mm": -1.0}, "expected 0 or more"),
        ({"budgets": ()}, "no budget"),
        ({"budgets": (0.0, 0.1)}, "budget 0"),
        ({"budgets": (2.0,)}, "share from 0 to 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict, complaint: str) -> None:
    with pytest.raises(BadInputError, match=complaint):
        replace(FAST, **changes)
