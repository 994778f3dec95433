"""What a radiologist sees, by pixels: regions in their experts' own colors, the model as lines, all else as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boot import HeadlessSlicer
from case_on_node import region_of
from DeferredSegSlicerLib.core.case import Case
from DeferredSegSlicerLib.core.experts import load_experts
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.structures import PALETTE
from DeferredSegSlicerLib.core.volume import Volume
from DeferredSegSlicerLib.mrml import display
from DeferredSegSlicerLib.mrml.deferred import DeferredDisplay
from DeferredSegSlicerLib.mrml.grid import align, world_from_local
from DeferredSegSlicerLib.mrml.result import show_result
from DeferredSegSlicerLib.resources import find_resources
from hard_volumes import MOTION, node_from_array, put_under, turned
from render import SliceView, ThreeDView

SIZE = (60, 50, 18)
STRAIGHT = Geometry(SIZE, (1.0, 1.0, 3.0), (-30.0, -25.0, -27.0))
OBLIQUE = Geometry(SIZE, (1.0, 1.0, 3.0), (-30.0, -25.0, -27.0), tuple(turned(0.3, 0.2).ravel().tolist()))
LEFT_HANDED = Geometry(SIZE, (1.0, 1.0, 3.0), (-30.0, -25.0, 27.0), (1, 0, 0, 0, 1, 0, 0, 0, -1))

EXPERTS = load_experts(find_resources() / "Experts" / "default.json")
K = 9
"""The slice that is looked at; j and i of the three experts' blocks, which touch each other, and of the organ."""
BLOCKS = [(slice(15, 35), slice(10 + 14 * n, 24 + 14 * n)) for n in range(3)]
ORGAN = (slice(8, 42), slice(20, 42))


def block(where: tuple[slice, slice]) -> np.ndarray:
    mask = np.zeros(SIZE[::-1], bool)
    mask[(slice(2, 16), *where)] = True
    return mask


class Overlay:
    """A mid-gray CT with an organ's outline and a touching block of voxels for each of the default experts."""

    def __init__(self, scene: Any, folder: Path, write_a_case: Callable[..., Case], grid: Geometry) -> None:
        gray = np.full(grid.shape, 40, np.int16)
        gray[0, 0, :2] = -1000, 1000
        organ = np.stack([block(ORGAN), np.zeros(grid.shape, bool)]).astype(np.uint8) * 255
        nobody = np.zeros((len(EXPERTS) + 1, *grid.shape), np.uint8)
        nobody[-1] = 255
        changes: dict[str, Any] = {"experts": EXPERTS, "probability": organ, "routing": nobody}
        self.case = write_a_case(folder / "case", Volume(gray, grid, "CT"), **changes)
        self.volume = node_from_array(scene, gray, grid)
        look = self.volume.GetDisplayNode()
        look.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
        look.SetAutoWindowLevel(False)
        look.SetWindowLevel(400, 40)
        alignment = align(self.case.geometry, self.volume)
        self.result = show_result(scene, self.case, self.volume, alignment)
        self.deferred = DeferredDisplay(scene, self.case, self.volume, alignment)
        self.regions = [region_of(block(b), self.case, e.id) for b, e in zip(BLOCKS, EXPERTS, strict=True)]
        self.deferred.show(self.regions, EXPERTS)

    def place(self, j: float, i: float, k: float = K) -> tuple[float, float, float]:
        """World RAS mm of a voxel."""
        r, a, s, _ = world_from_local(self.volume) @ (*self.case.geometry.ras_of((i, j, k)), 1.0)
        return float(r), float(a), float(s)

    def middle(self, number: int) -> tuple[float, float, float]:
        rows, columns = BLOCKS[number]
        return self.place((rows.start + rows.stop - 1) / 2, (columns.start + columns.stop - 1) / 2)


OverlayOf = Callable[[Geometry], Overlay]


@pytest.fixture
def overlay_on(scene: Any, tmp_path: Path, write_a_case: Callable[..., Case]) -> OverlayOf:
    """A function that makes an `Overlay` on a grid."""
    return lambda grid: Overlay(scene, tmp_path, write_a_case, grid)


