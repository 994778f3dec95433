"""Running the protocol: every slice of a split through every bundle, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...core.errors import BadInputError
from ..simulation import reader_generator
from .experts import SliceExperts, target_of
from .figures import SliceFigures
from .prompts import tight_box
from .rows import score_slice
from .slices import cut_slices

if TYPE_CHECKING:
    from pathlib import Path

    from ..datasets import Subject
    from ..slice_router import SliceRouter

Report = Callable[[str, int, int], None]
"""Told: stage, images done, images in all."""


@dataclass(frozen=True)
class Run:
    """One row of the seeds' average: a bundle, and the seed of the simulated experts that it meets."""

    router: SliceRouter
    seed: int

    @property
    def name(self) -> str:
        """For the tables."""
        return self.router.bundle.id


def pair_runs(routers: Sequence[SliceRouter], seeds: Sequence[int]) -> list[Run]:
    """A bundle for each seed, or one bundle with every seed; BadInputError for anything else."""
    if not routers or not seeds or len(set(seeds)) < len(seeds):
        raise BadInputError(f"{len(routers)} bundles and seeds {list(seeds)}, expected some of each, no seed twice")
    if len(routers) == 1:
        return [Run(routers[0], seed) for seed in seeds]
    if len(routers) != len(seeds):
        raise BadInputError(f"{len(routers)} bundles and {len(seeds)} seeds do not pair; give one bundle for each seed")
    return [Run(router, seed) for router, seed in zip(routers, seeds, strict=True)]


def choose_experts(router: SliceRouter, asked: str | None = None) -> SliceExperts:
    """The experts that a bundle meets: those it was trained with, or `asked`: a set of simulated ones or "readings".

    Raises
    ------
    BadInputError : an unknown set, one with too few experts, or a bundle that does not say what it was trained with.
    """
    which = asked or ("readings" if router.trained_with.get("readings") else router.trained_with.get("simulated"))
    if which == "readings":
        return SliceExperts(router.expert_ids)
    if not isinstance(which, str):
        raise BadInputError(f'bundle "{router.bundle.id}" does not say who its experts were; give --experts')
    return SliceExperts.simulated(which, router.settings.experts)


def run_protocol(
    runs: Sequence[Run],
    sources: Sequence[tuple[str, Path]],
    experts: str | None = None,
    split: str | None = "test",
    modalities: Sequence[str] = (),
    report: Report | None = None,
) -> Iterator[SliceFigures]:
    """Every row of every slice with a label, with the tight box of the union of all labels, batch 1.

    Simulated experts are drawn for split "test" whatever the split, so never as in training. An image is read once for
    all bundles that were trained with the same split of the patients.

    Parameters
    ----------
    sources : kind and folder of each data set; every bundle has its own validation patients. modalities : use these
        alone. experts : see `choose_experts`. split : of the data, or None for all. report : told about the progress.

    Raises
    ------
    BadInputError : no image in the split, or none with a label; see also `choose_experts`.
    """
    for run in runs:
        choose_experts(run.router, experts)
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(repr(run.router.trained_with.get("validation_every")), []).append(run)
    for members in groups.values():
        met = [choose_experts(run.router, experts) for run in members]
        work = [
            (kind, subject)
            for kind, folder in sources
            for subject in members[0].router.open_data(kind, folder).subjects()
            if (split is None or subject.split == split) and (not modalities or subject.modality in modalities)
        ]
        found = False
        for done, (kind, subject) in enumerate(work):
            if report is not None:
                report("slices", done, len(work))
            for figures in _image(members, met, kind, subject):
                found = True
                yield figures
        if not found:
            raise BadInputError(
                f'split "{split or "all"}" has {len(work)} images and none with a label: nothing to measure'
            )


def _image(runs: Sequence[Run], met: Sequence[SliceExperts], kind: str, subject: Subject) -> Iterator[SliceFigures]:
    """All rows of one image's slices. Runs whose slices are cut alike share them."""
    loaded = subject.load()
    groups: dict[str, list[int]] = {}
    for number, run in enumerate(runs):
        groups.setdefault(repr((run.router.settings.size, run.router.bundle.windows)), []).append(number)
    for members in groups.values():
        first = runs[members[0]].router
        for cut in cut_slices(loaded, first.settings.size, first.bundle.windows):
            name = f"{kind}/{subject.id}/{cut.number}"
            truth = target_of(cut.truth, None)
            box = tight_box(truth)
            answers = {}
            for member in members:
                run = runs[member]
                if id(run.router) not in answers:  # the same bundle with another seed answers alike
                    answers[id(run.router)] = run.router.route(cut.image, box)
                answer = answers[id(run.router)]
                masks = met[member].labels(cut, None, name, "test", run.seed)
                draws: np.random.Generator = reader_generator(name, "baselines", "test", run.seed)
                names = met[member].names
                for scored in score_slice(answer.probability, answer.leader, masks, truth, names, draws):
                    yield SliceFigures(run.name, run.seed, name, scored)
