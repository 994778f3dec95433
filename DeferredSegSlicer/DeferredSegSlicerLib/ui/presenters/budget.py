"""The budget in the reader's terms: percent of the decision zone, minutes of review, or a number of regions."""

from __future__ import annotations

from dataclasses import dataclass

from ..text import _
from .wording import duration_text, percent_text, regions_text

SHARE, MINUTES, REGIONS = "share", "minutes", "regions"
UNITS = (SHARE, MINUTES, REGIONS)


@dataclass(frozen=True)
class Scale:
    """How the budget slider is set up for a unit."""

    maximum: float
    step: float
    page: float
    decimals: int
    suffix: str


def unit_names() -> tuple[str, ...]:
    """Captions of the units, in the order of UNITS."""
    return _("share"), _("minutes"), _("regions")


def scale_of(unit: str) -> Scale:
    """The slider of a unit; shares are shown in percent."""
    if unit == MINUTES:
        return Scale(120.0, 1.0, 10.0, 0, _(" min"))
    if unit == REGIONS:
        return Scale(200.0, 1.0, 10.0, 0, "")
    return Scale(100.0, 0.5, 5.0, 1, " %")


def budget_text(regions: int | None, minutes: float | None, on_duty: int) -> str:
    """What a budget asks of the readers: "12 regions, about 6 min". None while there is no result."""
    if on_duty == 0:
        return _("Nobody is on duty: nothing is deferred.")
    if regions is None or minutes is None:
        return _("Regions and minutes are known after segmentation.")
    if regions == 0:
        return _("No region at this budget.")
    return _("{regions}, {minutes}").format(regions=regions_text(regions), minutes=duration_text(minutes * 60))


def unit_reason(unit: str, has_result: bool) -> str:
    """Why a budget cannot be given in a unit yet, or an empty text."""
    if unit == SHARE or has_result:
        return ""
    return _("Minutes and regions are known after segmentation.")


def with_share(text: str, share: float) -> str:
    """The text, and which share of the zone it is."""
    return _("{text} ({share})").format(text=text, share=percent_text(share))
