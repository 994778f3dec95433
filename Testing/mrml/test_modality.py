"""What kind of scan a node holds: DICOM's word first, then units, then the voxels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import slicer
from DeferredSegSlicerLib.mrml.modality import modality_of
from hard_volumes import PLAIN


def bright(a_volume_node: Callable[..., Any]) -> Any:
    """A volume whose voxels look like no CT."""
    return a_volume_node(np.arange(PLAIN.voxel_count, dtype=np.int16).reshape(PLAIN.shape), PLAIN)


@pytest.mark.parametrize(
    ("code", "kind"), [("CT", "CT"), ("MR", "MR"), ("PT", "other"), (" mr ", "MR"), ("US", "other")]
)
def test_dicoms_word_counts_most(scene: Any, a_volume_node: Callable[..., Any], code: str, kind: str) -> None:
    node = a_volume_node()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    name = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    hierarchy.SetItemAttribute(item, name, code)
    assert modality_of(node) == kind
    other = a_volume_node()
    other.SetAttribute("DICOM.Modality", code)
    assert modality_of(other) == kind


@pytest.mark.parametrize("code", [("[hnsf'U]", "UCUM", "Hounsfield unit"), ("", "", "Hounsfield unit")])
def test_hounsfield_units_make_a_ct(a_volume_node: Callable[..., Any], code: tuple[str, str, str]) -> None:
    node = bright(a_volume_node)
    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning(code[0], code[1], code[2])
    node.SetVoxelValueUnits(units)
    assert modality_of(node) == "CT"


def test_other_units_do_not(a_volume_node: Callable[..., Any]) -> None:
    node = bright(a_volume_node)
    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning("g/ml{SUVbw}", "UCUM", "Standardized Uptake Value")
    node.SetVoxelValueUnits(units)
    assert modality_of(node) == "other"


def test_without_a_word_the_lowest_voxel_tells(a_volume_node: Callable[..., Any]) -> None:
    assert modality_of(a_volume_node()) == "CT" and modality_of(bright(a_volume_node)) == "other"
