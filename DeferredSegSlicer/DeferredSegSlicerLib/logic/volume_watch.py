"""The volume of the shown case: its companions follow it, and a volume that is another one now is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
import slicer.util

from ..core.errors import BadInputError
from ..mrml.grid import align
from ..mrml.names import ROLE_ATTRIBUTE, VOLUME_REFERENCE
from ..mrml.review.helper_nodes import follow
from ..mrml.same_scan import check_same_scan
from .observers import Observers
from .shown_case import ShownCase
from .snapshot import scalars_time

Lost = Callable[[ShownCase, BadInputError], None]
"""Called when a volume does not hold the scan of its case any more, with the reason."""


class VolumeWatch:
    """Looks after one shown case at a time.

    A volume that is put under another transform takes everything along that the module shows on it. One whose grid or
    voxels change (centered, resampled, hardened, filtered in place) is no longer what the case was made from. Voxels
    are compared only when they are said to be modified, which takes about 0.3 s per 100 MB.
    """

    def __init__(self, scene: Any, lost: Lost) -> None:
        self._scene, self._lost = scene, lost
        self._observers = Observers()
        self._shown: ShownCase | None = None
        self._voxels: tuple[int, str] = (0, "")

    def watch(self, shown: ShownCase | None) -> None:
        """Look after this case, or after none, and no longer after the one before."""
        self._observers.remove_all()
        self._shown = shown
        if shown is None:
            return
        volume = shown.volume_node
        self._voxels = scalars_time(volume)
        for event in ("ModifiedEvent", volume.TransformModifiedEvent, volume.ImageDataModifiedEvent):
            self._observers.add(volume, event, self._look)

    def __len__(self) -> int:
        return len(self._observers)

    def _look(self) -> None:
        shown = self._shown
        if shown is None or self._scene.IsClosing():
            return
        try:
            self._check(shown)
        except BadInputError as error:
            self.watch(None)
            self._lost(shown, error)
            return
        self._take_along(shown.volume_node)

    def _check(self, shown: ShownCase) -> None:
        """Raise BadInputError unless the volume holds the scan of its case, where it was."""
        volume = shown.volume_node
        if volume.GetImageData() is None:
            raise BadInputError(f'volume "{volume.GetName()}" has no image any more')
        parent = volume.GetParentTransformNode()
        straight = parent is None or parent.IsTransformToWorldLinear()  # under others the case just follows the volume
        if straight and align(shown.case.geometry, volume) != shown.alignment:
            raise BadInputError(f'volume "{volume.GetName()}" has its axes reversed')
        now = scalars_time(volume)
        if now != self._voxels:
            check_same_scan(shown.case, volume, shown.alignment)
            self._voxels = now

    def _take_along(self, volume: Any) -> None:
        for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode", self._scene):
            is_own = bool(node.GetAttribute(ROLE_ATTRIBUTE))
            if is_own and node.GetNodeReferenceID(VOLUME_REFERENCE) == volume.GetID():
                follow(node, volume)
