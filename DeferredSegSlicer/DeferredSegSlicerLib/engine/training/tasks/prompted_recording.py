"""Recording all training and validation samples of a configuration, each once, whoever asks again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ....core.atomic import write_text
from ....core.errors import BadInputError
from ....core.segment_boxes import label_box
from ....core.structures import Box, make_structures
from ....core.volume import Volume
from ...bundles import Bundle
from ...datasets import LoadedCase, Subject
from ...devices import resolve_device
from ...propagate import Propagation
from ...remembering import RememberingSegmentor
from ...segmentor import Segmentor
from ...simulation import simulate_readers
from ...views import Display
from ...windowing import choose_window
from ..config import TrainingConfig
from ..task import Report
from .prompted_samples import Sample, find_sample, record, sample_key, write_sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .prompted import PromptedOptions

Scalar = TypeVar("Scalar", bound=np.generic)

INSIDE_MM = 0.01
"""How far inside the volume's faces a grown box is cut."""


@dataclass
class Recording:
    """What was recorded. readers : names of the agents but the model. subjects : that were used."""

    training: list[Sample] = field(default_factory=list)
    validation: list[Sample] = field(default_factory=list)
    readers: tuple[str, ...] = ()
    subjects: list[Subject] = field(default_factory=list)


@dataclass(frozen=True)
class Variant:
    """One prompt for a structure. number : 0 is the one that validates. mirrored : left and right exchanged."""

    number: int
    mirrored: bool

    def margins(self, options: PromptedOptions, seed: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How far the low and the high faces are moved outward, mm along R, A and S."""
        if self.number == 0 and not self.mirrored:
            fixed = np.full(3, float(options.prompts.margin_mm))
            return fixed, fixed
        words = np.frombuffer(f"{seed} {self.number} {self.mirrored}".encode(), dtype=np.uint8)
        draws = np.random.default_rng(words.tolist()).uniform(0, options.prompts.largest_margin_mm, (2, 3))
        return draws[0], draws[1]

    @property
    def propagation(self) -> Propagation:
        """How the box follows from slice to slice: as users have it, or hardly at all."""
        return Propagation() if self.number % 3 or self.number == 0 else Propagation(trust=0.0)


def record_all(
    config: TrainingConfig, options: PromptedOptions, bundle: Bundle, cache: Path, report: Report
) -> Recording:
    """Find or make every sample; a run that is stopped goes on where it was."""
    made = Recording(readers=_names(config))
    maker = _Maker(config, options, bundle, cache)
    work: list[tuple[str, Subject]] = []
    for data in config.data:
        found = data.open(config.seed)
        if found.planar:
            raise BadInputError(f'data of kind "{found.kind}" are single slices; use task "slices" for them')
        for split in ("train", "validation"):
            subjects = found.subjects(split)  # type: ignore[arg-type]
            work += [
                (found.kind, subject)
                for subject in subjects
                if data.modalities is None or subject.modality in data.modalities
            ]
    for number, (kind, subject) in enumerate(work):
        report("record", number, len(work))
        samples = maker.samples_of(kind, subject)
        (made.training if subject.split == "train" else made.validation).extend(samples)
        made.subjects.append(subject)
    report("record", len(work), len(work))
    return made


def _names(config: TrainingConfig) -> tuple[str, ...]:
    readers = config.experts.readers()
    return tuple(r.name for r in readers) or tuple(f"reader-{n + 1}" for n in range(config.experts.count))


class _Maker:
    """Makes the samples of one subject after the other with one segmentor."""

    def __init__(self, config: TrainingConfig, options: PromptedOptions, bundle: Bundle, cache: Path) -> None:
        self.config = config
        self.options = options
        self.bundle = bundle
        self.cache = cache

    @cached_property
    def segmentor(self) -> Segmentor:
        """Loaded when the first sample has to be made."""
        return self.bundle.make_segmentor(resolve_device(self.config.training.device))

    def samples_of(self, kind: str, subject: Subject) -> list[Sample]:
        """One for each structure and prompt; a subject is only read if one of them is missing."""
        index = sample_key(subject=subject.id, kind=kind, purpose="index", **self._settings(subject))
        listed = self.cache / f"{index}.txt"
        if listed.is_file():
            found = [find_sample(self.cache, key) for key in listed.read_text(encoding="utf-8").split()]
            if all(found):
                return [sample for sample in found if sample is not None]
        case = subject.load()
        if not isinstance(case, LoadedCase):
            raise BadInputError(f'subject "{subject.id}" is no volume')
        keys = self._record(kind, subject, case)
        self.cache.mkdir(parents=True, exist_ok=True)
        write_text(listed, "\n".join(keys) + "\n")
        return [sample for key in keys if (sample := find_sample(self.cache, key)) is not None]

    def _settings(self, subject: Subject) -> dict[str, object]:
        experts = self.config.experts
        return {
            "bundle": self.bundle.sha256,
            "split": subject.split,
            "prompts": self.options.prompts.model_dump(),
            "draws": self.options.draws,
            "experts": experts.model_dump(),
            "seed": self.config.seed,
        }

    def _variants(self, subject: Subject) -> list[Variant]:
        if subject.split != "train":
            return [Variant(0, False)]
        sides = (False, True) if self.options.prompts.mirrored else (False,)
        return [Variant(n, mirrored) for mirrored in sides for n in range(self.options.prompts.variants)]

    def _record(self, kind: str, subject: Subject, case: LoadedCase) -> list[str]:
        keys = []
        mirrored: bool | None = None
        segmentor: RememberingSegmentor | None = None
        for variant in self._variants(subject):
            if variant.mirrored != mirrored:
                mirrored, segmentor = variant.mirrored, RememberingSegmentor(self.segmentor)
                shown = _mirrored(case) if mirrored else case
                readers = self._readings(subject, shown)
            assert segmentor is not None
            for number in np.unique(shown.truth[shown.truth > 0]):
                key = sample_key(
                    subject=subject.id,
                    kind=kind,
                    structure=int(number),
                    variant=vars(variant),
                    **self._settings(subject),
                )
                if find_sample(self.cache, key) is None:
                    arrays = self._sample(subject, shown, readers, int(number), variant, segmentor)
                    if arrays is None:
                        continue
                    write_sample(self.cache, key, subject.id, arrays)
                keys.append(key)
        return keys

    def _readings(self, subject: Subject, case: LoadedCase) -> list[NDArray[np.uint8]]:
        """Labels of the readers (J, k, j, i), once for each draw."""
        experts = self.config.experts
        if experts.readings:
            if len(case.readings) != experts.count:
                raise BadInputError(
                    f'"{subject.id}" has {len(case.readings)} readers, expected {experts.count} as configured'
                )
            return [np.stack([reading.labels for reading in case.readings])]
        spacing = case.volume.geometry.spacing[::-1]
        draws = self.options.draws if subject.split == "train" else 1
        return [
            simulate_readers(case.truth, spacing, experts.readers(), subject.id, subject.split, self.config.seed + draw)
            for draw in range(draws)
        ]

    def _sample(
        self,
        subject: Subject,
        case: LoadedCase,
        readers: Sequence[NDArray[np.uint8]],
        number: int,
        variant: Variant,
        segmentor: Segmentor,
    ) -> dict[str, NDArray[np.generic]] | None:
        volume, geometry = case.volume, case.volume.geometry
        tight = label_box(case.truth, number, geometry)
        low, high = variant.margins(self.options, f"{self.config.seed} {subject.id} {number}")
        structure = make_structures([(str(number), _cut(tight, low, high, volume))])[0]
        assert structure.box is not None
        display = Display.of(geometry)
        slices = display.show(volume.image)
        window = choose_window(slices, volume.modality, None, self.bundle.windows.get(volume.modality))
        return record(
            segmentor,
            slices,
            display,
            window,
            display.box_of(*structure.box.index_range(geometry)),
            variant.propagation,
            case.truth == number,
            [draw == number for draw in readers],
            geometry,
        )


def _cut(tight: Box, low: NDArray[np.float64], high: NDArray[np.float64], volume: Volume) -> Box:
    """A box with its faces moved outward, but not out of the volume."""
    bounds = volume.geometry.bounds_ras
    lowest = np.maximum(np.array(tight.low) - low, bounds[0] + INSIDE_MM)
    highest = np.minimum(np.array(tight.high) + high, bounds[1] - INSIDE_MM)
    return Box(tuple(lowest.tolist()), tuple(highest.tolist()))


def _mirrored(case: LoadedCase) -> LoadedCase:
    """Image and labels reversed along the index axis nearest to left-right, on the same grid."""
    geometry = case.volume.geometry
    axis = 2 - next(n for n, direction in enumerate(geometry.anatomical_axes) if direction == 0)

    def flip(array: NDArray[Scalar]) -> NDArray[Scalar]:
        return np.ascontiguousarray(np.flip(array, axis))

    readings = tuple(replace(reading, labels=flip(reading.labels)) for reading in case.readings)
    return replace(
        case, volume=replace(case.volume, image=flip(case.volume.image)), truth=flip(case.truth), readings=readings
    )  # type: ignore[arg-type]
