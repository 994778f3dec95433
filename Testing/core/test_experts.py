"""Expert profiles: the ones shipped, the ones a site writes, and the ones that cannot be."""

from __future__ import annotations

import json
import math
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.experts import MAX_EXPERTS, Expert, check_experts, load_experts, without

DEFAULT = Path(__file__).parents[2] / "Resources" / "Experts" / "default.json"


def plain(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "id": "edge",
        "name": "Boundary",
        "role": "specialist",
        "color": [0.8, 0.5, 0.7],
        "competence": {"foreground": 0.9, "background": 0.9, "boundary": 0.98},
    }
    return values | changes


def file_of(folder: Path, content: Any) -> Path:
    (folder / "experts.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / "experts.json"


def test_the_shipped_profiles_are_three_each_best_at_one_place() -> None:
    experts = load_experts(DEFAULT)
    assert [e.id for e in experts] == ["lesion-extent", "normal-tissue", "boundary"]
    for place, best in [("foreground", 0), ("background", 1), ("boundary", 2)]:
        values = [getattr(e.competence, place) for e in experts]
        assert values[best] == max(values) and values.count(max(values)) == 1
    assert all(e.available and e.cost == 0 for e in experts)


def test_the_shipped_colors_are_told_apart_with_red_green_blindness() -> None:
    # Viénot, Brettel, Mollon 1999: linear RGB as a deuteranope sees it, on the plane of two channels.
    def seen(color: tuple[float, float, float]) -> tuple[float, float]:
        red, green, blue = (c**2.2 for c in color)
        return 0.29275 * red + 0.70725 * green, -0.02234 * red + 0.02234 * green + blue

    for first, second in combinations(load_experts(DEFAULT), 2):
        assert math.dist(seen(first.color), seen(second.color)) > 0.15


def test_a_profile_comes_back_from_json() -> None:
    expert = Expert.from_json(plain(cost=0.1, available=False, seconds_per_region=5, seconds_per_slice=0))
    assert Expert.from_json(json.loads(json.dumps(expert.to_json()))) == expert
    assert expert.color == (0.8, 0.5, 0.7) and not expert.available


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"id": "a b"}, "expert id"),
        ({"id": ""}, "expert id"),
        ({"id": 5}, "not complete"),
        ({"name": " "}, "name"),
        ({"name": 5}, "name"),
        ({"role": None}, "role"),
        ({"color": [0, 0]}, "color"),
        ({"color": [0, 0, 2]}, "color"),
        ({"color": ["red", 0, 0]}, "not complete"),
        ({"color": [math.nan, 0, 0]}, "color"),
        ({"competence": {"foreground": 0.9}}, "not complete"),
        ({"competence": {"foreground": 1.1, "background": 0, "boundary": 0}}, "competence for foreground"),
        ({"competence": {"foreground": "high", "background": 0, "boundary": 0}}, "competence for foreground"),
        ({"competence": None}, "not complete"),
        ({"cost": -0.1}, "cost"),
        ({"cost": math.nan}, "cost"),
        ({"available": "false"}, "expected true or false"),
        ({"seconds_per_region": -1}, "seconds_per_region"),
        ({"seconds_per_slice": math.inf}, "seconds_per_slice"),
        ({"salary": 1}, "unknown fields"),
    ],
)
def test_a_profile_that_cannot_be_is_refused_with_the_files_name(
    tmp_path: Path, changes: dict[str, Any], part: str
) -> None:
    with pytest.raises(BadInputError, match=part) as refused:
        load_experts(file_of(tmp_path, {"schema": 1, "experts": [plain(**changes)]}))
    assert "experts.json" in str(refused.value)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ([], "is not"),
        ({"schema": 2, "experts": []}, "is not"),
        ({"schema": 1}, "is not"),
        ({"schema": 1, "experts": []}, "0 experts"),
        ({"schema": 1, "experts": [5]}, "JSON object"),
        ({"schema": 1, "experts": [plain(), plain()]}, "two experts have the id"),
        ({"schema": 1, "experts": [plain(id=f"e{n}") for n in range(MAX_EXPERTS + 1)]}, "17 experts"),
    ],
)
def test_a_file_that_is_no_list_of_experts_is_refused(tmp_path: Path, content: Any, part: str) -> None:
    with pytest.raises(BadInputError, match=part):
        load_experts(file_of(tmp_path, content))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"nobody\.json"):
        load_experts(tmp_path / "nobody.json")


def test_an_expert_is_taken_off_duty_by_id_or_name() -> None:
    experts = load_experts(DEFAULT)
    absent = without(experts, ["lesion-extent", "Boundary"])
    assert [e.available for e in absent] == [False, True, False]
    assert [e.available for e in experts] == [True, True, True]
    with pytest.raises(BadInputError, match='called "nobody"; there are: lesion-extent, normal-tissue, boundary'):
        without(experts, ["nobody"])


def test_the_order_of_experts_is_kept() -> None:
    experts = load_experts(DEFAULT)
    assert check_experts(list(reversed(experts))) == tuple(reversed(experts))
