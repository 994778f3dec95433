"""The logic's services without Qt: timers that go off in `process_events`, settings in a dictionary."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from DeferredSegSlicerLib.logic.folders import new_request_folder


class PlainServices:
    """See `logic.services.Services`; everything lies below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: dict[str, str] = {}
        self.chosen_python: str | None = None
        self.longest_turn = 0.0
        self._timers: dict[int, tuple[float, float, Callable[[], None]]] = {}
        self._number = 0

    def every(self, milliseconds: int, action: Callable[[], None]) -> Callable[[], None]:
        self._number += 1
        number, seconds = self._number, milliseconds / 1000
        self._timers[number] = (seconds, time.perf_counter() + seconds, action)
        return lambda: self._timers.pop(number, None)  # type: ignore[func-returns-value, return-value]

    @property
    def timers(self) -> int:
        """How many timers are going."""
        return len(self._timers)

    def process_events(self) -> None:
        for number, (seconds, due, action) in list(self._timers.items()):
            began = time.perf_counter()
            if began >= due and number in self._timers:
                self._timers[number] = (seconds, began + seconds, action)
                action()
                self.longest_turn = max(self.longest_turn, time.perf_counter() - began)

    def run_until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Be the event loop until the condition holds; fails when the time is up."""
        deadline = time.perf_counter() + seconds
        while not condition():
            assert time.perf_counter() < deadline, "nothing happened in time"
            self.process_events()
            time.sleep(0.002)

    def run_for(self, seconds: float) -> None:
        """Be the event loop for a while."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self.process_events()
            time.sleep(0.002)

    def cases_folder(self) -> Path:
        return self.folder / "cases"

    def models_folder(self) -> Path:
        return self.folder / "models"

    def log_folder(self) -> Path:
        return self.folder / "logs"

    def request_folder(self) -> Path:
        return new_request_folder(self.folder / "requests")

    @property
    def requests(self) -> list[Path]:
        """Request folders that are still there."""
        return sorted((self.folder / "requests").glob("*"))

    @property
    def cases(self) -> list[Path]:
        """Everything in the folder of cases, hidden folders of jobs too."""
        return sorted(self.cases_folder().glob("*")) + sorted(self.cases_folder().glob(".*"))

    def setting(self, key: str, default: str = "") -> str:
        return self.settings.get(key, default)

    def set_setting(self, key: str, value: str) -> None:
        self.settings[key] = value

    def python(self) -> str | None:
        return self.chosen_python
