"""The panel's keys, and those of Slicer that must stay free."""

from __future__ import annotations

from dataclasses import dataclass

from ..text import _

SLICER_KEYS = frozenset(
    f"Ctrl+{key}" for key in ("O", "S", "W", "Z", "Y", "X", "C", "V", "F", "H", "B", "G", "`", *"0123456")
) | {"Ctrl+Shift+A", "Ctrl+Shift+T", "Ctrl+Shift+Space"}
"""Keys with a modifier that Slicer 5.13 has: main window, 3D views, Python console, markups tool bar.

Single letters and digits, which the views and the Segment Editor use, are none of the panel's either; nor is Shift with
a letter, because Shift and a moving mouse scroll all slice views.
"""


@dataclass(frozen=True)
class Key:
    """One shortcut: an action's name, its keys as Qt writes them, and what it does."""

    action: str
    keys: str
    text: str


def panel_keys() -> tuple[Key, ...]:
    """All shortcuts of the panel, as they are listed in it."""
    return (
        Key("segment", "Ctrl+Return", _("Segment with deferral")),
        Key("cancel", "Esc", _("Cancel the running job")),
        Key("add_box", "Ctrl+Shift+B", _("Add a box")),
        Key("toggle_deferred", "Ctrl+Shift+D", _("Show or hide what is deferred")),
        Key("toggle_model", "Ctrl+Shift+M", _("Show or hide the model's outline")),
    )
