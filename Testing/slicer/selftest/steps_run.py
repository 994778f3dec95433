"""Steps that need the worker: it starts, segments with the window alive, and is cancelled within a second."""

from __future__ import annotations

import os
import time
from typing import Any

import slicer
import slicer.util

from .access import labels_on_volume, logic, node_ids, panel
from .stepper import PackagesMissing, Skipped, StepFailed, require
from .waiting import Pulse, live, wait_for
from .walk import Walk

LONGEST_PAUSE = 0.1
"""Seconds that the window may stand still while a job runs, as the project promises."""
LONGEST_PAUSE_TOLERATED = 1.0
"""Beyond this the step fails; between the two it says so. A busy machine without a graphics card draws slowly."""
CANCEL_SECONDS = 1.0


def worker_says_hello(walk: Walk) -> str:
    """The worker starts in the interpreter of the day and has tested its device."""
    module, failures = logic(), []
    disconnect = module.failed.connect(failures.append)
    try:
        module.start_worker()
        _check_missing(walk)
        wait_for(lambda: module.hello is not None or failures or module.missing_packages, "the worker's hello", 280)
    finally:
        disconnect()
    _check_missing(walk)
    require(not failures, f"{failures and failures[0].message} {failures and failures[0].advice}")
    hello = module.hello
    require(hello.self_test.passed, f"device {hello.device} does not compute: {hello.self_test.message}")
    walk.worker_ready = True
    return f"device {hello.device}, torch {hello.versions.get('torch', '?')}, pid {hello.pid}"


def _check_missing(walk: Walk) -> None:
    missing = logic().missing_packages
    if not missing:
        return
    if os.environ.get("DEFERREDSEG_PYTHON"):
        raise StepFailed(f"DEFERREDSEG_PYTHON={os.environ['DEFERREDSEG_PYTHON']} lacks {', '.join(missing)}")
    walk.missing = (
        f"the worker's Python lacks {', '.join(missing)}: install them in the panel's Set-up, or set the environment "
        "variable DEFERREDSEG_PYTHON to an interpreter that has them, and run this again"
    )
    raise PackagesMissing(walk.missing)


def run_with_the_window_alive(walk: Walk) -> str:
    """A click on the button gives a result; meanwhile the bar moves and the window's timers tick."""
    walk.need_worker()
    if walk.volume is None:
        raise Skipped("the sample is not loaded")
    module, ui = logic(), panel().ui
    failures, bars, stages = [], [], []
    disconnect = [
        module.failed.connect(failures.append),
        module.changed.connect(lambda: stages.append(module.job.stage)),
    ]
    ui.segmentButton.click()
    wait_for(lambda: module.job.busy or module.shown, "the job to begin", 5)
    require(ui.progressBar.visible or not module.job.busy, "there is no progress bar")
    working, showing = Pulse(), Pulse()
    try:
        with working:
            wait_for(lambda: not _at_work(module) or _note(bars, ui.progressBar.value), "the network", 900)
        with showing:
            wait_for(lambda: not module.job.busy, "the result", 120)
            live(0.3)
    finally:
        for stop in disconnect:
            stop()
    require(not failures, f"{failures and failures[0].message} {failures and failures[0].advice}")
    require(module.shown is not None, "the job ended without a result")
    require(len(set(bars)) >= 3, f"the progress bar showed {sorted(set(bars))}")
    require(bars == sorted(bars), "the progress bar went back")
    for what, pulse in (("worked", working), ("the result was drawn", showing)):
        require(
            pulse.longest < LONGEST_PAUSE_TOLERATED, f"the window stood still for {pulse.longest:.2f} s while it {what}"
        )
    pauses = f"{working.longest * 1000:.0f} ms while it worked, {showing.longest * 1000:.0f} ms while it was drawn"
    verdict = (
        "" if max(working.longest, showing.longest) <= LONGEST_PAUSE else f" (more than {LONGEST_PAUSE * 1000:.0f} ms)"
    )
    seen = ", ".join(dict.fromkeys(stage for stage in stages if stage))
    return f"{module.job.elapsed:.1f} s; longest pause {pauses}{verdict}; bar at {len(set(bars))} places; stages {seen}"


