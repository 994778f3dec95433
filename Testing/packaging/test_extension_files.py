"""The description of the extension is the same in CMakeLists.txt, the .s4ext and the Extensions Index entry."""

from __future__ import annotations

import importlib.util
import json
import re
import struct
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
ICONS = ROOT / "Resources" / "Icons"

S4EXT_FIELDS = (
    *("scm", "scmurl", "scmrevision", "depends", "recommends", "build_subdirectory", "homepage", "contributors"),
    *("category", "iconurl", "status", "tier", "description", "screenshoturls", "enabled", "dicom_support_rule"),
    "keywords",
)
"""The fields of the .s4ext that Slicer 5.13's build writes, in its order."""

INDEX_FIELDS = {
    **{
        "$schema": str,
        "category": str,
        "scm_url": str,
        "scm_revision": str,
        "scm_type": str,
        "build_dependencies": list,
    },
    **{"dicom_support_rule": str, "build_subdirectory": str, "enabled": bool, "tier": int},
}
"""What the Extensions Index' schema 1.0.2 allows; the first three are required, others are refused."""


def png_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels from a PNG file's header."""
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n" and head[12:16] == b"IHDR", f"{path} is no PNG"
    width, height = struct.unpack(">II", head[16:24])
    return width, height


@pytest.fixture(scope="module")
def the_cmake() -> dict[str, list[str]]:
    """EXTENSION_ variables of the top CMakeLists.txt, without the prefix; each a list."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    found = re.findall(r'^set\(EXTENSION_(\w+)((?: "[^"]*")+)\)', text, flags=re.MULTILINE)
    return {name: re.findall(r'"([^"]*)"', values) for name, values in found}


@pytest.fixture(scope="module")
def the_s4ext() -> dict[str, str]:
    """Fields of the .s4ext in the order of the file."""
    lines = (ROOT / "DeferredSegSlicer.s4ext").read_text(encoding="utf-8").splitlines()
    pairs = [line.partition(" ") for line in lines if line.strip() and not line.startswith("#")]
    return {key: value for key, _, value in pairs}


@pytest.fixture(scope="module")
def the_index_entry() -> dict[str, Any]:
    """DeferredSegSlicer.json."""
    entry = json.loads((ROOT / "DeferredSegSlicer.json").read_text(encoding="utf-8"))
    assert isinstance(entry, dict)
    return entry


def local_file(url: str, entry: dict[str, Any]) -> Path:
    """The project's file behind a raw GitHub address; fails for an address of another repository or branch."""
    repository = entry["scm_url"].removeprefix("https://github.com/").removesuffix(".git")
    start = f"https://raw.githubusercontent.com/{repository}/{entry['scm_revision']}/"
    assert url.startswith(start), f"{url} does not start with {start}"
    return ROOT / url.removeprefix(start)


def test_the_s4ext_has_the_newest_fields_in_their_order(the_s4ext: dict[str, str]) -> None:
    assert tuple(the_s4ext) == S4EXT_FIELDS


def test_the_s4ext_says_what_cmake_says(the_s4ext: dict[str, str], the_cmake: dict[str, list[str]]) -> None:
    for name in ("DEPENDS", "HOMEPAGE", "CONTRIBUTORS", "ICONURL", "DESCRIPTION", "SCREENSHOTURLS", "KEYWORDS"):
        assert the_s4ext[name.lower()] == " ".join(the_cmake[name]), name


def test_the_index_entry_says_what_the_s4ext_says(the_s4ext: dict[str, str], the_index_entry: dict[str, Any]) -> None:
    pairs = {"scm": "scm_type", "scmurl": "scm_url", "scmrevision": "scm_revision", "category": "category"}
    pairs |= {"build_subdirectory": "build_subdirectory", "dicom_support_rule": "dicom_support_rule"}
    for theirs, ours in pairs.items():
        assert the_s4ext[theirs] == the_index_entry[ours], theirs
    assert the_s4ext["depends"].split() == the_index_entry["build_dependencies"]
    assert int(the_s4ext["tier"]) == the_index_entry["tier"]
    assert bool(int(the_s4ext["enabled"])) is the_index_entry["enabled"]


