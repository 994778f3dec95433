"""Pictures of a case as 3D Slicer draws it, made without a screen: docs/images/slicer_slices.png and slicer_3d.png.

    python scripts/screenshots.py [CASE] [-o FOLDER] [--budget SHARE]

Without CASE the sample CT is segmented first. Drawn by Slicer's own displayable managers from the slicer-core wheel, so
the pixels of tissue, lines and fills are those of the application; letters and legend are added here.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import vtk
from DeferredSegSlicerLib.command_line.segmenting import Prompts, prepare, run
from DeferredSegSlicerLib.core.budgets import DEFAULT_BUDGET
from DeferredSegSlicerLib.core.case import Case, open_case
from DeferredSegSlicerLib.core.regions import RegionList
from DeferredSegSlicerLib.core.worklist import Worklist, worklist
from DeferredSegSlicerLib.mrml.deferred import DeferredDisplay
from DeferredSegSlicerLib.mrml.display import show_3d
from DeferredSegSlicerLib.mrml.grid import align
from DeferredSegSlicerLib.mrml.legend import LegendRow, legend_rows
from DeferredSegSlicerLib.mrml.result import show_result
from DeferredSegSlicerLib.resources import find_resources

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "Testing" / "headless"))

from boot import boot  # noqa: E402  the headless Slicer of the tests
from render import SliceView, ThreeDView  # noqa: E402

WINDOW, LEVEL = 400, 40
SLICE_PIXELS, THREE_D_PIXELS = (720, 560), (1100, 640)
ZOOM = 1.12
LETTERS = {"Axial": "RLAP", "Coronal": "RLSI"}
"""What is at the left, right, top and bottom of a slice view."""


class Scene:
    """A case on its scan in the scene, with the regions of a budget."""

    def __init__(self, case: Case, budget: float) -> None:
        self.app, self.case = boot(), case
        self.mrml = self.app.mrmlScene()
        path = case.folder / "image.nrrd"
        volumes = self.app.moduleLogic("Volumes")
        self.volume = volumes.AddArchetypeVolume(str(path), "Scan", 0)
        look = self.volume.GetDisplayNode()
        look.SetAutoWindowLevel(False)
        look.SetWindowLevel(WINDOW, LEVEL)
        alignment = align(case.geometry, self.volume)
        work = _worklist(case)
        self.regions = work.regions(budget)
        self.deferred = DeferredDisplay(self.mrml, case, self.volume, alignment)
        self.result = show_result(self.mrml, case, self.volume, alignment)
        self.deferred.show(self.regions, work.experts)
        self.legend = legend_rows(self.regions, work.experts, case.geometry)

    def richest(self, axis: int) -> tuple[float, float, float]:
        """A place in RAS mm in the slice across index axis 0, 1 or 2 with most experts, then most voxels.

        It is the middle of what the model has labeled there.
        """
        counts = _per_slice(self.regions, self.case, axis)
        best = int(np.argmax((counts > 4).sum(axis=0) * 1e9 + counts.sum(axis=0)))
        labeled = np.argwhere(np.take(self.case.label(), [best], axis=2 - axis))[:, ::-1]
        middle = (labeled.min(axis=0) + labeled.max(axis=0)) / 2
        middle[axis] = best
        r, a, s = self.case.geometry.ras_of(middle).tolist()
        return r, a, s


def _worklist(case: Case) -> Worklist:
    maps = case.probability(), case.routing(), case.error()
    return worklist(*maps, case.structures, case.experts, case.geometry, case.settings)


def _per_slice(regions: RegionList, case: Case, axis: int) -> np.ndarray:
    """(experts, slices) deferred voxels."""
    counts = np.zeros((len(case.experts), case.geometry.size[axis]))
    ids = [expert.id for expert in case.experts]
    for region in regions:
        at = np.unravel_index(region.indices, case.geometry.shape)[2 - axis]
        counts[ids.index(region.expert)] += np.bincount(at, minlength=counts.shape[1])
    return counts


def slice_picture(scene: Scene, name: str, orientation: str) -> np.ndarray:
    """A slice view of the slice that has most to show."""
    across = {"Axial": 2, "Coronal": 1}[orientation]
    axis = scene.case.geometry.anatomical_axes.index(across)
    view = SliceView(scene.app, name, orientation, SLICE_PIXELS)
    view.show(scene.volume, scene.richest(axis))
    field = np.asarray(view.node.GetFieldOfView())
    view.node.SetFieldOfView(*(field[:2] / ZOOM), field[2])
    view.node.UpdateMatrices()
    picture = view.picture()
    view.close()
    return picture


def three_d_picture(scene: Scene) -> np.ndarray:
    """The model's surfaces, translucent, and the regions; seen from the front and a little from above."""
    show_3d([scene.result, scene.deferred.node], True)
    width, height = THREE_D_PIXELS
    view = ThreeDView(scene.app, "View1", (2 * width, 2 * height))  # averaged below, against jagged edges
    view.renderer.SetBackground(1, 1, 1)
    view.renderer.SetUseDepthPeeling(True)
    lights = vtk.vtkLightKit()
    lights.AddLightsToRenderer(view.renderer)
    view.fit()
    camera = view.renderer.GetActiveCamera()
    focus = np.asarray(camera.GetFocalPoint())
    camera.SetPosition(*(focus + np.array([0.0, 1.0, 0.25]) * camera.GetDistance()))
    camera.SetViewUp(0, 0, 1)
    view.renderer.ResetCamera()
    camera.Zoom(1.7)
    view.renderer.ResetCameraClippingRange()
    picture = view.picture().reshape(height, 2, width, 2, 3).mean(axis=(1, 3)).astype(np.uint8)
    view.close()
    return picture


