"""Devices: names, the self-test, and what happens when memory runs out."""

import ctypes
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from DeferredSegSlicerLib.core.errors import BadInputError, DeviceError
from DeferredSegSlicerLib.engine import devices
from DeferredSegSlicerLib.engine.devices import (
    in_shrinking_batches,
    memory_errors_as_advice,
    resolve_device,
    return_freed_memory,
)

CPU = torch.device("cpu")


def test_the_cpu_passes_its_self_test():
    assert resolve_device("cpu") == CPU
    assert resolve_device(" CPU ") == CPU


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cuda:-1", "tpu:0", "", "cudax"])
def test_an_unknown_device_is_refused(name):
    with pytest.raises(BadInputError, match="expected auto, cpu"):
        resolve_device(name)


def test_a_missing_gpu_is_said_with_advice(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="--device cpu"):
        resolve_device("cuda")
    assert resolve_device("auto") == CPU


def test_a_gpu_number_that_does_not_exist_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(DeviceError, match=r"cuda:7.*2 GPU"):
        resolve_device("cuda:7")


def test_a_gpu_that_does_not_compute_is_left_for_the_cpu_by_auto_and_named_by_cuda(monkeypatch):
    convolve = devices.functional.conv2d

    def broken(image, kernel):
        if image.device.type != "cpu":
            raise RuntimeError("no kernel image is available for execution on the device")
        return convolve(image, kernel)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(devices.functional, "conv2d", broken)
    real = torch.device
    monkeypatch.setattr(devices.torch, "device", lambda kind, *index: real("meta") if kind == "cuda" else real(kind))
    with pytest.raises(DeviceError, match="failed its self-test"):
        resolve_device("cuda")
    assert resolve_device("auto").type == "cpu"


def test_a_wrong_result_fails_the_self_test(monkeypatch):
    monkeypatch.setattr(devices.functional, "conv2d", lambda image, kernel: torch.zeros(1, 1, 6, 6))
    with pytest.raises(DeviceError, match="came out wrong"):
        resolve_device("cpu")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: not enough memory"),
    ],
)
def test_running_out_of_memory_becomes_advice(error):
    sentence = "cpu ran out of memory while encoding; close"
    with pytest.raises(DeviceError, match=sentence), memory_errors_as_advice(CPU, "encoding"):
        raise error


def test_other_errors_pass_through_unchanged():
    with pytest.raises(RuntimeError, match="shapes do not match") as caught, memory_errors_as_advice(CPU, "encoding"):
        raise RuntimeError("shapes do not match")
    assert not isinstance(caught.value, DeviceError)


def encode_at_most(most, sizes):
    def encode(part):
        sizes.append(len(part))
        if len(part) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [float(item) for item in part]

    return encode


def test_a_batch_that_does_not_fit_is_halved_and_every_slice_comes_back_in_order():
    sizes: list[int] = []
    assert in_shrinking_batches(encode_at_most(2, sizes), np.arange(11), 8, CPU) == list(range(11))
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 1]


def test_a_slice_that_does_not_fit_alone_is_a_device_error():
    with pytest.raises(DeviceError, match="single slice"):
        in_shrinking_batches(encode_at_most(0, []), np.arange(4), 4, CPU)


def test_an_error_that_is_not_about_memory_is_not_retried():
    def encode(part):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        in_shrinking_batches(encode, np.arange(4), 4, CPU)


def test_freed_memory_goes_back_to_the_system():
    pieces = [np.ones(16_000, np.uint8) for _ in range(8_000)]  # 128 MB in pieces that the C library would keep
    keep = pieces[::64]
    before = _resident_bytes()
    del pieces
    return_freed_memory()
    assert len(keep) == 125
    if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim"):
        assert _resident_bytes() < before - 60e6


def _resident_bytes() -> int:
    statm = Path("/proc/self/statm")
    return int(statm.read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0
