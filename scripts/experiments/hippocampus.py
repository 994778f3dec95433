"""Train and compare deferral losses with a small 3D network on the hippocampus data; figures of the test split.

    python scripts/experiments/hippocampus.py --data ../shared/data/hippocampus [--runs NAME ...] [--seeds 2023 2025]

Every run writes a bundle and one file of figures into the output folder; runs whose figures are there are not done
again. `hippocampus_report.py` makes the tables. The experts are simulated, also in the test (with other seeds).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "DeferredSegSlicer"), str(Path(__file__).resolve().parent)]

import torch  # noqa: E402
from DeferredSegSlicerLib.core.atomic import write_text  # noqa: E402
from DeferredSegSlicerLib.engine.training.config import TrainingConfig  # noqa: E402
from DeferredSegSlicerLib.engine.training.config_file import read_config  # noqa: E402
from DeferredSegSlicerLib.engine.training.run import run_training  # noqa: E402
from hippocampus_figures import test_figures  # noqa: E402


def merged(content: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with changes, block by block; None takes a key away."""
    found = dict(content)
    for key, value in changes.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key, {}), value) if isinstance(value, Mapping) else value
    return found


SEEDS = (2023, 2025, 2027)
HALVES = {"experts": {"count": 2}, "options": {"readers": ["upper-half", "lower-half"]}}
"""Two readers, each of whom knows one half of the structure: whom to ask depends on the place, not on the label."""


@dataclass(frozen=True)
class Run:
    """configs/hippocampus_<config>.yaml with changes. bundle : of another run that is evaluated instead of training."""

    config: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    bundle: str | None = None


MAIN = {
    "plain": Run("plain"),
    "consistent": Run("consistent"),
    "released": Run("released"),
    "plain-halves": Run("plain", HALVES, bundle="plain"),
    "consistent-halves": Run("consistent", HALVES),
    "released-halves": Run("released", HALVES),
}
"""Runs of all seeds; "halves" has the two readers who know one half each."""

ABLATIONS = {
    # the form of the answers
    "factorised": Run("consistent", {"head": {"answers": "routing"}}),
    # terms of the loss
    "no-coherence": Run("consistent", {"loss": {"coherence": 0.0}}),
    "no-balance": Run("consistent", {"loss": {"load_balance": 0.0}}),
    # the same terms where the head does not start from the network's confidence
    "factorised-no-coherence": Run("consistent", {"head": {"answers": "routing"}, "loss": {"coherence": 0.0}}),
    "factorised-coherence-x10": Run("consistent", {"head": {"answers": "routing"}, "loss": {"coherence": 1.0}}),
    "factorised-no-balance": Run("consistent", {"head": {"answers": "routing"}, "loss": {"load_balance": 0.0}}),
    "factorised-balance-x10": Run("consistent", {"head": {"answers": "routing"}, "loss": {"load_balance": 10.0}}),
    # what is published
    "released-double-sigmoid": Run(
        "released", {"loss": {"double_sigmoid": True}, "options": {"segmentation": "cross-entropy"}}
    ),
    # the number of experts
    "experts-1": Run("consistent", {"experts": {"count": 1}}),
    "experts-5": Run("consistent", {"experts": {"count": 5}}),
    # the head alone, on the plain network
    "two-stage": Run("two_stage"),
    "two-stage-released": Run("two_stage", {"loss": {"mode": "released", "budget_weight": None}}),
    "two-stage-one-vs-all": Run("two_stage", {"options": {"surrogate": "one_vs_all"}}),
    "two-stage-decoupled": Run("two_stage", {"options": {"surrogate": "decoupled"}}),
    "two-stage-realizable": Run("two_stage", {"options": {"surrogate": "realizable"}}),
    # where it matters who is asked
    "no-balance-halves": Run("consistent", merged(HALVES, {"loss": {"load_balance": 0.0}})),
}
"""Runs of the first seed."""

RUNS = {**MAIN, **ABLATIONS}


def main() -> None:
    """Do the runs that are wanted and not there yet, seed by seed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "hippocampus")
    parser.add_argument("--output", type=Path, default=ROOT / ".training" / "hippocampus")
    parser.add_argument("--runs", nargs="+", choices=list(RUNS), default=None)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    wanted = [(name, seed) for names in (MAIN, ABLATIONS) for seed in arguments.seeds for name in names]
    for name, seed in wanted:
        chosen = arguments.runs is None or name in arguments.runs
        if chosen and (name in MAIN or seed == SEEDS[0] or arguments.runs is not None):
            do_run(name, seed, arguments.data, arguments.output)


def do_run(name: str, seed: int, data: Path, output: Path) -> None:
    """Train a run and write the figures of its test, unless they are there."""
    figures = output / "figures" / f"{name}-{seed}.json"
    if figures.is_file():
        return
    config, reused = configuration(name, seed, data, output), RUNS[name].bundle
    began = time.process_time()
    if reused is None:
        folder = run_training(config, remark=lambda sentence: print(f"{name}: {sentence}", flush=True)).folder
    else:
        folder = output / f"{reused}-{seed}"
    trained = time.process_time() - began
    rows = test_figures(folder, config)
    figures.parent.mkdir(parents=True, exist_ok=True)
    write_text(figures, json.dumps({"run": name, "seed": seed, "cpu_seconds": round(trained), "cases": rows}, indent=1))
    print(f"{name}, seed {seed}: {trained:.0f} s of training, {time.process_time() - began:.0f} in all", flush=True)


def configuration(name: str, seed: int, data: Path, output: Path) -> TrainingConfig:
    """The configuration of a run; output and caches lie in the output folder."""
    file, changes = RUNS[name].config, RUNS[name].changes
    content = read_config(ROOT / "configs" / f"hippocampus_{file}.yaml").model_dump(mode="json", exclude_unset=True)
    content = merged(content, changes)
    content |= {"seed": seed, "output": str(output / f"{name}-{seed}")}
    content["data"] = [{**content["data"][0], "folder": str(data)}]
    content["options"] = {**content["options"], "cache": str(output / "cache")}
    if "segmentor" in content:
        content["segmentor"] = {"bundle": str(output / f"plain-{seed}")}
    return TrainingConfig.model_validate(content)


if __name__ == "__main__":
    main()
