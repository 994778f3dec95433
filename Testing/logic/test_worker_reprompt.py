"""Labelings from the module's worker: asked for a region, told when they come, and no harm when they do not."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from DeferredSegSlicerLib.core.case import Case
from DeferredSegSlicerLib.core.regions import Region
from DeferredSegSlicerLib.core.review import Candidate
from DeferredSegSlicerLib.logic.module_logic import ModuleLogic
from DeferredSegSlicerLib.logic.review import ReviewLogic
from DeferredSegSlicerLib.logic.review.worker_reprompt import WorkerReprompt
from DeferredSegSlicerLib.worker.client import Patience, State, WorkerClient
from plain_services import PlainServices

from .conftest import CLERK

ASKED = Path(__file__).parents[1] / "worker" / "asked.py"
MODEL = {"id": "litemedsam", "sha256": "0" * 64, "name": "LiteMedSAM", "license": "Apache-2.0"}


@dataclass
class Bench:
    """A case that is open in the scene, and what asks the worker about it."""

    module: ModuleLogic
    reprompt: WorkerReprompt
    services: PlainServices
    notes: Path
    found: list[Sequence[Candidate]] = field(default_factory=list)
    failures: list[Any] = field(default_factory=list)

    @property
    def regions(self) -> list[Region]:
        assert self.module.shown is not None
        return list(self.module.shown.regions)

    def ask(self, number: int = 0) -> Callable[[], None]:
        """Ask about a region of the liver."""
        return self.reprompt(self.regions[number], self.found.append)

    def wait(self, condition: Callable[[], bool]) -> None:
        self.services.run_until(condition, 60)


@pytest.fixture
def a_bench(
    scene: Any, services: PlainServices, tmp_path: Path, write_a_case: Callable[..., Case]
) -> Iterator[Callable[..., Bench]]:
    """Makes benches with a worker that behaves as told."""
    made: list[ModuleLogic] = []

    def make(behavior: str, script: Path = ASKED, model: dict[str, str] = MODEL, boxes: bool = True) -> Bench:
        settings = {"zone_floor": 0.02, "zone_band_mm": 10, "min_region_ml": 0.0, "min_region_voxels": 4}
        case = write_a_case(tmp_path / "case", model=model, settings=settings)
        if not boxes:
            structures = [replace(s, box=None) for s in case.structures]
            case = write_a_case(tmp_path / "boxless", model=model, settings=settings, structures=structures)
        notes = tmp_path / "notes"
        command = [sys.executable, str(script), behavior, str(notes)]
        patience = Patience(startup=60.0, silence=20.0, leave=2.0)
        client = functools.partial(WorkerClient, command=command, patience=patience)
        reprompt = WorkerReprompt(services, client)
        module = ModuleLogic(scene, services, reprompt.client)
        made.append(module)
        module.open_case(case.folder, budget=0.5)
        bench = Bench(module, reprompt.follow(module), services, notes)
        module.failed.connect(bench.failures.append)
        assert len(bench.regions) > 1
        return bench

    yield make
    for module in made:
        module.close()


def test_the_worker_is_started_and_its_labelings_come_on_the_voxels_of_the_region(
    a_bench: Callable[..., Bench],
) -> None:
    bench = a_bench("label all")
    assert bench.module.worker_state is State.STOPPED and bench.reprompt.hindrance == ""
    bench.ask()
    assert bench.found == [], "it returns at once"
    bench.wait(lambda: bool(bench.found))
    ((candidate,),) = bench.found
    assert candidate.name == "re-prompt: mask 3" and candidate.labels.dtype == np.uint8
    assert candidate.labels.tolist() == [1] * len(bench.regions[0].indices)
    assert bench.services.requests == [] and bench.reprompt.problem == "" and bench.failures == []
    bench.ask(1)
    bench.wait(lambda: len(bench.found) == 2)
    assert len(bench.found[1][0].labels) == len(bench.regions[1].indices)


def test_a_reader_is_offered_them_and_takes_one(a_bench: Callable[..., Bench], services: PlainServices) -> None:
    bench = a_bench("label all")
    review = ReviewLogic(bench.module, services, reprompt=bench.reprompt)
    review.begin("Zoë")
    review.go_to(bench.regions[0].id)
    review.alternatives(draw=False)
    bench.wait(lambda: any(option.name == "re-prompt: mask 3" for option in review.offered))
    (option,) = (o for o in review.offered if o.name == "re-prompt: mask 3")
    change = review.take(option.number)
    assert change.entry.decision.name == "re-prompt: mask 3"
    assert set(review.session.labels.reshape(-1)[bench.regions[0].indices].tolist()) == {1}
    review.close()


def test_who_does_not_wait_any_more_hears_nothing_and_the_worker_is_told(a_bench: Callable[..., Bench]) -> None:
    bench = a_bench("until forgotten")
    bench.module.start_worker()
    bench.wait(lambda: bench.module.worker_state is State.READY)
    stop = bench.ask()
    assert len(bench.services.requests) == 1
    stop()
    stop()
    bench.wait(bench.notes.exists)
    assert bench.services.requests == [] and bench.found == []
    first = bench.ask(0)
    bench.ask(1)
    first()  # of a question that has gone: the one after it stays
    bench.wait(lambda: len(bench.notes.read_text(encoding="utf-8").split()) == 2)
    assert len(bench.services.requests) == 1 and bench.found == []


def test_a_model_that_is_not_installed_is_named_and_nothing_is_proposed(a_bench: Callable[..., Bench]) -> None:
    bench = a_bench("label all", model=MODEL | {"id": "of-another-hospital"})
    assert 'model "of-another-hospital" is not installed' in bench.reprompt.hindrance
    stop = bench.ask()
    assert bench.found == []
    bench.wait(lambda: bool(bench.found))
    bench.services.run_for(0.05)
    assert bench.found == [()] and "not installed" in bench.reprompt.problem
    assert bench.module.worker_state is State.STOPPED and bench.services.requests == []
    stop()
    bench.ask()()
    bench.services.run_for(0.05)
    assert bench.found == [()], "stopped before it was told"


def test_an_older_worker_is_not_asked(a_bench: Callable[..., Bench]) -> None:
    bench = a_bench("work", CLERK)
    bench.ask()
    bench.wait(lambda: bool(bench.found))
    assert bench.found == [()] and "older version" in bench.reprompt.problem
    assert "older version" in bench.reprompt.hindrance and bench.failures == []
    bench.ask()
    bench.wait(lambda: len(bench.found) == 2)
    assert bench.services.requests == [] and bench.module.worker_state is State.READY


def test_a_structure_without_a_box_and_a_module_without_a_case_cannot_be_asked_about(
    a_bench: Callable[..., Bench],
) -> None:
    bench = a_bench("label all", boxes=False)
    region = bench.regions[0]
    bench.ask()
    bench.wait(lambda: bool(bench.found))
    assert bench.found == [()] and "has no box" in bench.reprompt.problem
    bench.module.close_case()
    bench.reprompt(region, bench.found.append)
    bench.wait(lambda: len(bench.found) == 2)
    assert "no case is open" in bench.reprompt.problem


@pytest.mark.parametrize(
    ("behavior", "words", "told"),
    [("error", "is not in the case", 0), ("label another", "of another case", 0), ("kill", "SIGKILL", 1)],
)
def test_what_goes_wrong_is_said_once_and_nothing_is_proposed(
    a_bench: Callable[..., Bench], behavior: str, words: str, told: int
) -> None:
    bench = a_bench(behavior)
    bench.ask()
    bench.wait(lambda: bool(bench.found))
    bench.services.run_for(0.3)
    assert bench.found == [()] and words in bench.reprompt.problem
    assert len(bench.failures) == told and bench.services.requests == []


def test_a_worker_that_is_stopped_leaves_nobody_waiting(a_bench: Callable[..., Bench]) -> None:
    bench = a_bench("until forgotten")
    bench.module.start_worker()
    bench.wait(lambda: bench.module.worker_state is State.READY)
    bench.ask()
    bench.module.stop_worker()
    assert bench.found == [()] and bench.services.requests == [] and bench.failures == []
