"""The services of a real Slicer, against stand-ins that have nothing but what a real Slicer has."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from DeferredSegSlicerLib.logic import keys
from DeferredSegSlicerLib.logic.desktop import DesktopServices

CLASSES = json.loads(
    (Path(__file__).resolve().parents[1] / "qtbench" / "qt_api.json").read_text(encoding="utf-8")
)["classes"]  # fmt: skip


def checked(kind: str, thing: type) -> type:
    """The stand-in, if all its public names are those of a class of a real Slicer."""
    known = CLASSES[kind]
    names = {name for name in vars(thing) if not name.startswith("_")}
    missing = names - set(known["attributes"]) - set(known["properties"])
    assert not missing, f"{kind} has no {missing}"
    return thing


class Timer:
    """qt.QTimer; tests let it go off."""

    made: ClassVar[list[Timer]] = []

    def __init__(self) -> None:
        self._calls: list[Callable[[], None]] = []
        self._on = False
        self.made.append(self)

    def connect(self, signal: str, call: Callable[[], None]) -> bool:
        assert signal in CLASSES["qt.QTimer"]["signals"]
        self._calls.append(call)
        return True

    def setInterval(self, milliseconds: int) -> None:
        self.interval_set = milliseconds

    def start(self) -> None:
        self._on = True

    def stop(self) -> None:
        self._on = False

    def _go_off(self) -> None:
        for call in self._calls if self._on else []:
            call()


class Settings:
    """What slicer.app.userSettings() gives."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}

    def value(self, key: str, default: Any = None) -> Any:
        return self._kept.get(key, default)

    def setValue(self, key: str, value: Any) -> None:
        self._kept[key] = value

    def sync(self) -> None:
        pass


@pytest.fixture
def desktop(a_slicer: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> DesktopServices:
    """Services of a Slicer whose folders are the test's."""
    import slicer

    settings = checked("qt.QSettings", Settings)()
    Timer.made = []

    class App:
        defaultScenePath = str(tmp_path / "Documents")
        temporaryPath = str(tmp_path / "temporary")
        slicerUserSettingsFilePath = str(tmp_path / "slicer.org" / "Slicer.ini")

        def userSettings(self) -> Settings:
            return settings

        def processEvents(self) -> None:
            for timer in Timer.made:
                timer._go_off()

    monkeypatch.setattr(slicer, "app", checked("slicer.app", App)())
    named = {name for name in vars(Timer) if not name.startswith("_")} - {"made"}
    assert named <= set(CLASSES["qt.QTimer"]["attributes"])
    monkeypatch.setitem(sys.modules, "qt", types.SimpleNamespace(QTimer=Timer))
    return DesktopServices()


def test_a_timer_calls_until_it_is_stopped(desktop: DesktopServices) -> None:
    heard: list[str] = []
    stop = desktop.every(20, lambda: heard.append("one"))
    desktop.every(200, lambda: heard.append("two"))
    desktop.process_events()
    assert heard == ["one", "two"] and [t.interval_set for t in Timer.made] == [20, 200]
    stop()
    stop()
    desktop.process_events()
    assert heard == ["one", "two", "two"]


def test_a_stopped_timer_is_used_again_and_its_old_stop_does_no_harm(desktop: DesktopServices) -> None:
    heard: list[int] = []
    stop = desktop.every(20, lambda: heard.append(1))
    stop()
    desktop.every(50, lambda: heard.append(2))
    stop()
    desktop.process_events()
    assert heard == [2] and len(Timer.made) == 1


def test_a_timer_may_be_stopped_while_it_goes_off(desktop: DesktopServices) -> None:
    heard: list[str] = []

    def once() -> None:
        heard.append("off")
        stop()

    stop = desktop.every(20, once)
    desktop.process_events()
    desktop.process_events()
    assert heard == ["off"]


def test_folders_lie_where_a_new_slicer_finds_them_too(desktop: DesktopServices, tmp_path: Path) -> None:
    assert desktop.cases_folder() == tmp_path / "Documents" / "DeferredSegSlicer cases"
    assert (
        desktop.log_folder().parent == desktop.models_folder().parent == tmp_path / "slicer.org" / "DeferredSegSlicer"
    )
    request = desktop.request_folder()
    assert request.parent == tmp_path / "temporary" and list(request.iterdir()) == []


def test_what_the_user_chose_is_kept_and_used(desktop: DesktopServices, tmp_path: Path) -> None:
    assert desktop.python() is None and desktop.setting("nothing", "default") == "default"
    for key, value in (
        (keys.CASES_FOLDER, str(tmp_path / "c")),
        (keys.MODELS_FOLDER, str(tmp_path / "m")),
        (keys.PYTHON, " /opt/python "),
    ):
        desktop.set_setting(key, value)
    again = DesktopServices()
    assert (again.cases_folder(), again.models_folder()) == (tmp_path / "c", tmp_path / "m")
    assert again.python() == "/opt/python"