def save(
    path: Path,
    pictures: list[np.ndarray],
    letters: list[str],
    titles: list[str],
    rows: tuple[LegendRow, ...],
    dark: bool,
) -> None:
    """Pictures side by side, pixel for pixel, with orientation letters and the legend below."""
    dpi, gap, foot = 100, 8, 74
    width = sum(p.shape[1] for p in pictures) + gap * (len(pictures) - 1)
    height = max(p.shape[0] for p in pictures) + foot
    ground, ink = ("black", "white") if dark else ("white", "black")
    figure = plt.figure(figsize=(width / dpi, height / dpi), dpi=dpi, facecolor=ground)
    left = 0
    for picture, ends, title in zip(pictures, letters, titles, strict=True):
        rows_, columns, _ = picture.shape
        axes = figure.add_axes((left / width, foot / height, columns / width, rows_ / height))
        axes.imshow(picture, interpolation="nearest")
        axes.axis("off")
        write = _writer(axes, ink)
        for letter, (x, y) in zip(ends, ((0.03, 0.5), (0.97, 0.5), (0.5, 0.965), (0.5, 0.035)), strict=False):
            write(x, y, letter, 17)
        write(0.02, 0.965, title, 11, "left")
        left += columns + gap
    _draw_legend(figure, rows, ink, foot / height)
    figure.savefig(path, facecolor=ground)
    plt.close(figure)


def _writer(axes: Any, ink: str) -> Callable[..., None]:
    def write(x: float, y: float, text: str, size: float, align: str = "center") -> None:
        axes.text(x, y, text, color=ink, fontsize=size, ha=align, va="center", transform=axes.transAxes)

    return write


def _draw_legend(figure: Any, rows: tuple[LegendRow, ...], ink: str, height: float) -> None:
    for number, row in enumerate(rows):
        left = (number + 0.03) / len(rows)
        swatch = (left, height * 0.38), 0.016, height * 0.3
        figure.add_artist(plt.Rectangle(*swatch, facecolor=row.color, edgecolor=ink, transform=figure.transFigure))
        regions = "1 region" if row.regions == 1 else f"{row.regions} regions"
        text = f"{row.name}:  {regions}, {row.ml:.1f} ml, {row.minutes:.1f} min"
        figure.text(left + 0.022, height * 0.53, text, color=ink, fontsize=11, va="center")


def sample_case(folder: Path) -> Case:
    """Segment the sample CT."""
    samples = find_resources() / "SampleData"
    prompts = Prompts(file=samples / "body_ct_prompts.json")
    run(prepare(samples / "body_ct.nrrd", folder / "case", prompts, modality="CT"))
    return open_case(folder / "case")


def main() -> None:
    """Both pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", type=Path, nargs="?", help="a case folder; without it the sample CT is segmented")
    parser.add_argument("-o", "--output", type=Path, default=PROJECT / "docs" / "images")
    parser.add_argument("--budget", type=float, default=DEFAULT_BUDGET, help="share of the decision zone")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        case = open_case(arguments.case) if arguments.case else sample_case(Path(temporary))
        scene = Scene(case, arguments.budget)
        views = [slice_picture(scene, name, plane) for name, plane in (("Red", "Axial"), ("Green", "Coronal"))]
        solid = three_d_picture(scene)
    arguments.output.mkdir(parents=True, exist_ok=True)
    letters = [LETTERS["Axial"], LETTERS["Coronal"]]
    save(arguments.output / "slicer_slices.png", views, letters, ["Axial", "Coronal"], scene.legend, dark=True)
    save(arguments.output / "slicer_3d.png", [solid], ["RL"], ["From the front"], scene.legend, dark=False)
    print(f"wrote {arguments.output / 'slicer_slices.png'} and {arguments.output / 'slicer_3d.png'}")


if __name__ == "__main__":
    main()
