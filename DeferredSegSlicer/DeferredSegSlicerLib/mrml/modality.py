"""What kind of scan a volume node holds, as DICOM, the node's units or, failing both, its voxels say."""

from __future__ import annotations

from typing import Any

from ..core.volume import Modality, guess_modality
from .compat import subject_hierarchy

MODALITY_ATTRIBUTE = "DICOM.Modality"
"""Subject hierarchy attribute under which Slicer keeps the modality of a DICOM series."""

_HOUNSFIELD_UNITS = ("[hnsf'U]", "Hounsfield unit")


def modality_of(volume_node: Any) -> Modality:
    """ "CT", "MR" or "other".

    In this order: DICOM's modality at the volume's item in the subject hierarchy, or at a node attribute of the same
    name; Hounsfield units of the node's voxels; the lowest voxel (`core.volume.guess_modality`), which says CT or
    other. The node needs an image with voxels.
    """
    stated = _stated_by_dicom(volume_node)
    if stated:
        return {"CT": "CT", "MR": "MR"}.get(stated, "other")  # type: ignore[return-value]
    if _is_in_hounsfield_units(volume_node):
        return "CT"
    return guess_modality(float(volume_node.GetImageData().GetScalarRange()[0]))


def _stated_by_dicom(node: Any) -> str:
    """DICOM's code in capitals, or an empty text if nothing says it."""
    found = node.GetAttribute(MODALITY_ATTRIBUTE) or ""
    scene = node.GetScene()
    if not found and scene is not None:
        hierarchy = subject_hierarchy(scene)
        item = hierarchy.GetItemByDataNode(node) if hierarchy is not None else 0
        if item:
            found = hierarchy.GetItemAttribute(item, MODALITY_ATTRIBUTE) or ""
    return str(found).strip().upper()


def _is_in_hounsfield_units(node: Any) -> bool:
    units = node.GetVoxelValueUnits() if hasattr(node, "GetVoxelValueUnits") else None
    return units is not None and (units.GetCodeValue() or units.GetCodeMeaning() or "") in _HOUNSFIELD_UNITS
