"""Pictures of the panel in its states, drawn off-screen with real widgets and a real segmentation of the sample CT.

    .venv/bin/python scripts/panel_pictures.py [--output docs/images] [--width 480] [--only empty,boxes]

The widgets are Qt's own; those of CTK and Slicer are drawn by the stand-ins of Testing/qtbench, so details of their
look differ in Slicer. The segmentation runs in the worker as it does there: about a minute on two cores.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TESTING = ROOT / "Testing"
MODULE_FILE = ROOT / "DeferredSegSlicer" / "DeferredSegSlicer.py"
BEFORE_RESULT = ("setup", "empty", "boxes", "running")
REVIEW = ("reviewing", "editing", "conflict", "export")
STATES = (*BEFORE_RESULT, "result", *REVIEW)
SHARE_DONE = 0.4
PATIENCE_S = 900.0


def start_bench() -> Any:
    """The look-alike of Slicer, with fonts; returns the package."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    sys.path.append(str(TESTING))
    import qtbench

    sys.path.remove(str(TESTING))
    qtbench.install()
    from PySide6 import QtGui, QtWidgets

    if not QtGui.QFontDatabase.families():  # an off-screen Qt without fontconfig has none of its own
        import matplotlib

        for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"):
            QtGui.QFontDatabase.addApplicationFont(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name))
    QtWidgets.QApplication.setFont(QtGui.QFont("DejaVu Sans", 9))
    return qtbench


class Photographer:
    """Opens the module in the bench and takes pictures of its panel.

    output : folder of the pictures. width : px, about that of Slicer's module panel.
    """

    def __init__(self, qtbench: Any, output: Path, width: int) -> None:
        self._output, self._width = output, width
        self._qtbench = qtbench
        self._module: Any = None

    def open(self) -> None:
        """Open the module anew in an empty scene."""
        import slicer
        from qtbench.slicer_python import load_module

        self.close()
        self._qtbench.reset()
        slicer.mrmlScene.Clear(0)
        slicer.app.layoutManager().bench_open()
        self._module = load_module(MODULE_FILE)
        self.host.show()
        self._module.bench_enter()
        self.settle(0.3)

    def close(self) -> None:
        """End the module, its worker with it."""
        if self._module is not None:
            self._module.bench_close()
            self._module = None

    @property
    def host(self) -> Any:
        """The widget that Slicer gives the module."""
        return self._module.widgetRepresentation()

    @property
    def panel(self) -> Any:
        """The module's panel."""
        return self._module.bench_panel.panel

    @property
    def logic(self) -> Any:
        """The module's logic."""
        return self._module.bench_panel.logic.module

    @property
    def review(self) -> Any:
        """The review of the module's case."""
        return self._module.bench_panel.logic.review

    def settle(self, seconds: float) -> None:
        """Let events and timers run."""
        import slicer

        end = time.monotonic() + seconds
        while time.monotonic() < end:
            slicer.app.processEvents()
            time.sleep(0.01)

    def wait(self, done: Callable[[], bool], what: str) -> None:
        """Let events run until something is so; raises TimeoutError."""
        end = time.monotonic() + PATIENCE_S
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"{what} did not come within {PATIENCE_S:.0f} s")
            self.settle(0.02)

    def take(self, name: str) -> Path:
        """Save the panel as it is, as high as it wants to be."""
        self.settle(0.2)
        layout = self.host.layout()
        high = (
            layout.totalHeightForWidth(self._width) if layout.hasHeightForWidth() else layout.totalSizeHint().height()
        )
        self.host.resize(self._width, high)
        self.settle(0.2)
        path = self._output / f"panel_{name}.png"
        if not self.host.grab().save(str(path)):
            raise OSError(f"cannot write {path}")
        print(f"{path}: {self.host.width} x {self.host.height}")
        return path


def set_up_needed(photographer: Photographer) -> None:
    """The panel of a Slicer in which nothing is installed yet."""
    import slicer
    from DeferredSegSlicerLib.logic import packages

    real = packages.package_states, packages.missing_to_start
    documents, slicer.app.defaultScenePath = slicer.app.defaultScenePath, "/home/reader/Documents"  # only shown
    packages.package_states = lambda: tuple(packages.PackageState(r, None) for r in packages.all_requirements())
    packages.missing_to_start = lambda: packages.NEEDED_TO_START
    try:
        photographer.open()
        photographer.take("setup")
    finally:
        photographer.close()
        packages.package_states, packages.missing_to_start = real
        slicer.app.defaultScenePath = documents


def segmentation(photographer: Photographer, wanted: set[str]) -> None:
    """The panel without a volume, with the sample and its boxes, while it segments, and with the result."""
    photographer.open()
    panel, logic = photographer.panel, photographer.logic
    if "empty" in wanted:
        photographer.take("empty")
    panel.try_it()
    if "boxes" in wanted:
        photographer.take("boxes")
    if not wanted & {"running", "result", *REVIEW}:
        return
    failures: list[Any] = []
    logic.failed.connect(failures.append)
    panel.run.segment()
    photographer.wait(
        lambda: bool(failures) or (logic.job.fraction or 0) >= SHARE_DONE or not logic.job.busy, "progress"
    )
    if "running" in wanted and logic.job.busy:
        photographer.take("running")
    photographer.wait(lambda: bool(failures) or not logic.job.busy, "a result")
    if failures:
        raise SystemExit(f"the segmentation failed: {failures[0].message} {failures[0].advice}")
    if "result" in wanted:
        photographer.take("result")


def review(photographer: Photographer, wanted: set[str]) -> None:
    """The panel while the result is reviewed, edited, disputed by a second reader, and exported."""
    (sections,) = photographer.panel.further
    section, work = sections.review, photographer.review
    first, second = (choice.id for choice in work.readers[:2])
    section.reading.begin(second)
    section.deciding.skip()
    photographer.wait(lambda: bool(work.offered), "labelings")
    section.alternatives.taker(1)()
    section.reading.begin(first)
    for decide in (section.deciding.accept, section.deciding.skip, section.deciding.accept):
        decide()
    photographer.wait(lambda: bool(work.offered), "labelings")
    if "reviewing" in wanted:
        photographer.take("reviewing")
    if "editing" in wanted:
        section.editing.start()
        photographer.take("editing")
        section.editing.discard()
    work.go_to(work.session.table.all_rows[1].id)
    section.deciding.accept()  # which the second reader had drawn otherwise
    work.go_to_conflict(0)
    photographer.wait(lambda: bool(work.offered), "labelings")
    if "conflict" in wanted:
        photographer.take("conflict")
    if "export" in wanted:
        photographer.panel.ui.reviewCollapsibleButton.collapsed = True
        photographer.panel.ui.exportCollapsibleButton.collapsed = False
        sections.export.save()
        sections.export.export()
        photographer.take("export")


def main() -> None:
    """Take the pictures that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--width", type=int, default=480)
    parser.add_argument("--only", default=",".join(STATES), help="states, separated by commas")
    arguments = parser.parse_args()
    wanted = set(arguments.only.split(","))
    if wanted - set(STATES):
        parser.error(f"states are {', '.join(STATES)}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="panel-pictures-") as folder:
        os.environ["DEFERREDSEG_BENCH_SETTINGS"] = folder
        photographer = Photographer(start_bench(), arguments.output, arguments.width)
        try:
            if "setup" in wanted:
                set_up_needed(photographer)
            if wanted - {"setup"}:
                segmentation(photographer, wanted)
            if wanted & set(REVIEW):
                review(photographer, wanted)
        finally:
            photographer.close()


if __name__ == "__main__":
    main()
