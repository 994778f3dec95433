"""The contact sheet shows regions where they are, in their expert's color, with the patient's right on the left."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.regions import RegionList
from DeferredSegSlicerLib.render.choice import informative_slices
from DeferredSegSlicerLib.render.contact_sheet import ContactSheet, PlacedTile, choose_tiles, contact_sheet
from DeferredSegSlicerLib.render.scene import Scene, display_window
from DeferredSegSlicerLib.render.tile import scale_bar_mm
from matplotlib.image import imread

FILLED = 0.25
"""How far the red and the blue of a pixel must be apart to count as colored."""


def pixels(sheet: ContactSheet) -> np.ndarray:
    """The sheet as [row, column, channel] in 0..1."""
    return np.asarray(imread(io.BytesIO(sheet.png), format="png"))[..., :3]


def crop(picture: np.ndarray, placed: PlacedTile) -> np.ndarray:
    """The pixels of one tile."""
    top, left = round(placed.top), round(placed.left)
    return picture[top : round(placed.top + placed.height), left : round(placed.left + placed.width)]


def is_orange(picture: np.ndarray) -> np.ndarray:
    return picture[..., 0] - picture[..., 2] > FILLED


def is_blue(picture: np.ndarray) -> np.ndarray:
    return picture[..., 2] - picture[..., 0] > FILLED


def test_every_region_is_filled_with_its_experts_color_at_its_own_voxels(a_scene: Scene, a_sheet: ContactSheet) -> None:
    picture = pixels(a_sheet)
    checked = 0
    for placed in a_sheet.tiles:
        for region, matches in zip(a_scene.regions, (is_orange, is_blue), strict=True):
            k, j, i = np.unravel_index(region.indices, a_scene.geometry.shape)
            ijk = np.stack([i, j, k], axis=1)
            here = ijk[ijk[:, placed.tile.view.axis] == placed.tile.index]
            for voxel in here[::5]:
                row, column = placed.pixel_of(tuple(voxel.tolist()))
                assert matches(picture[row - 1 : row + 2, column - 1 : column + 2]).any()
                checked += 1
    assert checked > 20


def test_the_patients_right_is_on_the_left_of_axial_and_coronal_pictures(a_sheet: ContactSheet) -> None:
    picture = pixels(a_sheet)
    seen = 0
    for placed in a_sheet.tiles:
        tile = crop(picture, placed)
        name = placed.tile.view.name.lower()
        columns = np.nonzero(is_orange(tile))[1]
        if ("axial" in name or "coronal" in name) and len(columns) > 200:
            assert columns.mean() < tile.shape[1] / 2
            seen += 1
    assert seen > 0


def test_the_front_is_up_on_axial_and_left_on_sagittal_pictures(a_sheet: ContactSheet) -> None:
    picture = pixels(a_sheet)
    seen = 0
    for placed in a_sheet.tiles:
        tile = crop(picture, placed)
        rows, columns = np.nonzero(is_blue(tile))
        name = placed.tile.view.name.lower()
        if len(rows) > 200 and "axial" in name:
            assert rows.mean() < tile.shape[0] / 2
            seen += 1
        if len(rows) > 200 and "sagittal" in name:
            assert columns.mean() < tile.shape[1] / 2
            seen += 1
    assert seen > 0


def test_without_regions_no_expert_color_is_in_any_picture(a_plain_scene: Scene) -> None:
    empty = replace(a_plain_scene, regions=RegionList(), deferred=np.zeros_like(a_plain_scene.deferred))
    sheet = contact_sheet(empty)
    picture = pixels(sheet)
    for placed in sheet.tiles:
        tile = crop(picture, placed)
        assert not (is_orange(tile) | is_blue(tile)).any()


def test_pictures_keep_the_proportions_of_the_body(a_plain_sheet: ContactSheet) -> None:
    for placed in a_plain_sheet.tiles:
        height_mm, width_mm = placed.tile.size_mm
        assert abs(placed.width / placed.height - width_mm / height_mm) < 0.01


def test_pictures_do_not_overlap(a_plain_sheet: ContactSheet) -> None:
    tiles = a_plain_sheet.tiles
    for n, a in enumerate(tiles):
        for b in tiles[n + 1 :]:
            beside = a.left + a.width <= b.left or b.left + b.width <= a.left
            above = a.top + a.height <= b.top or b.top + b.height <= a.top
            assert beside or above


def test_both_regions_are_on_some_slice_even_if_few_slices_are_shown(a_plain_scene: Scene) -> None:
    shown = informative_slices(a_plain_scene, 2, 2)
    for number in (1, 2):
        assert any((a_plain_scene.deferred[k] == number).any() for k in shown)


def test_slices_run_from_head_to_feet(a_plain_scene: Scene) -> None:
    tiles = [tile for tile in choose_tiles(a_plain_scene, 6) if tile.view.axis == 2]
    heights = [a_plain_scene.geometry.ras_of((0, 0, tile.index))[2] for tile in tiles]
    assert heights == sorted(heights, reverse=True) and len(tiles) == 6


def test_a_single_slice_has_no_reformats() -> None:
    geometry = Geometry((40, 40, 1), (1, 1, 5))
    label = np.zeros(geometry.shape, np.uint8)
    label[0, 10:30, 10:30] = 1
    scene = scene_of_label(geometry, label)
    sheet = contact_sheet(scene)
    assert [placed.tile.view.axis for placed in sheet.tiles] == [2]


def test_a_case_without_any_label_still_gives_a_picture() -> None:
    geometry = Geometry((30, 30, 12), (1, 1, 2))
    sheet = contact_sheet(scene_of_label(geometry, np.zeros(geometry.shape, np.uint8)))
    assert pixels(sheet).std() > 0


def scene_of_label(geometry: Geometry, label: np.ndarray) -> Scene:
    """A scene with a label and nothing deferred."""
    image = (label * 100).astype(np.int16)
    return Scene(geometry, image, label, np.zeros_like(label), (), (), RegionList(), 0.05, 100, (50.0, 200.0))


def test_a_small_structure_is_shown_large_with_its_surroundings() -> None:
    geometry = Geometry((200, 200, 40), (1, 1, 2))
    label = np.zeros(geometry.shape, np.uint8)
    label[20:23, 100:106, 100:106] = 1
    tile = choose_tiles(scene_of_label(geometry, label), 4)[0]
    height_mm, width_mm = tile.size_mm
    assert 75 <= height_mm <= 90 and 75 <= width_mm <= 90


def test_the_scale_bar_is_round_and_at_most_a_third_of_the_picture() -> None:
    assert [scale_bar_mm(width) for width in (12, 80, 310, 900)] == [2, 20, 100, 200]


def test_the_gray_window_of_the_settings_is_used_and_else_one_from_the_image() -> None:
    image = np.linspace(0, 1000, 10_000).astype(np.float32)
    assert display_window(image, {"window": [40, 400]}) == (40.0, 400.0)
    assert display_window(image, {"window": {"level": 50, "width": 350}}) == (50.0, 350.0)
    level, width = display_window(image, {"window": None})
    assert 480 < level < 520 and 950 < width < 1000
