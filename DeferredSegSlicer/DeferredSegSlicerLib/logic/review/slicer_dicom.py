"""DICOM SEG by Slicer's own exporter (module DICOMSegmentationPlugin, part of Slicer since 5.12).

The exporter takes patient and study from the files of the scan's series, which it looks up in Slicer's DICOM database
by the volume's attribute `DICOM.instanceUIDs`. It has no place for a segment's description, so what a person reviewed
is written into the finished file.
"""

from __future__ import annotations

import importlib
import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer

from ...core.atomic import clear_write_errors, write_bytes
from ...core.errors import BadInputError
from ...core.segmentation_file import ALGORITHM_TYPE_TAG
from ...export.content import Content
from ...mrml.names import STRUCTURE_TAG
from ...mrml.result import segments_of
from ...mrml.review.helper_nodes import new_helper, remove_node
from ...mrml.shared_layer import fill_with_segments, new_layer
from ..shown_case import ShownCase

INSTANCES_ATTRIBUTE = "DICOM.instanceUIDs"
SERIES_NUMBER = "9700"
_ROLE = "export"
_LONGEST_TEXT, _LONGEST_DESCRIPTION = 64, 1024

_NO_SERIES = (
    "this scan was not loaded from Slicer's DICOM database, and a DICOM SEG must refer to its series; import the "
    "series in the DICOM module, load it from there and open the case on it"
)

_log = logging.getLogger(__name__)


def hindrance(volume_node: Any) -> str:
    """Why Slicer cannot export a DICOM SEG for a scan, or an empty text."""
    try:
        _exporter_class()
        _check_series(volume_node)
    except BadInputError as error:
        return error.sentence
    return ""


def write_dicom_seg(scene: Any, path: Path, content: Content, shown: ShownCase) -> None:
    """Write the labels of an export as a DICOM SEG of the scan's series, atomically.

    Segments have names, colors, codes, algorithm type and name, and a description of their review. Structures without a
    voxel are left out, since the exporter cannot write them.

    Raises
    ------
    BadInputError : Slicer has no exporter, the series is not in its DICOM database, nothing is labeled, or the exporter
        fails; the sentence says why.
    """
    make = _exporter_class()
    _check_series(shown.volume_node)
    there = [item for item in content.structures if item.voxels]
    if not there:
        raise BadInputError("nothing is labeled, and a DICOM SEG cannot be empty")
    node = _node_for_export(scene, content, shown)
    folder = Path(tempfile.mkdtemp(prefix="deferredseg-"))
    try:
        made = folder / "export.SEG.dcm"
        metadata = {
            "SeriesDescription": _short(f"DeferredSeg: {content.summary}"),
            "SeriesNumber": SERIES_NUMBER,
            "ContentCreatorName": "DeferredSegSlicer",
        }
        _export(make, node, made, metadata, [item.structure.id for item in there])
        _describe(made, content)
        with clear_write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, made.read_bytes())
    finally:
        remove_node(scene, node)
        shutil.rmtree(folder, ignore_errors=True)


def _exporter_class() -> Callable[[Any], Any]:
    try:
        plugin = importlib.import_module("DICOMSegmentationPlugin")  # only inside Slicer
    except ImportError as error:
        raise BadInputError(
            "this Slicer has no exporter for DICOM SEG; use Slicer 5.12 or newer with its DICOM module, or "
            "`deferredseg export --format dicom-seg --source FOLDER`"
        ) from error
    return plugin.DICOMSegmentationExporter  # type: ignore[no-any-return]


def _check_series(volume_node: Any) -> None:
    """Raise BadInputError unless every file of the scan's series is in Slicer's DICOM database."""
    instances = (volume_node.GetAttribute(INSTANCES_ATTRIBUTE) or "").split() if volume_node is not None else []
    database = getattr(slicer, "dicomDatabase", None)
    if not instances or database is None:
        raise BadInputError(_NO_SERIES)
    files = [database.fileForInstance(uid) for uid in instances]
    missing = sum(not file or not Path(file).exists() for file in files)
    if missing:
        raise BadInputError(
            f"{missing} of the {len(files)} files of the scan's series are not in Slicer's DICOM database any more; "
            "import the series again"
        )


def _node_for_export(scene: Any, content: Content, shown: ShownCase) -> Any:
    """A hidden segmentation with the exported labels, and tags that say who made them."""
    node = new_helper(scene, shown.volume_node, _ROLE, "DICOM export")
    layer = new_layer(shown.volume_node, shown.alignment.to_node(content.label))
    fill_with_segments(node, layer, segments_of(shown.case), STRUCTURE_TAG)
    for item in content.structures:
        segment = node.GetSegmentation().GetSegment(item.structure.id)
        segment.SetTag(ALGORITHM_TYPE_TAG, item.algorithm_type)
    return node


def _export(
    make: Callable[[Any], Any], node: Any, made: Path, metadata: dict[str, str], segment_ids: list[str]
) -> None:
    exporter = make(node)
    try:
        exporter.export(str(made.parent), made.name, metadata, segment_ids)
    except Exception as error:  # whatever the exporter raises, its words are all that is known
        raise BadInputError(f"Slicer's exporter could not write the DICOM SEG: {error}") from error
    finally:
        exporter.cleanup()
    if not made.is_file():
        raise BadInputError("Slicer's exporter wrote no DICOM SEG; its error log may say why")


def _describe(path: Path, content: Content) -> None:
    """Write into each segment of a finished file what a person reviewed of it."""
    try:
        import pydicom
    except ImportError as error:
        raise BadInputError("DICOM SEG needs the package pydicom, which comes with Slicer; reinstall it") from error
    data = pydicom.dcmread(path)
    texts = {_short(item.structure.name): item.review_text for item in content.structures if item.voxels}
    for segment in data.SegmentSequence:
        text = texts.get(_short(str(segment.SegmentLabel)))
        if text is None:
            _log.warning("the DICOM SEG has a segment of an unknown name: %s", segment.SegmentLabel)
            continue
        segment.SegmentDescription = text[:_LONGEST_DESCRIPTION]
    if not all(ord(c) < 128 for text in texts.values() for c in text):
        data.SpecificCharacterSet = "ISO_IR 192"
    data.save_as(path)


def _short(text: str) -> str:
    """A text as DICOM's LO allows it."""
    plain = "".join(" " if ord(c) < 32 else c for c in text.replace("\\", "/"))
    return plain if len(plain) <= _LONGEST_TEXT else plain[: _LONGEST_TEXT - 1] + "."
