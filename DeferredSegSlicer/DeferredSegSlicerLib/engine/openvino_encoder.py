"""The image encoder on the CPU through OpenVINO: the same numbers as torch in float32, in less than half the time.

OpenVINO's Python package reports every import to a statistics server through the package `openvino_telemetry`, unless
a file in the user's home forbids it. It is kept from being imported here, and OpenVINO then uses its own empty stub:
nothing is sent, and nothing is written into anyone's home.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import warnings
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from ..core.errors import DeviceError

MOST_STREAMS = 4
"""Slices in flight at once; each takes about 0.3 GB of activations."""


def openvino_is_installed() -> bool:
    """Whether OpenVINO can be imported; it is not imported by asking."""
    return importlib.util.find_spec("openvino") is not None


def import_openvino() -> ModuleType:
    """OpenVINO with its telemetry shut out for the life of this process."""
    if "openvino" not in sys.modules:
        # None in sys.modules makes Python raise ImportError, for which OpenVINO has a silent stub
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    return openvino


class OpenVinoEncoder:
    """An image encoder converted from torch; called like it, (N, 3, S, S) to (N, 256, h, w), both float32 on the CPU.

    A single slice uses all threads at once; of several slices as many are in flight as there are streams, which keeps
    the cores busier. Both ways give the same numbers up to rounding (1e-5).
    precision: "f32", or "bf16" which is faster on newer CPUs but moves mask borders (see docs/benchmarks.md).
    threads: how many threads to use; None for all cores that the process may run on.
    """

    def __init__(self, encoder: nn.Module, input_size: int, threads: int | None = None, precision: str = "f32") -> None:
        openvino = import_openvino()
        self._openvino = openvino
        cores = threads or _usable_cores()
        self.streams = max(1, min(MOST_STREAMS, cores))
        self._settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": cores}
        example = torch.zeros(1, 3, input_size, input_size)
        try:
            with torch.inference_mode(), warnings.catch_warnings():
                warnings.simplefilter("ignore", torch.jit.TracerWarning)  # shapes are fixed, as they should be
                warnings.simplefilter("ignore", FutureWarning)  # tracing is what OpenVINO converts
                traced = torch.jit.trace(encoder.eval(), example, check_trace=False)
            self._model = openvino.convert_model(traced, input=list(example.shape))
            one = openvino.Core().compile_model(self._model, "CPU", {**self._settings, "NUM_STREAMS": 1})
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise DeviceError(f"OpenVINO could not prepare the image encoder ({reason}); uninstall openvino") from error
        self._request = one.create_infer_request()
        self._queue: Any = None

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Embed images (N, 3, S, S)."""
        inputs = np.ascontiguousarray(images.numpy())
        together = len(inputs) - len(inputs) % self.streams if self.streams > 1 else 0
        outputs: list[np.ndarray | None] = [None] * len(inputs)
        if together:
            queue = self._prepared_queue(outputs)
            for index in range(together):
                queue.start_async([inputs[index : index + 1]], index)
            queue.wait_all()
        for index in range(together, len(inputs)):
            outputs[index] = self._request.infer([inputs[index : index + 1]])[0].copy()
        return torch.from_numpy(np.concatenate([output for output in outputs if output is not None]))

    def _prepared_queue(self, outputs: list[np.ndarray | None]) -> Any:
        if self._queue is None:
            settings = {**self._settings, "NUM_STREAMS": self.streams}
            many = self._openvino.Core().compile_model(self._model, "CPU", settings)
            self._queue = self._openvino.AsyncInferQueue(many, self.streams)

        def keep(request: Any, index: int) -> None:
            outputs[index] = request.get_output_tensor(0).data.copy()

        self._queue.set_callback(keep)
        return self._queue


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