@pytest.fixture
def views(a_slicer: HeadlessSlicer) -> Iterator[Callable[..., SliceView]]:
    """A function that makes a slice view; it is closed after the test."""
    made: list[SliceView] = []

    def make(orientation: str = "Axial") -> SliceView:
        made.append(SliceView(a_slicer, "Red", orientation, (360, 360)))
        return made[-1]

    yield make
    for view in made:
        view.close()


def color_at(view: SliceView, picture: np.ndarray, ras: tuple[float, float, float]) -> np.ndarray:
    row, column = view.pixel_of(ras)
    return picture[row, column] / 255.0


def nearest(color: np.ndarray) -> int:
    """Number of the nearest color among all experts' and, after those, all structures' colors."""
    known = np.array([*(expert.color for expert in EXPERTS), *PALETTE])
    return int(np.argmin(np.linalg.norm(known - color, axis=1)))


def is_gray(color: np.ndarray) -> bool:
    return bool(np.ptp(color) < 0.02)


@pytest.mark.parametrize("orientation", ["Axial", "Coronal", "Sagittal"])
@pytest.mark.parametrize("grid", [STRAIGHT, OBLIQUE, LEFT_HANDED], ids=["straight", "oblique", "left-handed"])
def test_a_deferred_voxel_shows_its_experts_color_and_no_other(
    overlay_on: OverlayOf, views: Callable[..., SliceView], grid: Geometry, orientation: str
) -> None:
    overlay, view = overlay_on(grid), views(orientation)
    for number in range(len(EXPERTS)):
        view.show(overlay.volume, overlay.middle(number))
        color = color_at(view, view.picture(), overlay.middle(number))
        assert nearest(color) == number and not is_gray(color), EXPERTS[number].name


def test_colors_do_not_blend_where_two_experts_touch(overlay_on: OverlayOf, views: Callable[..., SliceView]) -> None:
    overlay, view = overlay_on(STRAIGHT), views()
    view.show(overlay.volume, overlay.middle(1))
    picture = view.picture()
    rows, _ = BLOCKS[0]
    seen: dict[int, int] = {}
    for i in np.arange(BLOCKS[0][1].start, BLOCKS[2][1].stop - 0.5, 0.1):  # across all three, over both borders
        for j in (rows.start + 3, rows.stop - 4):
            color = color_at(view, picture, overlay.place(j, i))
            if nearest(color) != len(EXPERTS):  # the organ's outline crosses
                seen[nearest(color)] = seen.get(nearest(color), 0) + 1
    assert sorted(seen) == [0, 1, 2] and min(seen.values()) > 200, seen


@pytest.mark.parametrize("open_before", [True, False], ids=["in a view that is open", "in a view that is opened later"])
def test_every_colored_pixel_is_an_experts_or_the_models(
    overlay_on: OverlayOf, views: Callable[..., SliceView], open_before: bool
) -> None:
    """Fills lie under the model's line, so that they do not tint it."""
    if open_before:
        view, overlay = views(), overlay_on(STRAIGHT)
    else:
        overlay, view = overlay_on(STRAIGHT), views()
    view.show(overlay.volume, overlay.middle(1))
    pixels = view.picture().reshape(-1, 3) / 255.0
    colored = pixels[np.ptp(pixels, axis=1) > 0.02]
    kinds = np.unique(np.round(colored, 2), axis=0)
    expected = np.array([*(c for e in EXPERTS for c in (e.color, _over_gray(e.color))), PALETTE[0]])
    distances = np.linalg.norm(kinds[:, None] - expected[None], axis=2).min(axis=1)
    assert len(colored) > 5000 and distances.max() < 0.03, kinds[distances.argmax()]


def _over_gray(color: tuple[float, float, float], opacity: float = 0.6, gray: float = 127 / 255) -> list[float]:
    return [opacity * c + (1 - opacity) * gray for c in color]


