"""DICOM SEG with the scan's own series as its source, made with highdicom."""

from __future__ import annotations

import io
import uuid
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..core.atomic import write_bytes
from ..core.errors import BadInputError
from ..core.structures import Code
from .content import Content, StructureContent
from .source_series import SourceSeries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SERIES_NUMBER = 9700
_UTF8 = "ISO_IR 192"
_LONGEST_TEXT = 64
_LONGEST_DESCRIPTION = 1024
_TYPE_TWO = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
"""What a series must say, be it with an empty value; anonymizers leave some out altogether."""

_AI_FAMILY = Code("DCM", "123109", "Artificial Intelligence")


def write_dicom_seg(path: str | Path, content: Content, source: SourceSeries) -> None:
    """Write the segmentation as one DICOM SEG of type BINARY, atomically.

    Patient, study and frame of reference are the source's: the file names the patient as the scan does. Each structure
    is a segment with codes, color, algorithm, tracking identifiers (the same at every export of the case) and a
    description of its review; slices without any structure are left out, as is usual.

    Raises
    ------
    BadInputError : highdicom is not installed, nothing is labeled, the series lacks what a SEG must refer to, or the
        path cannot be written.
    """
    frames = source.frames_of(content.label)
    if not frames.any():
        raise BadInputError("nothing is labeled, and a DICOM SEG cannot be empty")
    try:
        import highdicom
    except ImportError as error:
        raise BadInputError('DICOM SEG needs the package highdicom: pip install "highdicom>=0.24"') from error
    model = str(content.case.model.get("name", "DeferredSegSlicer"))
    uid = highdicom.UID
    with _explained():
        images = _images(source)
        segmentation = highdicom.seg.Segmentation(
            source_images=images,
            pixel_array=frames,
            segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[_description(content, s, model) for s in content.structures],
            series_instance_uid=uid(),
            series_number=SERIES_NUMBER,
            sop_instance_uid=uid(),
            instance_number=1,
            manufacturer="DeferredSegSlicer",
            manufacturer_model_name=_long_string(model),
            software_versions=_long_string(__version__),
            device_serial_number=str(content.case.model.get("sha256", ""))[:16] or content.case.id[:16],
            content_label="DEFERREDSEG",
            content_description=_long_string(content.summary),
            content_creator_name=content.readers[0] if len(content.readers) == 1 else None,
            series_description=_long_string(f"DeferredSeg: {content.summary}"),
        )
        segmentation.SpecificCharacterSet = _UTF8
        buffer = io.BytesIO()
        segmentation.save_as(buffer)
    write_bytes(path, buffer.getvalue())


def _images(source: SourceSeries) -> list[Any]:
    """The headers of the source's slices, in its order, with what anonymizers took away filled in as empty."""
    import pydicom

    images = []
    for item in source.slices:
        image = pydicom.dcmread(item.path, stop_before_pixels=True, force=True)
        lacking = [
            name for name in ("StudyInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID") if not image.get(name)
        ]
        if lacking:
            raise BadInputError(
                f'the source series cannot be referred to: "{item.path.name}" has no {lacking[0]}; '
                "take the series as the scanner or archive sent it"
            )
        for name in _TYPE_TWO:
            if name not in image:
                setattr(image, name, None)
        if image.PatientSex not in ("M", "F", "O"):
            image.PatientSex = None
        image.decode()  # by its own character set, before it gets another
        image.SpecificCharacterSet = _UTF8
        images.append(image)
    return images


@contextmanager
def _explained() -> Iterator[None]:
    """Turn highdicom's complaint about a series into a sentence; its remarks to programmers are not for the user."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except BadInputError:
        raise
    except (AttributeError, TypeError, ValueError) as error:
        raise BadInputError(f"the source series does not allow a DICOM SEG: {error}") from error


def _description(content: Content, item: StructureContent, model: str) -> Any:
    import highdicom

    structure, terminology = item.structure, item.structure.terminology
    description = highdicom.seg.SegmentDescription(
        segment_number=item.number,
        segment_label=_long_string(structure.name),
        segmented_property_category=_coded(terminology.category),
        segmented_property_type=_coded(terminology.type),
        algorithm_type=item.algorithm_type,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=_long_string(model), family=_coded(_AI_FAMILY), version=_long_string(__version__)
        ),
        tracking_uid=f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'{content.case.id}/{structure.id}').int}",
        tracking_id=f"{content.case.id[:16]}/{structure.id}"[:_LONGEST_TEXT],
    )
    if terminology.modifier is not None:
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [_coded(terminology.modifier)]
    description.SegmentDescription = item.review_text[:_LONGEST_DESCRIPTION]
    description.RecommendedDisplayCIELabValue = dicom_lab(structure.color)
    return description


def _coded(code: Code) -> Any:
    import highdicom

    return highdicom.sr.CodedConcept(code.value, code.scheme, _long_string(code.meaning or code.value))


def _long_string(text: str) -> str:
    """A text as DICOM's LO allows it: 64 characters, no backslash, nothing that controls."""
    plain = "".join(" " if ord(c) < 32 else c for c in text.replace("\\", "/"))
    return plain if len(plain) <= _LONGEST_TEXT else plain[: _LONGEST_TEXT - 1] + "…"


def dicom_lab(color: Sequence[float]) -> list[int]:
    """sRGB in 0..1 as CIELab (D65 as white) in DICOM's 16-bit units: L* 0..100, a* and b* -128..127 over 0..65535."""
    rgb = np.asarray(color, np.float64)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = _SRGB_TO_XYZ @ linear / _SRGB_TO_XYZ.sum(axis=1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    lab = np.array([116 * f[1] - 16, 500 * (f[0] - f[1]) + 128, 200 * (f[1] - f[2]) + 128])
    return [int(v) for v in np.clip(np.rint(lab / (100, 255, 255) * 65535), 0, 65535)]


_SRGB_TO_XYZ: NDArray[np.float64] = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
