"""What happens to the volume while its case is shown: it is moved, hardened, resampled, or filled with other voxels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from DeferredSegSlicerLib.core.case import open_case
from DeferredSegSlicerLib.core.review import read_review
from DeferredSegSlicerLib.mrml.grid import array_of
from hard_volumes import motion, put_under
from review_bench import LEFT_HANDED, OBLIQUE, Bench, a_bench  # noqa: F401  a fixture

MakeBench = Callable[..., Bench]
GRIDS = pytest.mark.parametrize("grid", [OBLIQUE, LEFT_HANDED], ids=["oblique", "left-handed"])


def center(volume: Any) -> None:
    """As the button of the Volumes module."""
    volume.SetOrigin(0, 0, 0)


def harden(volume: Any) -> None:
    volume.HardenTransform()


def cut(volume: Any) -> None:
    """Another size, as a crop into the same node."""
    image = vtk.vtkImageData()
    image.SetDimensions(10, 11, 12)
    image.AllocateScalars(vtk.VTK_SHORT, 1)
    volume.SetAndObserveImageData(image)


def refill(volume: Any) -> None:
    """Somebody else's voxels, on the same grid."""
    array_of(volume)[...] = array_of(volume)[::-1].copy()
    volume.GetImageData().GetPointData().GetScalars().Modified()
    volume.GetImageData().Modified()


def empty(volume: Any) -> None:
    volume.SetAndObserveImageData(None)


@GRIDS
@pytest.mark.parametrize("change", [center, harden, cut, refill, empty])
def test_an_open_edit_is_recorded_where_it_was_drawn_and_the_case_closed(
    a_bench: MakeBench,  # noqa: F811
    grid: Any,
    change: Callable[[Any], None],
) -> None:
    bench = a_bench(grid)
    told: list[str] = []
    bench.module.failed.connect(lambda error: told.append(error.message))
    put_under(bench.scene, bench.volume, motion(0.2, 0.1, (5, 6, 7)))
    review = bench.review
    review.begin("extent")
    review.start_edit()
    region = review.region
    assert region is not None
    drawn = np.zeros(grid.shape, bool)
    drawn.reshape(-1)[region.indices] = True
    bench.paint(drawn)
    bench.wait(0.3)
    change(bench.volume)
    bench.wait(0.3)
    assert bench.module.shown is None and not review.active and bench.told == []
    assert len(told) == 1 and "can be opened on its own scan" in told[0]
    assert bench.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    case = open_case(bench.case.folder)
    expected = case.label()
    expected[drawn] = 1
    assert np.array_equal(read_review(case).corrected(), expected)


def test_what_is_shown_follows_the_volume_under_another_transform_and_out_of_it(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    bench.review.begin("extent")
    for move in (
        lambda: put_under(bench.scene, bench.volume, motion(0.2, 0.1, (5, 6, 7))),
        lambda: put_under(bench.scene, bench.volume, motion(-0.4, 0.3, (50, -6, 9)), "Other"),
        lambda: bench.volume.SetAndObserveTransformNodeID(None),
    ):
        move()
        nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode", bench.scene)
        assert len(nodes) == 4  # result, deferred, corrected, the highlight
        assert {node.GetTransformNodeID() for node in nodes} == {bench.volume.GetTransformNodeID()}
    assert bench.module.shown is not None and bench.review.accept()


def test_voxels_that_are_only_said_to_be_modified_change_nothing(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    bench.review.begin("extent")
    bench.volume.SetName("renamed")
    bench.volume.GetImageData().GetPointData().GetScalars().Modified()
    bench.volume.Modified()
    assert bench.review.accept() and bench.module.shown is not None
