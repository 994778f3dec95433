"""Collaborators of the panel that tests control: a logic that only remembers, services in memory, a scripted user."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.logic import keys
from DeferredSegSlicerLib.logic.job import JobStatus
from DeferredSegSlicerLib.logic.packages import PackageState, Requirement
from DeferredSegSlicerLib.logic.signal import Signal
from DeferredSegSlicerLib.mrml.state import PanelState, parameter_node
from DeferredSegSlicerLib.worker.client import State
from DeferredSegSlicerLib.worker.protocol import Hello, SelfTest

HELLO = Hello({"torch": "2.9.0", "python": "3.12.10"}, "cpu", SelfTest(True, "one convolution", 0.2), 4711)


class MemoryServices:
    """Settings in a dictionary, folders below one, and timers that a test fires."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: dict[str, str] = {}
        self.timers: list[Callable[[], None]] = []

    def every(self, milliseconds: int, action: Callable[[], None]) -> Callable[[], None]:
        self.timers.append(action)
        return lambda: self.timers.remove(action)

    def process_events(self) -> None:
        import slicer

        slicer.app.processEvents()

    def fire(self) -> None:
        """One round of all timers."""
        for action in list(self.timers):
            action()

    def cases_folder(self) -> Path:
        return Path(self.setting(keys.CASES_FOLDER) or self.folder / "cases")

    def models_folder(self) -> Path:
        return self.folder / "models"

    def log_folder(self) -> Path:
        return self.folder / "logs"

    def request_folder(self) -> Path:
        made = self.folder / f"request-{len(list(self.folder.iterdir()))}"
        made.mkdir()
        return made

    def setting(self, key: str, default: str = "") -> str:
        return self.settings.get(key, default)

    def set_setting(self, key: str, value: str) -> None:
        self.settings[key] = value

    def python(self) -> str | None:
        return self.setting(keys.PYTHON) or None


class ScriptedUser:
    """Stands for all dialogs: answers as told, and remembers what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, tuple[Any, ...]]] = []
        self.clipboard = ""
        self.opened: list[str] = []

    def _ask(self, kind: str, *details: Any) -> Any:
        self.asked.append((kind, details))
        return self.answers[kind]

    def consent(self, title: str, question: str) -> bool:
        return bool(self._ask("consent", title, question))

    def failure(self, title: str, message: str, advice: str = "", log: str = "") -> None:
        self.asked.append(("failure", (title, message, advice, log)))

    def color(self, title: str, color: Any) -> Any:
        return self._ask("color", title, color)

    def terminology(self, title: str, terminology: Any) -> Any:
        return self._ask("terminology", title, terminology)

    def segments(self, scene: Any) -> Any:
        return self._ask("segments", scene)

    def file(self, title: str, kinds: str, start: str = "") -> str:
        return str(self._ask("file", title, kinds, start))

    def folder(self, title: str, start: str = "") -> str:
        return str(self._ask("folder", title, start))

    def open_file(self, path: str) -> None:
        self.opened.append(path)

    def copy(self, text: str) -> None:
        self.clipboard = text


class QuietLogic:
    """The logic's face over the real state in the scene; what is asked of it is written down and not done."""

    def __init__(self, scene: Any) -> None:
        self.scene = scene
        self.changed, self.failed, self.finished, self.cancelled = Signal(), Signal(), Signal(), Signal()
        self.job = JobStatus()
        self.shown: Any = None
        self.worker_state = State.STOPPED
        self.hello: Hello | None = None
        self.missing_packages: tuple[str, ...] = ()
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.refuse = ""

    @property
    def state(self) -> PanelState:
        return PanelState(parameter_node(self.scene))

    def named(self, name: str) -> list[tuple[Any, ...]]:
        """Positional arguments of every call of a method."""
        return [arguments for called, arguments, _ in self.calls if called == name]

    def segment(self, *arguments: Any, **options: Any) -> str:
        if self.refuse:
            raise BadInputError(self.refuse)
        self.calls.append(("segment", arguments, options))
        self.at(JobStatus("starting", "export", "Reading the volume"))
        return "job"

    def at(self, status: JobStatus) -> None:
        """The job has come this far."""
        self.job = status
        self.changed.emit()

    def cancel(self, reason: str = "") -> None:
        self.calls.append(("cancel", (reason,), {}))
        self.job = JobStatus(reason=reason)
        self.cancelled.emit()
        self.changed.emit()

    def start_worker(self) -> bool:
        self.calls.append(("start_worker", (), {}))
        self.worker_state = State.STARTING
        return True

    def stop_worker(self) -> None:
        self.calls.append(("stop_worker", (), {}))
        self.worker_state, self.hello = State.STOPPED, None

    def greet(self, hello: Hello = HELLO) -> None:
        """The worker says hello."""
        self.hello, self.worker_state = hello, State.READY
        self.changed.emit()

    def set_budget(self, share: float) -> None:
        self.calls.append(("set_budget", (share,), {}))
        self.state.budget = share
        if self.shown is not None:
            self.shown.set_budget(share)
        self.changed.emit()

    def set_off_duty(self, ids: Collection[str]) -> None:
        self.calls.append(("set_off_duty", (frozenset(ids),), {}))
        self.state.off_duty = frozenset(ids)
        if self.shown is not None:
            self.shown.set_off_duty(ids)
        self.changed.emit()

    def refresh_3d(self) -> None:
        self.calls.append(("refresh_3d", (), {}))

    def show(self, shown: Any) -> None:
        """A job has ended with this case."""
        self.shown, self.job = shown, JobStatus(elapsed=31.4)
        self.finished.emit(shown)
        self.changed.emit()


