"""From the records of cases to means with intervals over patients, all and by modality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.metrics import Interval
from .choice import PermutationTest, permutation_test
from .comparisons import BY_CASES, BY_VOXELS, Comparison, case_values, compare, pooled_figures, position
from .record import BY_CHANCE, BY_ORACLE, BY_ROUTING, CaseRecord
from .resampling import DRAWS, Resampling
from .settings import BASELINES, EVALUATED, REFERENCES, EvaluationSettings

EVERYTHING = "all"


@dataclass(frozen=True)
class SummaryRow:
    """One figure over the cases of a group.

    Attributes
    ----------
    interval : estimate and percentile interval over patients. pooling : "mean of cases" or "pooled voxels".
    cases : that have the figure. patients : of the group.
    """

    group: str
    method: str
    to_whom: str
    budget: float | None
    figure: str
    pooling: str
    interval: Interval
    cases: int
    patients: int


@dataclass(frozen=True)
class Whom:
    """The permutation test of a method's choice of experts at a budget; None where experts never disagree."""

    method: str
    budget: float
    test: PermutationTest | None


@dataclass(frozen=True, eq=False)
class GroupSummary:
    """Everything that is said of one group of cases.

    Attributes
    ----------
    group : "all", a modality, or a kind of data set. rows, comparisons, whom : see there.
    """

    group: str
    cases: int
    patients: int
    rows: tuple[SummaryRow, ...]
    comparisons: tuple[Comparison, ...]
    whom: tuple[Whom, ...]

    def get(
        self, method: str, to_whom: str, budget: float | None, figure: str, pooling: str = BY_CASES
    ) -> SummaryRow | None:
        """The row of a figure, if there is one."""
        wanted = (method, to_whom, budget, figure, pooling)
        for row in self.rows:
            if (row.method, row.to_whom, row.budget, row.figure, row.pooling) == wanted:
                return row
        return None


def summarize(
    records: Sequence[CaseRecord], settings: EvaluationSettings, draws: int = DRAWS
) -> tuple[GroupSummary, ...]:
    """Summaries of all cases, of each modality and of each data set, if there are several."""
    groups = [(EVERYTHING, list(records))]
    for names in (sorted({r.modality for r in records}), sorted({r.dataset for r in records})):
        if len(names) > 1:
            groups += [(name, [r for r in records if name in (r.modality, r.dataset)]) for name in names]
    return tuple(summarize_group(name, members, settings, draws) for name, members in groups if members)


def summarize_group(
    group: str, records: Sequence[CaseRecord], settings: EvaluationSettings, draws: int = DRAWS
) -> GroupSummary:
    """Means over cases, pooled figures, positions, comparisons and permutation tests of a group."""
    people = [patient_of(record) for record in records]
    resampling = Resampling(people, draws, settings.seed)
    methods = [m for m in EVALUATED if all(m in record.histograms for record in records)]
    rows = _case_means(group, records, resampling)
    pooled = {method: pooled_figures(records, method, settings.budgets, resampling) for method in methods}
    for method, figures in pooled.items():
        for (figure, budget), (estimate, drawn) in figures.items():
            interval = resampling.interval(estimate, drawn)
            rows.append(
                SummaryRow(group, method, "", budget, figure, BY_VOXELS, interval, len(records), resampling.patients)
            )
    segmenting = [m for m in methods if m not in REFERENCES]
    for method in segmenting:
        for to_whom in (BY_ROUTING, BY_CHANCE, BY_ORACLE):
            for budget in settings.budgets:
                found = position(records, method, to_whom, budget, resampling)
                if found is not None:
                    rows.append(
                        SummaryRow(
                            group, method, to_whom, budget, "dice_position", BY_CASES, found, len(records), found.cases
                        )
                    )
    whom = []
    for method in segmenting:
        for budget in settings.budgets:
            choices = [(r.choices[method, budget], p) for r, p in zip(records, people, strict=True)]
            test = permutation_test([c for c, _ in choices], [p for _, p in choices], settings.seed)
            whom.append(Whom(method, budget, test))
    others = [method for method in BASELINES if method in methods]
    comparisons = compare(records, others, settings.budgets, resampling, pooled)
    return GroupSummary(group, len(records), resampling.patients, tuple(rows), tuple(comparisons), tuple(whom))


def patient_of(record: CaseRecord) -> str:
    """Who the image is of: patients of different data sets are different people."""
    return f"{record.dataset}\0{record.patient}"


def _case_means(group: str, records: Sequence[CaseRecord], resampling: Resampling) -> list[SummaryRow]:
    """The mean of every figure that some case has, in the order in which the cases list them."""
    keys = dict.fromkeys(key for record in records for key in record.table)
    rows = []
    for method, to_whom, budget, figure in keys:
        values = case_values(records, method, to_whom, budget, figure)
        count = int(np.count_nonzero(~np.isnan(values)))
        interval = resampling.mean(values)
        rows.append(SummaryRow(group, method, to_whom, budget, figure, BY_CASES, interval, count, resampling.patients))
    return rows
