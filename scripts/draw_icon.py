"""Draw the pictures in Resources/Icons: the module's icon and the thumbnail of the sample CT.

    python scripts/draw_icon.py [FOLDER]      # the default is Resources/Icons

The icon is an organ's outline with one patch handed over, in the color of a second reader.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
import SimpleITK as sitk
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path as Curve

ROOT = Path(__file__).resolve().parents[1]
ICON_PIXELS = 128  # what the Extensions Index asks for
THUMBNAIL_PIXELS = (288, 240)

BACKGROUND, ORGAN, LINE, PATCH, PATCH_LINE = "#17324d", "#2f6d8f", "#f4f8fb", "#f5a623", "#ffd58a"

# Corners of the two shapes in icon units (0 to 128, y up), gone through by a closed smooth curve.
OUTLINE = [
    (17, 70),
    (24, 94),
    (48, 107),
    (78, 104),
    (104, 93),
    (113, 78),
    (104, 66),
    (84, 58),
    (66, 38),
    (44, 20),
    (25, 32),
]
HANDED_OVER = [(66, 88), (84, 94), (103, 88), (109, 77), (98, 69), (84, 66), (70, 72)]


def smooth(corners: list[tuple[float, float]]) -> Curve:
    """A closed curve through all corners: each piece a cubic whose ends look along the neighbors' chord."""
    points = np.asarray(corners, dtype=float)
    slopes = (np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0)) / 6
    vertices, codes = [points[0]], [Curve.MOVETO]
    for here in range(len(points)):
        there = (here + 1) % len(points)
        vertices += [points[here] + slopes[here], points[there] - slopes[there], points[there]]
        codes += [Curve.CURVE4] * 3
    return Curve(np.array(vertices), codes)


def draw_icon(path: Path) -> None:
    """The mark, 128 x 128 pixels, transparent around its rounded square."""
    figure = Figure(figsize=(1, 1), dpi=ICON_PIXELS)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, ICON_PIXELS), ylim=(0, ICON_PIXELS), aspect="equal")
    axes.axis("off")
    points = 72 / ICON_PIXELS  # one icon unit in points
    axes.add_patch(FancyBboxPatch((24, 24), 80, 80, boxstyle="round,pad=20", facecolor=BACKGROUND, linewidth=0))
    organ = PathPatch(smooth(OUTLINE), facecolor=ORGAN, edgecolor="none")
    axes.add_patch(organ)
    patch = PathPatch(smooth(HANDED_OVER), facecolor=PATCH, edgecolor=PATCH_LINE, linewidth=3 * points)
    axes.add_patch(patch)
    patch.set_clip_path(organ)
    axes.add_patch(
        PathPatch(smooth(OUTLINE), facecolor="none", edgecolor=LINE, linewidth=6 * points, joinstyle="round")
    )
    figure.savefig(path, transparent=True, metadata={"Software": None})


def draw_thumbnail(path: Path) -> None:
    """An axial slice of the bundled CT through liver, spleen and kidney, in a soft-tissue window."""
    scan = sitk.DICOMOrient(sitk.ReadImage(str(ROOT / "Resources" / "SampleData" / "body_ct.nrrd")), "LPS")
    level = int(scan.TransformPhysicalPointToIndex((0.0, 0.0, 365.0))[2])
    hounsfield = sitk.GetArrayViewFromImage(scan)[level]  # [j, i]: down is the back, right the patient's left
    width, height = THUMBNAIL_PIXELS
    figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor="black")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    axes.imshow(hounsfield, cmap="gray", vmin=40 - 200, vmax=40 + 200, interpolation="lanczos", aspect="equal")
    figure.savefig(path, metadata={"Software": None})


def main(arguments: list[str]) -> None:
    """Draw both into a folder."""
    folder = Path(arguments[0]) if arguments else ROOT / "Resources" / "Icons"
    folder.mkdir(parents=True, exist_ok=True)
    draw_icon(folder / "DeferredSegSlicer.png")
    draw_thumbnail(folder / "SampleBodyCT.png")


if __name__ == "__main__":
    main(sys.argv[1:])
