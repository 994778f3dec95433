"""README and docs: what they link to is there, and pictures are pictures."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LONGEST_README = 230
_FENCE = re.compile(r"^```.*?^```", flags=re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", flags=re.MULTILINE)


def prose(page: Path) -> str:
    """A page without its code."""
    return _CODE.sub("", _FENCE.sub("", page.read_text(encoding="utf-8")))


def relative_links(page: Path) -> Iterator[tuple[str, str]]:
    """Path and anchor, perhaps empty, of each link that is none to the web."""
    for link in _LINK.findall(prose(page)):
        if not re.match(r"[a-z]+:", link):
            path, _, anchor = link.partition("#")
            yield unquote(path), anchor


def anchors(page: Path) -> set[str]:
    """What headings of a page can be linked by, as GitHub makes it."""
    found = set()
    for heading in _HEADING.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        letters = (c for c in heading.lower() if c in " -_" or unicodedata.category(c)[0] in "LN")
        found.add("".join(letters).replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    broken = []
    for path, anchor in relative_links(page):
        target = (page.parent / path).resolve() if path else page
        inside = target.is_relative_to(ROOT) and target.exists()
        if not inside or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(f"{path}#{anchor}" if anchor else path)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_pictures_of_a_page_are_png_files(page: Path) -> None:
    for path in re.findall(r"!\[[^\]]+\]\(([^)\s]+)\)", prose(page)):
        assert (page.parent / path).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n", path


def test_every_page_of_the_docs_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        linked = ((page.parent / path).resolve() for path, _ in relative_links(page) if path.endswith(".md"))
        waiting += [target for target in linked if target.exists()]
    pages = {page for page in PAGES if page.parent.name != "decisions"}
    assert not {page.name for page in pages - reached}


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < LONGEST_README


def test_anchors_are_made_as_github_makes_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Set-up: PyTorch and friends\n```\n# no heading\n```\n## What's `new`?\n", encoding="utf-8")
    assert anchors(page) == {"set-up-pytorch-and-friends", "whats-new"}
