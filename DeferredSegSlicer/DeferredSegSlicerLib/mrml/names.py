"""Names under which the module's things are kept in a scene; a saved scene depends on them, so none may change."""

from __future__ import annotations

MODULE_NAME = "DeferredSegSlicer"
"""Name of the module, singleton tag and `ModuleName` attribute of its parameter node."""

ROLE_ATTRIBUTE = "DeferredSeg.Role"
"""Node attribute: what a node is to the module, one of the `ROLE_...` values."""
ROLE_RESULT = "result"
"""The model's segmentation; read-only by convention."""
ROLE_DEFERRED = "deferred"
"""The segmentation node with a segment for each expert."""
ROLE_PROMPT = "prompt"
"""A markups ROI that is the box prompt of a structure."""
ROLE_EMBEDDED_CASE = "case"
"""The text node that keeps a case inside a saved scene."""

CASE_ID_ATTRIBUTE = "DeferredSeg.CaseId"
"""Node attribute: id of the case that a result or deferred node shows."""

EXPERT_TAG = "DeferredSeg.ExpertId"
"""Segment tag: the expert whose regions a segment holds."""

STRUCTURE_TAG = "DeferredSeg.StructureId"
"""Segment tag: the structure of the case that a segment of a result node shows; segments without it are the user's."""

VOLUME_REFERENCE = "DeferredSeg.volume"
"""Node reference role: the volume that a result, deferred or prompt node belongs to, or that the panel has chosen."""
RESULT_REFERENCE = "DeferredSeg.result"
"""Node reference role of the parameter node: the result node that is shown."""
DEFERRED_REFERENCE = "DeferredSeg.deferred"
"""Node reference role of the parameter node: the deferred node that is shown."""
PROMPT_REFERENCE = "prompt."
"""Node reference roles of the parameter node: this and the key of a prompt entry; the ROI or the segmentation."""

RESULT_SUFFIX = " (DeferredSeg)"
"""After the volume's name, the name of its result node."""
DEFERRED_SUFFIX = " (deferred)"
"""After the volume's name, the name of its deferred node."""
