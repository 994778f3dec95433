"""The evaluation in words and Markdown tables, for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...core.metrics import Interval
from .comparisons import BY_CASES, BY_VOXELS
from .panel import SENTENCES
from .record import BY_CHANCE, BY_ORACLE, BY_ROUTING
from .run import Evaluation
from .settings import BASELINES, EVALUATED, REFERENCES, EvaluationSettings
from .summary import GroupSummary, SummaryRow
from .system import SURFACE_TOLERANCE_MM

MAIN_BUDGET = 0.1
"""The budget of the tables that show one alone, if it was evaluated."""

NOTHING = "-"
"""What stands where a figure is not defined."""

OVERLAP = (
    ("dice", "Dice", 3), ("iou", "IoU", 3), ("sensitivity", "sensitivity", 3), ("dice_slice", "Dice by slice", 3),
    ("hd95_mm", "HD95, mm", 1), ("surface_dice", f"surface Dice {SURFACE_TOLERANCE_MM:g} mm", 3),
)  # fmt: skip

FIGURES = {"augrc": "AUGRC", "auroc": "AUROC", "errors_caught": "errors caught"}


def markdown(
    groups: Sequence[GroupSummary],
    evaluation: Evaluation,
    settings: EvaluationSettings,
    model: Mapping[str, Any],
    data: Sequence[str],
) -> str:
    """The whole report. model : `Bundle.to_json()`. data : a sentence for each data set."""
    everyone = groups[0]
    main = main_budget(settings)
    notes = [f"{record.id}: {note}" for record in evaluation.records for note in record.notes]
    parts = [
        f"# Evaluation of {model['name']}\n",
        _bullets([*_setting(everyone, settings, model, data), *evaluation.left_out]),
        _failures(evaluation),
        "## Finding the model's errors\n",
        detection_table(everyone, settings, BY_CASES),
        "The same with the voxels of all cases in one ranking:\n",
        detection_table(everyone, settings, BY_VOXELS),
        comparison_section(everyone),
        f"## The system: model and experts\n\n{SENTENCES[settings.experts]}\n",
        dice_table(everyone, settings),
        f"All figures at {percent(main)}:\n",
        system_table(everyone, main),
        "## Whether, and to whom\n",
        whom_table(everyone, settings, main),
        "## Review load\n",
        load_table(everyone, settings),
        "## Does the error probability mean what it says?\n",
        calibration_table(everyone),
        "## Groups\n" if len(groups) > 1 else "",
        group_table(groups, main) if len(groups) > 1 else "",
        f"## Remarks on single images\n\n{_bullets(notes)}" if notes else "",
    ]
    return "\n".join(part for part in parts if part)


def main_budget(settings: EvaluationSettings) -> float:
    """10 % if it is among the budgets, else the largest."""
    return MAIN_BUDGET if MAIN_BUDGET in settings.budgets else settings.budgets[-1]


def detection_table(group: GroupSummary, settings: EvaluationSettings, pooling: str) -> str:
    """AUROC, AUPRC, AUGRC, AURC and errors caught of every method."""
    areas = ["auroc", "auprc", "augrc", "aurc"] if pooling == BY_CASES else ["auroc", "augrc"]
    wanted = [(area, None) for area in areas] + [("errors_caught", budget) for budget in settings.budgets]
    heads = ["method", *(a.upper() for a in areas), *(f"caught at {percent(b)}" for b in settings.budgets)]
    digits = {"augrc": 4, "aurc": 4}
    lines = []
    for method in EVALUATED:
        cells = [_cell(group.get(method, "", b, figure, pooling), digits.get(figure, 3)) for figure, b in wanted]
        if any(cell != NOTHING for cell in cells):
            lines.append([method, *cells])
    text = _table(heads, lines)
    if pooling == BY_CASES:
        rate, outside = (group.get("model", "", None, f) for f in ("zone_error_rate", "errors_outside_zone"))
        text += f"\nThe model's label is wrong in {_cell(rate)} of the decision zone; "
        text += f"{_cell(outside)} of its errors lie outside the zone, where no method defers.\n"
    return text


def comparison_section(group: GroupSummary) -> str:
    """Learned deferral against the best of the others."""
    if not group.comparisons:
        return ""
    heads = ["figure", "pooling", "learned", "best of the others", "which", "ratio", "difference"]
    lines = []
    for one in group.comparisons:
        name = FIGURES[one.figure] + (f" at {percent(one.budget)}" if one.budget is not None else "")
        digits = 4 if one.figure == "augrc" else 3
        values = [interval_text(i, digits) for i in (one.value, one.best_value)]
        rest = [interval_text(one.ratio, 3), interval_text(one.difference, digits)]
        lines.append([name, one.pooling, *values, one.best, *rest])
    remark = (
        f"\nThe others are {', '.join(BASELINES)}, as far as they were evaluated. Intervals are paired: learned and "
        "the others see the same drawn patients, and the best of the others is chosen anew in each draw. A smaller "
        "AUGRC is better.\n"
    )
    return f"## Learned deferral against the best method without training\n\n{_table(heads, lines)}{remark}"


def dice_table(group: GroupSummary, settings: EvaluationSettings) -> str:
    """Dice of the system by method and budget, and its place between random and oracle."""
    heads = ["Dice", *(percent(b) for b in settings.budgets), *(f"position at {percent(b)}" for b in settings.budgets)]
    lines = []
    for method in EVALUATED:
        to_whom = {"random": BY_CHANCE, "oracle": BY_ORACLE}.get(method, BY_ROUTING)
        dice = [_cell(group.get(method, to_whom, b, "dice")) for b in settings.budgets]
        place = [_cell(group.get(method, to_whom, b, "dice_position"), 2) for b in settings.budgets]
        if method in REFERENCES:
            place = ["0" if method == "random" else "1"] * len(place)
        if any(cell != NOTHING for cell in dice):
            lines.append([method, *dice, *place])
    alone = [r for r in group.rows if r.figure == "dice" and (r.method == "model" or r.method.startswith("expert:"))]
    words = "; ".join(f"{r.method.replace('expert:', 'expert ')} alone {_cell(r)}" for r in alone)
    remark = (
        "Position: (system - random) / (oracle - random) of the mean Dice. Random: random voxels of the zone, each to "
        "a random expert. Oracle: errors that some expert mends, to that expert."
    )
    return f"{_table(heads, lines)}\nNothing deferred, or everything: {words}.\n\n{remark}\n"


def system_table(group: GroupSummary, budget: float) -> str:
    """Every overlap and surface figure at one budget."""
    lines = []
    for method, to_whom, at in [
        ("model", "", None),
        *((m, "", None) for m in dict.fromkeys(r.method for r in group.rows) if m.startswith("expert:")),
        ("random", BY_CHANCE, budget),
        *((m, BY_ROUTING, budget) for m in EVALUATED if m not in REFERENCES),
        ("oracle", BY_ORACLE, budget),
    ]:
        cells = [_cell(group.get(method, to_whom, at, figure), digits) for figure, _, digits in OVERLAP]
        if any(cell != NOTHING for cell in cells):
            name = f"system, {method}" if at is not None else method.replace("expert:", "expert ") + " alone"
            lines.append([name, *cells])
    return _table(["labels of", *(head for _, head, _ in OVERLAP)], lines)


def whom_table(group: GroupSummary, settings: EvaluationSettings, budget: float) -> str:
    """The same voxels with the routed, a random and the best expert; how often the right expert was chosen."""
    tests = {whom.method: whom.test for whom in group.whom if whom.budget == budget}
    heads = [
        f"at {percent(budget)}", "Dice, routed expert", "random expert", "best expert", "right expert",
        "voxels where they disagree", "right expert there", "chance", "same shares, anywhere", "p",
    ]  # fmt: skip
    lines = []
    for method, test in tests.items():
        dice = [_cell(group.get(method, w, budget, "dice")) for w in (BY_ROUTING, BY_CHANCE, BY_ORACLE)]
        rates = [
            _cell(group.get(method, BY_ROUTING, budget, f"right_expert{name}"))
            for name in ("", "_split", "_split_chance", "_split_blind")
        ]
        share = _cell(group.get(method, BY_ROUTING, budget, "split_share"))
        lines.append([method, *dice, rates[0], share, *rates[1:], NOTHING if test is None else f"{test.p_value:.4f}"])
    words = ""
    for test in [test for test in tests.values() if test is not None][:1]:
        drawn = f"all {test.permutations}" if test.exact else f"{test.permutations} random"
        words = (
            f"\np: permutation test, one-sided, experts' names exchanged within {counted(test.groups, 'patient')}, "
            f"{drawn} permutations, rate pooled over voxels. Chance: a random expert. Same shares, anywhere: someone "
            "who asks every expert as often as the method does, but without looking where.\n"
        )
    return f"{SENTENCES[settings.experts]}\n\n{_table(heads, lines)}{words}"


def load_table(group: GroupSummary, settings: EvaluationSettings) -> str:
    """Regions, minutes and shares of experts by method and budget."""
    experts = dict.fromkeys(r.figure.removeprefix("share:") for r in group.rows if r.figure.startswith("share:"))
    heads = ["method", "budget", "deferred", "error rate kept", "regions", "mean volume, ml", "minutes"]
    heads += [f"share of {expert}" for expert in experts]
    lines = []
    for method in EVALUATED:
        for budget in settings.budgets:
            cells = [_estimate(group.get(method, "", budget, f), 4) for f in ("share_deferred", "error_rate_kept")]
            figures = [("regions", 1), ("region_ml", 2), ("review_minutes", 1), *((f"share:{e}", 2) for e in experts)]
            cells += [_estimate(group.get(method, BY_ROUTING, budget, f), digits) for f, digits in figures]
            if any(cell != NOTHING for cell in cells):
                lines.append([method, percent(budget), *cells])
    remark = (
        "\nMinutes by the experts' profiles; random deferral and the oracle make no regions. Intervals are in "
        "summary.csv.\n"
    )
    return f"{SENTENCES[settings.experts]}\n\n{_table(heads, lines)}{remark}"


def calibration_table(group: GroupSummary) -> str:
    """ECE and Brier score by method."""
    lines = [
        [m, *(_cell(group.get(m, "", None, f), 4) for f in ("ece", "brier"))]
        for m in EVALUATED
        if group.get(m, "", None, "ece") is not None
    ]
    remark = "\nOver the decision zone; 15 bins of equal width; the Brier score is summed over both classes (0 to 2).\n"
    return _table(["method", "ECE", "Brier score"], lines) + remark


def group_table(groups: Sequence[GroupSummary], budget: float) -> str:
    """The main figures of every group."""
    heads = [
        "group",
        "images",
        "patients",
        "method",
        "AUROC",
        "AUGRC",
        f"caught at {percent(budget)}",
        "Dice",
        "position",
    ]
    lines = []
    for group in groups:
        for method in EVALUATED:
            to_whom = {"random": BY_CHANCE, "oracle": BY_ORACLE}.get(method, BY_ROUTING)
            cells = [
                _cell(group.get(method, "", None, "auroc")),
                _cell(group.get(method, "", None, "augrc"), 4),
                _cell(group.get(method, "", budget, "errors_caught")),
                _cell(group.get(method, to_whom, budget, "dice")),
                _cell(group.get(method, to_whom, budget, "dice_position"), 2),
            ]
            if any(cell != NOTHING for cell in cells):
                lines.append([group.group, str(group.cases), str(group.patients), method, *cells])
    return _table(heads, lines)


def interval_text(interval: Interval, digits: int = 3) -> str:
    """An estimate with its interval; a dash if it is not defined."""
    if math.isnan(interval.estimate):
        return NOTHING
    estimate, low, high = (f"{v:.{digits}f}" for v in (interval.estimate, interval.low, interval.high))
    return estimate if math.isnan(interval.low) else f"{estimate} ({low} to {high})"


def counted(count: int, what: str) -> str:
    """A number and a noun."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def percent(share: float) -> str:
    """A share in percent."""
    return f"{100 * share:g} %"


