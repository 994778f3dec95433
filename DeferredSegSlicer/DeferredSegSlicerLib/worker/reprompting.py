"""What the worker keeps between questions about one case: its maps, and the encodings of its slices."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch

from ..core.case import open_case
from ..core.errors import BadInputError
from ..engine.bundles import Bundle, load_bundle
from ..engine.devices import resolve_device
from ..engine.reprompting import Reprompter, check_bundle
from ..engine.segmentor import Segmentor
from .protocol import Progress
from .reprompt_files import read_region, write_answer
from .reprompt_messages import Alternatives, Reprompt

STAGE = "reprompt"

MakeSegmentor = Callable[[Bundle, torch.device], Segmentor]
Report = Callable[[Progress], None]


class Reprompts:
    """Answers questions about regions; the last case stays warm, since the next question is mostly about it."""

    def __init__(self, make: MakeSegmentor) -> None:
        self._make = make
        self._reprompter: Reprompter | None = None
        self._segmentor: Segmentor | None = None
        self._key: tuple[str, ...] = ()

    def answer(self, request: Reprompt, report: Report) -> Alternatives:
        """Write the file with the labelings.

        Raises
        ------
        BadInputError : no such case, region, structure or bundle, or the case was made by another network.
        DamagedCaseError, DeviceError : as their names say.
        """
        begun = time.perf_counter()
        report(Progress(request.job, "read", 0, 1, None))
        place = Path(request.answer)
        if not place.parent.is_dir():
            raise BadInputError(f'"{place}" cannot be written: its folder does not exist')
        reprompter = self._of_case(request)
        region = read_region(Path(request.region), reprompter.case)
        ready = time.perf_counter()

        def step(done: int, total: int) -> None:
            left = (time.perf_counter() - ready) / done * (total - done)
            report(Progress(request.job, STAGE, done, total, left))

        options = request.options
        found = reprompter.ask(request.structure, region.indices, options.margin_mm, options.most, step)
        write_answer(place, reprompter.case, request.structure, found.alternatives, found.refused)
        timings = {"read": ready - begun, STAGE: time.perf_counter() - ready}
        return Alternatives(request.job, request.answer, len(found.alternatives), timings)

    def clear(self) -> None:
        """Let go of the case, its encodings and the network."""
        reprompter, self._reprompter, self._segmentor, self._key = self._reprompter, None, None, ()
        if reprompter is not None:
            reprompter.close()

    def _of_case(self, request: Reprompt) -> Reprompter:
        """The case of a request, opened unless it is the one of before; its files never change once written."""
        case = open_case(request.case)
        bundle = load_bundle(request.bundle)
        check_bundle(case, bundle)
        device = resolve_device(request.options.device)
        key = (str(case.folder), case.id, str(bundle.folder), str(device))
        if key != self._key:
            self.clear()  # first, so that two networks are never held
        segmentor = self._make(bundle, device)
        if self._reprompter is None or segmentor is not self._segmentor:
            self.clear()
            self._reprompter, self._segmentor, self._key = Reprompter(case, segmentor), segmentor, key
        return self._reprompter
