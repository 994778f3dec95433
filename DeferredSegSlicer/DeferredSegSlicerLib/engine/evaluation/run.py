"""The run over all images: finished ones are kept, failing ones are listed, and the rest goes on."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...core.errors import BadInputError, DeferredSegError
from ..bundles import Bundle
from ..progress import Progress
from ..remembering import RememberingSegmentor
from .cases import EvaluatedImage, Make, Segmentation, prepare_image, segment_image, usable_methods
from .figures import calibration_rows, detection_rows, histogram_of, reliability_of, review_rows, zone_rows
from .pace import PassMeter
from .ranking import Ranking, oracle_ranking, random_ranking, routed_ranking
from .record import CaseRecord, Choice, Histogram, Reliability, Row, read_record, write_record
from .settings import REFERENCES, EvaluationSettings, fingerprint
from .system import System, agreement_rows, oracle_rows, random_rows, reference_rows, routed_rows

if TYPE_CHECKING:
    import torch

    from ..datasets import Dataset, Subject

KEPT = "cases"
"""Subfolder of the output for one file a finished case."""


@dataclass(frozen=True, eq=False)
class Source:
    """A data set and those of its images that are evaluated. folder : as the user gave it."""

    dataset: Dataset
    folder: str
    subjects: tuple[Subject, ...]


@dataclass(frozen=True)
class Failure:
    """An image that could not be evaluated, why, and the exit code that its error stands for."""

    id: str
    sentence: str
    exit_code: int


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a run found. records : by data set and id. left_out : a sentence for each method that the bundle lacks.

    reused : how many records were kept from an earlier run.
    """

    records: tuple[CaseRecord, ...]
    failures: tuple[Failure, ...]
    left_out: tuple[str, ...]
    reused: int = 0


def evaluate(
    bundle: Bundle,
    sources: Sequence[Source],
    settings: EvaluationSettings,
    folder: Path,
    resume: bool = True,
    progress: Callable[[Progress], None] | None = None,
    make: Make = Bundle.make_segmentor,
) -> Evaluation:
    """Evaluate every image of the sources; each finished one is written to `folder`/cases at once.

    Parameters
    ----------
    resume : take over finished cases that were made with the same settings, bundle, data folder and code.
    progress : told after every slice; what it raises ends the run, and what is finished stays.
    make : makes the bundle's segmentor, once for the whole run.

    Raises
    ------
    BadInputError : no method that the bundle can do, two images of one id, or a folder that cannot be written.
    """
    methods, left_out = usable_methods(settings.methods, bundle)
    passes = [method for method in methods if method not in REFERENCES]
    todo = [(source, subject) for source in sources for subject in source.subjects]
    paths = _places([subject.id for _, subject in todo], folder / KEPT)
    maker = _Once(make)
    meter = PassMeter(progress, len(todo) * len(passes))
    records: list[CaseRecord] = []
    failures: list[Failure] = []
    reused = 0
    for (source, subject), path in zip(todo, paths, strict=True):
        dataset = source.dataset
        key = fingerprint(settings, bundle.to_json(), {"kind": dataset.kind, "folder": source.folder})
        kept = read_record(path, key) if resume else None
        if kept is not None:
            records.append(kept)
            reused += 1
            meter.skip(len(passes))
            continue
        meter.begin(subject.id, len(passes))
        try:
            image = prepare_image(subject, dataset.classes, bundle, settings)
            made = [
                segment_image(image, name, bundle, maker, settings, meter.slice_done) for name in meter.over(passes)
            ]
            record = _record(key, image, subject, dataset.kind, made, methods, settings)
        except Exception as error:  # one image must not cost the others: it is listed, and the exit code says so
            code = error.exit_code if isinstance(error, DeferredSegError) else 1
            said = " ".join(str(error).split()) or "no message"
            words = said if isinstance(error, DeferredSegError) else f"unexpected {type(error).__name__}: {said}"
            failures.append(Failure(subject.id, words, code))
            meter.abandon()
            continue
        finally:
            maker.forget()
        write_record(path, record)
        records.append(record)
    return Evaluation(tuple(records), tuple(failures), left_out, reused)


def _record(
    key: str,
    image: EvaluatedImage,
    subject: Subject,
    dataset: str,
    made: Sequence[Segmentation],
    methods: Sequence[str],
    settings: EvaluationSettings,
) -> CaseRecord:
    """All figures of one image. Random deferral and the oracle work on the first method's zone and labels."""
    rows: list[Row] = []
    rankings: list[Ranking] = []
    reliability: dict[str, Reliability] = {}
    choices: dict[tuple[str, float], Choice] = {}
    first = System(image, made[0], settings.seed)
    wrong_anywhere = int(np.count_nonzero(made[0].label != image.truth))
    rows += zone_rows(first.wrong, wrong_anywhere) + reference_rows(first)
    if settings.experts == "readings":
        rows += agreement_rows(first)
    for one in made:
        system = System(image, one, settings.seed)
        rankings.append(routed_ranking(one.method, one.work, system.wrong))
        error = one.error.reshape(-1)[one.work.zone.indices]
        rows += calibration_rows(one.method, error, system.wrong)
        reliability[one.method] = reliability_of(error, system.wrong)
        routed, chosen = routed_rows(system, settings.budgets)
        rows += routed + review_rows(one.method, one.work, settings.budgets)
        choices |= chosen
    if "random" in methods:
        rankings.append(random_ranking(first.wrong))
        rows += random_rows(first, settings.budgets)
    if "oracle" in methods:
        rankings.append(oracle_ranking(first.wrong, first.mendable))
        rows += oracle_rows(first, settings.budgets)
    histograms: dict[str, Histogram] = {}
    for ranking in rankings:
        rows += detection_rows(ranking, settings.budgets)
        histograms[ranking.method] = histogram_of(ranking)
    return CaseRecord(
        key=key,
        id=subject.id,
        patient=subject.patient,
        modality=subject.modality,
        dataset=dataset,
        split=subject.split,
        experts=tuple(expert.id for expert in image.panel.experts),
        rows=tuple(rows),
        histograms=histograms,
        reliability=reliability,
        choices=choices,
        notes=_notes(made),
        seconds={one.method: one.seconds.get("total", 0.0) for one in made},
    )


def _notes(made: Sequence[Segmentation]) -> tuple[str, ...]:
    """What a reader of the figures should know of this image."""
    notes = list(made[0].warnings)
    for one in made:
        if one.method == "learned" and not one.learned_experts:
            notes.append("the bundle's head knows other experts, so declared competence decides to whom")
        differing = int(np.count_nonzero(one.label != made[0].label))
        if differing:
            notes.append(
                f'the model\'s labels under "{one.method}" differ from those under "{made[0].method}" in {differing} '
                f"voxels; each method is judged by its own"
            )
    return tuple(notes)


def _places(ids: Sequence[str], folder: Path) -> list[Path]:
    """A file for each image; BadInputError if two would have the same."""
    names = [re.sub(r"[^A-Za-z0-9._-]+", "_", one).lstrip(".") or "image" for one in ids]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInputError(f'two images are called "{twice[0]}"; evaluate their data sets into different folders')
    return [folder / f"{name}.json" for name in names]


class _Once:
    """Makes a segmentor at the first call and gives the same one, with its memory, afterwards."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self._made: RememberingSegmentor | None = None

    def __call__(self, bundle: Bundle, device: torch.device, precision: str) -> RememberingSegmentor:
        if self._made is None:
            self._made = RememberingSegmentor(self._make(bundle, device, precision))
        return self._made

    def forget(self) -> None:
        """Let go of the image's encodings."""
        if self._made is not None:
            self._made.forget()
