"""From a case folder to nodes in the scene: files and numbers on a thread, nodes in short steps on the main thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import slicer.util
import vtk
import vtk.util.numpy_support

from ..core.case import Case, open_case
from ..core.errors import BadInputError
from ..core.regions import RegionList
from ..core.volume import Volume
from ..core.worklist import Worklist, worklist
from ..mrml.deferred import DeferredDisplay
from ..mrml.grid import Alignment, align, reversed_grid
from ..mrml.names import CASE_ID_ATTRIBUTE, ROLE_ATTRIBUTE, ROLE_RESULT, VOLUME_REFERENCE
from ..mrml.result import show_result
from ..mrml.same_scan import check_same_scan
from .experts import with_duty
from .shown_case import ShownCase
from .snapshot import scalars_time, snapshot_of
from .steps import NEXT_TURN, Background, Steps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..core.experts import Expert

OnStage = Callable[[str], None]
"""Called at the beginning of each stage, a key of `job.STAGE_TEXTS`."""

ShowSteps = Steps[ShownCase]

Previous = Callable[[], ShownCase | None]
"""Tells what is shown when a new case is about to be drawn."""

OffDuty = frozenset[str] | None
"""Ids of experts who are off duty; None for those who were off duty when the case was made."""


@dataclass(frozen=True)
class Loaded:
    """All that is read and reckoned of a case before it is shown."""

    case: Case
    alignment: Alignment
    label: NDArray[np.uint8]
    worklist: Worklist
    regions: RegionList
    budget: float


def load(folder: Path, snapshot: Any, budget: float, off_duty: OffDuty) -> Loaded:
    """Read a case that belongs to a volume; takes a second for a large one, and touches no scene.

    Parameters
    ----------
    snapshot : copy of the volume, see `snapshot.snapshot_of`.

    Raises
    ------
    BadInputError : no case, or it belongs to another volume.
    DamagedCaseError : the case is not whole.
    """
    case = open_case(folder)
    alignment = align(case.geometry, snapshot)
    check_same_scan(case, snapshot, alignment)
    return _prepared(case, alignment, budget, off_duty)


def load_with_image(folder: Path, budget: float, off_duty: OffDuty) -> tuple[Loaded, Volume]:
    """Read a case together with its own scan; otherwise as `load`.

    The scan's third axis is reversed if its axes are left-handed, as Slicer's own readers do.
    """
    case = open_case(folder)
    stored = case.volume()
    alignment = Alignment((False, False, stored.geometry.is_left_handed))
    image = np.array(alignment.to_node(stored.image), order="C")
    scan = Volume(image, reversed_grid(stored.geometry, alignment.flips), stored.modality)
    return _prepared(case, alignment, budget, off_duty), scan


def open_steps(
    scene: Any,
    folder: Path,
    volume_node: Any,
    budget: float,
    off_duty: OffDuty,
    previous: Previous = lambda: None,
    stage: OnStage = lambda _: None,
) -> ShowSteps:
    """Steps that check a case against a volume node and show it there.

    Without a volume node the case's own scan becomes one. A result and a deferred node of this case that the scene has
    already are taken over; else those of the case that `previous` tells, if that is on the same volume.

    Raises
    ------
    BadInputError, DamagedCaseError : see `load`; or the volume was changed meanwhile. The scene is as before then.
    """
    stage("open")
    before = None
    if volume_node is None:
        loaded, volume = yield Background(lambda: load_with_image(folder, budget, off_duty))
    else:
        snapshot = yield from snapshot_of(volume_node)
        before = scalars_time(volume_node)
        loaded = yield Background(lambda: load(folder, snapshot, budget, off_duty))
        del snapshot
    stage("show")
    yield NEXT_TURN
    if volume_node is None:
        volume_node = add_volume(scene, volume, f"Image of case {loaded.case.id[:8]}")
    elif scalars_time(volume_node) != before:
        raise BadInputError(f'volume "{volume_node.GetName()}" was changed while the case was being opened; try again')
    stage("draw")
    return (yield from _draw(scene, loaded, volume_node, previous()))


def _draw(scene: Any, loaded: Loaded, volume_node: Any, previous: ShownCase | None) -> ShowSteps:
    """Steps that make the nodes of a case; if they fail, nodes that were added are taken out again."""
    before = {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLNode", scene)}
    case, alignment = loaded.case, align(loaded.case.geometry, volume_node)
    try:
        result = find_result(scene, case.id, volume_node)
        if previous is not None and previous.volume_node is volume_node and previous.case.id != case.id:
            result = result or _hand_over(previous, case)
        result = show_result(scene, case, volume_node, alignment, result, loaded.label)
        yield NEXT_TURN
        deferred = DeferredDisplay(scene, case, volume_node, alignment)
        yield NEXT_TURN
        deferred.show(loaded.regions, loaded.worklist.experts)
    except BaseException:
        for node in list(slicer.util.getNodesByClass("vtkMRMLNode", scene)):
            if node.GetID() not in before:
                scene.RemoveNode(node)
        raise
    return ShownCase(case, volume_node, result, deferred, alignment, loaded.worklist, loaded.budget, loaded.regions)


def _hand_over(previous: ShownCase, case: Case) -> Any:
    """Let a new case have the nodes of the one before, so that they stay as the user has dressed them.

    The deferred node goes instead if it has other experts' segments. Returns the result node, or None if it is gone.
    """
    node = previous.deferred_node
    if [e.id for e in previous.case.experts] == [e.id for e in case.experts] and node.GetScene() is not None:
        node.SetAttribute(CASE_ID_ATTRIBUTE, case.id)
    else:
        previous.deferred.remove()
    return previous.result_node if previous.result_node.GetScene() is not None else None


def find_result(scene: Any, case_id: str, volume_node: Any) -> Any:
    """The result node of a case on a volume, or None."""
    for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode", scene):
        if (
            node.GetAttribute(ROLE_ATTRIBUTE) == ROLE_RESULT
            and node.GetAttribute(CASE_ID_ATTRIBUTE) == case_id
            and node.GetNodeReferenceID(VOLUME_REFERENCE) == volume_node.GetID()
        ):
            return node
    return None


def add_volume(scene: Any, volume: Volume, name: str) -> Any:
    """A scalar volume node that has the voxels of a scan without a copy."""
    image = vtk.vtkImageData()
    image.SetDimensions(*volume.geometry.size)
    image.GetPointData().SetScalars(vtk.util.numpy_support.numpy_to_vtk(volume.image.reshape(-1)))
    to_ras = vtk.vtkMatrix4x4()
    to_ras.DeepCopy(volume.geometry.ijk_to_ras.ravel().tolist())
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", scene.GenerateUniqueName(name))
    node.SetIJKToRASMatrix(to_ras)
    node.SetAndObserveImageData(image)
    node.CreateDefaultDisplayNodes()
    return node


def _prepared(case: Case, alignment: Alignment, budget: float, off_duty: OffDuty) -> Loaded:
    experts: tuple[Expert, ...] = case.experts if off_duty is None else with_duty(case.experts, off_duty)
    work = worklist(
        case.probability(), case.routing(), case.error(), case.structures, experts, case.geometry, case.settings
    )
    return Loaded(case, alignment, case.label(), work, work.regions(budget), budget)
