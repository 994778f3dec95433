"""From one image of a data set to what a method made of it: prompts from the truth, segmented as users do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.case import label_of
from ...core.errors import BadInputError
from ...core.geometry import Geometry
from ...core.segment_boxes import label_box
from ...core.structures import Structure, make_structures
from ...core.volume import Volume
from ...core.worklist import Worklist, worklist
from ..bundles import Bundle
from ..datasets import LoadedCase, LoadedSlice, Subject
from ..pipeline import SegmentOptions, segment_volume
from ..progress import Progress
from .panel import Panel, convene
from .settings import REFERENCES, EvaluationSettings

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from ..segmentor import Segmentor

Make = Callable[[Bundle, "torch.device", str], "Segmentor"]
"""Makes the segmentor of a bundle on a device with a precision; see `segment_volume`."""

SLICE_MM = 1.0
"""Pixel size and thickness that a picture without a scale is given, so that margins and bands in mm are in pixels."""


@dataclass(frozen=True, eq=False)
class EvaluatedImage:
    """An image with its truth and its experts.

    Attributes
    ----------
    truth : uint8 [k, j, i], 0 or the number of a structure plus 1, as the model's labels. structures : with boxes for
        a segmentor that needs them. panel : whose opinions are numbered like the truth.
    window : (level, width) for pictures that are in 0..1 already, else None.
    """

    id: str
    volume: Volume
    truth: NDArray[np.uint8]
    structures: tuple[Structure, ...]
    panel: Panel
    window: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What one method made of an image.

    Attributes
    ----------
    label : uint8 [k, j, i], the model's. work : deferral at any budget. error : uint8 [k, j, i], error map.
    learned_experts : whether the method itself knows to whom; otherwise declared competence decides.
    seconds : by stage; encoding counts only for the first method on an image. warnings : sentences of the run.
    """

    method: str
    label: NDArray[np.uint8]
    work: Worklist
    error: NDArray[np.uint8]
    learned_experts: bool
    seconds: dict[str, float]
    warnings: tuple[str, ...] = ()


def usable_methods(methods: Sequence[str], bundle: Bundle) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The methods that a bundle can do, and a sentence for each that it cannot.

    Raises
    ------
    BadInputError : none is left that segments.
    """
    usable = tuple(m for m in methods if m != "learned" or bundle.head is not None)
    left_out = tuple(
        f'method "{m}" is left out: bundle "{bundle.id}" has no deferral head' for m in methods if m not in usable
    )
    if not set(usable) - set(REFERENCES):
        raise BadInputError("; ".join(left_out) + "; add a method that needs no training, such as margin")
    return usable, left_out


def prepare_image(
    subject: Subject, classes: Sequence[str], bundle: Bundle, settings: EvaluationSettings
) -> EvaluatedImage:
    """Load an image, make its prompts and ask its experts.

    Box prompts are the tight boxes of each class in the truth, along the patient's axes, grown by the margin. What
    lies outside the volume is cut off when the box becomes an index range.

    Parameters
    ----------
    classes : names of the truth's labels 1, 2, ...

    Raises
    ------
    BadInputError : an empty truth for a segmentor that needs boxes, a network whose classes the data does not have, or
        no readings where readings are wanted.
    """
    case = _as_volume(subject.load())
    geometry = case.volume.geometry
    if bundle.needs_box:
        present = [n for n in range(1, len(classes) + 1) if np.any(case.truth == n)]
        if not present:
            raise BadInputError(f'the truth of "{subject.id}" is empty, so there is nothing to put a box around')
        boxes = [label_box(case.truth, n, geometry).grown(settings.margin_mm) for n in present]
        structures = make_structures((classes[n - 1], box) for n, box in zip(present, boxes, strict=True))
    else:
        present = [_class_number(name, classes, bundle.id) for name in bundle.classes]
        structures = make_structures((name, None) for name in bundle.classes)
    panel = convene(
        settings.experts, case.truth, case.readings, geometry.spacing[::-1], subject.id, settings.seed, bundle.head
    )
    table = np.zeros(256, dtype=np.uint8)
    table[present] = np.arange(1, len(present) + 1)
    panel = replace(panel, opinions=table[panel.opinions])
    return EvaluatedImage(subject.id, case.volume, table[case.truth], tuple(structures), panel, case.window)


@dataclass(frozen=True, eq=False)
class _Scan:
    """A loaded image as a volume, with its window if it is in 0..1 already."""

    volume: Volume
    truth: NDArray[np.uint8]
    readings: tuple[tuple[str, NDArray[np.uint8]], ...]
    window: tuple[float, float] | None = None


def _as_volume(loaded: LoadedCase | LoadedSlice) -> _Scan:
    """A case as it is; a picture as a volume of one slice with pixels of 1 mm, its colors averaged."""
    readings = tuple((reading.name, reading.labels) for reading in loaded.readings)
    if isinstance(loaded, LoadedCase):
        return _Scan(loaded.volume, loaded.truth, readings)
    gray = np.ascontiguousarray(loaded.image.mean(axis=0, dtype=np.float32)[None])
    rows, columns = gray.shape[1:]
    volume = Volume(gray, Geometry((columns, rows, 1), (SLICE_MM, SLICE_MM, SLICE_MM)), "other")
    return _Scan(volume, loaded.truth[None], tuple((name, labels[None]) for name, labels in readings), (0.5, 1.0))


def segment_image(
    image: EvaluatedImage,
    method: str,
    bundle: Bundle,
    make: Make,
    settings: EvaluationSettings,
    progress: Callable[[Progress], None] | None = None,
) -> Segmentation:
    """Segment an image with one method, exactly as `deferredseg segment` does.

    Raises
    ------
    BadInputError, DeviceError : as `segment_volume`.
    """
    options = SegmentOptions(
        _reference(bundle), method, settings.device, window=image.window, precision=settings.precision
    )
    experts = image.panel.experts
    made = segment_volume(image.volume, image.structures, experts, options, progress, make)
    if [s.name for s in made.structures] != [s.name for s in image.structures]:
        raise BadInputError(f'bundle "{bundle.id}" answered for other structures than it was asked for')
    work = worklist(
        made.probability, made.routing, made.error, made.structures, experts, image.volume.geometry, made.settings
    )
    warnings: tuple[Any, ...] = tuple(made.settings.get("warnings", ()))
    learned = made.settings.get("routing") == "learned"
    return Segmentation(method, label_of(made.probability), work, made.error, learned, made.timings, warnings)


def _reference(bundle: Bundle) -> Path:
    """What loads the same bundle again: its folder, or the checkpoint file that it was made of."""
    return bundle.folder if (bundle.folder / "bundle.json").is_file() else bundle.weights


def _class_number(name: str, classes: Sequence[str], bundle: str) -> int:
    """Number of a network's class in the data's truth, by its name."""
    for number, known in enumerate(classes, start=1):
        if known.strip().casefold() == name.strip().casefold():
            return number
    raise BadInputError(f'bundle "{bundle}" segments "{name}", but the data has {", ".join(classes)} alone')
