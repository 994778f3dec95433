"""Where a node of the module goes: under the volume's transform, and beside the volume in the subject hierarchy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .compat import subject_hierarchy
from .names import ROLE_ATTRIBUTE, VOLUME_REFERENCE

_SEGMENTATION_CLASS = "vtkMRMLSegmentationNode"


def place_beside(scene: Any, node: Any, volume_node: Any, role: str) -> None:
    """Make a node a companion of a volume.

    It gets the volume's parent transform (so that both stay together), a place right after the volume in the subject
    hierarchy, a reference to the volume, and its role (`names.ROLE_...`). Other items are not moved.
    """
    node.SetAttribute(ROLE_ATTRIBUTE, role)
    node.SetNodeReferenceID(VOLUME_REFERENCE, volume_node.GetID())
    if node.GetTransformNodeID() != volume_node.GetTransformNodeID():
        node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    hierarchy = subject_hierarchy(scene)
    if hierarchy is None:
        return
    at_volume = _item_of(hierarchy, volume_node)
    folder, own = hierarchy.GetItemParent(at_volume), _item_of(hierarchy, node)
    if own == at_volume:
        return
    if hierarchy.GetItemParent(own) != folder:
        hierarchy.SetItemParent(own, folder)
    following = _item_after(hierarchy, at_volume, folder)
    if following not in (own, hierarchy.GetInvalidItemID()):
        hierarchy.MoveItem(own, following)


def nodes_with_role(scene: Any, role: str, volume_node: Any) -> Iterator[Any]:
    """The module's segmentation nodes on a volume that have a role."""
    for number in range(scene.GetNumberOfNodesByClass(_SEGMENTATION_CLASS)):
        node = scene.GetNthNodeByClass(number, _SEGMENTATION_CLASS)
        on_volume = node.GetNodeReferenceID(VOLUME_REFERENCE) == volume_node.GetID()
        if on_volume and node.GetAttribute(ROLE_ATTRIBUTE) == role:
            yield node


def volume_of_companion(node: Any) -> Any:
    """The volume node that a node was placed beside, or None if it is gone."""
    return node.GetNodeReference(VOLUME_REFERENCE)


def _item_of(hierarchy: Any, node: Any) -> int:
    """The node's item. Slicer makes one for every node that it shows; without its plugins there may be none yet."""
    item = hierarchy.GetItemByDataNode(node)
    return int(item if item else hierarchy.CreateItem(hierarchy.GetSceneItemID(), node))


def _item_after(hierarchy: Any, item: int, folder: int) -> int:
    position = hierarchy.GetItemPositionUnderParent(item)
    if position + 1 >= hierarchy.GetNumberOfItemChildren(folder):
        return int(hierarchy.GetInvalidItemID())
    return int(hierarchy.GetItemByPositionUnderParent(folder, position + 1))
