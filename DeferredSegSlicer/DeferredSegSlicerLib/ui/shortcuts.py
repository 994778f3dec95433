"""The panel's keys: alive while the module is entered, gone afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import qt

from .presenters.shortcuts import Key, panel_keys


class Shortcuts:
    """Makes `qt.QShortcut` objects in `enter` and removes them in `exit`.

    parent : a function that gives the widget in whose window the keys work, such as Slicer's main window, so that they
        also work while a slice view has the focus.
    actions : what each action of the keys does. keys : the panel's own by default.
    inside : let the keys work only while that widget or one inside it has the focus.
    """

    def __init__(
        self,
        parent: Callable[[], Any],
        actions: Mapping[str, Callable[[], None]],
        keys: Sequence[Key] | None = None,
        inside: bool = False,
    ) -> None:
        self._parent = parent
        self._actions = dict(actions)
        self._keys = panel_keys() if keys is None else tuple(keys)
        self._inside = inside
        self._alive: dict[str, Any] = {}

    @property
    def alive(self) -> dict[str, Any]:
        """The shortcuts that work now, by action."""
        return dict(self._alive)

    def enter(self) -> None:
        """Let the keys work; nothing happens if they do already."""
        if self._alive:
            return
        parent = self._parent()
        for key in self._keys:
            if key.action in self._actions:
                shortcut = qt.QShortcut(qt.QKeySequence(key.keys), parent)
                if self._inside:
                    shortcut.setContext(qt.Qt.WidgetWithChildrenShortcut)
                shortcut.connect("activated()", self._actions[key.action])
                self._alive[key.action] = shortcut

    def exit(self) -> None:
        """Remove the keys."""
        alive, self._alive = self._alive, {}
        for action, shortcut in alive.items():
            if not shortcut:  # gone with Slicer's window: PythonQt has such objects as false
                continue
            shortcut.disconnect("activated()", self._actions[action])
            shortcut.setEnabled(False)
            shortcut.setParent(None)
            shortcut.deleteLater()

    def enable(self, action: str, enabled: bool) -> None:
        """Let one key work or not: Esc must reach the rest of Slicer while there is nothing to cancel."""
        shortcut = self._alive.get(action)
        if shortcut is not None:
            shortcut.setEnabled(enabled)
