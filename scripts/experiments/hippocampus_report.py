"""Tables of the figures that `hippocampus.py` wrote, as Markdown.

python scripts/experiments/hippocampus_report.py [FOLDER] [-o FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "DeferredSegSlicer"), str(Path(__file__).resolve().parent)]

import numpy as np  # noqa: E402
from DeferredSegSlicerLib.core.metrics import Interval, bootstrap_over_cases  # noqa: E402
from hippocampus import ABLATIONS, MAIN, RUNS  # noqa: E402
from hippocampus_figures import BUDGETS  # noqa: E402

AT_5, AT_10 = BUDGETS.index(0.05), BUDGETS.index(0.1)

Row = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """The cases of a run with one seed."""

    run: str
    seed: int
    cases: tuple[Row, ...]

    def values(self, figure: Callable[[Row], float]) -> np.ndarray[Any, Any]:
        """A figure of every case."""
        return np.array([figure(case) for case in self.cases], dtype=float)


def main() -> None:
    """Read the figures of a folder and write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / ".training" / "hippocampus" / "figures")
    parser.add_argument("-o", "--output", type=Path, default=None)
    arguments = parser.parse_args()
    text = report(read_results(arguments.folder))
    if arguments.output is None:
        print(text)
    else:
        arguments.output.write_text(text, encoding="utf-8")


def read_results(folder: Path) -> list[Result]:
    """All results, in the order of `RUNS` and by seed."""
    found = []
    for path in folder.glob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["run"] in RUNS:
            found.append(Result(content["run"], content["seed"], tuple(content["cases"])))
    return sorted(found, key=lambda one: (list(RUNS).index(one.run), one.seed))


def report(results: Sequence[Result]) -> str:
    """The whole text."""
    by_run = {name: [one for one in results if one.run == name] for name in RUNS}
    parts = ["## Three seeds", table([row for name in MAIN for row in rows_of(by_run[name])])]
    parts += ["## Differences", differences(by_run)]
    ablations = [row for name in ABLATIONS for row in rows_of(by_run[name], ("learned",))]
    first = [result for result in by_run["consistent"] if result.seed == 2023]
    parts += ["## Ablations", table([*rows_of(first, ("learned",)), *ablations])]
    return "\n\n".join(parts) + "\n"


def rows_of(results: Sequence[Result], methods: Sequence[str] | None = None) -> list[list[str]]:
    """One line for each way to defer: means over cases, then mean and standard deviation over seeds."""
    if not results:
        return []
    wanted = methods or [name for name in ("learned", "learned error", "margin", "entropy", "random", "oracle")]
    lines = []
    for method in wanted:
        if method not in results[0].cases[0]:
            continue
        cells = [f"{results[0].run} ({len(results)})", method]
        cells += [_over_seeds(results, figure, digits) for figure, digits in columns(method)]
        cells.append(_shares(results, method))
        lines.append(cells)
    return lines


def columns(method: str) -> list[tuple[Callable[[Row], float], int]]:
    """The figures of a line and their decimals."""

    def of(name: str) -> Callable[[Row], float]:
        return lambda case: float(case[method][name])

    def at(name: str, place: int) -> Callable[[Row], float]:
        return lambda case: float(case[method][name][place])

    return [
        (lambda case: float(case["model"]), 3),
        (at("system", AT_5), 3),
        (at("system", AT_10), 3),
        (at("caught", AT_5), 3),
        (at("caught", AT_10), 3),
        (of("auroc"), 3),
        (lambda case: 1000 * float(case[method]["augrc"]), 2),
        (of("right expert"), 3),
        (of("right expert where it matters"), 3),
        (of("regions"), 1),
        (of("region ml"), 2),
    ]


HEADER = (
    "run (seeds)", "deferral", "model Dice", "system 5 %", "system 10 %", "caught 5 %", "caught 10 %", "AUROC",
    "AUGRC x 1000", "right expert", "where it matters", "regions", "ml each", "shares",
)  # fmt: skip


def table(lines: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    rows = [HEADER, ["---"] * len(HEADER), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def differences(by_run: dict[str, list[Result]]) -> str:
    """Paired differences of the main runs: cases averaged over seeds, then bootstrap over cases."""
    pairs = [
        (("consistent", "learned"), ("released", "learned")),
        (("consistent", "learned"), ("consistent", "margin")),
        (("consistent", "learned"), ("plain", "margin")),
        (("released", "learned"), ("released", "margin")),
        (("released", "learned"), ("plain", "margin")),
        (("consistent-halves", "learned"), ("released-halves", "learned")),
        (("consistent-halves", "learned"), ("consistent-halves", "margin")),
        (("consistent-halves", "learned"), ("plain-halves", "margin")),
        (("released-halves", "learned"), ("plain-halves", "margin")),
    ]
    lines = [
        "| better? | system Dice 5 % | system Dice 10 % | caught 10 % | AUROC |",
        "| --- | --- | --- | --- | --- |",
    ]
    for one, other in pairs:
        cells = [
            _difference(by_run, one, other, lambda case, m: float(case[m]["system"][AT_5])),
            _difference(by_run, one, other, lambda case, m: float(case[m]["system"][AT_10])),
            _difference(by_run, one, other, lambda case, m: float(case[m]["caught"][AT_10])),
            _difference(by_run, one, other, lambda case, m: float(case[m]["auroc"])),
        ]
        lines.append(f"| {' '.join(one)} - {' '.join(other)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _difference(
    by_run: dict[str, list[Result]],
    one: tuple[str, str],
    other: tuple[str, str],
    figure: Callable[[Row, str], float],
) -> str:
    means = []
    for run, method in (one, other):
        if not by_run[run]:
            return "not run"
        means.append(np.mean([[figure(case, method) for case in result.cases] for result in by_run[run]], axis=0))
    interval: Interval = bootstrap_over_cases(means[0] - means[1])
    return f"{interval.estimate:+.4f} ({interval.low:+.4f} to {interval.high:+.4f})"


def _over_seeds(results: Sequence[Result], figure: Callable[[Row], float], digits: int) -> str:
    means = [float(np.nanmean(result.values(figure))) for result in results]
    spread = f" ± {np.std(means, ddof=1):.{digits}f}" if len(means) > 1 else ""
    return f"{np.mean(means):.{digits}f}{spread}"


def _shares(results: Sequence[Result], method: str) -> str:
    shares = np.mean([[case[method]["shares"] for case in result.cases] for result in results], axis=(0, 1))
    return " / ".join(f"{share:.2f}" for share in shares)


if __name__ == "__main__":
    main()