def test_the_index_entry_fits_its_schema(the_index_entry: dict[str, Any]) -> None:
    assert the_index_entry["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.2.json#")
    assert {"$schema", "category", "scm_url"} <= set(the_index_entry) <= set(INDEX_FIELDS)
    for key, value in the_index_entry.items():
        assert type(value) is INDEX_FIELDS[key], key
    assert 1 <= the_index_entry["tier"] <= 5


def test_names_are_such_as_the_index_takes(the_index_entry: dict[str, Any], the_cmake: dict[str, list[str]]) -> None:
    """The extension's name must not start with Slicer, the repository's must."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    project = re.search(r"^project\((\w+)\)", text, flags=re.MULTILINE)
    assert project and project[1] == "DeferredSegSlicer"
    assert {path.stem for path in (*ROOT.glob("*.s4ext"), *ROOT.glob("*.json"))} == {"DeferredSegSlicer"}
    repository = the_index_entry["scm_url"].rpartition("/")[2]
    assert repository.startswith("Slicer") and repository.endswith(".git")
    assert the_cmake["HOMEPAGE"] == [the_index_entry["scm_url"].removesuffix(".git")]


def test_the_description_explains_itself_on_one_line(the_cmake: dict[str, list[str]]) -> None:
    (description,) = the_cmake["DESCRIPTION"]
    assert len(re.findall(r"[.](?: |$)", description)) >= 2 and "\n" not in description
    for word in ("CT", "MR", "expert", "model"):
        assert word in description


def test_icon_and_screenshots_exist_and_are_pictures(
    the_cmake: dict[str, list[str]], the_index_entry: dict[str, Any]
) -> None:
    (icon,) = the_cmake["ICONURL"]
    assert local_file(icon, the_index_entry) == ICONS / "DeferredSegSlicer.png"
    assert png_size(ICONS / "DeferredSegSlicer.png") == (128, 128)
    screenshots = [url for text in the_cmake["SCREENSHOTURLS"] for url in text.split()]
    assert screenshots
    for url in screenshots:
        path = local_file(url, the_index_entry)
        assert path.parent == ROOT / "docs" / "images"
        assert min(png_size(path)) >= 200


@pytest.fixture(scope="module")
def the_drawing() -> ModuleType:
    """scripts/draw_icon.py as a module."""
    spec = importlib.util.spec_from_file_location("draw_icon", ROOT / "scripts" / "draw_icon.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pictures_are_those_that_the_script_draws(the_drawing: ModuleType, tmp_path: Path) -> None:
    the_drawing.main([str(tmp_path)])
    drawn = sorted(path.name for path in tmp_path.iterdir())
    assert drawn == ["DeferredSegSlicer.png", "SampleBodyCT.png"]
    for name in drawn:
        fresh, kept = (matplotlib.image.imread(folder / name) for folder in (tmp_path, ICONS))
        assert fresh.shape == kept.shape
        assert np.abs(fresh - kept).mean() < 0.01, f"{name} is not what scripts/draw_icon.py draws"


def test_the_icon_shows_an_organ_with_a_patch_of_another_color() -> None:
    icon = matplotlib.image.imread(ICONS / "DeferredSegSlicer.png")  # (128, 128, 4), 0 to 1
    solid = icon[icon[..., 3] > 0.99][:, :3]
    orange = np.abs(solid - (0.961, 0.651, 0.137)).max(axis=1) < 0.02
    blue = np.abs(solid - (0.184, 0.427, 0.561)).max(axis=1) < 0.02
    assert 500 < orange.sum() < blue.sum()
    assert icon[0, 0, 3] == 0, "the corner is transparent"


def test_every_panel_file_is_a_qt_form_with_unique_names() -> None:
    forms = sorted((ROOT / "Resources" / "UI").glob("*.ui"))
    assert "DeferredSegSlicer.ui" in [path.name for path in forms]
    for path in forms:
        form = ElementTree.parse(path).getroot()
        assert form.tag == "ui" and form.get("version") == "4.0", path.name
        names = [widget.get("name") for widget in form.iter("widget")]
        assert None not in names and len(names) == len(set(names)), path.name


def test_what_others_made_comes_with_its_license() -> None:
    folders = [
        ROOT / "Resources" / "SampleData",
        *(path.parent for path in ROOT.glob("Resources/Models/*/bundle.json")),
    ]
    assert len(folders) >= 3
    for folder in folders:
        assert (folder / "LICENSE").stat().st_size > 1000 and (folder / "NOTICE").stat().st_size > 100, folder.name
