"""Intervals over patients, comparisons, positions and permutation tests, against closed forms."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.metrics import bootstrap_over_cases
from DeferredSegSlicerLib.engine.evaluation.choice import choice_counts, choice_rows, permutation_test
from DeferredSegSlicerLib.engine.evaluation.comparisons import BY_CASES, BY_VOXELS, compare, position
from DeferredSegSlicerLib.engine.evaluation.figures import detection_rows, histogram_of
from DeferredSegSlicerLib.engine.evaluation.ranking import Ranking
from DeferredSegSlicerLib.engine.evaluation.record import CaseRecord, Choice, Row
from DeferredSegSlicerLib.engine.evaluation.resampling import Resampling
from DeferredSegSlicerLib.engine.evaluation.settings import EvaluationSettings
from DeferredSegSlicerLib.engine.evaluation.summary import summarize

BUDGETS = (0.05, 0.1)


def a_record(patient: int, modality: str, strengths: dict[str, float], rows: Sequence[Row] = ()) -> CaseRecord:
    """A case whose methods find errors the better, the larger their strength; the same errors for all methods."""
    generator = np.random.default_rng(10 * patient + (modality == "MR"))
    wrong = generator.random(1500) < 0.15
    noise = generator.normal(size=1500)
    rankings = [Ranking(m, 1 + ((noise + s * wrong + 9) * 20).astype(np.int64), wrong) for m, s in strengths.items()]
    found = [row for ranking in rankings for row in detection_rows(ranking, BUDGETS)]
    right = np.array([[True, False], [False, True]])
    choice = choice_counts(np.array([0, 1], np.uint8), right)
    return CaseRecord(
        "key", f"{patient}-{modality}", str(patient), modality, "sts", "test", ("a", "b"), (*found, *rows),
        {ranking.method: histogram_of(ranking) for ranking in rankings},
        choices={(m, b): choice for m in strengths for b in BUDGETS},
    )  # fmt: skip


@pytest.fixture
def records() -> Callable[..., list[CaseRecord]]:
    def make(patients: int = 5, **strengths: float) -> list[CaseRecord]:
        named = {name.replace("_", "-"): value for name, value in strengths.items()}
        return [a_record(p, modality, named) for p in range(patients) for modality in ("CT", "MR")]

    return make


def test_intervals_are_those_of_the_bootstrap_over_cases_when_every_patient_has_one_image() -> None:
    values = np.random.default_rng(1).normal(size=9)
    mine = Resampling([f"p{n}" for n in range(9)], draws=500, seed=3).mean(values)
    core = bootstrap_over_cases(values, draws=500, seed=3)
    assert (mine.estimate, mine.low, mine.high) == pytest.approx((core.estimate, core.low, core.high))
    assert mine.cases == core.cases == 9


def test_images_of_a_patient_are_drawn_together() -> None:
    resampling = Resampling(["a", "a", "b", "c"], draws=200, seed=0)
    assert np.array_equal(resampling.weights[:, 0], resampling.weights[:, 1])
    assert np.all(resampling.weights[:, 1:].sum(axis=1) == 3) and resampling.patients == 3
    twice = Resampling(["a", "a", "b", "b"], draws=500, seed=1).mean([0.0, 0.0, 1.0, 1.0])
    assert (twice.low, twice.high) == (0, 1), "two images of a patient do not make the interval narrower"


def test_images_without_a_figure_are_left_out_and_infinite_ones_are_kept() -> None:
    resampling = Resampling(["a", "b", "c", "d"], draws=300, seed=0)
    assert resampling.mean([1.0, np.nan, 1.0, 1.0]).estimate == 1
    assert resampling.mean([1.0, np.nan, 1.0, 1.0]).low == 1
    endless = resampling.mean([1.0, np.inf, 1.0, 1.0])
    assert endless.estimate == np.inf and endless.low == 1 and endless.high == np.inf
    assert np.isnan(resampling.mean([np.nan] * 4).estimate)


def test_a_single_patient_has_an_estimate_and_no_interval() -> None:
    alone = Resampling(["a", "a"], draws=50).mean([1.0, 2.0])
    assert alone.estimate == 1.5 and np.isnan(alone.low) and np.isnan(alone.high)
    with pytest.raises(BadInputError, match="0 cases"):
        Resampling([])


def test_a_method_that_is_the_same_as_the_best_has_ratio_one_and_difference_nothing(
    records: Callable[..., list[CaseRecord]],
) -> None:
    cases = records(learned=1.5, margin=1.5, entropy=0.2)
    resampling = Resampling([case.patient for case in cases], 200)
    found = compare(cases, ("margin", "entropy"), BUDGETS, resampling)
    assert {one.pooling for one in found} == {BY_CASES, BY_VOXELS} and len(found) == 8
    for one in found:
        assert one.best == "margin"
        assert (one.ratio.estimate, one.ratio.low, one.ratio.high) == (1, 1, 1)
        assert (one.difference.estimate, one.difference.low, one.difference.high) == (0, 0, 0)


def test_a_better_method_catches_more_and_has_a_smaller_area_whichever_other_is_best(
    records: Callable[..., list[CaseRecord]],
) -> None:
    cases = records(learned=2.5, margin=1.0, tta_confidence=1.2)
    resampling = Resampling([case.patient for case in cases], 200)
    for one in compare(cases, ("margin", "tta-confidence"), BUDGETS, resampling):
        assert one.best == "tta-confidence", "the best of the others, which is not the first"
        if one.figure == "augrc":
            assert one.ratio.high < 1 and one.difference.high < 0
        else:
            assert one.ratio.low > 1 and one.difference.low > 0
        assert one.ratio.estimate == pytest.approx(one.value.estimate / one.best_value.estimate)


def test_without_learned_deferral_there_is_nothing_to_compare(records: Callable[..., list[CaseRecord]]) -> None:
    cases = records(2, margin=1.0, entropy=1.0)
    assert compare(cases, ("margin", "entropy"), BUDGETS, Resampling(["a"] * 4, 10)) == []


def dice_rows(system: float, random: float, oracle: float) -> list[Row]:
    return [
        Row("margin", "routing", 0.1, "dice", system),
        Row("random", "random", 0.1, "dice", random),
        Row("oracle", "oracle", 0.1, "dice", oracle),
    ]


def test_the_position_is_0_at_random_1_at_the_oracle_and_linear_between() -> None:
    resampling = Resampling(["0", "1"], 50)
    for system, expected in ((0.6, 0.0), (0.9, 1.0), (0.8, 2 / 3)):
        cases = [a_record(p, "CT", {"margin": 1.0}, dice_rows(system, 0.6, 0.9)) for p in range(2)]
        assert position(cases, "margin", "routing", 0.1, resampling).estimate == pytest.approx(expected)
    useless = [a_record(0, "CT", {"margin": 1.0}, dice_rows(0.6, 0.6, 0.6))]
    assert np.isnan(position(useless, "margin", "routing", 0.1, Resampling(["0"], 5)).estimate)
    assert position([a_record(0, "CT", {"margin": 1.0})], "margin", "routing", 0.1, Resampling(["0"], 5)) is None


def test_right_expert_rates_are_counted_where_experts_disagree() -> None:
    right = np.array([[True, True, False, True], [True, False, True, False]])
    rows, choice = choice_rows("x", 0.1, np.array([0, 0, 1, 1], np.uint8), right)
    found = {row.figure: row.value for row in rows}
    assert found["right_expert"] == 0.75 and found["split_share"] == 0.75
    assert found["right_expert_split"] == pytest.approx(2 / 3)
    assert found["right_expert_split_chance"] == 0.5
    # one of three went to the first, who is right on two of three; two of three to the second, right on one of three
    assert found["right_expert_split_blind"] == pytest.approx(1 / 3 * 2 / 3 + 2 / 3 * 1 / 3)
    assert choice.right.tolist() == [[1, 0], [1, 1]] and choice.chosen.tolist() == [1, 2]
    assert all(np.isnan(row.value) for row in choice_rows("x", 0.1, np.zeros(0, np.uint8), right[:, :0])[0][:2])


def test_the_permutation_test_is_exact_for_few_patients() -> None:
    always_right = Choice(np.array([[30, 0, 0], [0, 30, 0], [0, 0, 30]]), np.array([30, 30, 30]))
    test = permutation_test([always_right] * 3, ["a", "b", "c"])
    assert test is not None and test.exact and test.permutations == 6**3 and test.groups == 3
    assert test.rate == 1 and test.chance == pytest.approx(1 / 3)
    assert test.p_value == pytest.approx(1 / 216), "only the identity in all three reaches it"
    together = permutation_test([always_right] * 3, ["a", "a", "a"])
    assert together is not None and together.permutations == 6 and together.p_value == pytest.approx(1 / 6)


def test_a_random_choice_is_not_significant_and_a_good_one_among_many_patients_is() -> None:
    generator = np.random.default_rng(0)
    blind, seeing = [], []
    for _ in range(12):
        right = generator.random((3, 400)) < 0.6
        right = right[:, right.any(axis=0) & ~right.all(axis=0)]
        anyone = generator.integers(0, 3, right.shape[1]).astype(np.uint8)
        often = np.where(generator.random(right.shape[1]) < 0.3, right.argmax(axis=0), anyone).astype(np.uint8)
        blind.append(choice_counts(anyone, right))
        seeing.append(choice_counts(often, right))
    people = [str(n) for n in range(12)]
    assert permutation_test(blind, people).p_value > 0.02
    found = permutation_test(seeing, people, seed=1)
    assert not found.exact and found.p_value == pytest.approx(1 / 10_000) and found.rate > found.chance + 0.05
    assert found == permutation_test(seeing, people, seed=1), "the same seed, the same answer"
    nobody = Choice(np.zeros((3, 3), np.int64), np.zeros(3, np.int64))
    assert permutation_test([nobody], ["a"]) is None


def test_the_summary_has_all_cases_and_each_modality_and_says_how_it_pooled(
    records: Callable[..., list[CaseRecord]],
) -> None:
    cases = records(4, margin=1.0, random=0.0)
    settings = EvaluationSettings(("margin", "random"), budgets=BUDGETS)
    groups = summarize(cases, settings, draws=50)
    assert [(g.group, g.cases, g.patients) for g in groups] == [("all", 8, 4), ("CT", 4, 4), ("MR", 4, 4)]
    for group in groups:
        by_case = group.get("margin", "", 0.1, "errors_caught", BY_CASES)
        by_voxel = group.get("margin", "", 0.1, "errors_caught", BY_VOXELS)
        assert by_case is not None and by_voxel is not None
        assert by_case.interval.low < by_case.interval.estimate < by_case.interval.high
        assert by_case.interval.estimate == pytest.approx(by_voxel.interval.estimate, abs=0.05)
        assert group.whom[0].test is not None and group.whom[0].test.rate == 1
    mean = np.mean([case.table["margin", "", 0.1, "errors_caught"] for case in cases])
    assert groups[0].get("margin", "", 0.1, "errors_caught").interval.estimate == pytest.approx(mean)
