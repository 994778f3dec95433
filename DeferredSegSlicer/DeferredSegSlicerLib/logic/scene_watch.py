"""What happens to the scene without us: it is closed, opened, saved, or loses a node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from .observers import Observers


class Watcher(Protocol):
    """Who wants to know."""

    def on_scene_start_close(self) -> None: ...
    def on_scene_end_close(self) -> None: ...
    def on_scene_end_import(self) -> None: ...
    def on_scene_start_save(self) -> None: ...
    def on_node_removed(self) -> None: ...


class SceneWatch:
    """Passes the scene's events on until it is closed."""

    def __init__(self, scene: Any, watcher: Watcher) -> None:
        self._scene = scene
        self._watcher = watcher
        self._observers = Observers()
        self._paused = 0
        for event, action in (
            (scene.StartCloseEvent, watcher.on_scene_start_close),
            (scene.EndCloseEvent, watcher.on_scene_end_close),
            (scene.EndImportEvent, watcher.on_scene_end_import),
            (scene.StartSaveEvent, watcher.on_scene_start_save),
            (scene.NodeRemovedEvent, self._node_removed),
        ):
            self._observers.add(scene, event, action)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nodes that are removed meanwhile are our own doing."""
        self._paused += 1
        try:
            yield
        finally:
            self._paused -= 1

    def close(self) -> None:
        """Take every observer back."""
        self._observers.remove_all()

    def __len__(self) -> int:
        return len(self._observers)

    def _node_removed(self) -> None:
        if not self._paused and not self._scene.IsClosing():
            self._watcher.on_node_removed()
