"""Numbers, units and names as the reader sees them."""

from __future__ import annotations

import pytest
from DeferredSegSlicerLib.ui.presenters import wording


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "no time"),
        (20, "under a minute"),
        (59, "about 1 min"),
        (350, "about 6 min"),
        (3599, "about 1 h 0 min"),
        (4800, "about 1 h 20 min"),
    ],
)
def test_a_duration_is_rounded_as_one_speaks(seconds: float, text: str) -> None:
    assert wording.duration_text(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.4, "almost done"),
        (7.2, "about 7 s left"),
        (42.0, "about 40 s left"),
        (89.0, "about 90 s left"),
        (200.0, "about 3 min left"),
    ],
)
def test_the_time_left_gets_coarser_the_longer_it_is(seconds: float | None, text: str) -> None:
    assert wording.time_left_text(seconds) == text


@pytest.mark.parametrize(
    ("ml", "text"), [(0.0, "0.00 ml"), (0.456, "0.46 ml"), (12.34, "12.3 ml"), (1432.4, "1432 ml")]
)
def test_a_volume_has_as_many_decimals_as_it_is_worth(ml: float, text: str) -> None:
    assert wording.ml_text(ml) == text


@pytest.mark.parametrize(("share", "text"), [(0.05, "5 %"), (0.075, "7.5 %"), (0.0025, "0.25 %"), (1.0, "100 %")])
def test_a_share_is_shown_in_percent_without_idle_zeros(share: float, text: str) -> None:
    assert wording.percent_text(share) == text


def test_one_region_is_not_plural() -> None:
    assert wording.regions_text(1) == "1 region"
    assert wording.regions_text(0) == "0 regions"


def test_a_long_name_loses_its_middle_and_keeps_both_ends() -> None:
    name = "CT ABDOMEN portal venous 1.0 mm B30f, series 5, patient of today"
    short = wording.short(name, 30)
    assert len(short) <= 30
    assert short.startswith("CT ABDOMEN") and short.endswith("of today") and "\u2026" in short
    assert wording.short("CT", 30) == "CT"


@pytest.mark.parametrize(("raw", "text"), [("a b", "A b."), ("Why?", "Why?"), ("two\n lines.", "Two lines."), ("", "")])
def test_any_text_becomes_a_sentence(raw: str, text: str) -> None:
    assert wording.as_sentence(raw) == text
