"""The line at the top of the panel: what is missing before the first click, or an invitation to try it."""

from __future__ import annotations

import html
from collections.abc import Sequence

from ..text import _

TRY_IT, SET_UP = "try-it", "set-up"
"""Targets of the links."""


def top_line(missing: Sequence[str], has_volume: bool) -> str:
    """Rich text with a link, or an empty text once there is something to work on; `missing` are packages."""
    if missing:
        names = html.escape(", ".join(missing))
        return _('Not ready yet: {names} must be installed. <a href="{link}">Set-up</a>').format(
            names=names, link=SET_UP
        )
    if has_volume:
        return ""
    return _('New here? <a href="{link}">Try it</a> on a sample CT of the abdomen.').format(link=TRY_IT)


def replace_consent() -> str:
    """The question if there are structures already."""
    return _(
        "The sample's liver, spleen and right kidney take the place of the structures in the table. "
        "Boxes that you drew stay in the scene. Go on?"
    )
