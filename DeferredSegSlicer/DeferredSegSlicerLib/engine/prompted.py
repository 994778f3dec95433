"""Segmenting with box prompts: view by view, structure by structure, slice by slice."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .deferral.base import FOREGROUND, DeferralMethod, SliceEvidence, ViewRun, stored_probability
from .devices import memory_errors_as_advice
from .encodings import EncodingStore
from .maps import Maps
from .progress import ProgressMeter, StepClock
from .propagate import Propagation, extent_of, propagate, without_crumbs
from .segmentor import Encoding, Prediction, Segmentor
from .views import IndexBox, SliceView
from .windowing import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Prompt:
    """A structure's box in display indices and the slice view that it is seen through."""

    structure: int
    box: IndexBox
    view: SliceView

    @property
    def slices(self) -> range:
        """Display indices of the box's slices."""
        return range(self.box.first[0], self.box.stop[0])


@dataclass(frozen=True)
class _Look:
    encoding: Encoding
    prediction: Prediction
    box: NDArray[np.float32]
    stored: NDArray[np.uint8]


class PromptedRun:
    """Fills the maps for all prompts; every slice of a view is encoded once for all structures that share the view.

    slices : the volume as displayed, (slice, row, column), in its own type. spacing : mm between them.
    """

    def __init__(
        self,
        segmentor: Segmentor,
        slices: NDArray[Any],
        window: Window,
        method: DeferralMethod,
        how: Propagation,
        maps: Maps,
        meter: ProgressMeter,
        spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> None:
        self.segmentor = segmentor
        self.slices = slices
        self.window = window
        self.method = method
        self.how = how
        self.maps = maps
        self.meter = meter
        self.spacing = spacing
        self.timings: dict[str, float] = defaultdict(float)
        self.encoded = 0

    def run(self, prompts: Sequence[Prompt]) -> None:
        """Segment and score every prompt."""
        views: dict[SliceView, list[Prompt]] = {}
        for prompt in prompts:
            views.setdefault(prompt.view, []).append(prompt)
        for members in views.values():
            together = len(set().union(*(prompt.slices for prompt in members)))
            self.meter.plan("encode", together)
            self.meter.plan("decode", sum(len(prompt.slices) for prompt in members))
            if self.method.extra_encodings:
                self.meter.plan("defer", together, like=("encode", float(self.method.extra_encodings)))
        for view, members in views.items():
            self._run_view(view, members)

    def _gray(self, view: SliceView, index: int) -> NDArray[np.float32]:
        return view.resampled(self.window.apply(self.slices[index][view.window]))

    def _run_view(self, view: SliceView, members: list[Prompt]) -> None:
        gray = partial(self._gray, view)
        union = set().union(*(prompt.slices for prompt in members))
        seen: set[int] = set()
        step = StepClock(self.meter, "defer")
        indices = range(min(union), max(union) + 1)
        boxes = tuple(prompt.box for prompt in members)
        run = ViewRun(self.segmentor, view, len(members), indices, gray, step, boxes, self.spacing)
        at_work = self.method.start(run)
        with EncodingStore(self.segmentor, gray, with_images=self.method.wants_features) as store:
            for number, prompt in enumerate(members):
                steps = propagate(
                    prompt.box.first[0],
                    prompt.box.stop[0],
                    prompt.box.rectangle,
                    view.pixels_per_network_pixel,
                    partial(self._look, store, prompt),
                    partial(_extent, view, self.how.crumb),
                    self.how,
                )
                looked = 0
                for one in steps:
                    answer = one.answer
                    self.maps.put(prompt.structure, one.index, view, answer.stored)
                    image = gray(one.index) if self.method.wants_features else None
                    evidence = SliceEvidence(number, one.index, image, answer.box, answer.encoding, answer.prediction)
                    begun = time.perf_counter()
                    at_work.see(evidence)
                    self.timings["defer"] += time.perf_counter() - begun
                    seen.add(one.index)
                    looked += 1
                    self.meter.report("segment")
                self.meter.skip("decode", len(prompt.slices) - looked)
            self.meter.skip("encode", len(union) - store.encoded)
            self.encoded += store.encoded
        if self.method.extra_encodings:
            self.meter.skip("defer", len(union) - len(seen))
        step.start()
        begun = time.perf_counter()
        for scores in at_work.scores(lambda number, index: self.maps.of_slice(members[number].structure, index, view)):
            self.maps.merge(members[scores.structure].structure, view, scores)
        self.timings["defer"] += time.perf_counter() - begun

    def _look(self, store: EncodingStore, prompt: Prompt, index: int, rectangle: Any, direction: int) -> _Look:
        begun, before = time.perf_counter(), store.encoded
        ahead = range(index + direction, prompt.box.stop[0] if direction > 0 else prompt.box.first[0] - 1, direction)
        encoding = store.get(index, ahead)
        encoded = time.perf_counter()
        box = prompt.view.to_view(rectangle)
        with memory_errors_as_advice(self.segmentor.device, "decoding a slice"):
            prediction = self.segmentor.decode(encoding, box[None], with_features=self.method.wants_features)
            stored = stored_probability(prediction.logits, prompt.view)[0]
        done = time.perf_counter()
        self.timings["encode"] += encoded - begun
        self.timings["decode"] += done - encoded
        if store.encoded > before:
            self.meter.did("encode", encoded - begun, store.encoded - before)
        self.meter.did("decode", done - encoded)
        return _Look(encoding, prediction, box, stored)


def _extent(view: SliceView, crumb: float, look: _Look) -> NDArray[np.float32] | None:
    """Display rectangle of the label without its crumbs."""
    found = extent_of(without_crumbs(look.stored >= FOREGROUND, crumb))
    return None if found is None else found + np.array([view.columns[0], view.rows[0]] * 2, dtype=np.float32)