def _setting(
    group: GroupSummary, settings: EvaluationSettings, model: Mapping[str, Any], data: Sequence[str]
) -> list[str]:
    head = model.get("head")
    words = f", deferral head `{head['sha256'][:12]}` ({head['mode']})" if head else ", no deferral head"
    size = f"{counted(group.cases, 'image')} of {counted(group.patients, 'patient')}"
    return [
        f"Bundle `{model['id']}`, weights `{model['sha256'][:12]}`{words}.",
        *data,
        f"{size}. Prompts, where the network needs them: the tight 3D box "
        f"around the truth and {settings.margin_mm:g} mm more on every side.",
        SENTENCES[settings.experts],
        f"Figures are means over images, with 95 % intervals from a bootstrap over patients (all images of a patient "
        f"drawn together), seed {settings.seed}. Detection figures are over the decision zone, budgets are shares of "
        "it.",
        "Research use only. Not a medical device.",
    ]


def _failures(evaluation: Evaluation) -> str:
    if not evaluation.failures:
        return ""
    return "## Images that failed and are in no figure\n\n" + _bullets(
        f"{f.id}: {f.sentence}" for f in evaluation.failures
    )


def _cell(row: SummaryRow | None, digits: int = 3) -> str:
    return NOTHING if row is None else interval_text(row.interval, digits)


def _estimate(row: SummaryRow | None, digits: int) -> str:
    """The estimate alone, for tables of many columns."""
    if row is None or math.isnan(row.interval.estimate):
        return NOTHING
    return f"{row.interval.estimate:.{digits}f}"


def _bullets(lines: Iterable[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(heads) - 1)]
    return "".join(f"| {' | '.join(line)} |\n" for line in (heads, rule, *lines))