def test_the_model_is_a_line_around_its_organ_and_leaves_the_tissue_gray(
    overlay_on: OverlayOf, views: Callable[..., SliceView]
) -> None:
    overlay, view = overlay_on(STRAIGHT), views()
    overlay.deferred.show((), EXPERTS)
    view.show(overlay.volume, overlay.middle(1))
    picture = view.picture()
    rows, columns = ORGAN
    for j, i in ((25, 30), (rows.start + 3, 30), (25, columns.start + 3), (25, columns.stop + 2)):
        assert is_gray(color_at(view, picture, overlay.place(j, i))), (j, i)
    along = [
        color_at(view, picture, overlay.place(25, i)) for i in np.arange(columns.start - 2, columns.start + 2, 0.1)
    ]
    lines = [nearest(color) for color in along if not is_gray(color)]
    assert lines and set(lines) == {len(EXPERTS)}


def test_a_touch_of_the_budget_is_seen_at_once(overlay_on: OverlayOf, views: Callable[..., SliceView]) -> None:
    overlay, view = overlay_on(STRAIGHT), views()
    view.show(overlay.volume, overlay.middle(0))
    assert nearest(color_at(view, view.picture(), overlay.middle(0))) == 0
    overlay.deferred.show(overlay.regions[1:], EXPERTS)
    assert is_gray(color_at(view, view.picture(), overlay.middle(0)))
    given_to_another = region_of(block(BLOCKS[0]), overlay.case, EXPERTS[2].id)
    overlay.deferred.show([given_to_another], EXPERTS)
    assert nearest(color_at(view, view.picture(), overlay.middle(0))) == 2


def test_what_is_hidden_is_gone_and_comes_back(overlay_on: OverlayOf, views: Callable[..., SliceView]) -> None:
    overlay, view = overlay_on(STRAIGHT), views()
    view.show(overlay.volume, overlay.middle(0))
    display.set_visible(overlay.result, False)
    display.set_visible(overlay.deferred.node, False)
    hidden = view.picture()
    assert np.ptp(hidden, axis=2).max() == 0
    display.set_visible(overlay.deferred.node, True)
    display.set_segment_visible(overlay.deferred.node, f"expert.{EXPERTS[0].id}", False)
    picture = view.picture()
    assert is_gray(color_at(view, picture, overlay.middle(0)))
    assert nearest(color_at(view, picture, overlay.middle(1))) == 1


def test_regions_are_drawn_where_the_moved_volume_is(
    scene: Any, overlay_on: OverlayOf, views: Callable[..., SliceView]
) -> None:
    overlay, view = overlay_on(OBLIQUE), views()
    put_under(scene, overlay.volume, MOTION)
    overlay.deferred.show(overlay.regions, EXPERTS)
    for number in range(len(EXPERTS)):
        view.show(overlay.volume, overlay.middle(number))
        assert nearest(color_at(view, view.picture(), overlay.middle(number))) == number


def test_regions_are_seen_in_3d_in_their_colors_and_through_the_model(
    a_slicer: HeadlessSlicer, overlay_on: OverlayOf
) -> None:
    overlay = overlay_on(STRAIGHT)
    view = ThreeDView(a_slicer)
    try:
        view.fit()
        nothing = view.picture()
        display.show_3d([overlay.result], True)
        view.fit()
        model = view.picture()
        display.show_3d([overlay.deferred.node], True)
        both = view.picture()
        display.show_3d([overlay.result], False)
        regions = view.picture()
    finally:
        view.close()
    assert len(np.unique(nothing.reshape(-1, 3), axis=0)) == 1, "nothing is drawn in 3D before it is asked for"
    behind = (model != nothing).any(axis=2) & (regions != nothing).any(axis=2)
    assert np.count_nonzero((both != model).any(axis=2) & behind) > 0.9 * np.count_nonzero(behind) > 500
    pixels = regions[(regions != nothing).any(axis=2)] / 255.0
    direction = pixels / np.linalg.norm(pixels, axis=1, keepdims=True)
    for expert in EXPERTS:
        color = np.array(expert.color) / np.linalg.norm(expert.color)
        assert np.count_nonzero(direction @ color > 0.99) > 500, expert.name
