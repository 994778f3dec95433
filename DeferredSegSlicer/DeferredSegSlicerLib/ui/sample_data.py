"""*Try it*: the bundled CT as a volume node, and its three boxes."""

from __future__ import annotations

from typing import Any

from ..core.errors import BadInputError
from ..core.geometry import transform_points
from ..core.prompts import read_prompts
from ..mrml.grid import world_from_local
from ..mrml.prompts import PromptEntry, add_box, entry_of_box
from ..resources import find_resources
from .sample_source import FILE, SAMPLE_NAME, register

_PROMPTS = "body_ct_prompts.json"
_SAMPLE_ATTRIBUTE = "DeferredSeg.Sample"


def load_sample(scene: Any) -> Any:
    """The bundled CT as a volume node, loaded through the Sample Data module unless it is there already.

    Raises BadInputError if the Sample Data module could not load it.
    """
    for node in _samples(scene):
        return node
    import SampleData  # type: ignore[import-not-found]  # a module of Slicer

    register()
    loaded = SampleData.SampleDataLogic().downloadSamples(SAMPLE_NAME)
    if not loaded or loaded[0] is None or isinstance(loaded[0], str):
        raise BadInputError(f'the sample "{FILE}" could not be loaded; see Slicer\'s log')
    loaded[0].SetAttribute(_SAMPLE_ATTRIBUTE, SAMPLE_NAME)
    return loaded[0]


def place_boxes(scene: Any, volume_node: Any) -> tuple[PromptEntry, ...]:
    """Boxes for liver, spleen and right kidney of the bundled CT, with names, colors and codes."""
    to_world = world_from_local(volume_node)
    entries = []
    for structure in read_prompts(find_resources() / "SampleData" / _PROMPTS):
        if structure.box is None:
            continue
        low, high = structure.box.low, structure.box.high
        middle = [(a + b) / 2 for a, b in zip(low, high, strict=True)]
        size = [b - a for a, b in zip(low, high, strict=True)]
        center = transform_points(to_world, middle).tolist()
        roi = add_box(scene, volume_node, center, size, structure.name, structure.color)
        entries.append(entry_of_box(roi, structure.name, structure.color, structure.terminology))
    return tuple(entries)


def _samples(scene: Any) -> list[Any]:
    count = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    nodes = [scene.GetNthNodeByClass(n, "vtkMRMLScalarVolumeNode") for n in range(count)]
    return [node for node in nodes if node.GetAttribute(_SAMPLE_ATTRIBUTE) == SAMPLE_NAME]
