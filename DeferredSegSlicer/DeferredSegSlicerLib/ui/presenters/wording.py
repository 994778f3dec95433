"""Numbers as a reader says them: minutes, milliliters, sizes and counts, with their units."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..text import _


def duration_text(seconds: float) -> str:
    """A duration in s, rounded as one speaks: "under a minute", "about 6 min", "about 1 h 20 min"."""
    minutes = round(seconds / 60)
    if seconds <= 0:
        return _("no time")
    if seconds < 55:
        return _("under a minute")
    if minutes < 60:
        return _("about {minutes} min").format(minutes=max(1, minutes))
    return _("about {hours} h {minutes} min").format(hours=minutes // 60, minutes=minutes % 60)


def time_left_text(seconds: float | None) -> str:
    """Time left of a running job in s, or an empty text while it is not known."""
    if seconds is None:
        return ""
    if seconds < 1:
        return _("almost done")
    if seconds < 90:
        step = 1 if seconds < 10 else 5
        return _("about {seconds} s left").format(seconds=max(1, round(seconds / step) * step))
    return _("about {minutes} min left").format(minutes=round(seconds / 60))


def ml_text(ml: float) -> str:
    """A volume in ml: two decimals below 1 ml, one below 100 ml, none above."""
    return f"{ml:.{2 if ml < 1 else 1 if ml < 100 else 0}f} ml"


def size_text(size_mm: Sequence[float]) -> str:
    """Three lengths in mm, without the unit: "45 x 60 x 30" with multiplication signs."""
    return " \u00d7 ".join(f"{length:.0f}" for length in size_mm)


def regions_text(count: int) -> str:
    """A number of deferral regions in words."""
    return _("1 region") if count == 1 else _("{count} regions").format(count=count)


def percent_text(share: float) -> str:
    """A share 0..1 as percent: "5 %", "7.5 %", "0.25 %"."""
    return f"{share * 100:.4g} %"


def names_text(names: Iterable[str]) -> str:
    """Names in typographic quotes, joined by commas."""
    return ", ".join(quoted(name) for name in names)


def quoted(name: str) -> str:
    """A name in typographic quotes."""
    return f"\u201c{name}\u201d"


def short(name: str, longest: int = 40) -> str:
    """A name that fits into a caption: long ones lose their middle, since series names differ at both ends."""
    if len(name) <= longest:
        return name
    half = (longest - 1) // 2
    return f"{name[:half]}\u2026{name[-half:]}"


def as_sentence(text: str) -> str:
    """A text with a capital and a full stop."""
    line = " ".join(text.split())
    return f"{line[:1].upper()}{line[1:]}{'' if line.endswith(('.', '?', '!')) or not line else '.'}"
