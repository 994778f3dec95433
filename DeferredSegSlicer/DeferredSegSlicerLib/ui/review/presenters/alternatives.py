"""The labelings that one key takes: their names, and what they would change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...presenters.wording import ml_text
from ...text import _

if TYPE_CHECKING:
    from ....logic.review import Option

MOST = 4
"""Buttons in the row; keys 1 to 4."""


def name_text(name: str) -> str:
    """Name of a labeling in the reader's language; one of the network's or a reader's as it is."""
    return {
        "tighter": _("Tighter"),
        "wider": _("Wider"),
        "fill": _("Fill"),
        "drop": _("Drop"),
    }.get(name, name)


def caption(option: Option) -> str:
    """On the button: key, name, and the change in ml."""
    return _("{key}  {name}  {delta}").format(
        key=option.number, name=name_text(option.name), delta=delta_text(option.delta_ml)
    )


def delta_text(ml: float) -> str:
    """A change of volume, with its sign: "+0.42 ml", "-1.3 ml" with a minus sign, "same volume"."""
    if abs(ml) < 0.005:
        return _("\u00b10 ml")
    return f"{'+' if ml > 0 else chr(0x2212)}{ml_text(abs(ml))}"


def tool_tip(option: Option) -> str:
    """What taking it does."""
    what = {
        "tighter": _("Keeps only the more probable part of the structure in the region."),
        "wider": _("Takes in the less probable part of the region too."),
        "fill": _("Makes all of the region the structure."),
        "drop": _("Takes the structure out of the region."),
    }.get(option.name, _("A labeling proposed for this region."))
    return _("{what} Changes {voxels} voxels. Its line in the slice views has this color. Key {key}.").format(
        what=what, voxels=option.changed_voxels, key=option.number
    )


def hint(shown: bool, offered: int, hindrance: str) -> str:
    """Below the row: why there are no buttons, or an empty text."""
    if hindrance or offered:
        return ""
    return _("Looking for labelings\u2026") if shown else _("Keys 1 to 4 take a labeling; their lines are hidden.")
