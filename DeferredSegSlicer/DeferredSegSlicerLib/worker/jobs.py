"""What the worker does: say what it can compute with, make a case of a request, answer questions about regions."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import torch

from .. import __version__
from ..core.case import check_target, write_case
from ..core.errors import BadInputError, DeferredSegError, DeviceError
from ..core.experts import load_experts
from ..core.prompts import read_prompts
from ..core.volume import Modality, Volume, read_volume
from ..engine import pipeline
from ..engine.bundles import Bundle, load_bundle
from ..engine.devices import resolve_device, self_test
from ..engine.segmentor import Segmentor
from ..engine.versions import software_versions
from .faults import explain, ran_out_of_memory
from .protocol import REQUESTS, Error, Hello, Options, Progress, Result, Segment, SelfTest
from .reprompt_messages import REQUESTS_KEY, Alternatives, NotWantedError, Reprompt
from .reprompting import Reprompts
from .staging import Staging, stamped

Report = Callable[[Progress], None]

_log = logging.getLogger(__name__)


class Warm:
    """Keeps the last segmentor, since the next job mostly wants the same one."""

    def __init__(self) -> None:
        self._key: tuple[str, ...] = ()
        self._segmentor: Segmentor | None = None

    def __call__(self, bundle: Bundle, device: torch.device, precision: str = "auto") -> Segmentor:
        """The segmentor of a bundle on a device, loaded if it is not the one from before."""
        key = (str(bundle.folder), bundle.sha256, str(device), precision)
        if self._segmentor is None or key != self._key:
            self.clear()  # first, so that two networks are never held
            self._segmentor, self._key = bundle.make_segmentor(device, precision), key
        return self._segmentor

    def clear(self) -> None:
        """Let go of the segmentor and of the GPU memory that torch keeps for later."""
        self._segmentor, self._key = None, ()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


class Jobs:
    """Does one job at a time, on one thread (cuDNN keeps its plans by thread)."""

    def __init__(self, log_path: str | None) -> None:
        self._log_path = log_path
        self._warm = Warm()
        self._reprompts = Reprompts(self._warm)
        self._staging: Staging | None = None

    def hello(self, device: str) -> Hello:
        """Versions, and a small real convolution on the device."""
        begun = time.perf_counter()
        name, passed, message = _tested(device)
        test = SelfTest(passed, message, time.perf_counter() - begun)
        versions = software_versions() | {"deferredseg": __version__, REQUESTS_KEY: " ".join(REQUESTS)}
        return Hello(versions, name, test, os.getpid())

    def warm_up(self, bundle: str, device: str) -> None:
        """Load a bundle before a job asks for it. What goes wrong is logged; the job that needs it will tell."""
        try:
            self._warm(load_bundle(bundle), resolve_device(device))
        except Exception:
            _log.exception('bundle "%s" could not be loaded ahead of time', bundle)

    def run(self, segment: Segment, report: Report) -> Result | Error:
        """Do a job; an error is an answer too."""
        begun = time.perf_counter()
        self._reprompts.clear()
        try:
            timings = self._case(segment, report)
        except Exception as error:  # the one place where everything becomes a message
            return self._explained(error, segment.job, segment.options.device)
        _log.info("job %s done in %.1f s", segment.job, time.perf_counter() - begun)
        return Result(segment.job, segment.case, timings | {"total": time.perf_counter() - begun})

    def reprompt(self, request: Reprompt, report: Report) -> Alternatives | Error | None:
        """Answer a question about a region; None if nobody wants the answer any more (`NotWantedError`)."""
        try:
            return self._reprompts.answer(request, report)
        except NotWantedError:
            return None
        except Exception as error:  # as in run
            return self._explained(error, request.job, request.options.device)

    def abandon(self) -> None:
        """Throw the running job's files away; called from another thread just before the process leaves."""
        staging = self._staging
        if staging is not None:
            staging.abandon()

    def _explained(self, error: Exception, job: str, device: str) -> Error:
        if ran_out_of_memory(error):
            self._reprompts.clear()
            self._warm.clear()
        return explain(error, job, device, self._log_path)

    def _case(self, segment: Segment, report: Report) -> dict[str, float]:
        options, case = segment.options, Path(segment.case)
        check_target(case, options.overwrite)
        report(Progress(segment.job, "read", 0, 1, None))
        begun = time.perf_counter()
        volume = _volume(segment.image, options)
        structures = read_prompts(segment.prompts)
        experts = load_experts(Path(segment.experts))
        read = time.perf_counter()

        def passed_on(progress: pipeline.Progress) -> None:
            report(Progress(segment.job, progress.stage, progress.done, progress.total, progress.seconds_left))

        wanted = pipeline.SegmentOptions(segment.bundle, options.method, options.device, options.window, options.view)
        done = pipeline.segment_volume(volume, structures, experts, wanted, passed_on, self._warm)
        segmented = time.perf_counter()
        report(Progress(segment.job, "write", 0, 1, None))
        with Staging(case, segment.job) as staging:
            self._staging = staging
            try:
                write_case(
                    staging.folder,
                    volume,
                    done.structures,
                    experts,
                    done.probability,
                    done.routing,
                    done.error,
                    done.settings["method"],
                    stamped(done.settings, segment.job),
                    done.model,
                    done.versions,
                )
                staging.commit(options.overwrite)
            finally:
                self._staging = None
        return {"read": read - begun, **done.timings, "write": time.perf_counter() - segmented}


def _volume(path: str, options: Options) -> Volume:
    known = get_args(Modality)
    if options.modality is None:
        return read_volume(path)
    if options.modality not in known:
        raise BadInputError(f'modality is "{options.modality}", expected one of {", ".join(known)}')
    return read_volume(path, modality=options.modality)  # type: ignore[arg-type]


def _tested(name: str) -> tuple[str, bool, str]:
    """Device, whether it computes, and a sentence; for "auto" also why a GPU that is there is not used."""
    try:
        device = resolve_device(name)
    except DeferredSegError as error:
        return name, False, error.sentence
    label = f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)
    message = f"A convolution on {label} came out right."
    if name == "auto" and device.type == "cpu" and torch.cuda.is_available():
        try:
            self_test(torch.device("cuda", 0))
        except DeviceError as error:
            message += f" The GPU is not used: {error.sentence}"
    return str(device), True, message
