"""Segmentation nodes that only show something for a while: in the views, but in no list and in no saved scene."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import slicer

from ..compat import binary_labelmap
from ..names import ROLE_ATTRIBUTE, VOLUME_REFERENCE

_CLASS = "vtkMRMLSegmentationNode"


def new_helper(scene: Any, volume_node: Any, role: str, name: str, under: Any = None) -> Any:
    """A segmentation node on a volume that nobody sees but in the views, and that is not saved.

    `under` is a node over which it must not be drawn: it goes before that in the scene, which new views follow.
    """
    node = scene.CreateNodeByClass(_CLASS)
    node.UnRegister(None)  # the variable holds it now
    node.SetName(name)
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    node.SetAttribute(slicer.vtkMRMLSubjectHierarchyConstants.GetSubjectHierarchyExcludeFromTreeAttributeName(), "1")
    node.SetAttribute(ROLE_ATTRIBUTE, role)
    node = scene.AddNode(node) if under is None else scene.InsertBeforeNode(under, node)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetSaveWithScene(False)
    node.GetDisplayNode().SetHideFromEditors(True)
    node.SetNodeReferenceID(VOLUME_REFERENCE, volume_node.GetID())
    node.GetSegmentation().SetSourceRepresentationName(binary_labelmap())
    follow(node, volume_node)
    return node


def follow(node: Any, volume_node: Any) -> None:
    """Put a segmentation node under the transform under which its volume is now, on the volume's grid.

    Slicer reckons the grid from where both nodes are at that moment, so it has to be told afterwards.
    """
    moved = node.GetTransformNodeID() != volume_node.GetTransformNodeID()
    if moved:
        node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    role = node.GetReferenceImageGeometryReferenceRole()
    if moved or node.GetNodeReferenceID(role) != volume_node.GetID():
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)


def remove_node(scene: Any, node: Any) -> None:
    """Take a node out of the scene with its display and storage; nothing happens if it is gone already."""
    if node is None or node.GetScene() is not scene:
        return
    helpers = [node.GetNthDisplayNode(n) for n in range(node.GetNumberOfDisplayNodes())] + [node.GetStorageNode()]
    for each in (node, *helpers):
        if each is not None and each.GetScene() is scene:
            scene.RemoveNode(each)


def nodes_with_role(scene: Any, role: str, volume_node: Any) -> Iterator[Any]:
    """The module's segmentation nodes on a volume that have a role."""
    for number in range(scene.GetNumberOfNodesByClass(_CLASS)):
        node = scene.GetNthNodeByClass(number, _CLASS)
        on_volume = node.GetNodeReferenceID(VOLUME_REFERENCE) == volume_node.GetID()
        if on_volume and node.GetAttribute(ROLE_ATTRIBUTE) == role:
            yield node
