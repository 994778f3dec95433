"""The few things that Slicer 5.10, 5.12 and the slicer-core wheel name differently."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import slicer


def binary_labelmap() -> str:
    """Name of the binary labelmap representation. Its short getter came with 5.10; the long one may go one day."""
    return _representation("BinaryLabelmap")


def closed_surface() -> str:
    """Name of the closed surface representation."""
    return _representation("ClosedSurface")


def planar_contour() -> str:
    """Name of the planar contour representation (DICOM RT structure sets)."""
    return _representation("PlanarContour")


def vtk_itk() -> ModuleType:
    """The vtkITK module: a module of its own in Slicer, a part of `slicer` in the wheel."""
    try:
        import vtkITK
    except ImportError:
        return slicer.vtkITK  # type: ignore[no-any-return]
    return vtkITK  # type: ignore[no-any-return]


def subject_hierarchy(scene: Any) -> Any:
    """The scene's subject hierarchy node, made if it is not there yet."""
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)


def _representation(kind: str) -> str:
    converter = slicer.vtkSegmentationConverter
    long_name = f"GetSegmentation{kind}RepresentationName"
    getter = getattr(converter, long_name, None) or getattr(converter, f"Get{kind}RepresentationName")
    return str(getter())
