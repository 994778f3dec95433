"""The corrected labelmap in Slicer's segmentation format: the model's header with what became of it."""

from __future__ import annotations

from pathlib import Path

from ..core.case_record import SEGMENTATION_FILE
from ..core.nrrd import write_nrrd
from ..core.nrrd_header import read_nrrd_header
from ..core.segmentation_file import ALGORITHM_TYPE_TAG, REVIEW_STATUS_TAG
from .content import Content

REVIEW_TAG = "DeferredSeg.Review"
UNREVIEWED_TAG = "DeferredSeg.UnreviewedRegions"
READERS_TAG = "DeferredSeg.Readers"


def write_seg_nrrd(path: str | Path, content: Content) -> None:
    """Write a `.seg.nrrd` that Slicer opens with names, colors, codes, algorithm and review tags, atomically.

    `Segmentation.Status` is Slicer's: `completed` if a person settled every deferral region of the segment, `flagged`
    if some are left, `inprogress` if nothing was handed over for review.

    Raises
    ------
    BadInputError : the path cannot be written.
    """
    metadata = dict(read_nrrd_header(content.case.folder / SEGMENTATION_FILE).metadata)
    for item in content.structures:
        key = f"Segment{item.number - 1}_Tags"
        tags = dict(tag.split(":", 1) for tag in metadata[key].split("|") if ":" in tag)
        tags |= {
            ALGORITHM_TYPE_TAG: item.algorithm_type,
            REVIEW_STATUS_TAG: item.slicer_status,
            REVIEW_TAG: item.review_text,
            UNREVIEWED_TAG: str(item.unreviewed),
            READERS_TAG: ", ".join(item.readers),
        }
        metadata[key] = "".join(f"{name}:{_plain(value)}|" for name, value in tags.items())
    metadata["DeferredSeg_Review"] = content.summary
    metadata["DeferredSeg_UnreviewedRegions"] = str(len(content.unreviewed))
    metadata["DeferredSeg_CaseId"] = content.case.id
    write_nrrd(path, content.label, content.case.geometry, metadata)


def _plain(text: str) -> str:
    """A tag's value without the characters that part tags."""
    return text.replace("|", "/").replace("\n", " ")