def _note(bars: list[int], value: int) -> bool:
    """Keep a new place of the bar; always false, so that waiting goes on."""
    if value >= 0 and (not bars or bars[-1] != value):
        bars.append(value)
    return False


def _at_work(module: Any) -> bool:
    return module.job.busy and module.job.state != "showing"


def result_is_that_of_the_worker(walk: Walk) -> str:
    """What is drawn is what the case on disk says."""
    walk.need_worker()
    case = logic().shown
    if case is None:
        raise Skipped("the run gave no case")
    stored = case.alignment.to_node(case.case.label())
    drawn = labels_on_volume(case)
    require((stored == drawn).all(), f"{int((stored != drawn).sum())} voxels differ from the case's")
    require(all((drawn == n + 1).any() for n in range(len(case.case.structures))), "a structure is empty")
    return f"{case.case.folder.name}: {len(case.regions)} regions for {len(case.experts)} experts"


def cancel_within_a_second(walk: Walk) -> str:
    """A second run is cancelled by a click; nothing in the scene has changed, and the worker's process is gone."""
    walk.need_worker()
    if walk.volume is None:
        raise Skipped("the sample is not loaded")
    module, ui = logic(), panel().ui
    wait_for(lambda: module.hello is not None, "a worker", 280)
    before, pid = module.shown, module.hello.pid
    labels = labels_on_volume(before) if before is not None else None
    nodes = node_ids()
    cases = sorted(p.name for p in (walk.folder / "cases").glob("*"))
    _start(module, ui)
    begun = time.monotonic()
    ui.segmentButton.click()
    wait_for(lambda: not module.job.busy, "the job to end", 10)
    seconds = time.monotonic() - begun
    require(seconds <= CANCEL_SECONDS, f"cancelling took {seconds:.2f} s")
    live(1.0)
    require(node_ids() == nodes, f"nodes have changed: {sorted(node_ids() ^ nodes)}")
    require(module.shown is before, "another case is shown")
    if before is not None:
        require((labels_on_volume(before) == labels).all(), "the result's voxels have changed")
    left = sorted(p.name for p in (walk.folder / "cases").glob("*"))
    require(left == cases, f"the cases folder has {left}, expected {cases}")
    require(os.name == "nt" or not _is_alive(pid), f"the cancelled worker, process {pid}, still runs")
    return f"{seconds:.2f} s"


def _start(module: Any, ui: Any) -> None:
    """Click on the button, and wait until the network has made its first step."""
    ui.segmentButton.click()
    wait_for(lambda: module.job.busy, "the job to begin", 10)
    wait_for(lambda: not module.job.busy or module.job.done > 0, "the network to be at work", 300)
    require(module.job.busy, "the job ended before it could be given up")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    stat = f"/proc/{pid}/stat"
    if os.path.exists(stat):  # a zombie is no worker any more
        with open(stat, encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    return True


def close_the_scene_while_running(walk: Walk) -> str:
    """Closing the scene cancels the job at once and leaves nothing behind."""
    walk.need_worker()
    module, ui = logic(), panel().ui
    wait_for(lambda: module.hello is not None, "a worker", 280)
    panel().try_it()
    live(0.3)
    _start(module, ui)
    begun = time.monotonic()
    slicer.mrmlScene.Clear(0)
    wait_for(lambda: not module.job.busy, "the job to end", 10)
    seconds = time.monotonic() - begun
    require(seconds <= 2 * CANCEL_SECONDS, f"closing took {seconds:.2f} s")
    live(1.0)
    left = [n for n in ("vtkMRMLSegmentationNode", "vtkMRMLMarkupsROINode", "vtkMRMLScalarVolumeNode") if _count(n)]
    require(not left, f"still in the closed scene: {left}")
    require(module.shown is None and module.state.volume is None, "the panel still shows something")
    walk.volume = None
    return f"{seconds:.2f} s"


def _count(node_class: str) -> int:
    return int(slicer.mrmlScene.GetNumberOfNodesByClass(node_class))
