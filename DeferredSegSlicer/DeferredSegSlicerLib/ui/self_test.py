"""The module's own test inside a running Slicer: short, on the bundled CT, real from the click to the overlay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import slicer.util

from ..core.prompts import read_prompts
from ..logic.setup import SetUp
from ..mrml.grid import geometry_of
from ..mrml.prompts import structures_of
from ..resources import find_resources
from . import sample_data
from .text import _

_TOLERANCE_MM = 0.01
_BUDGET = 0.05


def run(scene: Any, logic: Any, tell: Callable[[str], Any]) -> None:
    """Run everything in an emptied scene; raises AssertionError saying what is wrong.

    Parameters
    ----------
    logic : a `DeferredSegSlicerLogic`.
    tell : shows a line of text.
    """
    scene.Clear(0)
    volume_node = sample_data.load_sample(scene)
    entries = sample_data.place_boxes(scene, volume_node)
    check_places(scene, volume_node, entries)
    tell(_("The sample is loaded and its boxes are in place."))
    missing = SetUp(logic.services).missing_to_start()
    if missing:
        tell(_("Not segmented: {names} must be installed in Set-up first.").format(names=", ".join(missing)))
        return
    shown = logic.segment(volume_node, entries, budget=_BUDGET)
    check_result(shown, volume_node, [entry.name for entry in entries])
    regions, voxels = len(shown.regions), shown.regions.voxels
    logic.setBudget(_BUDGET / 5)
    assert 0 < shown.regions.voxels < voxels, f"a fifth of the budget defers {shown.regions.voxels} of {voxels} voxels"
    tell(_("Segmented: {regions} regions are deferred.").format(regions=regions))


def check_places(scene: Any, volume_node: Any, entries: Any) -> None:
    """The boxes in the scene are those of the prompts file, to a hundredth of a millimeter."""
    wanted = read_prompts(find_resources() / "SampleData" / "body_ct_prompts.json")
    found = structures_of(entries, scene, volume_node)
    assert [s.name for s in found] == [s.name for s in wanted], f"structures are {[s.name for s in found]}"
    for here, there in zip(found, wanted, strict=True):
        assert here.box is not None and there.box is not None
        away = np.abs(np.subtract([*here.box.low, *here.box.high], [*there.box.low, *there.box.high])).max()
        assert away < _TOLERANCE_MM, f'the box of "{here.name}" is {away:g} mm away from its place'


def check_result(shown: Any, volume_node: Any, names: list[str]) -> None:
    """The result lies on the volume, voxel for voxel, holds every structure, and something is deferred."""
    segmentation = shown.result_node.GetSegmentation()
    found = [segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())]
    assert found == names, f"segments are {found}, expected {names}"
    size = tuple(geometry_of(volume_node).size)
    for n in range(segmentation.GetNumberOfSegments()):
        segment_id = segmentation.GetNthSegmentID(n)
        voxels = slicer.util.arrayFromSegmentBinaryLabelmap(shown.result_node, segment_id, volume_node)
        assert voxels.shape[::-1] == size, f'segment "{found[n]}" has {voxels.shape[::-1]} voxels, the volume {size}'
        assert voxels.any(), f'segment "{found[n]}" is empty'
    assert len(shown.regions) > 0, "nothing is deferred"
