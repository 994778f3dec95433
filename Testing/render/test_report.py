"""The report is one file that opens anywhere, says everything, and cannot be broken by a name."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
from DeferredSegSlicerLib.core.regions import RegionList
from DeferredSegSlicerLib.render.contact_sheet import region_tile
from DeferredSegSlicerLib.render.report import report_html
from DeferredSegSlicerLib.render.scene import Scene


class Page(HTMLParser):
    """Tags with their attributes, the texts, and the rows of the region table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_report_loads_nothing_from_elsewhere_and_runs_nothing(a_plain_scene: Scene) -> None:
    text = report_html(a_plain_scene)
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "embed"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "data"):
            assert (attributes.get(name) or "data:").startswith("data:"), tag
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", text) and "@import" not in text


def test_the_pictures_of_the_report_are_png_files(a_plain_scene: Scene) -> None:
    images = [a["src"] for tag, a in Page(report_html(a_plain_scene)).tags if tag == "img"]
    assert len(images) == 1 + len(a_plain_scene.regions)
    for source in images:
        assert source is not None
        assert base64.b64decode(source.split(",", 1)[1]).startswith(b"\x89PNG\r\n")


def test_the_report_names_every_region_its_expert_and_where_it_is(a_plain_scene: Scene) -> None:
    words = Page(report_html(a_plain_scene)).texts
    for region in a_plain_scene.regions:
        assert region.id in words
        assert ", ".join(f"{v:.1f}" for v in region.centroid_ras) in words
    assert any("Research use only" in text for text in words)
    assert "a model" in words


def test_names_from_outside_cannot_become_markup(a_plain_scene: Scene) -> None:
    hostile = "<script>alert('x')</script>"
    structure = replace(a_plain_scene.structures[0], name=hostile)
    scene = replace(
        a_plain_scene, structures=(structure,), model={"name": hostile, hostile: hostile}, settings={"note": hostile}
    )
    text = report_html(scene, notes=[hostile], title=hostile)
    assert "<script" not in text
    assert hostile in "".join(Page(text).texts)


def test_warnings_and_the_reason_for_no_deferral_are_on_top(a_plain_scene: Scene) -> None:
    nobody = replace(
        a_plain_scene,
        regions=RegionList(),
        deferred=np.zeros_like(a_plain_scene.deferred),
        note="no expert is available, so nothing is deferred",
    )
    text = report_html(nobody, notes=["the model is at its limits"])
    assert text.index("the model is at its limits") < text.index("<img")
    assert text.index("no expert is available") < text.index("<img")
    assert "No voxel is deferred" in text


def test_the_picture_of_a_region_shows_the_slice_with_most_of_it(a_scene: Scene) -> None:
    for region in a_scene.regions:
        tile = region_tile(a_scene, region)
        k, j, i = np.unravel_index(region.indices, a_scene.geometry.shape)
        along = (i, j, k)[a_scene.geometry.slicing_axis]
        counts = np.bincount(along)
        assert counts[tile.index] == counts.max()
        here = along == tile.index
        for voxel in zip(i[here], j[here], k[here], strict=True):
            row, column = tile.view.pixel_of(tuple(int(v) for v in voxel))
            assert tile.window.top <= row < tile.window.bottom and tile.window.left <= column < tile.window.right
