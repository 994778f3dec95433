"""Is the place flagged where one of four radiologists disagrees? LIDC-IDRI-0001 and -0003, two cases, no statistics.

For each case and each reader: the voxels at which that reader differs from the majority of the other three, within the
decision zone, against the order in which the bundle defers. Prompt: the box around the voxels that at least half of
the readers mark, grown by 5 mm.

    python scripts/experiments/lidc_disagreement.py ../shared/data/lidc -o docs/images/lidc.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from DeferredSegSlicerLib.core.experts import load_experts
from DeferredSegSlicerLib.core.metrics import area_under_roc, errors_caught
from DeferredSegSlicerLib.core.metrics.overlap import dice
from DeferredSegSlicerLib.core.segment_boxes import label_box
from DeferredSegSlicerLib.core.structures import make_structures
from DeferredSegSlicerLib.core.worklist import worklist
from DeferredSegSlicerLib.engine.datasets import LoadedCase, open_dataset
from DeferredSegSlicerLib.engine.evaluation.ranking import routed_ranking
from DeferredSegSlicerLib.engine.pipeline import Segmented, SegmentOptions, segment_volume
from DeferredSegSlicerLib.resources import find_resources

BUDGETS = (0.05, 0.1, 0.2)
METHODS = ("learned", "margin")
COLORS = ("#56b4e9", "#009e73", "#f0e442", "#d55e00")


def main() -> None:
    """Both cases: figures as JSON on stdout, and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--bundle", default=SegmentOptions().bundle)
    parser.add_argument(
        "--window", type=float, nargs=2, metavar=("LEVEL", "WIDTH"), help="HU; the default for CT if left out"
    )
    arguments = parser.parse_args()
    figures = {}
    pictures = []
    for subject in open_dataset("lidc", arguments.data).subjects():
        case = subject.load()
        assert isinstance(case, LoadedCase)
        figures[subject.id], picture = examine(case, arguments.bundle, arguments.window and tuple(arguments.window))
        pictures.append((subject.id, case, *picture))
    print(json.dumps(figures, indent=2))
    draw(pictures, arguments.output)


def examine(
    case: LoadedCase, bundle: str, window: tuple[float, float] | None
) -> tuple[dict[str, object], tuple[Segmented, np.ndarray]]:
    """Figures of one case, and the learned run with its rank map: 1 is deferred first, 0 last, NaN outside the zone."""
    geometry = case.volume.geometry
    box = label_box(case.truth, 1, geometry).grown(5.0)
    structures = make_structures([("nodule", box)])
    experts = load_experts(find_resources() / "Experts" / "default.json")
    readings = np.stack([reading.labels > 0 for reading in case.readings])
    found: dict[str, object] = {}
    kept: tuple[Segmented, np.ndarray] | None = None
    for method in METHODS:
        made = segment_volume(case.volume, structures, experts, SegmentOptions(bundle, method, window=window))
        model = made.probability[0] >= 128
        work = worklist(made.probability, made.routing, made.error, made.structures, experts, geometry, made.settings)
        indices = work.zone.indices
        rows = {}
        for number, reading in enumerate(case.readings):
            others = np.delete(readings, number, axis=0).sum(axis=0) >= 2
            disagrees = (readings[number] != others).reshape(-1)[indices]
            ranking = routed_ranking(method, work, disagrees)
            rows[reading.name] = {
                "voxels": int(disagrees.sum()),
                "auroc": round(area_under_roc(ranking.key, disagrees.astype(float)), 3),
                "share_deferred": {
                    str(budget): round(float(share), 3)
                    for budget, share in zip(
                        BUDGETS, errors_caught(ranking.key, disagrees.astype(float), BUDGETS), strict=True
                    )
                },
                "dice_of_reader_with_others": round(dice(readings[number], others), 3),
                "dice_of_model_with_reader": round(dice(model, readings[number]), 3),
            }
        found[method] = {"zone_voxels": len(indices), "readers": rows}
        if kept is None:
            order = np.argsort(np.argsort(ranking.key, kind="stable"), kind="stable") / max(1, len(indices) - 1)
            rank = np.full(geometry.shape, np.nan, dtype=np.float32)
            rank.reshape(-1)[indices] = order
            kept = made, rank
    assert kept is not None
    return found, kept


def draw(pictures: list, path: Path) -> None:
    """Three slices a case: readers' outlines, the model's, and how early each voxel would be deferred."""
    figure, axes = plt.subplots(2 * len(pictures), 3, figsize=(11, 7 * len(pictures)), layout="constrained")
    for row, (name, case, made, rank) in enumerate(pictures):
        readings = [reading.labels > 0 for reading in case.readings]
        spread = np.stack(readings).any(axis=0)
        slices = np.flatnonzero(spread.any(axis=(1, 2)))
        shown = slices[np.linspace(0, len(slices) - 1, 5).round().astype(int)[1:4]]
        _, j, i = np.nonzero(spread)
        pad = 14
        rows = slice(max(0, j.min() - pad), j.max() + pad)
        columns = slice(max(0, i.min() - pad), i.max() + pad)
        for column, k in enumerate(shown):
            gray = np.clip((case.volume.image[k, rows, columns].astype(float) + 1000) / 1400, 0, 1)
            for line, heat in ((2 * row, False), (2 * row + 1, True)):
                axis = axes[line, column]
                axis.imshow(gray, cmap="gray", vmin=0, vmax=1)
                if heat:
                    axis.imshow(rank[k, rows, columns], cmap="inferno", vmin=0.5, vmax=1, alpha=0.55)
                for reading, color, label in zip(readings, COLORS, case.readings, strict=True):
                    _outline(axis, reading[k, rows, columns], color, label.name)
                _outline(axis, made.probability[0][k, rows, columns] >= 128, "white", "model", "--")
                axis.set_axis_off()
                axis.set_title(f"{name}, slice {k + 1}" + (", order of deferral" if heat else ""), fontsize=9)
    handles = [plt.Line2D([], [], color=c, label=f"reader {n + 1}") for n, c in enumerate(COLORS)]
    handles.append(plt.Line2D([], [], color="0.6", linestyle="--", label="model"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _outline(axis: plt.Axes, mask: np.ndarray, color: str, label: str, style: str = "-") -> None:
    if mask.any() and not mask.all():
        axis.contour(mask.astype(float), levels=[0.5], colors=[color], linewidths=1.2, linestyles=style)


if __name__ == "__main__":
    main()
