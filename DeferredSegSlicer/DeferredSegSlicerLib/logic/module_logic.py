"""The module without its widget: segments volumes, opens cases, answers budgets, and keeps all of it in the scene.

Everything here is called on the main thread and returns soon. A job goes on by a timer, in steps of a few ms, while the
network runs in the worker and files are packed on a thread; `wait=True` keeps the program's events going meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from ..core.budgets import check_share
from ..core.errors import BadInputError
from ..core.experts import Expert
from ..mrml import display
from ..mrml.grid import check_usable
from ..mrml.state import PanelState, parameter_node
from ..resources import DEFAULT_BUNDLE
from ..worker.client import State, WorkerClient
from ..worker.protocol import Error, Hello
from . import opening, scene_case, segmenting
from .failures import error_of
from .job import JobStatus
from .jobs import Jobs, MakeSteps, OnProgress
from .run import Run
from .scene_watch import SceneWatch
from .services import Services
from .shown_case import ShownCase
from .signal import Signal
from .steps import NEXT_TURN
from .volume_watch import VolumeWatch
from .wanted import AnyStructure, Asked, experts_of, settle
from .worker_link import Heard, MakeClient, WorkerLink


class ModuleLogic:
    """What the panel's buttons do, for a script too.

    Parameters
    ----------
    scene : the MRML scene; its closing, saving and opening is watched until `close`.
    services : the program around.
    client : makes the worker's client; `WorkerClient` or something that is called like it.

    Attributes
    ----------
    changed : nothing more than that something is different: job, worker, case, budget.
    failed : with a `worker.protocol.Error`, once for every job that failed and every worker that died idle.
    finished : with the ShownCase of a job that is done.
    cancelled : a job was given up; `job.reason` says why if it was not the user's wish.
    """

    def __init__(self, scene: Any, services: Services, client: MakeClient = WorkerClient) -> None:
        self.changed, self.failed, self.finished, self.cancelled = Signal(), Signal(), Signal(), Signal()
        self._scene = scene
        self._services = services
        self._shown: ShownCase | None = None
        self._closed = False
        self._reopening = ""
        self._jobs = Jobs(services, self._look_after_worker, self.changed.emit, self._ended)
        heard = Heard(lambda _: self._tell_changed(), self._jobs.moved, self._worker_failed)
        self._link = WorkerLink(services, client, heard, lambda: self.state.bundle or DEFAULT_BUNDLE)
        self._watch = SceneWatch(scene, self)
        self._volume_watch = VolumeWatch(scene, self._volume_lost)
        self.reopen()  # a scene that was opened before the module

    @property
    def scene(self) -> Any:
        """The MRML scene."""
        return self._scene

    @property
    def state(self) -> PanelState:
        """What is chosen, as the scene keeps it."""
        return PanelState(parameter_node(self._scene))

    @property
    def shown(self) -> ShownCase | None:
        """The case that is open, or None."""
        return self._shown

    @property
    def job(self) -> JobStatus:
        """The running job, or an idle status with what is left to say of the last one."""
        return self._jobs.status

    @property
    def experts(self) -> tuple[Expert, ...]:
        """Profiles for the next segmentation, with their duty as the scene has it; raises BadInputError."""
        return experts_of(self.state)

    @property
    def worker_state(self) -> State:
        """Whether the worker is stopped, starting, ready or busy."""
        return self._link.state

    @property
    def hello(self) -> Hello | None:
        """Versions, device and self-test of the running worker."""
        return self._link.hello

    @property
    def worker_log(self) -> str | None:
        """Path of the running worker's log."""
        return self._link.log_path

    @property
    def missing_packages(self) -> tuple[str, ...]:
        """What the worker's interpreter is known to lack."""
        return self._link.missing

    def start_worker(self) -> bool:
        """Start the worker so that it is warm when it is needed; False if Slicer's Python lacks packages for it."""
        started = self._link.start()
        self._jobs.keep_time(True)  # also to hear that it could not be started
        self._jobs.tell(self.changed.emit)
        return started

    def stop_worker(self) -> None:
        """End the worker, a running job included; takes up to a second."""
        self.cancel("The worker was stopped.")
        self._link.close()
        self._tell_changed()

    def segment(
        self,
        volume_node: Any,
        structures: Iterable[AnyStructure] | None = None,
        experts: Sequence[Expert] | None = None,
        budget: float | None = None,
        *,
        bundle: str | None = None,
        device: str | None = None,
        method: str | None = None,
        progress: OnProgress | None = None,
        wait: bool = True,
        case_folder: str | Path | None = None,
    ) -> ShownCase | str:
        """Segment a volume with deferral and show the result on it.

        What is left out is taken from the scene's state, as the panel does.

        Parameters
        ----------
        volume_node : scalar volume; it may lie under linear transforms.
        structures : core Structures with boxes in the volume's local RAS mm, rows of the panel's table, or pairs of a
            name and a markups ROI node.
        experts : all profiles; those with `available=False` get nothing.
        budget : share of the decision zone that may be deferred, 0..1.
        bundle : id of an installed model or path of its folder. device : auto, cpu, cuda, ... method : auto, learned,
            margin, entropy, tta.
        progress : called with a JobStatus at every step.
        wait : return when all is done, with the window alive meanwhile; otherwise at once.
        case_folder : where to make the case; a new folder in the services' folder of cases by default.

        Returns
        -------
        The shown case, or without `wait` the id of the job; `finished`, `failed` or `cancelled` follows.

        Raises
        ------
        BadInputError : something that cannot be segmented, or a job is running already. Nothing was begun.
        WorkerFailure, DamagedCaseError : with `wait`, what `failed` tells too.
        JobCancelledError : with `wait`, the job was given up.
        """
        self._make_free(wait)
        asked = Asked(structures, experts, budget, bundle, device, method, case_folder)
        wanted = settle(self._scene, self.state, self._services, volume_node, asked)
        self._link.check_packages()

        def steps(stage: opening.OnStage) -> opening.ShowSteps:
            return segmenting.segment_steps(self._scene, wanted, self._link, lambda: self._shown, stage)

        return self._begin("segmented", volume_node, steps, progress, wait)

    def cancel(self, reason: str = "") -> None:
        """Give the running job up: the worker's process tree is ended within a second, the scene stays as it was.

        Nothing happens if no job is running. `reason` is kept in `job.reason`.
        """
        self._jobs.cancel(reason)

    def open_case(
        self,
        folder: str | Path,
        volume_node: Any = None,
        *,
        budget: float | None = None,
        progress: OnProgress | None = None,
        wait: bool = True,
    ) -> ShownCase | str:
        """Open a case folder on the volume that it was made from; no network is needed.

        Parameters
        ----------
        volume_node : None to make a volume of the case's own scan.

        Returns and raises as `segment`; BadInputError if the case belongs to another volume.
        """
        self._make_free(wait)
        if volume_node is not None:
            check_usable(volume_node)
        share = check_share(self.state.budget if budget is None else budget)
        place = Path(folder).absolute()

        def steps(stage: opening.OnStage) -> opening.ShowSteps:
            return opening.open_steps(self._scene, place, volume_node, share, None, lambda: self._shown, stage)

        return self._begin("opened", volume_node, steps, progress, wait)

    def reopen(self, wait: bool = False) -> bool:
        """Show the case that the scene's state names; False if there is none or it is shown already.

        Its folder is used if it is there and is that case, else the copy that the scene holds. `finished` or `failed`
        follows, the latter saying what is missing.
        """
        state = self.state
        if not state.case_id or (self._shown is not None and self._shown.case.id == state.case_id):
            return False
        self._jobs.check_free()
        volume_node = scene_case.volume_of_state(state)

        def steps(stage: opening.OnStage) -> opening.ShowSteps:
            return scene_case.reopen_steps(self._scene, state, volume_node, self._services.cases_folder(), stage)

        self._reopening = str(self._begin("opened", volume_node, steps, None, wait))
        return True

    def close_case(self, keep_nodes: bool = False) -> None:
        """Let go of the case that is shown; its folder stays. Its two nodes leave the scene unless `keep_nodes`."""
        shown = self._shown
        self._set_shown(None)
        if shown is not None:
            with self._watch.paused():
                scene_case.forget(self._scene, self.state, shown, keep_nodes)
            self._tell_changed()

    def set_budget(self, share: float) -> None:
        """Defer at another share of the decision zone, 0..1; what is shown follows at once, with no network run."""
        self.state.budget = check_share(share)
        if self._shown is not None:
            self._shown.set_budget(share)
        self._tell_changed()

    def set_off_duty(self, ids: Collection[str]) -> None:
        """These experts, by id, are off duty and all others on; what is shown follows at once."""
        self.state.off_duty = frozenset(ids)
        if self._shown is not None:
            self._shown.set_off_duty(ids)
        self._tell_changed()

    def refresh_3d(self) -> None:
        """Show or hide both nodes in 3D as the state says; surfaces that are missing are computed, seconds at worst."""
        if self._shown is not None:
            display.show_3d((self._shown.result_node, self._shown.deferred_node), self.state.show_3d)

    def on_scene_start_close(self) -> None:
        """The scene is about to be emptied."""
        self._jobs.cancel("The scene was closed.", force=True)
        self._set_shown(None)
        self._tell_changed()

    def on_scene_end_close(self) -> None:
        """The scene is empty; its state begins anew."""
        parameter_node(self._scene)
        self._tell_changed()

    def on_scene_end_import(self) -> None:
        """A scene was opened or added: the case that it shows is shown again."""
        if not self.job.busy:
            if self._shown is not None and self._shown.case.id != self.state.case_id:
                self._set_shown(None)
            self.reopen()
        self._tell_changed()

    def on_scene_start_save(self) -> None:
        """The scene is about to be saved, or the case's review has changed: the scene's copy is brought up to date."""
        if self._shown is not None:
            scene_case.keep_in_scene(self._scene, self._shown.case)

    def on_node_removed(self) -> None:
        """Something was taken out of the scene: a job without its volume, or a case without its nodes, ends."""
        run, shown = self._jobs.run, self._shown
        if run is not None and run.volume_node is not None and not self._has(run.volume_node):
            self._jobs.cancel("The volume was removed from the scene.", force=True)
        if shown is not None and not all(map(self._has, (shown.volume_node, shown.result_node, shown.deferred_node))):
            self.close_case(keep_nodes=True)

    def close(self) -> None:
        """End the job and the worker, and take back every observer and timer. Nothing is told any more."""
        if self._closed:
            return
        self._closed = True
        for signal in (self.changed, self.failed, self.finished, self.cancelled):
            signal.disconnect_all()
        self._jobs.cancel(force=True)
        self._link.close()
        self._watch.close()
        self._set_shown(None)
        self._jobs.keep_time(False)

    def _make_free(self, wait: bool) -> None:
        """A script's new logic may still be opening the case that the panel shows: who waits anyway waits for that."""
        if wait:
            self._jobs.go_through(self._reopening)
        self._jobs.check_free()

    def _begin(
        self, doing: str, volume_node: Any, steps: MakeSteps, progress: OnProgress | None, wait: bool
    ) -> ShownCase | str:
        def showing(stage: opening.OnStage) -> opening.ShowSteps:
            shown = yield from steps(stage)
            self._show(shown)
            stage("keep")
            yield NEXT_TURN
            yield from scene_case.keep_steps(self._scene, shown.case)
            return shown

        return self._jobs.begin(doing, volume_node, showing, progress, wait)

    def _show(self, shown: ShownCase) -> None:
        """The nodes of a case are there."""
        self._set_shown(shown)
        scene_case.remember(self.state, shown)
        scene_case.draw_as_chosen(self.state, shown)
        scene_case.drop_copies_without_result(self._scene)

    def _set_shown(self, shown: ShownCase | None) -> None:
        self._shown = shown
        self._volume_watch.watch(shown)

    def _volume_lost(self, shown: ShownCase, error: BadInputError) -> None:
        """Labels must not lie on a volume that they were not made from: an open edit is recorded, the case closed."""
        self.close_case()
        reason = BadInputError(
            f"the volume was changed, so the case that was made from it was closed; nothing that was decided is lost, "
            f'and its folder "{shown.case.folder}" can be opened on its own scan ({error.sentence})'
        )
        self.failed.emit(error_of(reason, None))

    def _ended(self, run: Run) -> None:
        if run.shown is not None:
            self.finished.emit(run.shown)
        elif run.error is not None:
            self.failed.emit(error_of(run.error, run.job))
        else:
            self.cancelled.emit()

    def _worker_failed(self, error: Error) -> None:
        self._jobs.tell(lambda: self.failed.emit(error))

    def _look_after_worker(self) -> bool:
        self._link.poll()
        return self._link.state is not State.STOPPED

    def _tell_changed(self) -> None:
        self._jobs.keep_time(self._link.state is not State.STOPPED)
        self._jobs.tell(self.changed.emit)

    def _has(self, node: Any) -> bool:
        return bool(node.GetScene() is self._scene)
