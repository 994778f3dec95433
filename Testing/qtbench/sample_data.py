"""Slicer's module `SampleData`: sources are registered, and those that are files of this computer can be loaded."""

from __future__ import annotations

import hashlib
import types
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any


class SampleDataSource:
    """What was registered."""

    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given)


class SampleDataLogic:
    """The functions of Slicer's class of this name that a module calls."""

    categories: dict[str, str] = {}  # noqa: RUF012

    @classmethod
    def registerCustomSampleDataCategory(cls, name: str, title: str = "") -> None:
        cls.categories[name] = title

    @staticmethod
    def registerCustomSampleDataSource(
        category: str = "Custom",
        sampleName: Any = None,
        uris: Any = None,
        fileNames: Any = None,
        nodeNames: Any = None,
        customDownloader: Any = None,
        thumbnailFileName: Any = None,
        loadFileTypes: Any = None,
        loadFiles: Any = None,
        loadFileProperties: Any = None,
        checksums: Any = None,
        loadFileType: Any = None,
    ) -> None:
        import slicer

        given = {name: value for name, value in locals().items() if name != "slicer"}
        sources = slicer.modules.sampleDataSources.setdefault(category, [])
        if all(source.sampleName != sampleName for source in sources):
            sources.append(SampleDataSource(**given))

    def downloadFromSource(self, source: Any) -> list[Any]:
        """Load a file; raises ValueError if its checksum is another, as Slicer does."""
        import slicer.util

        path = Path(urllib.request.url2pathname(urllib.parse.urlparse(source.uris).path))
        if source.checksums:
            algorithm, _, digest = source.checksums.partition(":")
            if hashlib.new(algorithm, path.read_bytes()).hexdigest() != digest:
                raise ValueError(f"checksum of {path} does not fit")
        return [slicer.util.loadVolume(str(path), {"name": source.nodeNames})]

    def downloadSamples(self, sampleName: str) -> list[Any]:
        import slicer

        every = (source for sources in slicer.modules.sampleDataSources.values() for source in sources)
        return [node for s in every if s.sampleName == sampleName for node in self.downloadFromSource(s)]


def sample_data() -> types.ModuleType:
    """The module `SampleData`."""
    module = types.ModuleType("SampleData")
    vars(module).update(SampleDataLogic=SampleDataLogic, SampleDataSource=SampleDataSource)
    return module
