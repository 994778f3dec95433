"""Names of the review's things in a scene; see `mrml.names`. A saved scene depends on them."""

from __future__ import annotations

ROLE_CORRECTED = "corrected"
"""Node role: the segmentation that is edited, the labels as they stand after the review."""
ROLE_REGION = "region"
"""Node role: what lifts the current region out of the others; never saved."""
ROLE_PREVIEW = "preview"
"""Node role: lines of the labelings that are offered; never saved."""
DIMMED_ATTRIBUTE = "DeferredSeg.Dimmed"
"""Node attribute: the look that segments had before they were dimmed, JSON."""

CORRECTED_SUFFIX = " (corrected)"
"""After the volume's name, the name of its corrected copy."""

LIMIT_TAG = "DeferredSeg.EditLimit"
"""Segment tag: the hidden segment inside which alone an edit may paint; it is there while an edit is open."""

EDITOR_TAG = "DeferredSegSlicerReview"
"""Singleton tag of the review's own segment editor node, apart from that of Slicer's Segment Editor."""
