"""The bundled CT in Slicer's *Sample Data* module. Imports nothing heavy: it runs while Slicer starts."""

from __future__ import annotations

from typing import Any

from ..resources import find_resources
from .text import _

CATEGORY = "DeferredSegSlicer"
SAMPLE_NAME = "DeferredSegBodyCT"
NODE_NAME = "Body CT (sample)"
FILE = "body_ct.nrrd"
CHECKSUM = "SHA256:2725b1a3ebed6a5a16fd8f54ac934acc3c92ea6bdddf13fb05079a1d0adc2948"
_THUMBNAIL = ("Icons", "SampleBodyCT.png")


def sample_source() -> dict[str, Any]:
    """Keywords of `SampleDataLogic.registerCustomSampleDataSource` for the bundled CT; nothing is downloaded.

    Raises BadInputError if the Resources folder is not found.
    """
    resources = find_resources()
    return {
        "category": CATEGORY,
        "sampleName": SAMPLE_NAME,
        "uris": (resources / "SampleData" / FILE).as_uri(),
        "fileNames": FILE,
        "nodeNames": NODE_NAME,
        "checksums": CHECKSUM,
        "thumbnailFileName": str(resources.joinpath(*_THUMBNAIL)),
    }


def register() -> None:
    """Put the bundled CT into the Sample Data module; a second call changes nothing."""
    import SampleData  # type: ignore[import-not-found]  # a module of Slicer

    logic = SampleData.SampleDataLogic
    if hasattr(logic, "registerCustomSampleDataCategory"):  # from Slicer 5.12 on
        logic.registerCustomSampleDataCategory(CATEGORY, title=_("Segmentation with deferral"))
    logic.registerCustomSampleDataSource(**sample_source())
