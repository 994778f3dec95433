"""The whole way through the module in a real Slicer, each step reported on a line of its own.

    Slicer --testing --no-splash --additional-module-paths REPO/DeferredSegSlicer \\
        --python-script REPO/Testing/slicer/run.py

Without `--additional-module-paths` the module of this checkout is loaded, unless an installed one is there already.
Loads the sample CT, segments it, cancels, changes the budget, saves, closes, reopens, and more; what the steps are is
in the list below. Needs a screen, a virtual one will do (xvfb-run). Set DEFERREDSEG_PYTHON to an interpreter with
PyTorch unless Slicer's own Python has it. Nothing is installed, nothing is sent anywhere; files go into a temporary
folder, which is named at the end together with a picture of the window.

Exit codes: 0 all steps passed; 1 a step failed, or Slicer hung and was ended (its stack is on stderr); 3 all passed but
those that need the worker, because packages are missing: the line says which.
"""

from __future__ import annotations

import sys
from pathlib import Path

import slicer
import slicer.util


def here() -> Path:
    """This file's folder. Slicer runs scripts by `exec`, with or without `__file__`, and puts the path into `argv`."""
    named = globals().get("__file__") or next((a for a in sys.argv if a.endswith("run.py")), "")
    folder = Path(named).resolve().parent
    if not (folder / "selftest").is_dir():  # from the module that is loaded: REPO/DeferredSegSlicer
        folder = Path(slicer.modules.deferredsegslicer.path).resolve().parents[1] / "Testing" / "slicer"
    return folder


if str(here()) not in sys.path:
    sys.path.insert(0, str(here()))

from selftest import steps_panel, steps_result, steps_run, steps_scene, waiting  # noqa: E402
from selftest.stepper import Stepper  # noqa: E402
from selftest.walk import Walk  # noqa: E402

STEPS = (  # name, seconds at most, step
    ("the module is loaded and opens", 90, steps_panel.module_is_loaded),
    ("files are kept apart", 10, steps_panel.keep_files_apart),
    ("the panel has its widgets", 30, steps_panel.panel_has_its_widgets),
    ("Sample Data offers the CT", 60, steps_panel.sample_is_registered),
    ("Try it makes it ready", 90, steps_panel.try_it),
    ("structures and boxes are there", 30, steps_panel.structures_are_there),
    ("the worker says hello", 300, steps_run.worker_says_hello),
    ("a run, with the window alive", 1080, steps_run.run_with_the_window_alive),
    ("the result is the worker's", 60, steps_run.result_is_that_of_the_worker),
    ("a second run is cancelled", 620, steps_run.cancel_within_a_second),
    ("a case is open", 120, steps_result.a_case_is_open),
    ("the budget changes the overlay", 60, steps_result.budget_changes_the_overlay_at_once),
    ("an expert off duty changes it", 60, steps_result.duty_changes_the_overlay_at_once),
    ("the result lies on the volume", 60, steps_result.result_lies_on_the_volume),
    ("segments have tags and codes", 30, steps_result.segments_have_tags_and_codes),
    ("display follows the panel", 60, steps_result.display_follows_the_panel),
    ("the legend says what is drawn", 30, steps_result.legend_says_what_is_drawn),
    ("surfaces in 3D", 120, steps_result.surfaces_in_3d),
    ("a picture of the window", 60, steps_result.picture),
    ("3D off again", 30, steps_result.off_3d),
    ("save, close, reopen", 300, steps_scene.save_close_reopen),
    ("a left-handed volume", 120, steps_scene.left_handed_volume),
    ("under a transform", 120, steps_scene.under_a_transform),
    ("the scene is closed while it runs", 620, steps_run.close_the_scene_while_running),
    ("leave and enter", 60, steps_scene.leave_and_enter),
    ("reload", 90, steps_scene.reload),
)


def load_module() -> None:
    """Load the module of this checkout, if Slicer has not loaded one at its start."""
    if hasattr(slicer.modules, "deferredsegslicer"):
        return
    import qt

    path = here().parents[1] / "DeferredSegSlicer" / "DeferredSegSlicer.py"
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    factory = slicer.app.moduleManager().factoryManager()
    factory.registerModule(qt.QFileInfo(str(path)))
    factory.loadModules([path.stem])


def main() -> int:
    """Take all steps; returns the exit code."""
    load_module()
    walk = Walk()
    stepper = Stepper(walk.report, waiting.every, waiting.close_dialog)
    stepper.say(f"Slicer {slicer.app.applicationVersion}, Python {sys.version.split()[0]}, report {walk.report}")
    for name, seconds, step in STEPS:
        stepper.take(name, seconds, lambda step=step: step(walk))
    stepper.take("tidy up", 30, walk.tidy_up)
    failed = stepper.failures()
    for outcome in failed:
        stepper.say(f"FAILED: {outcome.name}: {' '.join(outcome.text.split())}")
    if walk.missing:
        stepper.say(f"NOT RUN: {walk.missing}")
    passed = sum(outcome.state == "ok" for outcome in stepper.outcomes)
    stepper.say(f"{passed} of {len(stepper.outcomes)} steps passed; report and picture are in {walk.folder}")
    return 1 if failed else 3 if stepper.lacks_packages() else 0


if __name__ == "__main__":
    slicer.util.exit(main())
