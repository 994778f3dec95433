"""Segmentation nodes that only show something for a while: in the views, but in no list and in no saved scene.

Slicer's subject hierarchy logs an error at every change of a segmentation that has no item in it, so they have one. An
item is saved with a scene even if its node is not, so theirs lies under that of the module's parameter node: lists
leave out hidden nodes with all that is below. `clear_leftovers` removes such items from a scene that was opened.
"""

from __future__ import annotations

from typing import Any

import vtk

from ..compat import binary_labelmap, subject_hierarchy
from ..names import ROLE_ATTRIBUTE, VOLUME_REFERENCE
from ..state import parameter_node

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
    node.SetAttribute(ROLE_ATTRIBUTE, role)
    node = scene.AddNode(node) if under is None else scene.InsertBeforeNode(under, node)
    hierarchy = subject_hierarchy(scene)
    hierarchy.CreateItem(_hidden_parent(hierarchy, scene), node)
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
    hierarchy = subject_hierarchy(scene)
    item = hierarchy.GetItemByDataNode(node)
    parent = hierarchy.GetItemParent(item) if item else 0
    helpers = [node.GetNthDisplayNode(n) for n in range(node.GetNumberOfDisplayNodes())] + [node.GetStorageNode()]
    for each in (node, *helpers):
        if each is not None and each.GetScene() is scene:
            scene.RemoveNode(each)
    if item and item in _items(hierarchy, parent):  # Slicer with a window has removed it already
        hierarchy.RemoveItem(item, False, False)


def clear_leftovers(scene: Any) -> None:
    """Remove the items of helper nodes that were not saved, from a scene that was saved while they showed something."""
    hierarchy = subject_hierarchy(scene)
    parent = hierarchy.GetItemByDataNode(parameter_node(scene))
    for item in _items(hierarchy, parent) if parent else ():
        if hierarchy.GetItemDataNode(item) is None:
            hierarchy.RemoveItem(item, False, False)


def _hidden_parent(hierarchy: Any, scene: Any) -> int:
    """The item of the module's parameter node, which no list shows."""
    node = parameter_node(scene)
    return int(hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), node))


def _items(hierarchy: Any, parent: int) -> list[int]:
    found = vtk.vtkIdList()
    hierarchy.GetItemChildren(parent, found, False)
    return [found.GetId(n) for n in range(found.GetNumberOfIds())]
