"""The image encoder on the CPU through OpenVINO: torch's numbers in float32, faster; faster still in mixed precision.

OpenVINO's Python package reports every import to a statistics server through the package `openvino_telemetry`, unless
a file in the user's home forbids it. It is kept from being imported here, and OpenVINO then uses its own empty stub:
nothing is sent, and nothing is written into anyone's home.
"""

from __future__ import annotations

import importlib.util
import os
import queue
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from ..core.errors import DeviceError
from .tiny_vit import TinyViTEncoder

MOST_STREAMS = 4
"""Slices in flight at once at most, on a share of the cores each, which takes less time than one after the other on
all cores; each needs about 0.3 GB for activations."""
EXACT_STAGES = 2
"""Stages, from the input on, that "mixed" precision computes in float32; docs/decisions/0003 has the figures."""
PRECISIONS = ("auto", "f32", "mixed", "bf16")


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

    precision : "f32" gives torch's numbers up to rounding (1e-5); "mixed" computes the later stages of TinyViT in
        bfloat16, where masks agree in accuracy and differ by a few border pixels; "bf16" computes everything so; "auto"
        takes "mixed" on a CPU with bfloat16 instructions, else "f32". The attribute says which it is.
    threads : how many threads to use; None for all cores that the process may run on.

    Raises
    ------
    ValueError : another precision, or "mixed" for an encoder that has no stages.
    DeviceError : OpenVINO cannot prepare the encoder.
    """

    def __init__(self, encoder: nn.Module, input_size: int, threads: int | None = None, precision: str = "f32") -> None:
        if precision not in PRECISIONS:
            raise ValueError(f'precision "{precision}" is unknown, expected one of {", ".join(PRECISIONS)}')
        openvino = import_openvino()
        core = openvino.Core()
        if precision == "auto":
            precision = "mixed" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
        self.precision = precision
        cores = threads or _usable_cores()
        self.streams = max(1, min(MOST_STREAMS, cores))
        settings = {"INFERENCE_NUM_THREADS": cores, "NUM_STREAMS": self.streams}
        self._parts = []
        example = torch.zeros(1, 3, input_size, input_size)
        try:
            for part, its_precision in _parts_of(encoder.eval(), precision):
                with torch.inference_mode(), warnings.catch_warnings():
                    warnings.simplefilter("ignore", torch.jit.TracerWarning)  # shapes are fixed, as they should be
                    warnings.simplefilter("ignore", FutureWarning)  # torch's own, on what comes after jit.trace
                    traced = torch.jit.trace(part, example, check_trace=False)
                    converted = openvino.convert_model(traced, input=list(example.shape))
                    example = part(example)
                hint = {"INFERENCE_PRECISION_HINT": its_precision}
                self._parts.append(core.compile_model(converted, "CPU", {**settings, **hint}))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise DeviceError(f"OpenVINO could not prepare the image encoder ({reason}); uninstall openvino") from error
        self._idle: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()
        for _ in range(self.streams):
            self._idle.put([part.create_infer_request() for part in self._parts])

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Embed images (N, 3, S, S)."""
        inputs = np.ascontiguousarray(images.numpy())
        slices = [inputs[index : index + 1] for index in range(len(inputs))]
        if self.streams == 1 or len(slices) == 1:
            return torch.from_numpy(np.concatenate([self._encode(one) for one in slices]))
        with ThreadPoolExecutor(self.streams) as pool:
            return torch.from_numpy(np.concatenate(list(pool.map(self._encode, slices))))

    def _encode(self, image: np.ndarray) -> np.ndarray:
        """One slice (1, 3, S, S) through all parts, on a free stream."""
        requests = self._idle.get()
        try:
            for request in requests:
                image = request.infer([image])[0]
            return image.copy()
        finally:
            self._idle.put(requests)


def _parts_of(encoder: nn.Module, precision: str) -> list[tuple[nn.Module, str]]:
    if precision != "mixed":
        return [(encoder, precision)]
    if not isinstance(encoder, TinyViTEncoder):
        raise ValueError("only TinyViT's encoder has stages for mixed precision")
    exact, later = encoder.halves(EXACT_STAGES)
    return [(exact, "f32"), (later, "bf16")]


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
