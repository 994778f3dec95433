"""The table at the end of a run: what was segmented, what is deferred, to whom, and how long it took."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from rich.console import Console
from rich.table import Table

from ..core.worklist import Worklist
from ..render.scene import Scene
from .console import swatch


def structure_table(scene: Scene, work: Worklist, dice: Mapping[str, float] | None = None) -> Table:
    """One row a structure: volume, share of its part of the decision zone that is deferred, regions, minutes.

    `dice` is the overlap with a reference by structure name, if there is one.
    """
    zone = np.bincount(work.zone.structure, minlength=len(scene.structures))
    deferred = np.bincount(work.deferred(scene.budget).structure, minlength=len(scene.structures))
    table = Table(title=f"Budget {100 * scene.budget:.3g} % of the decision zone", title_justify="left")
    table.add_column("Structure")
    table.add_column("ml", justify="right")
    if dice is not None:
        table.add_column("Dice", justify="right")
    table.add_column("Deferred", justify="right")
    for expert in scene.experts:
        table.add_column(swatch(expert.color, expert.name), justify="right")
    table.add_column("Review", justify="right")
    for number, structure in enumerate(scene.structures):
        mine = [region for region in scene.regions if region.structure == structure.id]
        cells = [structure.name, f"{scene.structure_ml(number):.1f}"]
        if dice is not None:
            cells.append(f"{dice[structure.name]:.3f}")
        cells.append(f"{100 * deferred[number] / max(1, zone[number]):.1f} %")
        cells += [_regions(sum(region.expert == expert.id for region in mine)) for expert in scene.experts]
        table.add_row(*cells, f"{sum(region.seconds for region in mine) / 60:.1f} min")
    return table


def _regions(count: int) -> str:
    return f"{count} region{'' if count == 1 else 's'}"


def print_times(console: Console, timings: Mapping[str, float]) -> None:
    """One line of stages and seconds."""
    stages = "   ".join(f"{stage} {seconds:.1f} s" for stage, seconds in timings.items())
    console.print(f"Time: {stages}", markup=False)
