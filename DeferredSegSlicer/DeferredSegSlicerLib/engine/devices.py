"""Which compute device to use, whether it really works, and what to say when it runs out of memory."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from torch.nn import functional

from ..core.errors import BadInputError, DeviceError

Result = TypeVar("Result")


def resolve_device(name: str = "auto") -> torch.device:
    """The device for "auto", "cpu", "cuda" or "cuda:N", after a small real convolution on it.

    "auto" takes the first GPU if there is one that passes the self-test, and the CPU otherwise.
    Raises BadInputError for another name and DeviceError for a device that is missing or does not compute.
    """
    text = name.strip().lower()
    if text == "auto":
        if torch.cuda.is_available():
            try:
                return _tested(torch.device("cuda", 0))
            except DeviceError:
                return _tested(torch.device("cpu"))
        return _tested(torch.device("cpu"))
    if text == "cpu":
        return _tested(torch.device("cpu"))
    kind, _, number = text.partition(":")
    if kind != "cuda" or (":" in text and not (number.isascii() and number.isdigit())):
        raise BadInputError(f'device "{name}" is unknown, expected auto, cpu, cuda or cuda:N')
    if not torch.cuda.is_available():
        raise DeviceError(f'device "{name}" was asked for but no usable NVIDIA GPU was found; use --device cpu')
    index, count = int(number or 0), torch.cuda.device_count()
    if index >= count:
        raise DeviceError(
            f'device "{name}" does not exist, this machine has {count} GPU(s): cuda:0 to cuda:{count - 1}'
        )
    return _tested(torch.device("cuda", index))


def _tested(device: torch.device) -> torch.device:
    self_test(device)
    return device


def self_test(device: torch.device) -> None:
    """Run a small convolution on `device` and compare it with the exact answer; DeviceError if it is not right."""
    try:
        with torch.inference_mode():
            image = torch.arange(64, dtype=torch.float32, device=device).reshape(1, 1, 8, 8)
            answer = functional.conv2d(image, torch.ones(1, 1, 3, 3, device=device)).cpu()
    except (RuntimeError, AssertionError, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DeviceError(f'device "{device}" failed its self-test ({reason}); use --device cpu') from error
    expected = 9.0 * (torch.arange(64, dtype=torch.float32).reshape(8, 8)[1:-1, 1:-1])
    if not torch.allclose(answer[0, 0], expected, atol=1e-2):
        raise DeviceError(f'device "{device}" failed its self-test: a convolution came out wrong; use --device cpu')


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception, from torch, OpenVINO or Python, says that memory ran out."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        phrase in text for phrase in ("out of memory", "not enough memory", "can't allocate memory", "bad_alloc")
    )


@contextmanager
def memory_errors_as_advice(device: torch.device, doing: str) -> Iterator[None]:
    """Turn running out of memory into a DeviceError that says while doing what, and what to try.

    doing: completes "ran out of memory while ...", e.g. "encoding slices".
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, DeviceError) or not is_out_of_memory(error):
            raise
        if device.type == "cuda":
            torch.cuda.empty_cache()
            advice = "close other programs that use the GPU, or use --device cpu"
        else:
            advice = "close other programs, or segment a smaller part of the volume"
        raise DeviceError(f"{device} ran out of memory while {doing}; {advice}") from error


def in_shrinking_batches(
    work: Callable[[np.ndarray], list[Result]], items: np.ndarray, batch: int, device: torch.device
) -> list[Result]:
    """Apply `work` to `items` in batches along axis 0; a batch that does not fit into memory is halved and retried.

    work: takes items[start:stop] and answers with one result an item.
    Raises DeviceError with advice when not even a single item fits.
    """
    if batch < 1:
        raise BadInputError(f"batch size is {batch}, expected at least 1")
    results: list[Result] = []
    while len(results) < len(items):
        part = items[len(results) : len(results) + batch]
        try:
            results += work(part)
            continue
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(part) == 1:
                with memory_errors_as_advice(device, "encoding a single slice"):
                    raise
        batch = len(part) // 2
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return results


def return_freed_memory() -> None:
    """Give memory that was freed back to the system, where the C library keeps it for itself (glibc on Linux).

    Converting an encoder leaves 0.3 GB so; a large scan's maps need it.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
