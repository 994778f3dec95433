"""Stand-in for Slicer's core IO manager on the real storage nodes, so that `slicer.util.loadVolume` and its kin run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

_KINDS = {
    "SegmentationFile": ("vtkMRMLSegmentationNode", "vtkMRMLSegmentationStorageNode"),
    "MarkupsFile": ("vtkMRMLMarkupsROINode", "vtkMRMLMarkupsJsonStorageNode"),
    "TextFile": ("vtkMRMLTextNode", "vtkMRMLTextStorageNode"),
    "TransformFile": ("vtkMRMLTransformNode", "vtkMRMLTransformStorageNode"),
}


class CoreIO:
    """Loads and saves nodes and scenes by the file types that Slicer has."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene

    def fileType(self, name: str) -> str:
        path = name.lower()
        if path.endswith((".mrb", ".mrml")):
            return "SceneFile"
        return "SegmentationFile" if ".seg." in path else "VolumeFile"

    def loadNodes(self, kind: str, properties: dict[str, Any], loaded: Any, messages: Any = None) -> bool:
        path = str(properties["fileName"])
        if kind == "SceneFile":
            return self._load_scene(path, bool(properties.get("clear", True)))
        name = str(properties.get("name") or Path(path).name.split(".")[0])
        node = self._load_volume(path, name, properties) if kind == "VolumeFile" else self._load(kind, path, name)
        if node is None:
            return False
        loaded.AddItem(node)
        return True

    def fileWriterFileType(self, node: Any) -> str:
        return str(node.GetClassName())

    def saveNodes(self, kind: str, properties: dict[str, Any], messages: Any = None) -> bool:
        path = str(properties["fileName"])
        if kind == "SceneFile":
            return bool(self._scene.WriteToMRB(path) if path.endswith(".mrb") else self._scene.Commit(path))
        node = self._scene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
        node.GetStorageNode().SetFileName(path)
        return bool(node.GetStorageNode().WriteData(node))

    def _load_scene(self, path: str, clear: bool) -> bool:
        if path.endswith(".mrb"):
            return bool(self._scene.ReadFromMRB(path, clear))
        self._scene.SetURL(path)
        return bool(self._scene.Connect() if clear else self._scene.Import())

    def _load_volume(self, path: str, name: str, properties: dict[str, Any]) -> Any:
        options = 1 if properties.get("labelmap") else 0
        return slicer.modules.volumes.logic().AddArchetypeVolume(path, name, options)

    def _load(self, kind: str, path: str, name: str) -> Any:
        node_class, storage_class = _KINDS[kind]
        node, storage = self._scene.AddNewNodeByClass(node_class, name), self._scene.AddNewNodeByClass(storage_class)
        storage.SetFileName(path)
        if not storage.ReadData(node):
            self._scene.RemoveNode(storage)
            self._scene.RemoveNode(node)
            return None
        node.SetAndObserveStorageNodeID(storage.GetID())
        node.CreateDefaultDisplayNodes()
        return node
