"""Segmenting without prompts: nets that answer for their own classes, slice by slice or for the stack at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .deferral.base import DeferralMethod, SliceEvidence, ViewRun, VolumeRun, stored_probability
from .devices import memory_errors_as_advice
from .maps import Maps
from .progress import ProgressMeter, StepClock
from .segmentor import Encoding, Prediction, Segmentor
from .views import SliceView

if TYPE_CHECKING:
    from numpy.typing import NDArray

Gray = Callable[[int], "NDArray[np.float32]"]
"""Slice index to the slice view (H, W) in 0..1."""


def segment_stack(
    segmentor: Segmentor,
    gray: Gray,
    view: SliceView,
    count: int,
    method: DeferralMethod,
    maps: Maps,
    meter: ProgressMeter,
) -> dict[str, float]:
    """Give a 3D net all slices at once; returns seconds by stage. The stack is the one float32 copy of the volume."""
    meter.plan("volume", 1)
    if method.extra_encodings:
        meter.plan("defer", method.extra_encodings, like=("volume", 1.0))
    meter.report("segment")
    begun = time.perf_counter()
    stack = np.stack([gray(index) for index in range(count)])
    with memory_errors_as_advice(segmentor.device, "segmenting the volume"):
        logits = segmentor.decode(segmentor.encode(stack)[0], None).logits
        stored = np.empty((len(logits), count, *view.grid), dtype=np.uint8)
        for structure, volume in enumerate(logits):
            for index in range(count):
                stored[structure, index] = stored_probability(volume[index : index + 1], view)[0]
                maps.put(structure, index, view, stored[structure, index])
    del logits
    done = time.perf_counter()
    meter.did("volume", done - begun)
    step = StepClock(meter, "defer")
    meter.report("segment")
    for scores in method.score_volume(VolumeRun(segmentor, stack, view, stored, step)):
        maps.merge(scores.structure, view, scores)
    return {"encode": done - begun, "defer": time.perf_counter() - done}


def segment_slices(
    segmentor: Segmentor,
    gray: Gray,
    view: SliceView,
    count: int,
    method: DeferralMethod,
    maps: Maps,
    meter: ProgressMeter,
) -> dict[str, float]:
    """Give a 2D net one slice after another; returns seconds by stage."""
    meter.plan("encode", count)
    if method.extra_encodings:
        meter.plan("defer", count, like=("encode", float(method.extra_encodings)))
    meter.report("segment")
    step = StepClock(meter, "defer")
    classes = len(segmentor.classes)
    at_work = method.start(ViewRun(segmentor, view, classes, range(count), gray, step))
    begun = time.perf_counter()
    for index in range(count):
        started = time.perf_counter()
        image = gray(index)
        with memory_errors_as_advice(segmentor.device, "segmenting a slice"):
            encoding = segmentor.encode(image[None])[0]
            prediction = segmentor.decode(encoding, None, with_features=method.wants_features)
            stored = stored_probability(prediction.logits, view)
        for structure in range(classes):
            maps.put(structure, index, view, stored[structure])
            at_work.see(_evidence(structure, index, image, encoding, prediction, method.wants_features))
        meter.did("encode", time.perf_counter() - started)
        meter.report("segment")
    step.start()
    done = time.perf_counter()
    for scores in at_work.scores(lambda structure, index: maps.of_slice(structure, index, view)):
        maps.merge(scores.structure, view, scores)
    return {"encode": done - begun, "defer": time.perf_counter() - done}


def _evidence(
    structure: int, index: int, image: NDArray[np.float32], encoding: Encoding, prediction: Prediction, full: bool
) -> SliceEvidence:
    def one(part: Any) -> Any:
        return None if part is None else part[structure : structure + 1]

    single = Prediction(
        one(prediction.logits), one(prediction.features), one(prediction.low_res_logits), one(prediction.iou)
    )
    return SliceEvidence(structure, index, image if full else None, None, encoding, single)
