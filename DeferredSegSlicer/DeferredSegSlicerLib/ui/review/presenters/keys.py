"""The keys of the review: single ones, since they are pressed hundreds of times a day."""

from __future__ import annotations

from ...presenters.shortcuts import Key
from ...text import _

ALTERNATIVES = ("alternative1", "alternative2", "alternative3", "alternative4")


def review_keys() -> tuple[Key, ...]:
    """Alive while the module is in front and a region can be decided on; the Segment Editor has its own meanwhile."""
    return (
        Key("accept", "A", _("Review: accept the model's label")),
        Key("edit", "E", _("Review: edit the region")),
        Key("reassign", "R", _("Review: reassign the region to another expert")),
        Key("skip", "S", _("Review: skip the region")),
        Key("next", "N", _("Review: next region")),
        Key("previous", "P", _("Review: previous region")),
        Key("alternative1", "1", _("Review: take the first labeling on offer")),
        Key("alternative2", "2", _("Review: take the second one")),
        Key("alternative3", "3", _("Review: take the third one")),
        Key("alternative4", "4", _("Review: take the fourth one")),
    )


def undo_key() -> Key:
    """Takes a decision back while the cursor is in the panel; elsewhere the key is Slicer's."""
    return Key("undo", "Ctrl+Z", _("Review: take the last decision back (in the panel)"))


def done_key() -> Key:
    """Ends an edit."""
    return Key("done", "Ctrl+Shift+E", _("Review: record the edit"))
