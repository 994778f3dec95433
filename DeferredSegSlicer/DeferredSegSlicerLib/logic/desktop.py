"""The services of Slicer's own application. Qt and `slicer.app` are touched inside the functions alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import folders, keys


class _Timer:
    """A Qt timer that is used again and again: deleting one within its own time-out would not be safe."""

    def __init__(self) -> None:
        import qt

        self._action: Callable[[], None] | None = None
        self._timer = qt.QTimer()
        self._timer.connect("timeout()", self._fire)

    @property
    def free(self) -> bool:
        """Whether it is stopped."""
        return self._action is None

    def begin(self, milliseconds: int, action: Callable[[], None]) -> None:
        """Call `action` again and again."""
        self._action = action
        self._timer.setInterval(milliseconds)
        self._timer.start()

    def end(self) -> None:
        """Stop."""
        self._timer.stop()
        self._action = None

    def _fire(self) -> None:
        if self._action is not None:
            self._action()


class DesktopServices:
    """See `services.Services`."""

    def __init__(self) -> None:
        self._timers: list[_Timer] = []

    def every(self, milliseconds: int, action: Callable[[], None]) -> Callable[[], None]:
        """By a Qt timer."""
        timer = next((timer for timer in self._timers if timer.free), None)
        if timer is None:
            timer = _Timer()
            self._timers.append(timer)
        timer.begin(milliseconds, action)
        running: _Timer | None = timer

        def stop() -> None:
            nonlocal running
            if running is not None:
                running.end()
                running = None  # the timer may be somebody else's from now on

        return stop

    def process_events(self) -> None:
        """Slicer's event loop, one round."""
        _app().processEvents()

    def cases_folder(self) -> Path:
        """What the user chose in Set-up, else a folder in Slicer's default data folder."""
        chosen = self.setting(keys.CASES_FOLDER)
        documents = _app().defaultScenePath
        return Path(chosen) if chosen else Path(documents or Path.home() / "Documents") / "DeferredSegSlicer cases"

    def models_folder(self) -> Path:
        """What the user chose in Set-up, else a folder beside Slicer's settings."""
        chosen = self.setting(keys.MODELS_FOLDER)
        return Path(chosen) if chosen else _own_folder() / "Models"

    def log_folder(self) -> Path:
        """A folder beside Slicer's settings."""
        return _own_folder() / "Logs"

    def request_folder(self) -> Path:
        """In Slicer's folder for temporary files."""
        return folders.new_request_folder(Path(_app().temporaryPath))

    def setting(self, key: str, default: str = "") -> str:
        """From Slicer's settings file of this user."""
        value = _app().userSettings().value(key, default)
        return default if value is None else str(value)

    def set_setting(self, key: str, value: str) -> None:
        """Into Slicer's settings file of this user, at once: a restart may follow."""
        settings = _app().userSettings()
        settings.setValue(key, value)
        settings.sync()

    def python(self) -> str | None:
        """The interpreter chosen in Set-up."""
        return self.setting(keys.PYTHON).strip() or None


def _app() -> Any:
    import slicer

    return slicer.app


def _own_folder() -> Path:
    """Slicer's settings folder outlives new versions of Slicer, its install folder does not."""
    return Path(_app().slicerUserSettingsFilePath).parent / "DeferredSegSlicer"