def shown_on(scene: Any, folder: Path, volume_node: Any, services: MemoryServices, budget: float = 0.05) -> Any:
    """A stored case opened on its volume by a logic of its own, which is gone afterwards."""
    from DeferredSegSlicerLib.logic.module_logic import ModuleLogic

    logic = ModuleLogic(scene, services)
    shown = logic.open_case(folder, volume_node, budget=budget)
    logic.close()
    return shown


class QuietSetUp:
    """An installation whose packages a test sets."""

    def __init__(self) -> None:
        self.python, self.is_own_python = "/slicer/bin/PythonSlicer", True
        self.installed = {"torch": "2.9.0", "torchvision": "0.24.0", "segment-anything": "1.0"}
        self.floors = {"torch": "2.1", "torchvision": "0.16", "segment-anything": "1.0"}
        self.resume = False
        self.calls: list[str] = []
        self.error: Exception | None = None

    def states(self) -> tuple[PackageState, ...]:
        return tuple(PackageState(Requirement(n, f), self.installed.get(n)) for n, f in self.floors.items())

    def missing(self) -> tuple[str, ...]:
        return tuple(str(s.requirement) for s in self.states() if not s.satisfied)

    def missing_to_start(self) -> tuple[str, ...]:
        return tuple(n for n in self.floors if n not in self.installed) if self.is_own_python else ()

    def pip_command(self) -> str:
        return f'"{self.python}" -m pip install torch'

    def install(self) -> None:
        self.calls.append("install")
        if self.error is not None:
            raise self.error
        self.installed = dict(self.floors)

    def install_pytorch_extension(self) -> None:
        self.calls.append("install_pytorch_extension")

    def offline_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            raise BadInputError(f'folder "{folder}" holds neither wheels nor models')

    def install_offline(self, folder: Path) -> tuple[Any, ...]:
        self.calls.append(f"install_offline {folder}")
        self.installed = dict(self.floors)
        return ()

    def resume_pending(self) -> bool:
        return self.resume

    def forget_resume(self) -> None:
        self.calls.append("forget_resume")
        self.resume = False

    def versions_text(self, hello: Hello | None = None) -> str:
        return f"DeferredSegSlicer 0.1.0, worker {hello.device if hello else 'none'}"
