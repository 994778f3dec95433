"""What *Try it* says."""

from __future__ import annotations

from ..text import _


def replace_consent() -> str:
    """The question if there are structures already."""
    return _(
        "The sample's liver, spleen and right kidney take the place of the structures in the table. "
        "Boxes that you drew stay in the scene. Go on?"
    )
