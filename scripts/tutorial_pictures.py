"""The pictures of docs/tutorial.md: parts of the panel beside the slice views, at each step, on the sample CT.

    .venv/bin/python scripts/tutorial_pictures.py [--output docs/images]

The steps are really done: the panel's own buttons are pressed on the bench of scripts/panel_pictures.py, the worker
segments, decisions and files are written to a folder that is thrown away. The slice views are drawn by Slicer's own
displayable managers, the letters in them by this script. About two minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from panel_pictures import ROOT, Photographer, start_bench

PANEL_WIDTH = 480
VIEW_PIXELS = 460, 372
GAP = 10
FRAME_PIXELS = 1
WINDOW, LEVEL = 400, 40
PLANES = {"Axial": "RLAP", "Coronal": "RLSI"}
"""Orientation, and what is at the left, right, top and bottom of its view."""
FEWEST_OFFERS, LEAST_ML, MOST_ML = 3, 0.3, 10.0
"""Of the region that is shown: labelings on offer and size, so that all of it is seen."""


class Views:
    """An axial and a coronal slice view on the scene of the bench."""

    def __init__(self, volume: Any) -> None:
        import slicer
        from render import SliceView

        look = volume.GetDisplayNode()
        look.SetAutoWindowLevel(False)
        look.SetWindowLevel(WINDOW, LEVEL)
        self._views = {plane: SliceView(slicer.app, f"Tutorial{plane}", plane, VIEW_PIXELS) for plane in PLANES}
        for view in self._views.values():
            view.show(volume)

    def move_to(self, ras: tuple[float, float, float]) -> None:
        """Let both show the slice through a place in world RAS mm."""
        for view in self._views.values():
            view.node.JumpSliceByOffsetting(*ras)
            view.node.UpdateMatrices()

    def pictures(self) -> list[Any]:
        """What they show, with orientation letters, as `QImage`."""
        return [_lettered(view.picture(), plane) for plane, view in self._views.items()]

    def close(self) -> None:
        """Take them out of the scene."""
        for view in self._views.values():
            view.close()


def _lettered(pixels: Any, plane: str) -> Any:
    """A view's picture with its name and the letters of directions."""
    from PySide6 import QtGui

    height, width, _ = pixels.shape
    data = np.ascontiguousarray(pixels)
    image = QtGui.QImage(data.data, width, height, 3 * width, QtGui.QImage.Format_RGB888).copy()
    painter = QtGui.QPainter(image)
    painter.setPen(QtGui.QColor("white"))
    painter.setFont(QtGui.QFont("DejaVu Sans", 9))
    painter.drawText(8, 18, plane)
    painter.setFont(QtGui.QFont("DejaVu Sans", 12))
    places = {0: (6, height // 2), 1: (width - 18, height // 2), 2: (width // 2, 20), 3: (width // 2, height - 8)}
    for at, letter in enumerate(PLANES[plane]):
        painter.drawText(*places[at], letter)
    painter.end()
    return image


class Album:
    """Composes pictures of parts of the panel and of the views, and writes them."""

    def __init__(self, photographer: Photographer, output: Path) -> None:
        self._photographer, self._output = photographer, output

    def take(self, name: str, parts: Sequence[Any], views: Views | None = None, flat: bool = False) -> None:
        """Write `tutorial_NAME.png`: widgets of the panel, or (widget, widget) for the first down to the second's
        lower edge, below each other; the views right of them, or if `flat` beside each other below them."""
        self._fit()
        left = [_grabbed(part) for part in parts]
        right = views.pictures() if views is not None else []
        if flat:
            left.append(right.pop(0))
        path = self._output / f"tutorial_{name}.png"
        sheet = _side_by_side([column for column in (left, right) if column])
        if not sheet.save(str(path)):
            raise OSError(f"cannot write {path}")
        print(f"{path}: {sheet.width()} x {sheet.height()}")

    def _fit(self) -> None:
        """Make the panel as high as it wants to be."""
        self._photographer.settle(0.3)
        host, layout = self._photographer.host, self._photographer.host.layout()
        wanted = layout.totalHeightForWidth(PANEL_WIDTH) if layout.hasHeightForWidth() else 0
        host.resize(PANEL_WIDTH, wanted or layout.totalSizeHint().height())
        self._photographer.settle(0.2)


def _grabbed(part: Any) -> Any:
    from PySide6 import QtCore

    if not isinstance(part, tuple):
        return part.grab().toImage()
    whole, last = part
    bottom = last.mapTo(whole, QtCore.QPoint(0, last.height)).y() + FRAME_PIXELS
    return whole.grab(QtCore.QRect(0, 0, whole.width, bottom)).toImage()


def _side_by_side(columns: Sequence[Sequence[Any]]) -> Any:
    """Columns of pictures on white."""
    from PySide6 import QtGui

    widths = [max(image.width() for image in column) for column in columns]
    heights = [sum(image.height() + GAP for image in column) for column in columns]
    sheet = QtGui.QImage(sum(widths) + GAP * (len(columns) + 1), max(heights) + GAP, QtGui.QImage.Format_RGB32)
    sheet.fill(QtGui.QColor("white"))
    painter = QtGui.QPainter(sheet)
    painter.setPen(QtGui.QColor("#b0b0b0"))
    x = GAP
    for column, width in zip(columns, widths, strict=True):
        y = GAP
        for image in column:
            painter.drawImage(x, y, image)
            painter.drawRect(x - FRAME_PIXELS, y - FRAME_PIXELS, image.width() + 1, image.height() + 1)
            y += image.height() + GAP
        x += width + GAP
    painter.end()
    return sheet


class Tour:
    """The tutorial's steps, done with the panel's own buttons."""

    def __init__(self, photographer: Photographer, output: Path, folder: Path) -> None:
        self._photographer, self._folder = photographer, folder
        self._album = Album(photographer, output)
        self._ui = photographer.panel.ui
        sections = photographer.panel.further[0]
        self._work, self._files = sections.review._ui, sections.export._ui
        self._views: Any = None

    @property
    def _review(self) -> Any:
        return self._photographer.review

    def segment(self) -> None:
        """The sample with its boxes; what comes of it."""
        self._photographer.panel.try_it()
        state, ui = self._photographer.logic.state, self._ui
        self._views = Views(state.volume)
        self._views.move_to(_middle_of(self._photographer.panel))
        setting = [ui.volumeCollapsibleButton, ui.structuresCollapsibleButton, ui.expertsCollapsibleButton]
        self._album.take("boxes", [*setting, ui.segmentButton], self._views)
        ui.segmentButton.click()
        self._wait_for_case()
        shown = self._photographer.logic.shown
        self._views.move_to(_busiest_place(shown))
        self._album.take("result", [ui.resultCollapsibleButton], self._views)

    def review(self) -> None:
        """A region lifted out, labelings on offer, where an edit may paint."""
        from PySide6 import QtCore
        from PySide6.QtTest import QTest

        work = self._work
        QTest.keyClick(work.readerBox, QtCore.Qt.Key_Down)
        self._photographer.wait(lambda: self._review.active and work.previewBox.enabled, "a review")
        work.previewBox.click()
        self._to_a_telling_region()
        self._album.take("review", [self._ui.reviewCollapsibleButton], self._views)
        work.previewBox.click()
        self._photographer.wait(lambda: bool(self._review.offered), "labelings")
        self._album.take("alternatives", [(work.workWidget, work.noteEdit)], self._views)
        work.alternative4Button.click()  # the model has gone from the spleen into the kidney: drop it
        self._photographer.settle(0.3)
        work.previewBox.click()
        work.acceptButton.click()
        self._photographer.settle(0.3)
        self._to_a_telling_region()
        work.editButton.click()
        self._photographer.wait(lambda: self._review.editing is not None, "an edit")
        self._album.take("edit", [(work.editFrame, work.limitLabel)], self._views, flat=True)
        work.discardEditButton.click()
        self._photographer.settle(0.3)

    def reopen(self) -> None:
        """The scene saved, closed and opened again: the reader is where they were."""
        import slicer
        import slicer.util

        self._views.close()
        file = self._folder / "scene.mrb"
        if not slicer.util.saveScene(str(file)):
            raise SystemExit(f"cannot save {file}")
        slicer.mrmlScene.Clear(0)
        self._photographer.settle(0.5)
        slicer.util.loadScene(str(file))
        self._wait_for_case()
        self._photographer.wait(lambda: self._review.active, "the review after reopening")
        self._album.take("reopened", [self._ui.reviewCollapsibleButton])

    def export(self) -> None:
        """What is written, and what is said about regions that nobody reviewed."""
        self._ui.reviewCollapsibleButton.collapsed = True
        self._ui.exportCollapsibleButton.collapsed = False
        self._files.saveButton.click()
        self._photographer.settle(0.5)
        self._files.exportButton.click()
        self._photographer.settle(0.5)
        self._album.take("export", [self._ui.exportCollapsibleButton])

    def _wait_for_case(self) -> None:
        failures: list[Any] = []
        disconnect = self._photographer.logic.failed.connect(failures.append)
        logic = self._photographer.logic
        self._photographer.wait(lambda: bool(failures) or (logic.shown is not None and not logic.job.busy), "a case")
        disconnect()
        if failures:
            raise SystemExit(f"{failures[0].message} {failures[0].advice}")

    def _to_a_telling_region(self) -> None:
        review = self._review
        for row in review.rows:
            if row.state == "open" and LEAST_ML <= row.region.volume_ml <= MOST_ML:
                review.go_to(row.id)
                if len(review.alternatives(draw=False, wait=True)) >= FEWEST_OFFERS:
                    self._photographer.settle(0.3)
                    return
        raise SystemExit("no region has enough labelings on offer")


def _middle_of(panel: Any) -> Any:
    """Of the first box, in world RAS mm."""
    import slicer

    low_high = [0.0] * 6
    slicer.mrmlScene.GetNodeByID(panel.logic.state.prompts[0].node_id).GetRASBounds(low_high)
    return tuple((low_high[n] + low_high[n + 1]) / 2 for n in (0, 2, 4))


def _busiest_place(shown: Any) -> Any:
    """A place in world RAS mm where much is deferred: in the middle of what is, in the slice that has most."""
    shape = shown.case.geometry.shape
    k, j, i = np.unravel_index(np.concatenate([region.indices for region in shown.regions]), shape)
    best = int(np.argmax(np.bincount(k, minlength=shape[0])))
    there = k == best
    return tuple(shown.case.geometry.ras_of((i[there].mean(), j[there].mean(), best)).tolist())


def _keep_cases_in(folder: Path) -> None:
    """As *Set-up* does it; exports are written beside the cases."""
    import slicer
    from DeferredSegSlicerLib.logic import keys

    slicer.app.userSettings().setValue(keys.CASES_FOLDER, str(folder))


def main() -> None:
    """Go through the tutorial and take its pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tutorial-") as folder:
        os.environ["DEFERREDSEG_BENCH_SETTINGS"] = folder
        photographer = Photographer(start_bench(), arguments.output, PANEL_WIDTH)
        sys.path.append(str(ROOT / "Testing" / "headless"))
        try:
            photographer.open()
            _keep_cases_in(Path(folder) / "cases")
            tour = Tour(photographer, arguments.output, Path(folder))
            tour.segment()
            tour.review()
            tour.reopen()
            tour.export()
        finally:
            photographer.close()


if __name__ == "__main__":
    main()
